"""I-frames of one minute of 720p H.264 (at most 250 frames apart): extraction against decoding every frame."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from train.curation.keyframes import keyframes, opened
from train.progress import Progress

from .pictures import made


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--video", type=Path, help="measure with this file (a made one unless given)")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)


def encode(path: Path, seconds: int) -> None:
    """A picture panned over, another one every ten seconds; 24 frames per second, keyint 250."""
    with av.open(str(path), "w") as container, Progress("encode", seconds * 24, "frames") as progress:
        stream = container.add_stream("libx264", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20", "g": "250"}
        for number in range(seconds * 24):
            if number % 240 == 0:
                scene = made(number, 800, 1400)
            y, x = number % 240 % 80, number % 240 // 2
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(scene[y : y + 720, x : x + 1280]), format="rgb24")
            container.mux(stream.encode(frame))
            progress.advance()
        container.mux(stream.encode(None))


def every_frame(path: Path) -> int:
    """Decodes all and converts the I-frames; returns their number."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(frame.to_ndarray(format="rgb24").size > 0 for frame in container.decode(video=0)
                   if frame.pict_type == PictureType.I)


def intra_alone(path: Path) -> int:
    with opened(path) as (container, video):
        return sum(1 for _ in keyframes(container, video))


def run(options: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as name:
        path = options.video or Path(name) / "minute.mkv"
        if options.video is None:
            encode(path, options.seconds)
        times: dict[str, list[float]] = {"every frame": [], "I-frames": []}
        for _ in range(options.runs):
            for words, work in (("every frame", every_frame), ("I-frames", intra_alone)):
                start = time.perf_counter()
                found = work(path)
                times[words].append(time.perf_counter() - start)
                if words == "every frame":
                    expected = found
                elif found != expected:
                    raise AssertionError(f"{found} I-frames, {expected} when all frames are decoded")
    medians = {words: statistics.median(values) for words, values in times.items()}
    ratio = medians["every frame"] / medians["I-frames"]
    print(f"{found} I-frames: {medians['I-frames']:.2f} s; every frame decoded: {medians['every frame']:.2f} s, {ratio:.1f} times as long")
    return {"i_frames": found, "seconds": medians, "ratio": ratio}
