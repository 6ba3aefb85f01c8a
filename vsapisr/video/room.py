"""Whether there is room on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import VideoError
from .places import Folder
from .plan import Plan

__all__ = ["check_room", "estimate"]

BITS = {"libx264": 0.10, "libx265": 0.07, "libsvtav1": 0.06, "ffv1": 8.0}
"""Of a pixel of a result, as anime needs them with the defaults here; lossless by measure of drawings."""
OTHER = 0.15
MARGIN = 64 << 20  # bytes


def estimate(plan: Plan) -> int:
    """Bytes of the picture of the result, roughly."""
    width, height = plan.size
    return round(width * height * plan.frames * BITS.get(plan.settings.encoder, OTHER) / 8)


def check_room(plan: Plan, folder: Folder, done: int) -> int:
    """Bytes that are needed beside what lies in ``folder`` (``done`` frames): the rest of the chunks, then the whole
    once more with all that is copied.

    Raises:
        VideoError: the disk has less.
    """
    there = sum(path.stat().st_size for path in folder.path.glob("[0-9]*.mkv"))
    picture = there * plan.frames // done if done else estimate(plan)
    copied = 0 if plan.source is None else Path(plan.source).stat().st_size
    needed = 2 * picture - there + copied
    free = shutil.disk_usage(folder.path).free
    if free < needed + MARGIN:
        words = f"about {needed / 1e9:.1f} GB is needed for chunks and result, {free / 1e9:.1f} GB is free"
        raise VideoError(f"too little room at {folder.path.parent}: {words}")
    return needed
