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

__all__ = ["Source", "keyframes", "opened", "probe"]

STILLS = ("image2", "tty", "lrc", "srt", "ass", "webvtt")
"""Formats of pictures and texts, which libav finds in whatever ends in the right letters."""


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
        if file.format.name.endswith("_pipe") or file.format.name in STILLS:
            raise VideoError(f"{path} is no video that can be read (libav takes it for {file.format.name})")
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


def keyframes(source: Source, pts: list[int]) -> tuple[list[int], list[Fraction]]:
    """(numbers of the frames that are I-frames to begin at, ascending; seconds of packets that gave no frame); ``pts``
    are the times of all frames."""
    with opened(source.path) as file:
        stream = file.streams[source.track]
        packets = [(p.pts, p.is_keyframe) for p in file.demux(stream) if p.size and not p.is_discard]
        unit = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        counted = file.format.name == "avi" or any(stamp is None for stamp, _ in packets)
    if counted:  # AVI has no times of showing
        return [n for n, (_, key) in enumerate(packets) if key], []
    shown = set(pts)
    stamps = [(stamp or 0, key) for stamp, key in packets]
    lost = sorted(stamp * unit for stamp, _ in stamps if stamp not in shown)
    return sorted(bisect.bisect_left(pts, stamp) for stamp, key in stamps if key and stamp in shown), lost
