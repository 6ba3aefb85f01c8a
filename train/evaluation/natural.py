"""Measures of one picture alone by the statistics of photographs: NIQE, BRISQUE, PIQE. (H, W, 3) uint8 RGB in, lower
is better.

All begin with mean-subtracted contrast-normalised values (MSCN): (I - m) / (s + C), m and s the mean and deviation in a
7x7 Gaussian window of sigma 7/6. Of photographs these are nearly Gaussian; NIQE and BRISQUE fit an asymmetric
generalised Gaussian (AGGD) to them and to the products of neighbours in four directions, at two sizes.

- NIQE: Mittal, Soundararajan and Bovik, "Making a completely blind image quality analyzer", SPL 2013.
- BRISQUE: Mittal, Moorthy and Bovik, "No-reference image quality assessment in the spatial domain", TIP 2012.
- PIQE: Venkatanath et al., "Blind image quality evaluation using perception based features", NCC 2015.

Flat cels and clean lines are unusual to all three: they compare versions of one picture, no more.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

__all__ = ["brisque", "niqe", "piqe"]

SIGMA = 7 / 6  # of MSCN's window
PATCH = 96  # NIQE
BLOCK, SEGMENT = 16, 6  # PIQE: sides of blocks, pixels of the parts of their edges
ACTIVE = IMPAIRED = 0.1  # PIQE: variance of a block that counts, deviation of a part that a codec has flattened


@cache
def parameters(name: str) -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "parameters" / f"{name}.npz") as file:
        return dict(file)


def mscn(grey: np.ndarray, constant: float, border: int) -> np.ndarray:
    """(H, W) -> (H, W) contrast-normalised; ``border`` is OpenCV's word for what lies outside."""
    mean = cv2.GaussianBlur(grey, (7, 7), SIGMA, borderType=border)
    square = cv2.GaussianBlur(grey * grey, (7, 7), SIGMA, borderType=border)
    return (grey - mean) / (np.sqrt(np.abs(square - mean * mean)) + constant)


@cache
def shapes() -> tuple[np.ndarray, np.ndarray]:
    """Shapes of the generalised Gaussian, 0.2 to 10, and what of the moments each gives."""
    alpha = np.arange(0.2, 10.001, 0.001)
    one, two, three = (np.array([math.lgamma(k / a) for a in alpha]) for k in (1, 2, 3))
    return alpha, np.exp(2 * two - one - three)


def aggd(x: np.ndarray) -> tuple[float, float, float, float]:
    """Shape, deviation of the negative and of the positive values, sqrt(G(1/a) / G(3/a)), by matching moments.

    Lasmar, Stitou and Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis", ICIP 2009.
    """
    x = x.ravel()
    left, right = (math.sqrt(side.dot(side) / side.size) if side.size else 0.0 for side in (x[x < 0], x[x >= 0]))
    square = x.dot(x) / x.size
    if not left or not right or not square:
        return 10.0, left, right, math.sqrt(math.exp(math.lgamma(0.1) - math.lgamma(0.3)))
    skew = left / right
    ratio = np.abs(x).mean() ** 2 / square * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    alpha, known = shapes()
    shape = float(alpha[np.abs(known - ratio).argmin()])
    return shape, left, right, math.sqrt(math.exp(math.lgamma(1 / shape) - math.lgamma(3 / shape)))


def neighbours(x: np.ndarray) -> list[np.ndarray]:
    """Products with the neighbour to the right, below, and on both diagonals."""
    return [x[:, :-1] * x[:, 1:], x[:-1] * x[1:], x[:-1, :-1] * x[1:, 1:], x[1:, :-1] * x[:-1, 1:]]


def mean_of(shape: float, left: float, right: float, unit: float) -> float:
    """Of an AGGD."""
    return (right - left) * unit * math.exp(math.lgamma(2 / shape) - math.lgamma(1 / shape))


def around(x: np.ndarray) -> list[np.ndarray]:
    """NIQE's products: with the value on the left, above, and on both diagonals, the patch continued round."""
    return [x * np.roll(x, shift, (0, 1)) for shift in ((0, 1), (1, 0), (1, 1), (1, -1))]


