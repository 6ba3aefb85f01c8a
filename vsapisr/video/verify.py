"""Checks before a file gets its name."""

from __future__ import annotations

from pathlib import Path

from ..errors import VideoError
from .plan import Work
from .probe import opened, picture_of
from .times import Times

__all__ = ["verify"]


def verify(work: Work, times: Times, path: Path) -> None:
    """Hold the joined file against plan and source.

    Raises:
        VideoError: it is not what it should be.
    """
    plan = work.plan
    with opened(path) as file:
        stream = picture_of(file, path)
        unit = stream.time_base
        shown = sorted(p.pts * unit for p in file.demux(stream) if p.size and p.pts is not None)
    if len(shown) != plan.frames:
        raise VideoError(f"{plan.target} would have {len(shown)} of {plan.frames} frames")
    first, stop = plan.chunks[0][0], plan.chunks[-1][1]
    should = [times.pts[n] * times.unit for n in range(first, stop)]
    shift = shown[0] - should[0]
    for n, (one, two) in enumerate(zip(shown, should, strict=True)):
        if abs(one - two - shift) > unit:
            raise VideoError(f"frame {first + n} of {plan.target} would be shown {float(one - two - shift):+.4f} s off")
