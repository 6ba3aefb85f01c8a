"""The step ``evaluate``: damage, measures, tables."""