def niqe_features(x: np.ndarray) -> list[float]:
    """18 of one patch of MSCN values."""
    shape, left, right, unit = aggd(x)
    found = [shape, (left + right) * unit / 2]
    for number, product in enumerate(around(x)):
        shape, left, right, unit = aggd(product)
        # The parameters were made with the left width twice on the diagonals.
        found += [shape, mean_of(shape, left, right, unit), left * unit, (right if number < 2 else left) * unit]
    return found


def patches(values: np.ndarray, side: int) -> list[np.ndarray]:
    """In reading order; the picture has a whole number of them."""
    return [
        values[y : y + side, x : x + side]
        for y in range(0, values.shape[0], side)
        for x in range(0, values.shape[1], side)
    ]


def niqe(image: np.ndarray) -> float:
    """Distance of the features' Gaussian from that of undistorted photographs; NaN below two patches of 96 pixels.

    Patches of a single grey, which have no statistics, are left out.
    """
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)
    height, width = (side // PATCH * PATCH for side in grey.shape)
    if height * width < 2 * PATCH**2:
        return math.nan
    grey = grey[:height, :width]
    half = np.asarray(Image.fromarray(grey).resize((width // 2, height // 2), Image.Resampling.BICUBIC))
    used = [np.ptp(patch) > 0 for patch in patches(grey, PATCH)]
    if sum(used) < 2:
        return math.nan
    features = []
    for picture, side in ((grey, PATCH), (half, PATCH // 2)):
        values = mscn(picture.astype(np.float64), 1.0, cv2.BORDER_CONSTANT)
        features.append([niqe_features(patch) for patch, use in zip(patches(values, side), used) if use])
    table, known = np.hstack(features), parameters("niqe")
    away = table.mean(0) - known["mean"]
    spread = (known["covariance"] + np.cov(table.T)) / 2
    return float(math.sqrt(away @ np.linalg.pinv(spread) @ away))


def brisque_features(grey: np.ndarray) -> list[float]:
    """18 of (H, W) in [0, 1]."""
    x = mscn(grey, 1 / 255, cv2.BORDER_CONSTANT)
    shape, left, right, _ = aggd(x)
    found = [shape, (left**2 + right**2) / 2]
    for product in neighbours(x):
        shape, left, right, unit = aggd(product)
        found += [shape, mean_of(shape, left, right, unit), left**2, right**2]
    return found


def brisque(image: np.ndarray) -> float:
    """About 0 (like an undistorted photograph) to 100: support vector regression of opinions on the features."""
    grey = image.astype(np.float64) @ (0.2125, 0.7154, 0.0721) / 255
    half = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
    features, known = np.array(brisque_features(grey) + brisque_features(half)), parameters("brisque")
    scaled = 2 * (features - known["low"]) / (known["high"] - known["low"]) - 1
    distance = ((known["vectors"] - scaled) ** 2).sum(1)
    return float(known["weights"] @ np.exp(-known["gamma"] * distance) - known["rho"])


def piqe(image: np.ndarray) -> float:
    """0 to 100: how many of the blocks where something is are flattened or noisy, by their variance."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    grey = np.pad(grey, [(0, -side % BLOCK) for side in grey.shape], mode="symmetric")
    values = mscn(np.round(255 * grey / max(grey.max(), 1)), 1.0, cv2.BORDER_REPLICATE)
    rows, columns = (side // BLOCK for side in values.shape)
    blocks = values.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)
    variance = blocks.var((1, 2), ddof=1)
    blocks, variance = blocks[variance > ACTIVE], variance[variance > ACTIVE]
    if not len(blocks):
        return 100.0
    edges = np.stack([blocks[:, 0], blocks[:, -1], blocks[:, :, 0], blocks[:, :, -1]], 1)
    parts = np.lib.stride_tricks.sliding_window_view(edges, SEGMENT, 2).std(-1, ddof=1)
    impaired = (parts < IMPAIRED).any((1, 2))
    # The two middle columns against the rest; the published code leaves out columns 7 and 9 of the rest.
    middle, rest = blocks[:, :, 7:9], np.delete(blocks, (7, 9), axis=2)
    deviation = np.sqrt(variance)
    inner, outer = (part.std((1, 2), ddof=1) for part in (middle, rest))
    ratio = np.divide(inner, outer, out=np.zeros_like(inner), where=outer > 0)
    noisy = deviation > 2 * np.abs(deviation - ratio) / np.maximum(deviation, ratio)
    score = np.sum(impaired * (1 - variance) + noisy * variance)
    return float(100 * (score + 1) / (len(blocks) + 1))
