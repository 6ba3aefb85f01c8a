"""Figure 3a of the paper on one's own videos: how large I, P and B pictures are on average when coded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

from vsapisr.libav import url
from vsapisr.writing import write_atomically

from ..settings import check
from .keyframes import Unsuitable, describe, type_of, video_stream

COLOURS = {"I": (221, 99, 75), "P": (74, 134, 200), "B": (120, 176, 106)}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of one picture type in one video."""

    count: int
    mean: float
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class Types:
    title: str
    sizes: dict[str, Sizes]
    """By "I", "P", "B"; types that do not occur are absent."""

    def __str__(self) -> str:
        inter = [s for t, s in self.sizes.items() if t != "I"]
        mean = sum(s.count * s.mean for s in inter) / max(1, sum(s.count for s in inter))
        parts = ", ".join(f"{t} {s.mean:.0f} bytes (of {s.count})" for t, s in self.sizes.items())
        return f"{self.title}: {parts}" + (f"; I is {self.sizes['I'].mean / mean:.1f} times P and B" if mean else "")


def measure_types(path: Path, threads: int = 0) -> Types:
    """Mean packet size by picture type. The whole video is decoded, since only the decoder knows every picture's type.

    Raises:
        Unsuitable: not a readable video.
    """
    av.logging.set_level(None)  # see keyframes.opened
    total: dict[str, list[int]] = {}
    try:
        with av.open(url(path)) as container:
            video = describe(container, path)
            stream = video_stream(container)
            coder = stream.codec_context
            coder.thread_type, coder.thread_count = "AUTO", threads
            sizes: list[int] = []
            keys: list[bool] = []
            for packet in container.demux(stream):
                if packet.size:
                    packet.pts = packet.dts = len(sizes)  # the frame brings it back
                    sizes.append(packet.size)
                    keys.append(packet.is_keyframe)
                for frame in coder.decode(packet if packet.size else None):
                    if frame.pts is not None:
                        total.setdefault(type_of(frame, keys[frame.pts]), []).append(sizes[frame.pts])
    except av.FFmpegError as error:
        raise Unsuitable(f"{path}: broken: {error}") from None
    if "I" not in total:
        raise Unsuitable(f"{path}: no I-frame could be decoded")
    found = {t: Sizes(count=len(total[t]), mean=sum(total[t]) / len(total[t])) for t in "IPB" if t in total}
    return Types(title=f"{path.name} ({video.codec})", sizes=found)


def chart(videos: list[Types]) -> Image.Image:
    """Bars of the mean sizes in KiB, a group per video."""
    row, left, right = 22, 12, 640
    font, bold = ImageFont.load_default(size=13), ImageFont.load_default(size=15)
    lines = sum(26 + row * len(v.sizes) + 10 for v in videos)
    image = Image.new("RGB", (right + 220, lines + 44), "white")
    draw = ImageDraw.Draw(image)
    draw.text((left, 10), "Mean coded size by picture type", fill="black", font=bold)
    most = max(s.mean for v in videos for s in v.sizes.values())
    y = 40
    for video in videos:
        draw.text((left, y), video.title, fill="black", font=font)
        y += 22
        for kind, size in video.sizes.items():
            end = left + 24 + (right - left - 24) * size.mean / most
            draw.text((left, y + 1), kind, fill="black", font=font)
            draw.rectangle([left + 24, y, end, y + row - 6], fill=COLOURS[kind])
            draw.text((end + 6, y), f"{size.mean / 1024:.1f} KiB, {size.count} pictures", fill="black", font=font)
            y += row
        y += 14
    return image


def chart_videos(paths: list[Path], out: Path, force: bool = False) -> str:
    """Measure ``paths``, write the chart (PNG) to ``out``, and say the same in words.

    Raises:
        ArgumentError: ``out`` is there, without ``force``.
        Unsuitable: not a readable video.
    """
    check(force or not out.exists(), "out", str(out), "a file that does not exist; --force replaces it")
    videos = [measure_types(Path(path)) for path in paths]
    buffer = io.BytesIO()
    chart(videos).save(buffer, "PNG")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, buffer.getvalue())
    return "\n".join([*map(str, videos), f"chart: {out}"])
