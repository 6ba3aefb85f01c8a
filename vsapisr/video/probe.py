"""What is in a video file, from its headers and packets; nothing is decoded here."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.stream import Disposition

from ..errors import VideoError
from ..libav import url

__all__ = ["Packets", "Source", "opened", "packets_of", "probe"]

STILLS = ("image2", "gif", "apng", "webp", "webp_anim", "tty", "lrc", "srt", "ass", "webvtt")
"""Formats of pictures, animated ones too, and of texts, which libav finds in whatever ends in the right letters."""
BRANDS = ("avif", "avis", "heic", "heix", "mif1", "msf1")
"""What such pictures say that lie in the container of MP4."""


@contextmanager
def opened(path: Path | str) -> Iterator[av.container.InputContainer]:
    """The file.

    Raises:
        VideoError: it is missing, or no media file.
    """
    try:
        file = av.open(url(path))
    except FileNotFoundError:
        raise VideoError(f"there is no file {path}") from None
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path} is no video that can be read ({error.strerror or error})") from None
    with file:
        yield file


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file and its picture."""

    path: Path
    format: str
    """libav's name of the container."""
    track: int
    """Index of the stream that is upscaled."""
    width: int
    height: int
    seconds: float
    """As the container says; 0 if it does not."""
    sar: tuple[int, int]
    """Shape of a pixel, (1, 1) also where nothing is said."""


def picture_of(file: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first stream that is a video and no cover picture.

    Raises:
        VideoError: there is none.
    """
    for stream in file.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise VideoError(f"{path} has no video in it")


def probe(path: Path) -> Source:
    """Open and look.

    Raises:
        VideoError: it cannot be read, or has no video.
    """
    if path.is_dir():
        raise VideoError(f"{path} is a folder; a video file is needed")
    with opened(path) as file:
        kind, brand = file.format.name, file.metadata.get("major_brand")
        if kind.endswith("_pipe") or kind in STILLS or brand in BRANDS:
            raise VideoError(f"{path} is no video that can be read (libav takes it for {brand or kind})")
        picture = picture_of(file, path)
        sar = picture.sample_aspect_ratio
        return Source(
            path=path,
            format=file.format.name,
            track=picture.index,
            width=picture.codec_context.width,
            height=picture.codec_context.height,
            seconds=(file.duration or 0) / 1e6,
            sar=(sar.numerator, sar.denominator) if sar and sar.numerator > 0 else (1, 1),
        )


@dataclass(frozen=True)
class Packets:
    """What the packets of a source say, without decoding."""

    cuts: list[int]
    """Numbers of the frames that are I-frames to begin at, ascending."""
    lost: list[Fraction]
    """Seconds of packets that gave no frame."""
    end: float
    """Seconds after which there is nothing more of any stream."""


def packets_of(source: Source, pts: list[int]) -> Packets:
    """Read all of a source; ``pts`` are the times of all frames."""
    found, end = [], 0.0
    with opened(source.path) as file:
        stream = file.streams[source.track]
        for packet in file.demux():
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None and packet.time_base:
                end = max(end, float((stamp + (packet.duration or 0)) * packet.time_base))
            if packet.stream is stream and packet.size and not packet.is_discard:
                found.append((packet.pts, packet.is_keyframe))
        end -= max(file.start_time or 0, 0) / 1e6
        unit = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        counted = file.format.name == "avi" or any(stamp is None for stamp, _ in found)
    if counted:  # AVI has no times of showing
        return Packets([n for n, (_, key) in enumerate(found) if key], [], end)
    shown = set(pts)
    stamps = [(stamp or 0, key) for stamp, key in found]
    lost = sorted(stamp * unit for stamp, _ in stamps if stamp not in shown)
    return Packets(sorted(bisect.bisect_left(pts, stamp) for stamp, key in stamps if key and stamp in shown), lost, end)
