"""Blur kernels of BSRGAN and Real-ESRGAN: Gaussian, generalized Gaussian, plateau and circular low-pass (sinc).

All are (size, size) float64 arrays of sum 1. ``size`` is odd, sigmas are standard deviations in pixels along the two
axes of an ellipse turned by ``angle`` radians.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

__all__ = ["gaussian_kernel", "generalized_kernel", "pad_kernel", "plateau_kernel", "sinc_kernel"]


def _quadratic(size: int, sigma_x: float, sigma_y: float, angle: float) -> np.ndarray:
    """(size, size): squared Mahalanobis distance of every tap from the centre."""
    axis = np.arange(size, dtype=np.float64) - (size - 1) / 2
    x, y = np.meshgrid(axis, axis)
    c, s = math.cos(angle), math.sin(angle)
    u, v = c * x + s * y, -s * x + c * y
    return (u / sigma_x) ** 2 + (v / sigma_y) ** 2


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float, angle: float = 0.0) -> np.ndarray:
    """exp(-d/2) with d the squared distance in sigmas."""
    kernel = np.exp(-0.5 * _quadratic(size, sigma_x, sigma_y, angle))
    return kernel / kernel.sum()


def generalized_kernel(size: int, sigma_x: float, sigma_y: float, angle: float, beta: float) -> np.ndarray:
    """exp(-d^beta / 2): pointed for ``beta`` below 1, a Gaussian at 1, box-like above."""
    kernel = np.exp(-0.5 * _quadratic(size, sigma_x, sigma_y, angle) ** beta)
    return kernel / kernel.sum()


def plateau_kernel(size: int, sigma_x: float, sigma_y: float, angle: float, beta: float) -> np.ndarray:
    """1 / (1 + d^beta): a flat top with long tails."""
    kernel = 1 / (1 + _quadratic(size, sigma_x, sigma_y, angle) ** beta)
    return kernel / kernel.sum()


@lru_cache
def _bessel_nodes(count: int = 256) -> tuple[np.ndarray, float]:
    angles = (np.arange(count) + 0.5) * (math.pi / count)
    return angles, 1 / count


def bessel_j1(x: np.ndarray) -> np.ndarray:
    """J1 by its integral, the mean over a half turn of cos(t - x sin t).

    The midpoint rule on a periodic integrand converges faster than any power: 1e-14 for |x| up to 100 with 256 nodes.
    """
    angles, weight = _bessel_nodes()
    return np.cos(angles - np.multiply.outer(np.asarray(x, np.float64), np.sin(angles))).sum(-1) * weight


@lru_cache(maxsize=64)
def _radii(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The different distances from the centre and, for each tap, which of them it has."""
    axis = np.arange(size, dtype=np.int64) - size // 2
    squares, inverse = np.unique(axis[:, None] ** 2 + axis[None] ** 2, return_inverse=True)
    return np.sqrt(squares), inverse.reshape(size, size)


def sinc_kernel(size: int, cutoff: float) -> np.ndarray:
    """Circular low-pass filter, cutoff J1(cutoff r) / (2 pi r): ringing as left by sharpening; ``cutoff`` in radians
    per pixel.
    """
    radii, inverse = _radii(size)
    values = np.full(radii.shape, cutoff**2 / (4 * math.pi))
    values[1:] = cutoff * bessel_j1(cutoff * radii[1:]) / (2 * math.pi * radii[1:])
    kernel = values[inverse]
    return kernel / kernel.sum()


def pad_kernel(kernel: np.ndarray, size: int) -> np.ndarray:
    """``kernel`` in the middle of (size, size) zeros."""
    margin = (size - kernel.shape[0]) // 2
    return np.pad(kernel, margin)
