"""Resizing by area, bilinear or bicubic interpolation without antialiasing, as players and careless encoders do; and
with it, as careful ones do."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from .compiled import steps

__all__ = ["METHODS", "RESIZERS", "resize", "resize_matrix", "to_bytes", "to_float"]

RESIZERS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
"""The paper's three."""
METHODS = (*RESIZERS, "antialiased")
"""The last is Pillow's bicubic interpolation, whose kernel grows with the reduction."""


def _antialiased(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) float32 -> (height, width)."""
    return np.array(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


def area_axis(before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """Averages over ``after`` <= ``before`` equal parts of an axis: (after,) int32, the first pixel of each, and
    (after, taps) float32, the shares of it and the next ones.
    """
    taps = min(-(-before // after) + 1, before)
    edges = np.arange(after + 1) * (before / after)
    first = np.minimum(edges[:-1].astype(np.int32), before - taps)
    pixels = first[:, None] + np.arange(taps)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return first.astype(np.int32), (np.maximum(inside, 0) * (after / before)).astype(np.float32)


def resize(image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """(H, W, C) float, or (H, W, 3) uint8 taken as 0..1 -> (height, width, C) float; bicubic overshoots and is not
    clamped here.
    """
    before, after = image.shape[:2], (height, width)
    if (
        interpolation == "area"
        and image.shape[2:] == (3,)
        and before != after
        and height <= before[0]
        and width <= before[1]
    ):
        library = steps()
        if library is not None and image.dtype in (np.uint8, np.float32):
            return library.reduce(image, area_axis(before[0], height), area_axis(before[1], width))
    image = to_float(image) if image.dtype == np.uint8 else image
    if before == after:
        return image
    if interpolation == "antialiased":
        planes = [
            _antialiased(np.ascontiguousarray(plane), height, width)
            for plane in np.atleast_3d(image).transpose(2, 0, 1)
        ]
        return cv2.merge(planes) if image.ndim == 3 else planes[0]
    return cv2.resize(image, (width, height), interpolation=RESIZERS[interpolation])


@lru_cache(maxsize=256)
def resize_matrix(before: int, after: int, interpolation: str) -> np.ndarray:
    """(after, before) float32: what ``resize`` does along one axis, taken from OpenCV itself.

    Every one of them is linear and separable, so that two products with such matrices are the same picture on any
    device (but for area averages when one axis grows and the other shrinks: OpenCV then treats both as growing).
    """
    identity = np.eye(before, dtype=np.float32)
    return resize(identity, after, before, interpolation)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Float in any range -> uint8: clamped before it is rounded, so that overshoot cannot wrap."""
    library = steps()
    if library is not None and image.dtype == np.float32 and image.flags.c_contiguous:
        return library.to_bytes(image)
    return cv2.addWeighted(image, 255, image, 0, 0, dtype=cv2.CV_8U)


def to_float(image: np.ndarray) -> np.ndarray:
    """uint8 -> float32 in [0, 1]."""
    result = image.astype(np.float32)
    result *= np.float32(1 / 255)
    return result
