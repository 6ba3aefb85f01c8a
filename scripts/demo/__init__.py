"""The demo of the README."""
