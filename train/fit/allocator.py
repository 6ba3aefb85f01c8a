"""Memory of activations that come and go: kept for the next step, where the C library can be told to."""

from __future__ import annotations

from vsapisr.engine.memory import of_glibc

__all__ = ["keep_freed_memory"]

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""glibc's numbers for ``mallopt``."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep what this process frees; whether it took that (other C libraries are left as they are).

    glibc gives blocks of more than 32 MiB back to the system at once, and the next one of that size pays a page fault
    for every 4 KiB of it: a fifth of a training step on a CPU (docs/training.md). The process never becomes smaller
    again.
    """
    mallopt = of_glibc("mallopt")
    settings = ((MMAP_THRESHOLD, 1 << 30), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 64 << 20))
    return mallopt is not None and all([mallopt(*setting) for setting in settings])  # noqa: C419  each is tried
