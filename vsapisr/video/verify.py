"""Checks before a file gets its name."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ..errors import VideoError
from .copying import Copied
from .plan import Work
from .probe import opened, picture_of
from .times import Times

__all__ = ["verify"]


def verify(work: Work, times: Times, path: Path, copied: Copied) -> None:
    """Hold the joined file against plan and source: frames and their times, streams, packets of each, the first frame
    of every chunk.

    Raises:
        VideoError: it is not what it should be.
    """
    plan = work.plan
    counts: Counter[int] = Counter()
    stamps: list[Fraction] = []
    with opened(path) as file:
        stream = picture_of(file, path)
        for packet in file.demux():
            if packet.size:
                counts[packet.stream.index] += 1
                if packet.stream is stream and packet.pts is not None:
                    stamps.append(packet.pts * packet.time_base)
        kinds = Counter(stream.type for stream in file.streams if stream.type in ("audio", "subtitle"))
        unit = Fraction(stream.time_base.numerator, stream.time_base.denominator)
    stamps.sort()
    if len(stamps) != plan.frames:
        raise VideoError(f"{plan.target} would have {len(stamps)} of {plan.frames} frames")
    first, stop = plan.chunks[0][0], plan.chunks[-1][1]
    shift = stamps[0] - times.seconds(first)
    for n, stamp in zip(range(first, stop), stamps, strict=True):
        off = stamp - times.seconds(n) - shift
        if abs(off) > unit:
            raise VideoError(f"frame {n} of {plan.target} would be shown {float(off):+.4f} s off")
    for source, made in copied.indices.items():
        if counts[made] < copied.counts[source]:
            had = f"{counts[made]} of {copied.counts[source]}"
            raise VideoError(f"stream {source} of {plan.source} would have {had} packets in {plan.target}")
    if kinds != copied.kinds:
        raise VideoError(f"{plan.target} would have {dict(kinds)} instead of {dict(copied.kinds)} streams")
    with opened(path) as file:
        for begin, _ in plan.chunks:
            decodable(file, picture_of(file, path), stamps[begin - first], plan.target)


def decodable(file: Any, stream: Any, begin: Fraction, target: str) -> None:
    """Decode the frame that a player sees which goes to ``begin``.

    Raises:
        VideoError: there is none.
    """
    place = begin / Fraction(stream.time_base.numerator, stream.time_base.denominator)
    try:
        file.seek(round(place), stream=stream)
        frame = next(file.decode(stream), None)
    except av.error.FFmpegError as error:
        raise VideoError(f"{target} could not be played from {float(begin):.3f} s on ({error.strerror})") from None
    if frame is None or frame.pts is None or abs(frame.pts - place) > 1:
        raise VideoError(f"{target} could not be played from {float(begin):.3f} s on")
