"""Pictures with transparent parts: what is hidden there must not show at the edges of what is visible."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["spread"]

TRUSTED = 32 / 255
"""Opacity from which a pixel keeps its colour whole. That of fainter ones was often made of a few levels, where colours
were stored multiplied by opacity."""
NONE = 1e-6
"""Of opacity: nothing visible."""


def spread(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The visible colours, continued into what is transparent.

    ``rgb`` is (h, w, 3), not multiplied by ``alpha``, which is (h, w) of the same unsigned type. An enlarged edge is
    made of both its sides, and the colour under opacity 0 is whatever a program left there: black, white, a green. Here
    it becomes a mean of what is visible around, weighted by opacity, over as little around as has something to show
    (push and pull through a pyramid; Gortler et al. 1996, The Lumigraph, section 3.5). Where all is hidden, nothing is
    changed.
    """
    full = np.iinfo(rgb.dtype).max
    opacity = alpha.astype(np.float32) / full
    if opacity.min() >= TRUSTED or opacity.max() == 0:
        return rgb
    colour = filled(rgb.astype(np.float32), opacity)
    return np.where((opacity >= TRUSTED)[..., None], rgb, np.rint(colour).clip(0, full).astype(rgb.dtype))


def filled(colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32: ``colour`` as far as ``weight`` (h, w) makes it trusted, else the colours around."""
    height, width = weight.shape
    if height == width == 1:
        return colour
    half = (-(-width // 2), -(-height // 2))
    weights = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(colour * weight[..., None], half, interpolation=cv2.INTER_AREA)
    below = filled(sums / np.maximum(weights, NONE)[..., None], weights)
    around = cv2.resize(below, (width, height), interpolation=cv2.INTER_LINEAR)
    share = np.minimum(weight / TRUSTED, 1)[..., None]
    return colour * share + around * (1 - share)
