"""Full-reference measures of super-resolution papers: PSNR and SSIM on luma. Pure functions of (H, W, 3) uint8 RGB."""

from __future__ import annotations

import cv2
import numpy as np

from vsapisr.errors import ArgumentError

__all__ = ["luma", "psnr_y", "ssim_y"]

LUMA = np.array([65.481, 128.553, 24.966], dtype=np.float64)  # BT.601, of [0, 1] RGB to 16..235
WINDOW, SIGMA = 11, 1.5  # of SSIM (Wang et al. 2004)


def check_pair(a: np.ndarray, b: np.ndarray) -> None:
    """``ArgumentError`` unless both are (H, W, 3) uint8 of one size."""
    for image in (a, b):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ArgumentError(f"image: {image.shape} {image.dtype} is not accepted; accepted: (H, W, 3) uint8")
    if a.shape != b.shape:
        raise ArgumentError(f"the pictures differ in size: {a.shape[1]}x{a.shape[0]} and {b.shape[1]}x{b.shape[0]}")


def luma(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) float64 in 16..235: MATLAB's Y, which PSNR-Y is taken on."""
    return rgb.astype(np.float64) / 255 @ LUMA + 16


def psnr_y(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB of two uint8 RGB images on luma, of a peak of 255; infinite when they are equal.

    Raises:
        ArgumentError: other types or shapes, or two sizes.
    """
    check_pair(a, b)
    error = np.mean((luma(a) - luma(b)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim_y(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM on luma (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, borders without a full window left out.

    Raises:
        ArgumentError: other types or shapes, two sizes, or a side below 11.
    """
    check_pair(a, b)
    if min(a.shape[:2]) < WINDOW:
        raise ArgumentError(f"the picture is {a.shape[1]}x{a.shape[0]}; SSIM needs sides of {WINDOW} or more")
    x, y = luma(a), luma(b)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    rim = WINDOW // 2

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (WINDOW, WINDOW), SIGMA)[rim:-rim, rim:-rim]

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    return float(np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))))
