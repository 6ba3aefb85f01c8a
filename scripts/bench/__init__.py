"""Sections of :mod:`scripts.bench`, one module each."""
