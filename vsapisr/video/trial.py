"""Two grey frames through encoder and container before anything is rendered: what will not do is said at once."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av

from ..errors import VideoError
from .copying import Copied
from .encode import numbered, opened
from .plan import Plan
from .settings import CONTAINERS
from .times import Times

__all__ = ["trial"]


def trial(plan: Plan, times: Times) -> list[str]:
    """Lines on what of the source is left out.

    Raises:
        VideoError: the encoder does not take its options, or the container not what the source has.
    """
    coded = io.BytesIO()
    try:
        encoded(plan, coded)
    except (av.error.FFmpegError, ValueError) as error:
        words = getattr(error, "strerror", None) or error
        raise VideoError(
            f"{plan.settings.encoder} does not take its options, this size or this format ({words})"
        ) from None
    coded.seek(0)
    suffix = Path(plan.target).suffix.lower()
    with av.open(coded) as first, Copied(plan, times) as copied:
        out = av.open(io.BytesIO(), "w", format=CONTAINERS[suffix])
        try:
            copied.declare(out, first.streams.video[0])
            out.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            words = getattr(error, "strerror", None) or error
            raise VideoError(f"{plan.target}: this container does not take what the source has ({words})") from None
        return copied.notes


def encoded(plan: Plan, file: io.BytesIO) -> None:
    """Two frames into ``file``.

    Raises:
        VideoError: the encoder does not know an option.
    """
    with av.open(file, "w", format="matroska") as out:
        stream = opened(out, plan)
        stream.codec_context.open()
        if strange := [key for key in stream.codec_context.options if key in dict(plan.settings.encoder_options)]:
            raise VideoError(f"{plan.settings.encoder} has no option {', '.join(strange)}")
        packets = []
        for number in range(2):
            frame = av.VideoFrame(*plan.size, plan.pixel_format)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts, frame.time_base = number, Fraction(plan.rate[1], plan.rate[0])
            packets += stream.encode(frame)
        for order, packet in enumerate(packets + stream.encode(None)):
            numbered(packet, stream, order)
            out.mux(packet)
