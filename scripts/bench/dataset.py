"""Batches for training: patches per second and worker, and where the time of a drawing goes."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2

from train.data import pseudo_gt as lines
from train.data.batches import Batches
from train.data.crops import DatasetConfig
from train.degradation.config import preset
from train.degradation.draws import draw, generator
from train.degradation.pipeline import apply
from train.media.images import list_images, read_image

from .pictures import pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", metavar="FOLDER", help="drawings (made ones unless given)")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batches", type=int, default=6, help="measured, of 32 samples")
    parser.add_argument("--preset", default="paper")


def parts(folder: str, config: DatasetConfig, count: int = 12) -> dict[str, float]:
    """Seconds per drawing of each thing a worker does."""
    spent = {"read": 0.0, "pseudo-GT": 0.0}
    steps: dict[str, float] = {}
    files = list_images(folder)
    for number in range(count):
        start = time.perf_counter()
        image = read_image(files[number % len(files)])
        image = image[: image.shape[0] // 8 * 8, : image.shape[1] // 8 * 8]
        spent["read"] += time.perf_counter() - start
        apply(image, draw(generator("bench", number), config.degradation, *image.shape[:2]), steps)
        start = time.perf_counter()
        lines.enhance(image)
        spent["pseudo-GT"] += time.perf_counter() - start
    return {name: value / count for name, value in (spent | steps).items()}


def run(options: argparse.Namespace) -> dict:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = options.images
        if folder is None:
            folder = name
            for number, image in enumerate(pictures(None, 8)):
                cv2.imwrite(str(Path(name) / f"{number}.png"), image[..., ::-1])
        base = {"folder": folder, "pool": 16, "degradation": preset(options.preset)}
        result: dict = {}
        variants = {"": {}, " without pseudo-GT": {"enhance": False}}
        for words, values in variants.items():
            for workers in options.workers:
                config = DatasetConfig(**base, **values, workers=workers)
                batches = iter(Batches(config))
                next(batches)
                start = time.perf_counter()
                for _ in range(options.batches):
                    next(batches)
                rate = options.batches * config.batch / (time.perf_counter() - start)
                result[f"{workers} workers{words}"] = {"patches_per_second": rate, "per_worker": rate / max(workers, 1)}
                print(
                    f"{workers} workers{words}: {rate:.1f} patches/s, {rate / max(workers, 1):.1f} per worker, "
                    f"{config.per_image} crops per drawing"
                )
        spent = parts(folder, DatasetConfig(**base))
        total = sum(spent.values())
        result["shares"] = {part: value / total for part, value in sorted(spent.items(), key=lambda pair: -pair[1])}
        print(
            f"{total * 1e3:.0f} ms per drawing: "
            + ", ".join(f"{part} {share:.0%}" for part, share in result["shares"].items())
        )
    return result
