"""Sharpness of edges and contrast of lines, without or with an original. (H, W, 3) uint8 RGB in."""

from __future__ import annotations

import cv2
import numpy as np

from .full_reference import luma

__all__ = ["Edges", "edge_width", "find_edges", "line_contrast", "line_map"]

REACH = 8  # pixels that a profile goes to either side
STEP = 0.5  # pixels between its samples
WEAKEST = 24.0  # levels of 255 that an edge must rise by
MOST = 20_000  # edges that are looked at
LINE = 9  # pixels; dark lines narrower than this are lines
DEEPEST = 24.0  # levels below its surroundings that a line must have in the guide

Edges = tuple[np.ndarray, np.ndarray]
"""(n, 2) positions (y, x) and (n, 2) unit vectors across the edge, towards the light."""


def gradients(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W) -> gradient by y, by x, and its size, levels per pixel; of a lightly smoothed picture."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    gy, gx = (cv2.Scharr(smooth.astype(np.float32), cv2.CV_32F, x, 1 - x) / 32 for x in (0, 1))
    return gy, gx, np.hypot(gy, gx)


def find_edges(guide: np.ndarray) -> Edges:
    """Where the gradient of ``guide`` is largest across: at most 20,000, evenly taken."""
    gy, gx, size = gradients(luma(guide))
    y, x = np.nonzero(size[REACH:-REACH, REACH:-REACH] > 2.0)
    y, x = y + REACH, x + REACH
    across = np.stack([gy[y, x], gx[y, x]], 1) / size[y, x, None]
    ahead, behind = (sample(size, np.stack([y, x], 1) + side * across) for side in (1.0, -1.0))
    ridge = (size[y, x] >= ahead) & (size[y, x] > behind)
    places, across = np.stack([y, x], 1)[ridge], across[ridge]
    stride = max(1, -(-len(places) // MOST))
    return places[::stride].astype(np.float64), across[::stride]


def sample(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Bilinear values at (..., 2) positions (y, x)."""
    y, x = np.moveaxis(places.reshape(-1, 2).astype(np.float32), -1, 0)
    parts = [
        cv2.remap(
            image.astype(np.float32),
            x[i : i + 30000, None],
            y[i : i + 30000, None],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )[:, 0]
        for i in range(0, len(y), 30000)
    ]
    return (np.concatenate(parts) if parts else np.empty(0, np.float32)).reshape(places.shape[:-1])


def profiles(image: np.ndarray, edges: Edges) -> tuple[np.ndarray, np.ndarray]:
    """Rise of the luma over each edge, in levels, and its steepest slope, in levels per pixel: both (n,).

    The rise goes from the last minimum on the dark side to the first maximum on the light one.
    """
    places, across = edges
    offsets = np.arange(-REACH, REACH + STEP / 2, STEP)
    values = sample(luma(image), places[:, None] + offsets[None, :, None] * across[:, None]).astype(np.float64)
    steps = np.diff(values, axis=1)
    middle = steps.shape[1] // 2
    up = np.cumprod(steps[:, middle:] > 0, axis=1) * steps[:, middle:]
    down = np.cumprod(steps[:, :middle][:, ::-1] > 0, axis=1) * steps[:, :middle][:, ::-1]
    return up.sum(1) + down.sum(1), np.maximum(up.max(1), down.max(1)) / STEP


def edge_width(image: np.ndarray, edges: Edges) -> float:
    """Median width in pixels of the edges found in a guide: rise over steepest slope; NaN where there is none.

    A step between two pixels has width 1, an edge blurred by a Gaussian of sigma s has 2.51 s. The guide is the
    original, or where there is none an interpolated picture, the same for all that are compared.
    """
    if not len(edges[0]):
        return float("nan")
    rise, slope = profiles(image, edges)
    strong = rise >= WEAKEST
    return float(np.median(rise[strong] / slope[strong])) if strong.any() else float("nan")


def darkness(image: np.ndarray) -> np.ndarray:
    """(H, W) levels by which each pixel is darker than what surrounds it within a line's width: black top-hat of
    luma.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (LINE, LINE))
    return cv2.morphologyEx(luma(image).astype(np.float32), cv2.MORPH_BLACKHAT, kernel)


def line_map(guide: np.ndarray) -> np.ndarray:
    """(H, W) bool: the dark lines of ``guide``, the middle of each."""
    depth = darkness(guide)
    return (depth >= DEEPEST) & (depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8)))


def line_contrast(image: np.ndarray, lines: np.ndarray) -> float:
    """Mean depth in levels of 255 of ``image`` at the lines of a guide, moved by a pixel at most; NaN without lines."""
    if not lines.any():
        return float("nan")
    return float(cv2.dilate(darkness(image), np.ones((3, 3), np.uint8))[lines].mean())
