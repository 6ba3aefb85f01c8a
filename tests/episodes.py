"""Small files as episodes are: a picture, two languages, subtitles with a font, chapters, names."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from .clips import QUIET

FONT = b"\0\1\0\0" + bytes(range(200))
MS = Fraction(1, 1000)
ASS = b"[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"


def drawn(count: int, width: int = 64, height: int = 48, hold: int = 3, seed: int = 0) -> list[np.ndarray]:
    """(H, W, 3) uint8 RGB frames: a disk that moves every ``hold`` frames before a still background."""
    rng = np.random.default_rng(seed)
    back = cv2.resize(rng.integers(60, 200, (3, 4, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    frames = []
    for n in range(count):
        frame = back.copy()
        cv2.circle(frame, (8 + n // hold * 2 % (width - 16), height // 2), 7, (220, 40, 60), -1, cv2.LINE_AA)
        frames.append(frame)
    return frames


def episode(
    path: Path,
    pts: Sequence[int],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    intra: Sequence[int] = (),
    sar: tuple[int, int] = (1, 1),
    tags: tuple[int, int, int, int] = (6, 2, 2, 1),
    rich: bool = True,
    rate: int | None = None,
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (64, 48),
    subtitles: bool = True,
) -> Path:
    """Write a file whose frames are shown at ``pts`` (ms), I-frames at ``intra``; ``tags``: matrix, primaries,
    transfer, range as libav counts (1 limited, 2 full). ``rate``: of frames,
    instead of ``pts``. ``rich``: with two sounds, ASS, a font, chapters, names."""
    chosen = {**QUIET.get(codec, {}), "g": "250", **(options or {})}
    if codec == "libx264":
        chosen["x264-params"] = "log-level=none:scenecut=0:keyint=250:min-keyint=1"
    if codec == "libx265":
        chosen["x265-params"] = "log-level=none:scenecut=0:keyint=250:min-keyint=1"
    with av.open(str(path), "w") as out:
        unit = MS if rate is None else Fraction(1, rate)
        video: Any = out.add_stream(codec, rate=rate or 24, options=chosen)
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        context = video.codec_context
        context.sample_aspect_ratio = Fraction(*sar)
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
        context.time_base = video.time_base = unit
        context.thread_count = 1
        others = _extras(out, pts[-1] + 42, subtitles) if rich else []
        for n, (stamp, image) in enumerate(zip(pts, drawn(len(pts), *size), strict=True)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                format=pix_fmt, dst_colorspace=5, dst_color_range=tags[3]
            )
            frame.pts, frame.time_base = (stamp, unit) if rate is None else (n, unit)
            frame.pict_type = 1 if n in intra else 0
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for packets in others:
            out.mux(packets)
    return path


def _extras(out: Any, length: int, subtitles: bool) -> list[Any]:
    """Declare the other streams; their packets."""
    made = []
    video = out.streams.video[0]
    video.metadata.update(title="The picture", language="jpn")
    for language, title, flags in (("jpn", "Original", 1), ("eng", "Dub", 0)):
        sound = out.add_stream("aac", rate=48000)
        sound.metadata.update(language=language, title=title)
        sound.disposition = flags
        for k in range(length * 48 // 1024):
            t = (k * 1024 + np.arange(1024)) / 48000
            tone = np.sin(t * 2 * np.pi * (300 if flags else 500)).astype(np.float32) * 0.2
            frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, k * 1024
            made.append((sound, frame))
    packets: list[Any] = []
    if subtitles:
        text = out.add_stream("ass")
        text.metadata.update(language="eng", title="Signs")
        text.disposition = 64
        text.codec_context.extradata = ASS
        out.add_attachment("Letters.ttf", "application/x-truetype-font", FONT)
        for n, (start, duration) in enumerate(((100, 300), (500, 400))):
            packet = av.Packet(f"{n},0,Default,,0,0,0,,line {n}".encode())
            packet.stream, packet.pts, packet.dts, packet.duration, packet.time_base = text, start, start, duration, MS
            packets.append(packet)
    half = length // 2
    out.set_chapters(
        [
            {"id": n + 1, "start": start, "end": end, "time_base": MS, "metadata": {"title": name}}
            for n, (start, end, name) in enumerate(((0, half, "Opening"), (half, length, "Part A")))
        ]
    )
    out.metadata["title"] = "Episode 1"
    return [*packets, _later(made)]


def _later(made: list[Any]) -> Any:
    """Packets of the sounds, encoded when they are asked for."""

    def packets():
        streams = []
        for sound, frame in made:
            if sound not in streams:
                streams.append(sound)
            yield from sound.encode(frame)
        for sound in streams:
            yield from sound.encode(None)

    return packets()
