"""All of a source but its picture: streams, attachments, chapters, names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import Any

from av.stream import Disposition

from .plan import Plan, Times
from .probe import opened

__all__ = ["Copied"]

STALE = ("bps", "number_of_frames", "number_of_bytes", "duration", "encoder", "_statistics")
"""Beginnings of tags that were true of the picture as it was; small letters."""
OF_CONTAINER = ("encoder", "major_brand", "minor_version", "compatible_brands")
ARBITRARY = ("mpegts", "mpeg")
"""Containers whose clock begins anywhere; others begin at 0 or mean what they say."""


def kept(tags: dict[str, str], without: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.lower().startswith(without)}


class Copied:
    """Declares in an output what it will get from the source, and gives its packets."""

    def __init__(self, plan: Plan, times: Times):
        self.plan, self.times = plan, times
        self.stack = ExitStack()
        self.file: Any = None if plan.source is None else self.stack.enter_context(opened(plan.source))
        first, stop = plan.chunks[0][0], plan.chunks[-1][1]
        self.begin, self.end = times.seconds(first), times.seconds(stop)
        self.part = plan.settings.part
        self.shift = Fraction(0)
        """Seconds that are added to all times."""
        if self.part:
            self.shift = -self.begin
        elif self.file is not None and self.file.format.name in ARBITRARY and self.file.start_time is not None:
            self.shift = -Fraction(self.file.start_time, 1_000_000)
        self.streams: dict[int, Any] = {}

    def __enter__(self) -> Copied:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def declare(self, out: Any, picture: Any) -> Any:
        """Add all streams to ``out`` in the source's order; the one for the packets like those of ``picture``."""
        video = None
        for stream in self.file.streams if self.file is not None else ():
            if stream.index == self.plan.track:
                video = self._video(out, picture, stream)
            elif stream.type in ("audio", "subtitle", "video") and not stream.disposition & Disposition.attached_pic:
                self.streams[stream.index] = self._same(out, stream)
        video = video or self._video(out, picture, None)
        for stream in self.file.streams if self.file is not None else ():
            if stream.type == "attachment":
                out.add_attachment(
                    stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data
                )
        if self.file is not None:
            out.metadata.update(kept(self.file.metadata, OF_CONTAINER))
            out.set_chapters(self._chapters())
        return video

    def _video(self, out: Any, picture: Any, source: Any) -> Any:
        stream = out.add_stream_from_template(picture, opaque=True)
        stream.time_base = self.times.unit
        if source is not None:
            stream.metadata.update(kept(source.metadata, STALE))
            stream.disposition = source.disposition
        return stream

    def _same(self, out: Any, source: Any) -> Any:
        stream = out.add_stream_from_template(source, opaque=True)
        stream.metadata.update(source.metadata)
        stream.disposition = source.disposition
        return stream

    def _chapters(self) -> list[Any]:
        found = []
        for chapter in self.file.chapters():
            unit = Fraction(chapter["time_base"].numerator, chapter["time_base"].denominator)
            begin, end = chapter["start"] * unit, chapter["end"] * unit
            if self.part:
                begin, end = max(begin, self.begin), min(end, self.end)
                if begin >= end:
                    continue
            offset = self.shift / unit
            found.append({**chapter, "start": round(begin / unit + offset), "end": round(end / unit + offset)})
        return found

    def packets(self) -> Iterator[tuple[Fraction, int, Any]]:
        """(time, order, packet for the output) of all streams but the picture."""
        if self.file is None or not self.streams:
            return
        wanted = [self.file.streams[index] for index in self.streams]
        last = Fraction(-1 << 40)
        for packet in self.file.demux(*wanted):
            if not packet.size or (packet.pts is None and packet.dts is None):
                continue
            unit = packet.time_base
            stamp = packet.pts if packet.pts is not None else packet.dts
            begin = stamp * unit
            if self.part and (begin < self.begin or begin >= self.end):
                continue
            offset = round(self.shift / unit)
            packet.pts = None if packet.pts is None else packet.pts + offset
            packet.dts = None if packet.dts is None else packet.dts + offset
            last = max(last, begin + self.shift)  # streams may be stored one before the other: the order stays
            packet.stream = self.streams[packet.stream.index]
            yield last, 1, packet
