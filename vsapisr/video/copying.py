"""All of a source but its picture: streams, attachments, covers, chapters, names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.stream import Disposition

from ..errors import VideoError
from .plan import Plan
from .probe import opened
from .times import Times

__all__ = ["Copied"]

STALE = ("bps", "number_of_frames", "number_of_bytes", "duration", "encoder", "_statistics")
"""Beginnings of tags that were true of the picture as it was; small letters."""
OF_CONTAINER = ("encoder", "major_brand", "minor_version", "compatible_brands")
OF_TRACK = ("handler_name", "vendor_id")
"""Tags that MP4 gives every track."""
ARBITRARY = ("mpegts", "mpeg")
"""Containers whose clock begins anywhere; others begin at 0 or mean what they say."""
IMAGES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png"), "webp": ("webp", "image/webp")}
FOLLOWING = ("bin_data", "tmcd")
"""Codecs of data tracks that say in another way what is kept: QuickTime's chapters, a time code for editing."""


def kept(tags: dict[str, str], without: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.lower().startswith(without)}


def adts(packet: bytes) -> bytes | None:
    """The configuration of AAC (ISO 14496-3, AudioSpecificConfig) that a packet as in MPEG-TS begins with."""
    if len(packet) < 4 or packet[0] != 0xFF or packet[1] & 0xF6 != 0xF0:
        return None
    kind, rate = (packet[2] >> 6) + 1, packet[2] >> 2 & 15
    channels = (packet[2] & 1) << 2 | packet[3] >> 6
    return (kind << 11 | rate << 7 | channels << 3).to_bytes(2, "big")


def bare(packet: Any) -> Any:
    """A packet of AAC without its header."""
    data = bytes(packet)
    result = Packet(data[7 if data[1] & 1 else 9 :])
    result.time_base, result.pts, result.dts = packet.time_base, packet.pts, packet.dts
    result.duration, result.is_keyframe = packet.duration, True
    return result


def names(stream: Any, without: tuple[str, ...]) -> dict[str, str]:
    """The tags of a stream; what QuickTime calls name is called title elsewhere, and written as name there."""
    tags = kept(stream.metadata, (*without, *OF_TRACK))
    if name := tags.pop("name", None):
        tags.setdefault("title", name)
    return tags


