"""The chunks of a plan as one file, with all else of the source, without coding again."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ..errors import VideoError
from ..libav import url
from .copying import Copied
from .encode import stamps
from .places import whole
from .plan import Work
from .settings import CONTAINERS
from .stamp import marked, stamp
from .times import Times
from .verify import verify

__all__ = ["Joined", "join"]


@dataclass(frozen=True)
class Joined:
    """A file that is whole."""

    path: Path
    frames: int
    bytes: int
    already: bool = False
    """It was there before; its frames were not counted."""


def join(work: Work) -> Joined:
    """Make the plan's target from its chunks; it gets its name when it has been checked, and the chunks stay.

    Raises:
        VideoError: a chunk is missing, does not fit the others, or the file cannot be written.
    """
    plan, target = work.plan, Path(work.plan.target)
    if missing := work.missing():
        raise VideoError(
            f"{target}: {len(missing)} of {len(plan.chunks)} chunks are missing, the first is {missing[0]}"
        )
    times = work.times()
    try:
        with whole(target) as part:
            copied = muxed(work, times, part)
            verify(work, times, part, copied)
    except av.error.FFmpegError as error:
        raise VideoError(f"{target} cannot be written ({error.strerror})") from None
    except OSError as error:
        raise VideoError(f"{target} cannot be written ({error.strerror or error})") from None
    return Joined(target, plan.frames, target.stat().st_size)


def muxed(work: Work, times: Times, part: Path) -> Copied:
    """Write all packets in the order of their times; what was copied."""
    plan = work.plan
    content(work.folder.chunk(0))  # or what is wrong with it
    with output(part) as out, Copied(plan, times) as copied:
        with av.open(url(work.folder.chunk(0))) as first:
            stream = copied.declare(out, first.streams.video[0])
        marked(out.metadata, stamp(plan.settings, plan.identity))
        video = ((packet.dts * packet.time_base, 0, packet) for packet in pictures(work, times, copied.shift))
        for _, _, packet in heapq.merge(video, copied.packets(), key=lambda one: one[:2]):
            if packet.stream.container is not out:
                packet.stream = stream
            out.mux(packet)
        copied.note()
    return copied


def output(part: Path) -> av.container.OutputContainer:
    """Bit for bit the same for the same packets."""
    return av.open(url(part), "w", format=CONTAINERS[part.suffix.lower()], options={"fflags": "bitexact"})


def pictures(work: Work, times: Times, shift: Fraction) -> Iterator[Any]:
    """Packets of the chunks with their true times; ``shift`` seconds are added.

    Raises:
        VideoError: chunks do not fit together.
    """
    header, delay = None, reorder(work)
    first = work.plan.chunks[0][0]
    number = 0  # of the packet in the order of coding, which is that of dts
    for index, (begin, stop) in enumerate(work.plan.chunks):
        packets, extradata = content(work.folder.chunk(index))
        header = extradata if header is None else header
        if extradata != header:
            raise VideoError(
                f"chunk {index} of {work.folder.path} has other headers than the first; --force starts anew"
            )
        if len(packets) != stop - begin:
            raise VideoError(f"chunk {index} of {work.folder.path} has {len(packets)} frames instead of {stop - begin}")
        for rank, packet in zip(stamps(packets), packets, strict=True):
            frame = begin + rank
            packet.time_base = times.unit
            offset = round(shift / times.unit)
            packet.pts = times.pts[frame] + offset
            packet.dts = decoding_time(times, first, number - delay) + offset
            packet.duration = (times.pts[frame + 1] if frame + 1 < len(times.pts) else times.end) - times.pts[frame]
            number += 1
            yield packet


def content(path: Path) -> tuple[list[av.Packet], bytes | None]:
    """(packets of a chunk, headers of its stream).

    Raises:
        VideoError: it was damaged after it had been made.
    """
    packets: list[av.Packet] = []
    extradata = None
    with suppress(av.FFmpegError, IndexError, ValueError), av.open(url(path)) as file:
        stream = file.streams.video[0]
        extradata = stream.codec_context.extradata
        packets = [packet for packet in file.demux(stream) if packet.size]
    if not packets or any(packet.pts is None for packet in packets):
        raise VideoError(f"{path} is damaged; delete it, and the same command makes it anew")
    return packets, extradata


def reorder(work: Work) -> int:
    """By how many frames an encoder is ahead of what is shown, at most."""
    most = 0
    for index in range(len(work.plan.chunks)):
        most = max(most, *(n - rank for n, rank in enumerate(stamps(content(work.folder.chunk(index))[0]))))
    return most


def decoding_time(times: Times, first: int, number: int) -> int:
    """Of packet ``number`` after the delay; before the first frame time goes on as it begins."""
    if number >= 0:
        return times.pts[first + number]
    step = (times.pts[first + 1] if first + 1 < len(times.pts) else times.end) - times.pts[first]
    return times.pts[first] + number * step
