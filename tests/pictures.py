"""Pictures made for tests, and what noise does to one."""

from __future__ import annotations

import cv2
import numpy as np

from train.degradation import noise


def shapes(seed: int, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: a gradient with discs."""
    rng = np.random.default_rng(seed)
    image = np.tile(np.linspace(20, 235, width)[None, :, None], (height, 1, 3)).astype(np.uint8)
    for _ in range(6):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(image, centre, int(rng.integers(3, 20)), tuple(int(v) for v in rng.integers(0, 256, 3)), -1)
    return image


def coordinates(height: int, width: int, blue: int = 0) -> np.ndarray:
    """(height, width, 3) uint8 whose red and green say where a pixel is, in steps of four, and blue which image it
    is.
    """
    y, x = np.mgrid[:height, :width]
    return np.stack([x // 4, y // 4, np.full_like(x, blue)], axis=2).astype(np.uint8)


def ramp(height: int = 12, width: int = 16, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    """Smooth, and another one in every channel."""
    y, x = np.mgrid[:height, :width] / (height + width)
    parts = (0.2 + 0.5 * x, 0.9 - 0.5 * y, 0.3 + 0.4 * x + 0.2 * y, 0.1 + 0.8 * x)
    return np.rint(np.stack(parts[:channels], axis=2) * np.iinfo(dtype).max).astype(dtype)


def residual(image: np.ndarray, kind: str, amount: float, grey: bool) -> np.ndarray:
    add = {"gaussian": noise.gaussian, "poisson": noise.poisson}[kind]
    return add(image, np.random.default_rng(7), amount, grey) - image
