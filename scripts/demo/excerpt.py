"""What the demo needs to know of a video, and a short part of a long one."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from vsapisr.errors import VideoError
from vsapisr.libav import url
from vsapisr.video.probe import opened, picture_of, probe
from vsapisr.writing import finished

__all__ = ["SourceInfo", "excerpt", "inspect"]

LARGE = 256 << 20  # bytes of a file whose packets are not counted, as that takes long


@dataclass(frozen=True)
class SourceInfo:
    """A video file."""

    width: int
    height: int
    fps: Fraction
    frames: int
    """As the container says, or its packets or its length; 0 if none is known."""
    audio: bool


def inspect(path: Path) -> SourceInfo:
    """Open a video.

    Raises:
        VideoError: it is missing, not a video, or cannot be decoded.
    """
    source = probe(path)
    with opened(path) as file:
        stream = picture_of(file, path)
        if next(file.decode(stream), None) is None:
            raise VideoError(f"{path}: no frame of the video could be decoded")
        rate = stream.average_rate or stream.base_rate or 24
        fps = Fraction(rate.numerator, rate.denominator) if rate else Fraction(24)
        frames, audio = stream.frames, bool(file.streams.audio)
    if not frames and path.stat().st_size <= LARGE:
        with opened(path) as file:
            frames = sum(1 for packet in file.demux(picture_of(file, path)) if packet.size)
    return SourceInfo(source.width, source.height, fps, frames or round(source.seconds * fps), audio)


def excerpt(path: Path, target: Path, start: float, seconds: float) -> None:
    """Copy, without coding anew, ``seconds`` from the I-frame at or before ``start``, and some more, into a .mkv.

    BestSource decodes a file from end to end before it gives the first frame; for an episode that takes minutes.
    """
    with finished(target) as part, opened(path) as file, av.open(url(part), "w") as out:
        picture = picture_of(file, path)
        if start > 0:
            file.seek(round(start / picture.time_base) + (picture.start_time or 0), stream=picture)
        streams = {s.index: out.add_stream_from_template(s) for s in (picture, *file.streams.audio[:1])}
        begin = None
        for packet in file.demux(*(file.streams[i] for i in streams)):
            stamp = packet.pts if packet.dts is None else packet.dts  # after seeking, the I-frame may come without dts
            if not packet.size or stamp is None:
                continue
            if begin is None and packet.stream is picture:
                begin = stamp * packet.time_base
            if begin is not None and stamp * packet.time_base > begin + seconds + 2:
                break
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
