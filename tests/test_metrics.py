"""Measures against values known from elsewhere: formulas by hand, scipy, published tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate

from train.evaluation.full_reference import luma, psnr_y, ssim_y
from vsapisr.errors import ArgumentError

from .clips import drawing


def grey(value: int, height: int = 16, width: int = 24) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_luma_is_matlabs() -> None:
    """rgb2ycbcr of black, white and the primaries: 16, 235, 81.481, 144.553, 40.966."""
    image = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert luma(image)[0] == pytest.approx([16, 235, 81.481, 144.553, 40.966], abs=2e-3)


def test_psnr_by_hand() -> None:
    """A step of 10 of 255 is one of 10 * 219/255 in luma: 20 log10(255 / 8.588) = 29.452 dB."""
    assert psnr_y(grey(100), grey(110)) == pytest.approx(20 * np.log10(255 / (10 * 219 / 255)), abs=1e-3)
    assert psnr_y(grey(7), grey(7)) == float("inf")


def wang(x: np.ndarray, y: np.ndarray) -> float:
    """Equation 13 with the 11x11 window written out and scipy's correlation."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    mx, my, xx, yy, xy = (correlate(v, window)[5:-5, 5:-5] for v in (x, y, x * x, y * y, x * y))
    c1, c2 = 2.55**2, 7.65**2
    top = (2 * mx * my + c1) * (2 * (xy - mx * my) + c2)
    return float((top / ((mx**2 + my**2 + c1) * (xx - mx**2 + yy - my**2 + c2))).mean())


def test_ssim_against_scipy() -> None:
    a = drawing(1, 64, 48)
    b = np.clip(a + np.random.default_rng(0).normal(0, 20, a.shape), 0, 255).astype(np.uint8)
    assert ssim_y(a, b) == pytest.approx(wang(luma(a), luma(b)), abs=1e-9) and 0.1 < ssim_y(a, b) < 0.9


def test_ssim_of_flat_pictures_by_hand() -> None:
    """Without variance it is (2 mx my + c1) / (mx^2 + my^2 + c1)."""
    x, y = 16 + 100 * 219 / 255, 16 + 140 * 219 / 255
    expected = (2 * x * y + 2.55**2) / (x * x + y * y + 2.55**2)
    assert ssim_y(grey(100), grey(140)) == pytest.approx(expected, abs=1e-5)
    assert ssim_y(grey(100), grey(100)) == pytest.approx(1)


def test_pairs_that_cannot_be_compared() -> None:
    with pytest.raises(ArgumentError, match="24x16 and 24x20"):
        psnr_y(grey(1), grey(1, 20))
    with pytest.raises(ArgumentError, match="float64"):
        ssim_y(grey(1), grey(1).astype(float))
    with pytest.raises(ArgumentError, match="11 or more"):
        ssim_y(grey(1, 8), grey(1, 8))
