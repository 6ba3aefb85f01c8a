"""Frames into the file of one chunk."""

from __future__ import annotations

import contextlib
import queue
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ..errors import VideoError
from ..libav import same_priority, url
from .pixels import picture
from .plan import Plan
from .presets import encoder_options

__all__ = ["ChunkWriter", "stamps"]

TICK = Fraction(1, 1000)
"""Unit of times in Matroska. A frame's time in a chunk is its number; its true time is given when chunks are joined."""
AHEAD = 64  # frames that no encoder is ahead of what is shown
WAITING = 3  # frames between rendering and encoding


def stamps(packets: list[av.Packet]) -> list[int]:
    """The number of each packet's frame in the order of showing, 0 first."""
    rank = {pts: n for n, pts in enumerate(sorted(packet.pts for packet in packets if packet.pts is not None))}
    return [rank[packet.pts] for packet in packets if packet.pts is not None]


def numbered(packet: av.Packet, stream: av.VideoStream, order: int) -> None:
    """Give a packet of frame ``pts``, the encoder's ``order``-th, its times in a chunk. Those of decoding are ours: of
    very short clips x265 has none."""
    packet.stream, packet.time_base = stream, TICK
    packet.pts, packet.dts, packet.duration = (packet.pts or 0) + AHEAD, order, 1


class ChunkWriter:
    """Encodes in a thread of its own, so that rendering goes on: ``put`` frames, then ``finish``."""

    def __init__(self, path: Path, plan: Plan):
        """Writes to ``path``, a Matroska file; nothing is opened before the first frame."""
        self.path, self.plan = path, plan
        self.frames: queue.Queue[Any] = queue.Queue(WAITING)
        self.error: BaseException | None = None
        self.count = self.written = 0
        self.thread = threading.Thread(target=self._run, name=f"encoder of {path.name}", daemon=True)
        self.thread.start()

    def put(self, frame: Any) -> None:
        """A frame of VapourSynth, which is closed when it has been taken.

        Raises:
            VideoError: the encoder has failed.
        """
        while True:
            if self.error is not None:
                frame.close()
                raise self._failure()
            try:
                return self.frames.put(frame, timeout=1.0)
            except queue.Full:
                continue

    def close_soon(self) -> None:
        """No more frames will come."""
        self._end()

    def over(self) -> bool:
        """Has the thread ended, well or not?"""
        return not self.thread.is_alive()

    def finish(self) -> None:
        """Wait until all is written and has been read again.

        Raises:
            VideoError: it could not be.
        """
        self._end()
        self.thread.join()
        if self.error is not None:
            raise self._failure()

    def abandon(self) -> None:
        """Give up; what is at ``path`` then is of no use."""
        self.error = self.error or VideoError("abandoned")
        self._end()
        self.thread.join()

    def _end(self) -> None:
        while self.thread.is_alive():
            try:
                return self.frames.put(None, timeout=1.0)
            except queue.Full:
                continue

    def _failure(self) -> VideoError:
        if isinstance(self.error, VideoError):
            return self.error
        words = getattr(self.error, "strerror", None) or str(self.error) or type(self.error).__name__
        return VideoError(f"encoding by {self.plan.settings.encoder} into {self.path.parent} failed ({words})")

    def _run(self) -> None:
        try:
            with av.open(url(self.path), "w", format="matroska", options={"fflags": "bitexact"}) as out:
                stream = opened(out, self.plan)
                while (frame := self.frames.get()) is not None:
                    with frame:
                        if self.error is not None:
                            return
                        shown = picture(frame, self.plan.pixel_format, self.plan.tags)
                    shown.pts, shown.time_base = self.count, stream.codec_context.time_base
                    with same_priority() if not self.count else contextlib.nullcontext():  # the first opens the encoder
                        packets = stream.encode(shown)
                    self.count += 1
                    self._write(out, stream, packets)
                self._write(out, stream, stream.encode(None))
            check_file(self.path, self.count)
        except BaseException as error:
            self.error = self.error or error
            while self.frames.qsize():
                if (frame := self.frames.get()) is not None:
                    frame.close()

    def _write(self, out: Any, stream: Any, packets: list[av.Packet]) -> None:
        for packet in packets:
            numbered(packet, stream, self.written)
            self.written += 1
            out.mux(packet)


def opened(out: av.container.OutputContainer, plan: Plan) -> av.VideoStream:
    """The stream and its encoder, ready for frames."""
    rate = Fraction(*plan.rate)
    stream: Any = out.add_stream(plan.settings.encoder, rate=rate, options=encoder_options(plan))
    stream.width, stream.height = plan.size
    stream.pix_fmt = plan.pixel_format
    context = stream.codec_context
    context.time_base, context.framerate = 1 / rate, rate
    stream.time_base = TICK
    context.sample_aspect_ratio = Fraction(*plan.sar)
    tags = plan.tags
    context.colorspace, context.color_primaries, context.color_trc = tags["matrix"], tags["primaries"], tags["transfer"]
    context.color_range, context.chroma_sample_location = 1 + tags["range"], tags["chroma"]
    context.thread_count = plan.threads
    return stream


def check_file(path: Path, frames: int) -> None:
    """Decode all of a chunk.

    Raises:
        VideoError: it has not as many good frames.
    """
    try:
        with av.open(url(path)) as file:
            count = sum(not frame.is_corrupt for frame in file.decode(video=0))
    except av.error.FFmpegError as error:
        raise VideoError(f"{path} was written and cannot be read ({error.strerror})") from None
    if count != frames:
        raise VideoError(f"{path} was written with {frames} frames and has {count}")
