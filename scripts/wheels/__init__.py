"""Wheels for five platforms from one checkout on Linux: ``python -m scripts.wheels``."""
