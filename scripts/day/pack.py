"""A pack: drawings and their degraded small pictures in one file, so that a bare machine needs no codecs.

A zip file without compression: ``pack.json``, ``N/gt.avif`` (4:4:4, quality 90: WebP would halve the colours'
resolution), ``N/easy-K`` and ``N/hard-K`` (small, K different degradations of each kind, AVIF of quality 97, 48 dB),
``val/N.webp`` with ``val/N-LEVEL.webp`` (both lossless), and what files of features the perceptual loss needs.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["KINDS", "Pack", "Sample", "read", "write"]

KINDS = {"easy": 1.0, "hard": 0.0}
"""Kind of degradation -> probability of the easy one."""
SHORTEST = 540  # lines of a drawing, at random from this to all that it has
MOST_PIXELS = 1_300_000  # of a drawing
VARIANTS = {"easy": 2, "hard": 3}
QUALITY, SMALL_QUALITY = 90, 97  # of AVIF
RECOLOURED = 0.3  # of the drawings
LEVELS = ("light", "medium")
VALIDATION = 256  # side of the originals


@dataclass
class Sample:
    gt: np.ndarray
    """(4H, 4W, 3) uint8."""
    small: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """Kind (or level, of a picture to validate with) -> (H, W, 3) uint8, one for each degradation."""


@dataclass
class Pack:
    drawings: list[Sample]
    validation: list[Sample]
    files: dict[str, bytes]
    """Name -> weights of a feature network."""


def webp(image: np.ndarray) -> bytes:
    """Without loss."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "WEBP", lossless=True, quality=70, method=4)
    return data.getvalue()


def avif(image: np.ndarray, quality: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "AVIF", quality=quality, subsampling="4:4:4", speed=5)
    return data.getvalue()


def shorter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reduced to a random short side from ``SHORTEST`` to what there is and ``MOST_PIXELS`` allow; sides are multiples
    of 8."""
    height, width = image.shape[:2]
    limit = min(height, width) * min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
    share = rng.uniform(min(SHORTEST, limit), limit) / min(height, width)
    size = [max(round(side * share) // 8 * 8, 8) for side in (width, height)]
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def degraded(image: np.ndarray, seed: int, number: int) -> Sample:
    from train.degradation.config import DegradationConfig, EasyConfig
    from train.degradation.pipeline import degrade

    made = {
        kind: [
            degrade(image, DegradationConfig(easy=EasyConfig(probability=easy)), seed, order, number, variant)[0]
            for variant in range(VARIANTS[kind])
        ]
        for order, (kind, easy) in enumerate(KINDS.items())
    }
    return Sample(image, made)


def one(file: Path, seed: int, number: int) -> dict[str, bytes]:
    """The files of a drawing by name; none where it cannot be read, or is smaller than a crop."""
    from train.data.crops import recolour
    from train.media.images import ImageError, read_image

    rng = np.random.default_rng((seed, number))
    try:
        image = read_image(file)
    except ImageError:
        return {}
    image = recolour(shorter(image, rng), rng, RECOLOURED)
    if min(image.shape[:2]) < VALIDATION:
        return {}
    sample = degraded(image, seed, number)
    parts = {"gt.avif": avif(sample.gt, QUALITY)}
    for kind, pictures in sample.small.items():
        parts |= {f"{kind}-{k}.avif": avif(picture, SMALL_QUALITY) for k, picture in enumerate(pictures)}
    return parts


def drawings(files: list[Path], seed: int) -> Iterator[dict[str, bytes]]:
    """What :func:`one` makes, in a random order of drawings, on all cores."""
    order = np.random.default_rng(seed).permutation(len(files)).tolist()
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting: deque[Future[dict[str, bytes]]] = deque()
        try:
            for number in order:
                waiting.append(pool.submit(one, files[number], seed, number))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def validation(files: list[Path], count: int) -> Iterator[Sample]:
    """The middle of ``count`` drawings, evenly spread."""
    from train.degradation.config import DegradationConfig
    from train.evaluation.levels import small_picture
    from train.media.images import read_image

    for number in np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int):
        image = read_image(files[number])
        top, left = (max(0, (side - VALIDATION) // 2) for side in image.shape[:2])
        gt = np.ascontiguousarray(image[top : top + VALIDATION, left : left + VALIDATION])
        small = {level: [small_picture(gt, level, 0, int(number), DegradationConfig())] for level in LEVELS}
        yield Sample(gt, small)


def write(target: Path, train: list[Path], held_out: list[Path], features: list[Path], bytes_: int, seed: int) -> int:
    """Fill ``target`` up to ``bytes_``; the number of drawings in it."""
    from vsapisr.writing import finished

    count = 0
    with finished(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        used = 0

        def add(name: str, data: bytes) -> None:
            nonlocal used
            archive.writestr(name, data)
            used += len(data) + 2 * len(name) + 130  # of the headers

        for path in features:
            add(f"features/{path.name}", path.read_bytes())
        shown = 0
        for shown, sample in enumerate(validation(held_out, 16), 1):
            add(f"val/{shown - 1}.webp", webp(sample.gt))
            for level, (small,) in sample.small.items():
                add(f"val/{shown - 1}-{level}.webp", webp(small))
        for parts in drawings(train, seed):
            if not parts:
                continue
            if used + sum(len(data) + 150 for data in parts.values()) + 200 > bytes_:
                break
            for name, data in parts.items():
                add(f"{count}/{name}", data)
            count += 1
        archive.writestr("pack.json", json.dumps({"drawings": count, "validation": shown, "variants": VARIANTS}))
    return count


def read(source: Path, threads: int = 16) -> Pack:
    """All of a pack, decoded."""
    with zipfile.ZipFile(source) as archive:
        raw = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(raw["pack.json"])

    def picture(name: str) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(raw[name])).convert("RGB"))

    def drawing(number: int) -> Sample:
        small = {
            kind: [picture(f"{number}/{kind}-{k}.avif") for k in range(variants)]
            for kind, variants in told["variants"].items()
        }
        return Sample(picture(f"{number}/gt.avif"), small)

    def shown(number: int) -> Sample:
        return Sample(
            picture(f"val/{number}.webp"), {level: [picture(f"val/{number}-{level}.webp")] for level in LEVELS}
        )

    with ThreadPoolExecutor(threads) as pool:
        return Pack(
            list(pool.map(drawing, range(told["drawings"]))),
            list(pool.map(shown, range(told["validation"]))),
            {name.removeprefix("features/"): data for name, data in raw.items() if name.startswith("features/")},
        )