def kind_of(stream: Any) -> str:
    """One of ``settings.KINDS``, or video."""
    if stream.type == "video" and stream.disposition & Disposition.attached_pic:
        return "attachments"
    return {"subtitle": "subtitles", "attachment": "attachments", "unknown": "data"}.get(stream.type, stream.type)


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
        self.framed: set[int] = set()
        """Streams of AAC whose packets have a header each."""
        self.first: list[Any] = []
        """Packets that come before all others: covers."""
        self.counts: Counter[int] = Counter()
        """Packets given out, by the index of the stream of the source."""
        self.kinds: Counter[str] = Counter()
        self.indices: dict[int, int] = {}
        """Index of a stream in the source: that in the output, for when both are closed."""
        self.notes: list[str] = []
        """What is left out."""

    def __enter__(self) -> Copied:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def wanted(self) -> Iterator[tuple[str, Any]]:
        """(kind, stream) of the source, without what the user does not want; the picture is of kind picture."""
        for stream in self.file.streams if self.file is not None else ():
            kind = "picture" if stream.index == self.plan.track else kind_of(stream)
            if kind not in self.plan.settings.without:
                yield kind, stream

    def declare(self, out: Any, picture: Any) -> Any:
        """Add all streams to ``out`` in the source's order; the one for the packets like those of ``picture``.

        Raises:
            VideoError: the container cannot hold one.
        """
        video = None
        later = []
        for kind, stream in self.wanted():
            if kind == "picture":
                video = self._video(out, picture, stream)
            elif kind == "attachments":
                later.append(stream)
            elif kind == "data" and (stream.name or "") in (*FOLLOWING, ""):
                self.notes.append(f"stream {stream.index} ({stream.name or 'unknown data'}) is left out")
            else:
                self.streams[stream.index] = self._same(out, stream)
        video = video or self._video(out, picture, None)
        for stream in later:
            self._attached(out, stream)
        if self.file is not None:
            out.metadata.update(kept(self.file.metadata, OF_CONTAINER))
            if "chapters" not in self.plan.settings.without:
                out.set_chapters(self._chapters())
        return video

    def _refused(self, out: Any, stream: Any) -> VideoError:
        kind, other = kind_of(stream), "mp4" if out.format.name == "matroska" else "mkv"
        name = stream.name if kind == "attachments" else getattr(stream, "name", None) or "unknown"
        return VideoError(
            f"{self.plan.source}: {out.format.name} cannot hold stream {stream.index} ({kind}, {name}): "
            f"try --container {other}, or leave it out by --without {kind}"
        )

    def _video(self, out: Any, picture: Any, source: Any) -> Any:
        try:
            stream = out.add_stream_from_template(picture, opaque=True)
        except ValueError:
            raise VideoError(
                f"{out.format.name} cannot hold what {self.plan.settings.encoder} makes: --container mkv"
            ) from None
        if out.format.name != "matroska" and picture.codec_context.name == "hevc":
            stream.codec_context.codec_tag = "hvc1"  # what QuickTime plays
        stream.time_base = self.times.unit
        if source is not None:
            stream.metadata.update(names(source, STALE))
            stream.disposition = source.disposition
            if matrix := source.codec_context.coded_side_data.get("display_matrix"):
                stream.set_display_matrix(memoryview(matrix).cast("i").tolist())
        return stream

    def _same(self, out: Any, source: Any) -> Any:
        try:
            stream = out.add_stream_from_template(source, opaque=True)
        except ValueError:
            raise self._refused(out, source) from None
        stream.metadata.update(names(source, ()))
        stream.disposition = source.disposition
        if source.codec_context.name == "aac" and not source.codec_context.extradata:
            packet = self._first_packet(source)
            if packet is not None and (config := adts(bytes(packet))):
                stream.codec_context.extradata = config
                self.framed.add(source.index)
        return stream

    def _first_packet(self, stream: Any) -> Any:
        """Of a stream, without moving in our own file."""
        with opened(str(self.plan.source)) as file:
            return next((one for one in file.demux(file.streams[stream.index]) if one.size), None)

    def _attached(self, out: Any, stream: Any) -> None:
        """A font or the like, or a cover; Matroska has covers among its attachments."""
        matroska = out.format.name == "matroska"
        if stream.type == "attachment":
            if not matroska:
                raise self._refused(out, stream)
            kind = stream.mimetype or "application/octet-stream"
            made = out.add_attachment(stream.name or f"attachment{stream.index}", kind, stream.data)
            made.metadata.update(stream.metadata)
            return
        packet = self._first_packet(stream)
        if packet is None:
            return
        if matroska:
            end, kind = IMAGES.get(stream.codec_context.name, ("bin", "application/octet-stream"))
            name = stream.metadata.get("filename", f"cover.{end}")
            made = out.add_attachment(name, stream.metadata.get("mimetype", kind), bytes(packet))
            made.metadata.update(kept(stream.metadata, ("filename", "mimetype")))
        else:
            packet.stream = self._same(out, stream)
            packet.pts = packet.dts = 0
            self.first.append(packet)

    def note(self) -> None:
        """Keep what is known of the output's streams, before it is closed."""
        self.indices = {index: stream.index for index, stream in self.streams.items()}
        self.kinds = Counter(s.type for s in self.streams.values() if s.type in ("audio", "subtitle"))

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
        last = Fraction(-1 << 40)
        for packet in self.first:
            yield last, 0, packet
        if self.file is None or not self.streams:
            return
        wanted = [self.file.streams[index] for index in self.streams]
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
            index = packet.stream.index
            packet = bare(packet) if index in self.framed else packet
            packet.stream = self.streams[index]
            self.counts[index] += 1
            yield last, 1, packet
