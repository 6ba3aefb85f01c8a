"""Weights: shipped, local and published ones, found, verified and loaded."""
