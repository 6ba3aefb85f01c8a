"""Degrading 720p images in memory against the same draws with two ffmpeg processes and temporary PNG files per image.

Two baselines, both with the final codec run by ffmpeg. "plain": the other steps as one writes them first (all 21 x 21
taps, NumPy's samplers, Pillow for stills). "codec alone": the other steps just as fast as in the measured path, so that
nothing but the processes and files differ. All run in the same number of worker processes, one thread each (ffmpeg has
as many as it likes), and take turns by small groups of images, so that what else the machine does meets all alike; on
a busy machine the processor time (of the workers and of ffmpeg) says more than the clock.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from train.data.workers import become_worker, end_with_parent
from train.degradation import blur, compression
from train.degradation.config import DegradationConfig, preset
from train.degradation.draws import Blur, Codec, Draw, Resize, Step, draw, generator
from train.degradation.kernels import pad_kernel
from train.degradation.noise import poisson_tables
from train.degradation.pipeline import apply, apply_step
from train.degradation.resize import RESIZERS, to_bytes, to_float

from .pictures import pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", metavar="FOLDER", help="drawings (made ones unless given)")
    parser.add_argument("--count", type=int, default=40, help="images, each with a draw of its own")
    parser.add_argument("--workers", type=int, default=1, help="processes that degrade, in every path")
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
        return [
            "-c:v",
            {"mpeg2": "mpeg2video", "mpeg4": "mpeg4"}[step.name],
            "-qscale:v",
            quality,
            "-pix_fmt",
            "yuv420p",
        ], "mkv"
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


def plain_still(image: np.ndarray, step: Codec) -> np.ndarray:
    """(H, W, 3) uint8 through JPEG or WebP, both ways by Pillow."""
    buffer = io.BytesIO()
    options = {"method": int(step.effort)} if step.name == "webp" else {}
    Image.fromarray(image).save(buffer, step.name.upper(), quality=step.quality, **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


def plain_step(image: np.ndarray, step: Step) -> np.ndarray:
    """``apply_step`` without its ways round slow code."""
    if isinstance(step, Codec):
        return plain_still(image if image.dtype == np.uint8 else to_bytes(image), step)
    x = to_float(image) if image.dtype == np.uint8 else image
    if isinstance(step, Resize):
        return cv2.resize(x, (step.width, step.height), interpolation=RESIZERS[step.interpolation])
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


def settle(images: list[np.ndarray], options: argparse.Namespace, plain: bool) -> None:
    """Makes this process a worker: one thread, and but for ``plain`` all that a worker of ours sets."""
    if plain:
        end_with_parent()
        cv2.setNumThreads(1)
    else:
        become_worker()
    for peak in (2, 4, 8, 16, 32, 64, 128, 256):
        poisson_tables(peak)  # made once per process
    global WORK
    WORK = images, preset(options.preset), options.seed


WORK: tuple[list[np.ndarray], DegradationConfig, int]


def one(arm: str, number: int) -> tuple[np.ndarray, float, float, dict[str, float]]:
    """Image ``number`` by ``arm``: the result, seconds by the clock and of the processor with children, and per
    part.
    """
    images, config, seed = WORK
    record, image, parts = draw(generator("bench", seed, number), config, 720, 1280), images[number % len(images)], {}
    start, begun = time.perf_counter(), sum(os.times()[:4])
    if arm == "memory":
        result = apply(image, record, parts)
    else:
        with tempfile.TemporaryDirectory() as name:
            result = baseline(image, record, Path(name), arm == "plain")
    return result, time.perf_counter() - start, sum(os.times()[:4]) - begun, parts


def run(options: argparse.Namespace) -> dict:
    images, arms = pictures(options.images, min(options.count, 8)), ["memory"]
    if shutil.which("ffmpeg"):
        arms += ["plain", "codec alone"]
    group = 5 * options.workers
    times: dict[str, list[tuple[float, float]]] = {arm: [] for arm in arms}
    clock, parts, alike = dict.fromkeys(arms, 0.0), dict[str, float](), list[float]()
    context = get_context("spawn")
    with (
        ProcessPoolExecutor(options.workers, context, settle, (images, options, False)) as own,
        ProcessPoolExecutor(options.workers, context, settle, (images, options, True)) as other,
    ):
        pools = {arm: other if arm == "plain" else own for arm in arms}
        for pool in set(pools.values()):
            list(pool.map(one, ["memory"] * group, range(group)))  # not counted
        for first in range(0, options.count, group):
            numbers, results = range(first, min(first + group, options.count)), {}
            for arm in arms:
                start = time.perf_counter()
                results[arm] = list(pools[arm].map(one, [arm] * len(numbers), numbers))
                clock[arm] += time.perf_counter() - start
                times[arm] += [(wall, processor) for _, wall, processor, _ in results[arm]]
            for *_, spent in results["memory"]:
                for name, seconds in spent.items():
                    parts[name] = parts.get(name, 0.0) + seconds
            if len(arms) > 1:
                alike += [psnr(a[0], b[0]) for a, b in zip(results["memory"], results["codec alone"])]
    rates = {arm: options.count / seconds for arm, seconds in clock.items()}
    return report(rates, {arm: np.array(values) for arm, values in times.items()}, parts, alike, options.workers)


def report(
    rates: dict[str, float], times: dict[str, np.ndarray], parts: dict[str, float], alike: list[float], workers: int
) -> dict:
    """``rates``: images per second by the clock, of all workers together; ``times``: (images, 2) seconds by the clock
    and of the processor.
    """
    processor = {arm: value[:, 1].mean() for arm, value in times.items()}
    result: dict = {"workers": workers, "images_per_second": rates["memory"], "processor_seconds": processor["memory"]}
    print(
        f"in memory: {rates['memory']:.2f} images/s of {workers} workers, {processor['memory'] * 1e3:.0f} ms of the "
        f"processor each, median by the clock {np.median(times['memory'][:, 0]) * 1e3:.0f} ms"
    )
    total = sum(parts.values())
    result["shares"] = {name: value / total for name, value in sorted(parts.items(), key=lambda pair: -pair[1])}
    print("  share of time: " + ", ".join(f"{name} {share:.0%}" for name, share in result["shares"].items()))
    if not alike:
        print("  the baselines were skipped: there is no ffmpeg on the path")
        return result
    for arm in ("plain", "codec alone"):
        ratio, own = rates["memory"] / rates[arm], processor[arm] / processor["memory"]
        median = float(np.median(times[arm][:, 0] / times["memory"][:, 0]))
        result[arm] = {"images_per_second": rates[arm], "ratio": ratio, "processor_ratio": own, "median_ratio": median}
        print(
            f"  {arm}: {rates[arm]:.2f} images/s; in memory is {ratio:.1f} times as fast by the clock, {own:.1f} in "
            f"processor time, median of the images' ratios {median:.1f}"
        )
    print(f"  pictures of both codec paths: median PSNR {statistics.median(alike):.1f} dB")
    return result
