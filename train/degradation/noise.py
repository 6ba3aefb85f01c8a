"""Gaussian and Poisson noise, coloured or grey, as in Real-ESRGAN."""

from __future__ import annotations

import numpy as np


def gaussian(image: np.ndarray, rng: np.random.Generator, sigma: float, grey: bool) -> np.ndarray:
    """(H, W, 3) in [0, 1] with noise of standard deviation ``sigma`` (of 255) added; not clamped."""
    shape = (*image.shape[:2], 1) if grey else image.shape
    return image + rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma / 255)


def poisson(image: np.ndarray, rng: np.random.Generator, scale: float, grey: bool) -> np.ndarray:
    """(H, W, 3) in [0, 1] with ``scale`` times the shot noise of its 8-bit levels added; not clamped."""
    levels = image.mean(axis=2, keepdims=True) if grey else image
    levels = np.clip(np.round(levels * 255), 0, 255) / 255
    values = 2.0 ** np.ceil(np.log2(max(len(np.unique(levels)), 2)))
    noise = rng.poisson(levels * values) / values - levels
    return image + noise.astype(np.float32) * np.float32(scale)
