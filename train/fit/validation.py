"""Validation during a run: fixed crops at three levels of damage, measured and shown, without touching the run's
state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from vsapisr.config import SCALE

from ..degradation.config import DegradationConfig
from ..evaluation import iqa
from ..evaluation.full_reference import psnr_y, ssim_y
from ..evaluation.levels import LEVELS, check_levels, lanczos, small_picture
from ..media.images import list_drawings, read_image
from ..media.sheets import labelled
from ..settings import check
from .distributed import Processes

__all__ = ["Validation", "ValidationConfig", "enlarge", "feeding_grid"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """What a run is validated on."""

    folder: str
    """Folder of drawings that are never trained on."""
    images: int = 12
    """Drawings, evenly spread over the folder; each at every level."""
    size: int = 96
    """Side of the small crops, a multiple of 8; the drawings must have four times it."""
    every: int = 1000
    """Iterations between two validations."""
    levels: tuple[str, ...] = LEVELS
    """"light": bicubic quarter, H.264 intra CRF 18; "medium": CRF 26; "heavy": ``degradation``."""
    shown: int = 4
    """Rows of the picture grid."""
    seed: int = 0
    """Of the heavy degradation."""
    lpips: bool = True
    """Measure LPIPS too when pyiqa is installed; its weights are fetched on the first use."""
    degradation: DegradationConfig = field(default_factory=DegradationConfig)

    def __post_init__(self) -> None:
        check_levels(self.levels)
        for name in ("images", "every", "shown"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        check(self.size >= 16 and self.size % 8 == 0, "size", self.size, "a multiple of 8 from 16 up")
        check(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class Pair:
    """One crop: ``lr`` (size, size, 3) uint8, ``gt`` of four times its sides."""

    level: str
    name: str
    lr: np.ndarray
    gt: np.ndarray


def make_pairs(config: ValidationConfig) -> list[Pair]:
    """The centre of each chosen drawing at every level. The degradation sees twice the crop around it, where there is
    as much, so that borders do not decide.

    Raises:
        NoImagesError, ImageError: no images in the folder, or one that cannot be read.
        ArgumentError: no drawing is large enough.
    """
    files, side, pairs = list_drawings(config.folder, "validation.folder"), SCALE * config.size, []
    for index in sorted({round(n) for n in np.linspace(0, len(files) - 1, min(config.images, len(files)))}):
        image = read_image(files[index])
        if min(image.shape[:2]) < side:
            log.warning("%s is %dx%d; validation needs sides of %d", files[index], *image.shape[1::-1], side)
            continue
        region = centre(image, 2 * side)
        gt = centre(region, side)
        for level in config.levels:
            small = small_picture(region, level, config.seed, index, config.degradation)
            pairs.append(Pair(level, files[index].name, centre(small, config.size), gt))
    check(bool(pairs), "validation.folder", config.folder, f"a folder with drawings of sides of {side} or more")
    return pairs


def centre(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of (H, W, 3), at most ``side`` in both directions and a multiple of 8.

    Of a large picture with sides that are multiples of 8, and of the small one of a quarter, it is the same part.
    """
    sides = [min(side, whole // 8 * 8) for whole in image.shape[:2]]
    top, left = ((whole - part) // 2 for whole, part in zip(image.shape[:2], sides))
    return np.ascontiguousarray(image[top : top + sides[0], left : left + sides[1]])


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode for every module of ``model``, then each back as it was; no gradients, no trace in random states."""
    modes = [(module, module.training) for module in model.modules()]
    with iqa.undisturbed(), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def enlarge(model: nn.Module, image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (4H, 4W, 3) uint8, on the model's device and in its precision."""
    like = next(model.parameters())
    x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(like.device, like.dtype) / 255
    y = model(x.contiguous(memory_format=getattr(model, "memory_format", torch.contiguous_format)))[0].float()
    return (y.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


class Validation:
    """``Validation(config)(model)`` -> means by name; ``baseline`` are those of Lanczos, ``pairs`` what it is measured
    on.

    All ``processes`` of a run call it at the same time, each measures its share of the pairs, and all get the means:
    none waits for the others' work longer than for its own, which a collective would give up on after minutes.

    Names: "psnr_y" (dB), "ssim_y" and, when pyiqa is there, "lpips" over all crops; "light/psnr_y" and so on for each
    level. Calling it changes neither the modes of ``model`` nor any random state, and gives the same for the same
    weights.

    Raises:
        VsapisrError: see :func:`make_pairs`.
    """

    def __init__(self, config: ValidationConfig, processes: Processes | None = None):
        self.config, self.processes = config, processes
        with iqa.undisturbed():
            self.pairs = make_pairs(config)
            self.lpips = self._lpips() if config.lpips and iqa.installed() else None
            self.baseline = self._means(lanczos)

    def _gathered(self, value: Any) -> list[Any]:
        """``value`` of every process, by rank."""
        return [value] if self.processes is None else self.processes.gather(value)

    def _lpips(self) -> iqa.Measure | None:
        """The measure; None, with a warning, where a process does not have it."""
        found: iqa.Measure | None = None
        first = self.processes is None or self.processes.first
        for mine in (first, not first):  # the first fetches the weights, if that is to be done; the others wait
            if mine:
                try:
                    found = iqa.Measure("lpips")
                except iqa.IqaError as error:
                    log.warning("validation goes without LPIPS: %s", error)
            self._gathered(None)
        return found if all(self._gathered(found is not None)) else None

    def __call__(self, model: nn.Module) -> dict[str, float]:
        with evaluating(model):
            return self._means(lambda image: enlarge(model, image))

    def _means(self, method: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
        """Of every measure, over all crops and over those of each level."""
        rank, world = (0, 1) if self.processes is None else (self.processes.rank, self.processes.world)
        shares = self._gathered([self._measures(method(pair.lr), pair.gt) for pair in self.pairs[rank::world]])
        held: dict[str, list[float]] = {}
        for number, pair in enumerate(self.pairs):  # in the order that one process has
            for name, value in shares[number % world][number // world].items():
                held.setdefault(name, []).append(value)
                held.setdefault(f"{pair.level}/{name}", []).append(value)
        return {name: float(np.mean(held[name])) for name in sorted(held, key=lambda name: "/" in name)}

    def _measures(self, result: np.ndarray, gt: np.ndarray) -> dict[str, float]:
        values = {"psnr_y": psnr_y(result, gt), "ssim_y": ssim_y(result, gt)}
        return values if self.lpips is None else {**values, "lpips": self.lpips(result, gt)}

    def grid(self, model: nn.Module) -> np.ndarray:
        """(H, W, 3) uint8: small picture (nearest) | Lanczos | output | original, a row per drawing, levels in turn."""
        levels = self.config.levels
        names = list(dict.fromkeys(pair.name for pair in self.pairs))[: self.config.shown]
        wanted = {(name, levels[row % len(levels)]) for row, name in enumerate(names)}
        images, texts = [], []
        with evaluating(model):
            for pair in self.pairs:
                if (pair.name, pair.level) in wanted:
                    wide, ours = lanczos(pair.lr), enlarge(model, pair.lr)
                    images += [nearest(pair.lr), wide, ours, pair.gt]
                    texts += [
                        [f"{pair.level}: {pair.name}"],
                        [f"Lanczos {psnr_y(wide, pair.gt):.2f} dB"],
                        [f"output {psnr_y(ours, pair.gt):.2f} dB"],
                        ["original"],
                    ]
        return np.asarray(labelled(images, texts, 4))


def nearest(image: np.ndarray) -> np.ndarray:
    """Every pixel as 4x4."""
    return cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST)


def feeding_grid(batch: Sequence[Tensor], rows: int = 4) -> np.ndarray:
    """(H, W, 3) uint8 of what the run is fed: lr (nearest) | gt | pseudo-GT, two samples in a row.

    Args:
        batch: (lr, gt, pseudo_gt) or (lr, gt): (B, 3, h, w) and (B, 3, 4h, 4w), uint8, or floating in [0, 1].
        rows: at most so many.
    """
    images, texts = [], []
    kinds = [as_pictures(part) for part in batch]
    names = ("lr", "gt", "pseudo-GT")[: len(kinds)]
    for number, parts in enumerate(zip(*(kind[: 2 * rows] for kind in kinds))):
        for name, part in zip(names, parts):
            images.append(nearest(part) if name == "lr" else part)
            texts.append([f"{number} {name}"])
    return np.asarray(labelled(images, texts, 2 * len(kinds)))


def as_pictures(part: Tensor) -> np.ndarray:
    """(B, 3, h, w) -> (B, h, w, 3) uint8 on the CPU."""
    if part.is_floating_point():
        part = (part.detach().float().clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(part.cpu().permute(0, 2, 3, 1).numpy())
