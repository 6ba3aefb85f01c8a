"""What every process that works beside others sets before it begins."""

from __future__ import annotations

import sys

import cv2

from ..fit.allocator import keep_freed_memory

__all__ = ["become_worker"]


def become_worker() -> None:
    """Processes are the parallelism: the libraries of this one start no threads on top. Its memory is kept for the next
    picture.

    A 720p picture in float is 11 MB, and degrading it makes some ten of them, one after the other.
    """
    cv2.setNumThreads(0)
    if "torch" in sys.modules:  # who works without it does not wait two seconds for its import
        sys.modules["torch"].set_num_threads(1)
    keep_freed_memory()
