"""Stages of ``python -m scripts.gpu_check``: each runs in a process of its own and reports rows as it goes."""
