"""Blur with Gaussian kernels: BSRGAN's and Real-ESRGAN's isotropic and anisotropic ones."""

from __future__ import annotations

import math

import cv2
import numpy as np


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float, angle: float) -> np.ndarray:
    """Kernel (size, size) float32 with sum 1; ``angle`` in radians turns the first axis of the ellipse."""
    axis = np.arange(size, dtype=np.float64) - (size - 1) / 2
    x, y = np.meshgrid(axis, axis)
    c, s = math.cos(angle), math.sin(angle)
    u, v = c * x + s * y, -s * x + c * y
    kernel = np.exp(-0.5 * ((u / sigma_x) ** 2 + (v / sigma_y) ** 2))
    return (kernel / kernel.sum()).astype(np.float32)


def random_kernel(rng: np.random.Generator, sigma: tuple[float, float], isotropic: float = 0.6) -> np.ndarray:
    """An odd-sized kernel of 7..21 taps; ``sigma`` is the range of the standard deviations in pixels."""
    size = int(rng.choice(np.arange(7, 22, 2)))
    sigma_x = rng.uniform(*sigma)
    if rng.random() < isotropic:
        return gaussian_kernel(size, sigma_x, sigma_x, 0.0)
    return gaussian_kernel(size, sigma_x, rng.uniform(*sigma), rng.uniform(-math.pi, math.pi))


def blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(H, W, 3) float -> the same, borders reflected."""
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
