"""Full-reference measures of enlarged drawings, as super-resolution papers take them."""

from __future__ import annotations

import cv2
import numpy as np

LUMA = np.array([65.481, 128.553, 24.966], dtype=np.float64)  # BT.601, of [0, 1] RGB to 16..235


def luma(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) float64 in 16..235: MATLAB's Y, which PSNR-Y is taken on."""
    return rgb.astype(np.float64) / 255 @ LUMA + 16


def psnr_y(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB of two uint8 RGB images on luma; infinite when they are equal."""
    error = np.mean((luma(a) - luma(b)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim_y(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM on luma (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, borders without a full window left out."""
    x, y = luma(a), luma(b)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (11, 11), 1.5)[5:-5, 5:-5]

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    return float(np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))))
