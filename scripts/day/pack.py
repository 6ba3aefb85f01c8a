"""A pack: drawings and their degraded small pictures in one file, so that a bare machine needs no codecs.

A zip file without compression: ``pack.json``, ``N/gt.webp`` (quality 95), ``N/fidelity-K.webp`` and
``N/restore-K.webp`` (small, lossless, K different degradations for each goal), ``val/N.webp`` with ``val/N-LEVEL.webp``
(both lossless), and what files of features the perceptual loss needs.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["GOALS", "Pack", "Sample", "read", "write"]

GOALS = {"fidelity": 0.8, "restore": 0.2}
"""Goal -> probability of the easy degradation, as in the recipes of those weights."""
SHORTEST = 540  # lines of a drawing, at random from this to all that it has
MOST_PIXELS = 1_300_000  # of a drawing
VARIANTS = 2
LEVELS = ("light", "medium")
VALIDATION = 256  # side of the originals


@dataclass
class Sample:
    gt: np.ndarray
    """(4H, 4W, 3) uint8."""
    small: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """Goal (or level, of a picture to validate with) -> (H, W, 3) uint8, one for each degradation."""


@dataclass
class Pack:
    drawings: list[Sample]
    validation: list[Sample]
    files: dict[str, bytes]
    """Name -> weights of a feature network."""


def webp(image: np.ndarray, quality: int | None) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "WEBP", lossless=quality is None, quality=quality or 70, method=4)
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
        goal: [
            degrade(image, DegradationConfig(easy=EasyConfig(probability=easy)), seed, order, number, variant)[0]
            for variant in range(VARIANTS)
        ]
        for order, (goal, easy) in enumerate(GOALS.items())
    }
    return Sample(image, made)


def drawings(files: list[Path], seed: int) -> Iterator[Sample]:
    """In a random order; files that cannot be read, or are smaller than a crop, are left out."""
    from train.media.images import ImageError, read_image

    rng = np.random.default_rng(seed)
    for number in rng.permutation(len(files)):
        try:
            image = read_image(files[number])
        except ImageError:
            continue
        image = shorter(image, np.random.default_rng((seed, int(number))))
        if min(image.shape[:2]) >= VALIDATION:
            yield degraded(image, seed, int(number))


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
            add(f"val/{shown - 1}.webp", webp(sample.gt, None))
            for level, (small,) in sample.small.items():
                add(f"val/{shown - 1}-{level}.webp", webp(small, None))
        for sample in drawings(train, seed):
            parts = {"gt": webp(sample.gt, 95)}
            for goal, pictures in sample.small.items():
                parts |= {f"{goal}-{k}": webp(picture, None) for k, picture in enumerate(pictures)}
            if used + sum(len(data) + 150 for data in parts.values()) + 200 > bytes_:
                break
            for name, data in parts.items():
                add(f"{count}/{name}.webp", data)
            count += 1
        archive.writestr("pack.json", json.dumps({"drawings": count, "validation": shown, "variants": VARIANTS}))
    return count


def read(source: Path, goals: tuple[str, ...] = tuple(GOALS), threads: int = 16) -> Pack:
    """All of a pack, decoded."""
    with zipfile.ZipFile(source) as archive:
        raw = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(raw["pack.json"])

    def picture(name: str) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(raw[name])).convert("RGB"))

    def drawing(number: int) -> Sample:
        small = {goal: [picture(f"{number}/{goal}-{k}.webp") for k in range(told["variants"])] for goal in goals}
        return Sample(picture(f"{number}/gt.webp"), small)

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
