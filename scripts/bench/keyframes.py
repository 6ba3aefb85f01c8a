"""Reading the I-frames alone against decoding every frame: a one-minute 720p clip, keyint 250, measured in turn.

The clip is made once from the drawings of the art folder (VSAPISR_ART, or shared/art next to the checkout), else from
shapes, and kept in the system's folder for temporary files. "Every frame" decodes and converts nothing; "I-frames"
decodes, converts to RGB and keeps the records: what ``curate`` takes. The ratio grows with the bit rate of what lies
between the I-frames.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from train.curation.keyframes import keyframes, opened
from vsapisr.libav import url
from vsapisr.writing import finished

SECONDS, RATE, WIDTH, HEIGHT = 60, 24, 1280, 720


def backgrounds() -> list[np.ndarray]:
    """(820, 1380, 3) uint8 RGB: somewhat larger than the frame, for panning."""
    folder = Path(os.environ.get("VSAPISR_ART", Path(__file__).resolve().parents[3] / "shared" / "art")) / "renpy"
    files = sorted(folder.glob("bg_*.jpg"))
    if files:
        return [cv2.resize(cv2.imread(str(f))[..., ::-1], (1380, 820), interpolation=cv2.INTER_CUBIC) for f in files]
    images = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        image = np.full((820, 1380, 3), rng.integers(60, 200, 3), np.uint8)
        for _ in range(150):
            centre = (int(rng.integers(1380)), int(rng.integers(820)))
            cv2.circle(
                image,
                centre,
                int(rng.integers(8, 120)),
                tuple(int(v) for v in rng.integers(0, 256, 3)),
                -1,
                cv2.LINE_AA,
            )
            cv2.circle(image, centre, int(rng.integers(8, 120)), (20, 20, 20), 2, cv2.LINE_AA)
        images.append(image)
    return images


def clip() -> Iterator[np.ndarray]:
    """Shots of eight seconds: a background held for half of it, then panned, a shape on twos before it, light grain."""
    images = backgrounds()
    rng = np.random.default_rng(0)
    grain = [np.clip(rng.normal(0, 2, (HEIGHT, WIDTH, 1)) + 8, 0, 16).astype(np.uint8) for _ in range(7)]
    for n in range(SECONDS * RATE):
        shot, at = divmod(n, 8 * RATE)
        image = images[shot % len(images)]
        pan = max(0, at - 4 * RATE)
        view = image[:HEIGHT, pan : pan + WIDTH].copy()
        angle = at // 2 * 7
        cv2.ellipse(view, (640, 420), (150, 220), angle % 20, 0, 360, (240, 210, 190), -1, cv2.LINE_AA)
        cv2.ellipse(view, (640, 420), (150, 220), angle % 20, 0, 360, (30, 20, 20), 3, cv2.LINE_AA)
        yield cv2.subtract(cv2.add(view, cv2.merge([grain[n % 7]] * 3)), (8, 8, 8, 0))


def encode(path: Path, codec: str, crf: int) -> None:
    started = time.perf_counter()
    with finished(path) as part, av.open(url(part), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": str(crf), "g": "250", "x265-params": "log-level=none:keyint=250"}
        for image in clip():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    print(f"encoded {path} in {time.perf_counter() - started:.0f} s, {path.stat().st_size * 8e-6 / SECONDS:.1f} Mbit/s")


def every_frame(path: Path, threads: int) -> int:
    with av.open(url(path)) as container:
        coder = container.streams.video[0].codec_context
        coder.thread_type, coder.thread_count = "AUTO", threads
        return sum(1 for _ in container.decode(video=0))


def i_frames(path: Path, threads: int) -> int:
    with opened(path, threads) as (container, video):
        return sum(1 for _ in keyframes(container, video))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codec", default="libx264")
    parser.add_argument("--crf", type=int, nargs="+", default=[17, 36], help="of the clips; each is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decoder-threads", type=int, default=0, help="of both decoders; 0: one per core")
    parser.add_argument("--clip", type=Path, help="use this file instead of encoding any")


def compare(path: Path, rounds: int, threads: int) -> dict:
    """Prints and returns what both ways took."""
    ways = {"every frame": every_frame, "I-frames": i_frames}
    times: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    counts = {}
    i_frames(path, threads)  # warm: file cache, libraries
    for _ in range(rounds):
        for name, run_way in ways.items():
            started, worked = time.perf_counter(), time.process_time()
            counts[name] = run_way(path, threads)
            times[name].append(time.perf_counter() - started)
            busy[name].append(time.process_time() - worked)
    rate = path.stat().st_size * 8e-6 / SECONDS
    print(f"{path.name}, {rate:.1f} Mbit/s")
    result: dict = {"megabits_per_second": rate}
    for name, values in times.items():
        result[name] = {"count": counts[name], "wall": statistics.median(values), "cpu": statistics.median(busy[name])}
        print(
            f"  {name}: {counts[name]} in {statistics.median(values):.3f} s (median of {len(values)}, "
            f"{min(values):.3f} to "
            f"{max(values):.3f}), {statistics.median(busy[name]):.3f} s of CPU"
        )
    for what, table in (("time", times), ("CPU time", busy)):
        ratios = [a / b for a, b in zip(*table.values())]
        result[f"ratio of {what}"] = statistics.median(ratios)
        print(f"  ratio of {what}: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    return result


def run(options: argparse.Namespace) -> dict:
    if options.clip:
        return {options.clip.name: compare(options.clip, options.rounds, options.decoder_threads)}
    result = {}
    for crf in options.crf:
        path = Path(tempfile.gettempdir()) / f"vsapisr_bench_{options.codec}_crf{crf}.mkv"
        if not path.exists():
            encode(path, options.codec, crf)
        result[f"crf {crf}"] = compare(path, options.rounds, options.decoder_threads)
    return result
