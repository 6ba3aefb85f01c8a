"""Frames of a source that are damaged, found by decoding it once more while it is upscaled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ..errors import VideoError
from .probe import opened

__all__ = ["Damage"]


class Damage:
    """Looks through a stream in a thread of its own; ``report`` waits for it."""

    def __init__(self, source: Path | str, track: int):
        self.source, self.track = source, track
        self.faults: list[Fraction | None] = []
        self.ended: str | None = None
        self.stopped = False
        self.thread = threading.Thread(target=self._run, name="damaged frames", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with opened(self.source) as file:
                stream: Any = file.streams[self.track]
                stream.thread_type = "SLICE"  # errors belong to the packet that they come from
                for packet in file.demux(stream):
                    if self.stopped:
                        return
                    self._look(packet)
        except (VideoError, av.error.FFmpegError, OSError) as error:
            self.ended = str(error)

    def _look(self, packet: Any) -> None:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            frames = None
        stamp = None if packet.pts is None else packet.pts * Fraction(packet.time_base)
        if packet.size and (packet.is_corrupt or frames is None):
            self.faults.append(stamp)
        for frame in frames or ():
            if frame.is_corrupt:
                self.faults.append(None if frame.pts is None else frame.pts * Fraction(frame.time_base))

    def report(self, begin: Fraction, end: Fraction) -> str | None:
        """A line on what is damaged between two times in seconds, and what was done; None if nothing is."""
        self.thread.join()
        found = sorted({float(one) for one in self.faults if one is not None and begin <= one < end})
        unknown = sum(one is None for one in self.faults)
        if not found and not unknown and self.ended is None:
            return None
        places = ", ".join(f"{one:.2f} s" for one in found[:8]) + (", ..." if len(found) > 8 else "")
        words = f"the source is damaged at {len(found) + unknown} frames" + (f" ({places})" if places else "")
        words = f"the source breaks off ({self.ended})" if self.ended else words
        return f"{words}; what the decoder made of them was upscaled as it is"

    def stop(self) -> None:
        self.stopped = True
        self.thread.join()


@contextmanager
def watching(source: Path | str | None, track: int) -> Iterator[Damage | None]:
    """Of a source that there is."""
    damage = None if source is None else Damage(source, track)
    try:
        yield damage
    finally:
        if damage is not None:
            damage.stop()
