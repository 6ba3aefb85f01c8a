"""Gaussian and Poisson noise, coloured or grey, as in Real-ESRGAN, drawn by table.

A random number of 16 bits picks a quantile from a table of the distribution: one look-up per value where a sampler needs
tens of nanoseconds. The tables are exact to their 65536 (Gaussian, up to 4.3 sigma) or 4096 (Poisson) equally likely steps.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np

__all__ = ["gaussian", "poisson", "poisson_peak"]

STEPS = 4096


@lru_cache(maxsize=1)
def normal_table() -> np.ndarray:
    """(65536,) float32: standard normal quantiles at the middles of equal shares."""
    inverse = NormalDist().inv_cdf
    half = np.array([inverse((n + 0.5) / 65536) for n in range(32768)])
    return np.concatenate([half, -half[::-1]]).astype(np.float32)


@lru_cache(maxsize=9)
def poisson_table(peak: int) -> np.ndarray:
    """(256 * 4096,) float32: quantiles of Poisson(level/255 * peak)/peak - level/255 for every 8-bit level."""
    shares = (np.arange(STEPS) + 0.5) / STEPS
    counts = np.arange(int(peak + 8 * math.sqrt(peak) + 12))
    log_factorial = np.array([math.lgamma(n + 1) for n in counts])
    table = np.zeros((256, STEPS), np.float32)
    for level in range(1, 256):
        mean = level / 255 * peak
        cumulative = np.cumsum(np.exp(counts * math.log(mean) - mean - log_factorial))
        table[level] = np.searchsorted(cumulative, shares) / peak - level / 255
    return table.reshape(-1)


def _random16(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.frombuffer(rng.bytes(2 * count), np.uint16)


def _add(image: np.ndarray, noise: np.ndarray, amount: float) -> np.ndarray:
    """``image`` + ``amount`` * ``noise``; noise of one channel goes to all three."""
    if noise.shape[2] != image.shape[2]:
        noise = cv2.merge([noise] * image.shape[2])
    return cv2.scaleAdd(noise, amount, image)


def gaussian(image: np.ndarray, rng: np.random.Generator, sigma: float, grey: bool) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1] with noise of standard deviation ``sigma`` (of 255) added; not clamped."""
    shape = (*image.shape[:2], 1 if grey else image.shape[2])
    noise = normal_table().take(_random16(rng, math.prod(shape)), mode="wrap").reshape(shape)
    return _add(image, noise, sigma / 255)


def to_levels(image: np.ndarray, grey: bool) -> np.ndarray:
    """(H, W, 3) float32 -> its 8-bit levels (H, W, 3) or those of its luma (H, W, 1)."""
    if grey:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    levels = cv2.addWeighted(image, 255, image, 0, 0, dtype=cv2.CV_8U)  # clamps, then rounds
    return levels[..., None] if grey else levels


def poisson_peak(levels: np.ndarray) -> int:
    """Photons at full white: the number of different levels in the picture, rounded up to a power of two."""
    used = int(np.count_nonzero(cv2.calcHist([levels.reshape(-1, 1)], [0], None, [256], [0, 256])))
    return 1 << max(used - 1, 1).bit_length()


def poisson(image: np.ndarray, rng: np.random.Generator, scale: float, grey: bool) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1] with ``scale`` times the shot noise of its 8-bit levels added; not clamped."""
    levels = to_levels(image, grey)
    index = np.left_shift(levels, 12, dtype=np.int32).reshape(-1)
    index |= _random16(rng, index.size) >> 4
    noise = poisson_table(poisson_peak(levels)).take(index, mode="wrap").reshape(levels.shape)
    return _add(image, noise, scale)
