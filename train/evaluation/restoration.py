"""What restoring does to edges and flat areas: halos beside edges, noise that is left. (H, W, 3) uint8 RGB in, luma in
levels of 16 to 235.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from vsapisr.config import SCALE

from .full_reference import luma
from .sharpness import REACH, STEP, WEAKEST, Edges, sample

__all__ = ["Flat", "find_flat", "halo", "noise", "noise_left"]

AROUND = 2 * REACH + 1  # pixels; side of the square whose range an edge may use
COARSE = 6.0  # sigma in pixels; noise is what is finer
LEVELS = 2.0  # that the original spans in a flat area
LEAST = 0.25  # levels of noise in the source below which there is nothing to remove

Flat = np.ndarray
"""(H, W) bool."""


def reach_of(guide: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) least and largest luma of the guide in the square around."""
    grey, square = luma(guide).astype(np.float32), np.ones((AROUND, AROUND), np.uint8)
    return cv2.erode(grey, square), cv2.dilate(grey, square)


def halo(image: np.ndarray, guide: np.ndarray, edges: Edges) -> float:
    """Overshoot at edges in percent of their height: how far the profile across an edge, 8 pixels to either side, goes
    below the darkest and above the lightest that the guide has in the 17x17 pixels around the edge, over the range
    there; mean of the edges that rise by 24 levels or more. NaN without edges.

    The guide is the original; without one it is the source with its pixels repeated, which overshoots nowhere that the
    source does not.
    """
    places, across = edges
    if not len(places):
        return math.nan
    low, high = (sample(end, places) for end in reach_of(guide))
    strong = high - low >= WEAKEST
    if not strong.any():
        return math.nan
    places, across, low, high = places[strong], across[strong], low[strong], high[strong]
    offsets = np.arange(-REACH, REACH + STEP / 2, STEP)
    values = sample(luma(image), places[:, None] + offsets[None, :, None] * across[:, None])
    beyond = np.maximum(values.max(1) - high, 0) + np.maximum(low - values.min(1), 0)
    return float(100 * np.mean(beyond / (high - low)))


def repeated(small: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (4H, 4W, 3), each pixel as a square."""
    return small.repeat(SCALE, 0).repeat(SCALE, 1)


def find_flat(gt: np.ndarray) -> Flat:
    """Where the original spans two levels of luma at most in the 33x33 pixels around: out of reach of any line."""
    low, high = reach_of(gt)
    square = np.ones((AROUND, AROUND), np.uint8)
    return (cv2.dilate(high, square) - cv2.erode(low, square)) <= LEVELS


def noise(image: np.ndarray, flat: Flat) -> float:
    """Root of the mean square, in levels, of what is finer than a Gaussian of sigma 6 pixels in the flat areas; NaN
    without any."""
    if not flat.any():
        return math.nan
    grey = luma(image)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), COARSE)
    return float(np.sqrt(np.mean(fine[flat] ** 2)))


def noise_left(image: np.ndarray, source: float, flat: Flat) -> float:
    """Share of the ``source``'s noise (:func:`noise` of the small picture, enlarged by Lanczos) that ``image`` has in
    the flat areas, in percent; NaN where the source has hardly any.
    """
    return 100 * noise(image, flat) / source if source >= LEAST else math.nan
