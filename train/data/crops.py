"""What a worker does: whole drawings, degraded and with their pseudo-GT, to crops.

Everything follows from numbers: image number g is the drawing at place g % N of epoch g // N's permutation, and its
random choices come from streams named (seed, epoch, index).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, permutations
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vsapisr.errors import ArgumentError, VsapisrError

from ..degradation.config import DegradationConfig
from ..degradation.draws import draw, generator
from ..degradation.pipeline import apply
from ..media.cache import DiskCache, key_of
from ..media.images import ImageError, read_image
from ..settings import free
from . import pseudo_gt as lines

__all__ = ["Crops", "DatasetConfig", "ImageStream", "augment", "part", "recolour", "reduced"]

UNUSABLE = (VsapisrError, OSError, cv2.error, av.error.FFmpegError)
"""What may be wrong with one drawing without ending the run."""
ORDERS = tuple(permutations(range(3)))[1:]
"""Of channels, without the usual one."""


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """What a batch is made of."""

    folder: str = free()
    """Drawings (PNG, WebP, JPEG, AVIF, BMP, TIFF): those in it, or where there are none, in all folders below."""
    batch: int = free(32)
    patch: int = 64
    """Side of the LR crops; the GT crops are four times it."""
    per_image: int = 4
    """Crops taken from a degraded drawing."""
    pool: int = 64
    """Drawings whose crops are mixed: of any ``pool`` samples in a row at most two are from one."""
    workers: int = free(2)
    seed: int = 0
    augment: float = 0.5
    """Probability of augmenting a crop: then flips and transposition, each with probability one half."""
    recolour: float = 0.0
    """Probability that a drawing gets other colours before it is degraded: its channels in another order, or one time
    in three grey. Where most drawings share a palette a network learns that too, and draws black lines in it. Not in
    the paper.
    """
    enhance: bool = True
    """False: the pseudo-GT is the GT (ablation)."""
    pseudo_gt: str = free("")
    """Folder with ready pseudo-GTs under the names of the drawings (the step ``prepare`` makes one); "" to make them
    here.
    """
    base: str = "sharpened"
    """What the pseudo-GT's lines are blended onto: "sharpened" once, or "plain"."""
    gamma: tuple[float, float] = lines.GAMMA
    """XDoG's gamma, drawn once per drawing."""
    max_pixels: int = 2_100_000
    """Of larger drawings a random part of this area is taken in each epoch before anything else is done."""
    variants: int = 0
    """Different degradations per drawing; later epochs repeat them, which is what a cache can serve. 0: new in every
    epoch.
    """
    cache: str = free("")
    """Folder for degraded drawings and pseudo-GTs; "" for none."""
    cache_megabytes: int = free(4096)
    shortest: int = 0
    """Drawings are reduced to a random short side from this to all that there is, anew for each degradation, so that
    lines of several widths are learned; 0: as they are. Not in the paper, whose drawings have 720 lines."""
    degradation: DegradationConfig = field(default_factory=DegradationConfig)

    def __post_init__(self) -> None:
        for name in ("batch", "patch", "per_image", "pool", "cache_megabytes"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name}: {getattr(self, name)!r} is not accepted; accepted: 1 or more")
        for name in ("workers", "variants", "seed"):
            if getattr(self, name) < 0:
                raise ArgumentError(f"{name}: {getattr(self, name)!r} is not accepted; accepted: 0 or more")
        least = -(-4 * self.patch // 8) * 8
        if self.shortest and self.shortest < least:
            raise ArgumentError(
                f"shortest: {self.shortest!r} is not accepted; accepted: 0, or {least} or more for a patch of "
                f"{self.patch}"
            )
        if self.shortest and self.pseudo_gt:
            raise ArgumentError(
                f"shortest: {self.shortest!r} is not accepted; accepted: 0 with pseudo_gt, whose pictures have one size"
            )
        for name in ("augment", "recolour"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name}: {getattr(self, name)!r} is not accepted; accepted: 0 to 1")
        if self.base not in lines.BASES:
            raise ArgumentError(f"base: {self.base!r} is not accepted; accepted: {', '.join(lines.BASES)}")
        if not 0 < self.gamma[0] <= self.gamma[1] < 1:
            raise ArgumentError(f"gamma: {self.gamma!r} is not accepted; accepted: two numbers between 0 and 1")
        if self.max_pixels < (4 * self.patch) ** 2:
            least = (4 * self.patch) ** 2
            raise ArgumentError(
                f"max_pixels: {self.max_pixels!r} is not accepted; accepted: {least} or more "
                f"for a patch of {self.patch}"
            )


def reduced(image: np.ndarray, shortest: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 at a random short side from ``shortest`` to its own, by Lanczos; as it is where it has less."""
    height, width = image.shape[:2]
    short = min(height, width)
    wanted = int(rng.integers(min(shortest, short), short, endpoint=True))
    if wanted == short:
        return image
    size = [max(round(side * wanted / short), 1) for side in (width, height)]
    return np.asarray(Image.fromarray(image).resize((size[0], size[1]), Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class Crops:
    """What one drawing gave: (k, 3, patch, patch) and twice (k, 3, 4 patch, 4 patch) uint8, and the files refused on
    the way.
    """

    lr: Tensor
    gt: Tensor
    pseudo_gt: Tensor
    refused: tuple[tuple[str, str], ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """As bytes. PyTorch would send tensors through shared memory, with a descriptor for each, and both are scarce:
        64 MB in Docker, 256 descriptors on macOS.
        """
        return _received, (self.lr.numpy(), self.gt.numpy(), self.pseudo_gt.numpy(), self.refused)


def _received(lr: np.ndarray, gt: np.ndarray, pseudo_gt: np.ndarray, refused: tuple[tuple[str, str], ...]) -> Crops:
    return Crops(torch.from_numpy(lr), torch.from_numpy(gt), torch.from_numpy(pseudo_gt), refused)


def augment(images: list[np.ndarray], rng: np.random.Generator, probability: float) -> list[np.ndarray]:
    """With ``probability``, the same flips and transposition of all ``images``, each of the three with probability one
    half.
    """
    chosen = rng.random() < probability
    rows, columns, transposed = rng.random(3) < 0.5
    if not chosen:
        return images
    if rows:
        images = [image[::-1] for image in images]
    if columns:
        images = [image[:, ::-1] for image in images]
    return [image.transpose(1, 0, 2) for image in images] if transposed else images


def recolour(image: np.ndarray, rng: np.random.Generator, probability: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB, with ``probability`` in other colours: one time in three in grey (BT.601 luma), else with
    its channels in one of the five other orders. The same for every picture of one size or another that gets an equal
    ``rng``.
    """
    chosen, grey = rng.random(2) < (probability, 1 / 3)
    order = ORDERS[rng.integers(len(ORDERS))]
    if not chosen:
        return image
    if grey:
        return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image[..., order])


def part(image: np.ndarray, most: int, smallest: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
    """``image`` cut to sides that are multiples of 8 and, if it has more than ``most`` pixels, to a random part of that
    area.

    No side becomes shorter than ``smallest``. Returns the part and (top, left, height, width).
    """
    height, width = (side // 8 * 8 for side in image.shape[:2])
    if height * width <= most:
        return image[:height, :width], (0, 0, height, width)
    share = (most / (height * width)) ** 0.5
    short = max(int(min(height, width) * share), smallest)
    sides = [
        max(min(side, short if side == min(height, width) else most // short) // 8 * 8, 8) for side in (height, width)
    ]
    top, left = (
        int(rng.integers(0, (whole - side) // 8, endpoint=True)) * 8 for whole, side in zip((height, width), sides)
    )
    return image[top : top + sides[0], left : left + sides[1]], (top, left, *sides)


class ImageStream:
    """``Crops`` of image numbers ``start``, ``start`` + 1, ... in this order, without end."""

    def __init__(self, files: list[Path], config: DatasetConfig, start: int = 0, rank: int = 0, world: int = 1):
        self.files, self.config, self.start, self.rank, self.world = files, config, start, rank, world
        self._cache: DiskCache | None = None

    def _index(self, epoch: int, place: int) -> int:
        return int(generator("order", self.config.seed, epoch).permutation(len(self.files))[place])

    def _cached(self, make, *parts: object) -> np.ndarray:
        """``make()``, or what it gave before for the same ``parts``."""
        if not self.config.cache:
            return make()
        if self._cache is None:
            self._cache = DiskCache(self.config.cache, self.config.cache_megabytes * 2**20)
        key = key_of(*parts)
        image = self._cache.get(key)
        if image is None:
            image = make()
            self._cache.put(key, image)
        return image

    def _ready(self, path: Path, shape: tuple[int, ...], box: tuple[int, ...]) -> np.ndarray:
        """The part ``box`` of the pseudo-GT that was made before for the drawing ``path``."""
        pseudo = read_image(Path(self.config.pseudo_gt) / path.relative_to(self.config.folder))
        if pseudo.shape != shape:
            raise ImageError(f"{path}: its pseudo-GT is {pseudo.shape[1]}x{pseudo.shape[0]}, not {shape[1]}x{shape[0]}")
        top, left, height, width = box
        return pseudo[top : top + height, left : left + width]

    def _colours(self, image: np.ndarray, numbers: tuple[int, ...]) -> np.ndarray:
        return recolour(image, generator("colour", *numbers), self.config.recolour)

    def degraded(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(lr, gt, pseudo_gt) of a whole drawing (or a part, see ``max_pixels``), (H, W, 3) uint8; ``ImageError`` if
        unusable.
        """
        config, path = self.config, self.files[index]
        variant = epoch % config.variants if config.variants else epoch
        numbers = (config.seed, variant, index)
        image = read_image(path)
        side = 4 * config.patch
        if config.shortest:
            image = reduced(image, config.shortest, generator("size", *numbers))
        if min(image.shape[:2]) < side:
            raise ImageError(f"{path}: {image.shape[1]}x{image.shape[0]} is smaller than a crop of {side}x{side}")
        gt, box = part(image, config.max_pixels, -(-side // 8) * 8, generator("part", config.seed, epoch, index))
        if min(gt.shape[:2]) < side:
            raise ImageError(
                f"{path}: {image.shape[1]}x{image.shape[0]} leaves no crop of {side}x{side} in multiples of 8"
            )
        status = path.stat()
        source: tuple[object, ...] = (str(path), status.st_size, status.st_mtime_ns, box)
        if config.shortest:
            source = (*source, image.shape[:2])
        if config.recolour:
            gt, source = self._colours(gt, numbers), (*source, numbers, config.recolour)

        def lower() -> np.ndarray:
            return apply(gt, draw(generator("degrade", *numbers), config.degradation, *gt.shape[:2]))

        lr = self._cached(lower, "lr", source, numbers, config.degradation) if config.variants else lower()
        if not config.enhance:
            return lr, gt, gt
        if config.pseudo_gt:
            return lr, gt, self._colours(self._ready(path, image.shape, box), numbers)
        gamma = float(generator("gamma", config.seed, index).uniform(*config.gamma))
        pseudo = self._cached(
            lambda: lines.enhance(gt, gamma, config.base).pseudo_gt, "pseudo", source, gamma, config.base
        )
        return lr, gt, pseudo

    def _cut(self, images: tuple[np.ndarray, np.ndarray, np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """One augmented crop of the three."""
        patch = self.config.patch
        y, x = (int(rng.integers(0, side - patch, endpoint=True)) for side in images[0].shape[:2])
        cut = [image[y * k : (y + patch) * k, x * k : (x + patch) * k] for image, k in zip(images, (1, 4, 4))]
        return augment(cut, rng, self.config.augment)

    def crops(self, number: int) -> Crops:
        """Those of image number ``number`` of this rank. An unusable file is replaced by another, drawn for this
        number.
        """
        epoch, place = divmod(number * self.world + self.rank, len(self.files))
        index, others, refused = self._index(epoch, place), generator("others", self.config.seed, epoch, place), []
        for _ in range(100):
            try:
                images = self.degraded(epoch, index)
                break
            except UNUSABLE as error:
                refused.append((str(self.files[index]), str(error)))
                index = int(others.integers(len(self.files)))
        else:
            raise ImageError(
                f"{self.config.folder}: 100 files in a row are unusable, the last because of {refused[-1][1]}"
            )
        rng = generator("crops", self.config.seed, epoch, place, index)
        cuts = [self._cut(images, rng) for _ in range(self.config.per_image)]
        lr, gt, pseudo_gt = (
            torch.from_numpy(np.ascontiguousarray(np.stack(list(kind)).transpose(0, 3, 1, 2))) for kind in zip(*cuts)
        )
        return Crops(lr, gt, pseudo_gt, refused=tuple(refused))

    def series(self, first: int, step: int) -> Iterator[Crops]:
        """Those of the numbers ``first``, ``first`` + ``step``, ..., without end."""
        return map(self.crops, count(first, step))

    def __iter__(self) -> Iterator[Crops]:
        return self.series(self.start, 1)
