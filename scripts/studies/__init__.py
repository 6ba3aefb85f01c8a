"""Measurements behind the documentation, one module each."""
