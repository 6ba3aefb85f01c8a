"""Small pictures with known originals, at several levels of damage: what enlarging is measured on."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from vsapisr.config import SCALE
from vsapisr.errors import ArgumentError

from ..degradation.compression import h264
from ..degradation.config import DegradationConfig
from ..degradation.pipeline import degrade

__all__ = ["LEVELS", "bicubic", "check_levels", "lanczos", "quarter", "small_picture", "whole"]

LEVELS = ("light", "medium", "heavy")
ALIAS = {"light": "crf18", "medium": "crf26"}
RANGE = re.compile(r"crf(\d\d?)(?:-(\d\d?))?")
HEAVY = 0x4EA7  # keeps these draws apart from those of training with the same seed


def crf_range(level: str) -> tuple[int, int] | None:
    """ "crf20-30" -> (20, 30), "crf26" -> (26, 26); None for what is no such level."""
    found = RANGE.fullmatch(ALIAS.get(level, level))
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    return (low, high) if low <= high <= 51 else None


def check_levels(levels: tuple[str, ...], key: str = "levels") -> None:
    """``ArgumentError`` unless all of ``levels`` are known and there is one."""
    if not levels or any(level != "heavy" and crf_range(level) is None for level in levels):
        raise ArgumentError(
            f"{key}: {levels!r} is not accepted; accepted: one or more of {', '.join(LEVELS)}, crfN and "
            "crfN-M with N up to M up to 51"
        )


def whole(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) cut at the right and below to sides that are multiples of 8."""
    height, width = (side // 8 * 8 for side in image.shape[:2])
    return np.ascontiguousarray(image[:height, :width])


def quarter(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H/4, W/4, 3) by antialiased bicubic interpolation (Pillow)."""
    height, width = image.shape[:2]
    return np.asarray(Image.fromarray(image).resize((width // SCALE, height // SCALE), Image.Resampling.BICUBIC))


def small_picture(image: np.ndarray, level: str, seed: int, index: int, heavy: DegradationConfig) -> np.ndarray:
    """(H, W, 3) uint8 RGB, sides multiples of 8 -> (H/4, W/4, 3), the same for the same arguments.

    "light", "medium" and "crfN": a quarter by antialiased bicubic, then one H.264 intra frame of CRF 18, 26 or N;
    "crfN-M": of a CRF from N to M, the one numbered ``index`` of the stream that belongs to ``seed``; "heavy": a draw
    of ``heavy``, the degradation of training, named by ``seed`` and ``index``.
    """
    if level == "heavy":
        return degrade(image, heavy, HEAVY, seed, index)[0]
    check_levels((level,), "level")
    low, high = crf_range(level) or (0, 0)
    crf = low
    if low < high:
        rng = np.random.default_rng(seed)
        for _ in range(index + 1):
            crf = int(rng.integers(low, high, endpoint=True))
    return h264(quarter(image), crf)


def _enlarge(image: np.ndarray, kind: Image.Resampling) -> np.ndarray:
    size = (image.shape[1] * SCALE, image.shape[0] * SCALE)
    return np.asarray(Image.fromarray(image).resize(size, kind))


def lanczos(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (4H, 4W, 3) by Lanczos interpolation of three lobes (Pillow): the baseline."""
    return _enlarge(image, Image.Resampling.LANCZOS)


def bicubic(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (4H, 4W, 3) by bicubic interpolation (Pillow, a = -0.5)."""
    return _enlarge(image, Image.Resampling.BICUBIC)
