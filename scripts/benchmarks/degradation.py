"""Degrading 720p images in memory against the same draws with two ffmpeg processes and temporary PNG files per image.

Two baselines, both with the final codec run by ffmpeg. "plain": the other steps as one writes them first (all 21 x 21
taps, NumPy's samplers). "codec alone": the other steps just as fast as in the measured path, so that nothing but the
processes and files differ. Images take turns, so that what else the machine does meets all alike; on a busy machine the
processor time (of this process and of ffmpeg's) says more than the clock.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from train.degradation import blur, compression
from train.degradation.draws import Blur, Codec, Draw, Noise, Step, draw, generator
from train.degradation.kernels import pad_kernel
from train.degradation.noise import poisson_tables
from train.degradation.pipeline import apply, apply_step
from train.degradation.presets import preset
from train.degradation.resize import to_bytes, to_float

from .pictures import pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", metavar="FOLDER", help="drawings (made ones unless given)")
    parser.add_argument("--count", type=int, default=40, help="images, each with a draw of its own")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--seed", type=int, default=0)


def ffmpeg_options(step: Codec) -> tuple[list[str], str]:
    """Encoder options for ``step`` and the suffix of its file."""
    quality = str(step.quality)
    if step.name == "jpeg":
        return ["-c:v", "mjpeg", "-q:v", str(round(2 + (100 - step.quality) * 0.29))], "jpg"
    if step.name == "webp":
        return ["-c:v", "libwebp", "-quality", quality, "-compression_level", str(step.effort)], "webp"
    if step.name == "avif":
        options = compression.avif_options(step.quality, int(step.effort))
        return ["-c:v", "libsvtav1", "-crf", options["crf"], "-preset", options["preset"], "-pix_fmt", "yuv420p"], "mp4"
    if step.name in ("mpeg2", "mpeg4"):
        return ["-c:v", {"mpeg2": "mpeg2video", "mpeg4": "mpeg4"}[step.name], "-qscale:v", quality, "-pix_fmt", "yuv420p"], "mkv"
    encoder = {"h264": "libx264", "h265": "libx265"}[step.name]
    return ["-c:v", encoder, "-crf", quality, "-preset", str(step.effort), "-pix_fmt", "yuv420p"], "mp4"


def by_processes(image: np.ndarray, step: Codec, folder: Path) -> np.ndarray:
    """(H, W, 3) uint8 through PNG, ffmpeg, a coded file, ffmpeg, PNG."""
    options, suffix = ffmpeg_options(step)
    before, coded, after = folder / "before.png", folder / f"coded.{suffix}", folder / "after.png"
    cv2.imwrite(str(before), image[..., ::-1])
    common = ["ffmpeg", "-y", "-nostdin", "-loglevel", "error", "-i"]
    for command in ([*common, str(before), *options, str(coded)], [*common, str(coded), "-frames:v", "1", str(after)]):
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return cv2.imread(str(after))[..., ::-1]


def plain_step(image: np.ndarray, step: Step) -> np.ndarray:
    """``apply_step`` without its ways round slow code."""
    if not isinstance(step, (Blur, Noise)):
        return apply_step(image, step)
    x = to_float(image) if image.dtype == np.uint8 else image
    if isinstance(step, Blur):
        kernel = step.kernel()
        return blur.blur_reference(x, pad_kernel(kernel, max(21, kernel.shape[0])))
    rng = np.random.default_rng(step.seed)
    base = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None] if step.grey else x
    if step.kind == "gaussian":
        return x + rng.standard_normal(base.shape, dtype=np.float32) * np.float32(step.amount / 255)
    levels = np.round(np.clip(base, 0, 1) * 255) / 255
    peak = 2.0 ** np.ceil(np.log2(max(len(np.unique(levels)), 2)))
    return x + ((rng.poisson(levels * peak) / peak - levels) * step.amount).astype(np.float32)


def baseline(image: np.ndarray, record: Draw, folder: Path, plain: bool) -> np.ndarray:
    x = image
    last = max(n for n, step in enumerate(record.steps) if isinstance(step, Codec))
    for number, step in enumerate(record.steps):
        if number == last:
            x = by_processes(x if x.dtype == np.uint8 else to_bytes(x), step, folder)
        else:
            x = (plain_step if plain else apply_step)(x, step)
    return x if x.dtype == np.uint8 else to_bytes(x)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(np.float32) - b) ** 2), 1e-3)))


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, tuple[float, float]]:
    """The result, and seconds by the clock and of the processor, children included."""
    start, begun = time.perf_counter(), sum(os.times()[:4])
    result = work()
    return result, (time.perf_counter() - start, sum(os.times()[:4]) - begun)


def run(options: argparse.Namespace) -> dict:
    cv2.setNumThreads(1)
    config, images = preset(options.preset), pictures(options.images, min(options.count, 8))
    for peak in (2, 4, 8, 16, 32, 64, 128, 256):
        poisson_tables(peak)  # made once per process
    arms = ("plain", "codec alone") if shutil.which("ffmpeg") else ()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ("memory", *arms)}
    parts: dict[str, float] = {}
    alike: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(-2, options.count):  # the first two are not counted
            image, record = images[number % len(images)], draw(generator("bench", options.seed, number + 2), config, 720, 1280)
            small, spent = timed(lambda: apply(image, record, parts if number >= 0 else None))
            found = {"memory": spent}
            for arm in arms:
                other, found[arm] = timed(lambda: baseline(image, record, folder, arm == "plain"))
            if number >= 0:
                for arm, value in found.items():
                    times[arm].append(value)
                if arms:
                    alike.append(psnr(small, other))
    return report({arm: np.array(values) for arm, values in times.items()}, parts, alike)


def report(times: dict[str, np.ndarray], parts: dict[str, float], alike: list[float]) -> dict:
    """``times``: (images, 2) seconds by the clock and of the processor."""
    memory = times["memory"]
    wall, processor = memory.mean(0)
    result: dict = {"images_per_second": 1 / wall, "processor_seconds": processor}
    print(f"in memory: {1 / wall:.2f} images/s, {processor * 1e3:.0f} ms of the processor each, median by the clock "
          f"{np.median(memory[:, 0]) * 1e3:.0f} ms; one process")
    total = sum(parts.values())
    result["shares"] = {name: value / total for name, value in sorted(parts.items(), key=lambda pair: -pair[1])}
    print("  share of time: " + ", ".join(f"{name} {share:.0%}" for name, share in result["shares"].items()))
    if not alike:
        print("  the baselines were skipped: there is no ffmpeg on the path")
        return result
    for arm in ("plain", "codec alone"):
        ratio = times[arm].sum(0) / memory.sum(0)
        median = float(np.median(times[arm][:, 0] / memory[:, 0]))
        result[arm] = {"images_per_second": 1 / times[arm][:, 0].mean(), "ratio": ratio[0], "processor_ratio": ratio[1],
                       "median_ratio": median}
        print(f"  {arm}: {1 / times[arm][:, 0].mean():.2f} images/s; in memory is {ratio[0]:.1f} times as fast by the clock, "
              f"{ratio[1]:.1f} in processor time, median of the images' ratios {median:.1f}")
    print(f"  pictures of both codec paths: median PSNR {statistics.median(alike):.1f} dB")
    return result
