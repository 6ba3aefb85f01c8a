"""The step ``export``: weights for the filter and for other programs."""
