"""Colour differences: CIELAB, CIEDE2000, and coloured spots that a network made up. (H, W, 3) uint8 sRGB in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vsapisr.config import SCALE

from .full_reference import check_pair

__all__ = ["Spots", "ciede2000", "colour_error", "lab", "reduced", "spots"]

SEVENTH = 25.0**7


def lab(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 sRGB -> (H, W, 3) float32 CIELAB, D65: L 0..100, a and b about -110..110."""
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def ciede2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """CIEDE2000 of two (..., 3) arrays in CIELAB, with all three weights 1 (Sharma, Wu and Dalal, 2005).

    About 1 is what an eye just sees on plain areas.
    """
    l1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1 + 0.5 * (1 - np.sqrt(mean7 / (mean7 + SEVENTH)))
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, stretch * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    coloured = c1 * c2 > 0
    turn = np.where(coloured, (h2 - h1 + 180) % 360 - 180, 0)
    turn = np.where(coloured & (h2 - h1 == 180), 180, turn)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    dl, dc = l2 - l1, c2 - c1
    total = h1 + h2
    wide = np.abs(h1 - h2) > 180
    hue = np.where(coloured, (total + np.where(wide, np.where(total < 360, 360, -360), 0)) / 2, total)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    cosines = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * cosines
    chroma7 = chroma**7
    rotation = -2 * np.sqrt(chroma7 / (chroma7 + SEVENTH)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return np.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rotation * (dc / sc) * (dh / sh))


def reduced(image: np.ndarray) -> np.ndarray:
    """(4H, 4W, 3) -> (H, W, 3) by area averages."""
    return cv2.resize(image, (image.shape[1] // SCALE, image.shape[0] // SCALE), interpolation=cv2.INTER_AREA)


def colour_error(result: np.ndarray, reference: np.ndarray) -> float:
    """Mean CIEDE2000 of two (H, W, 3) uint8 pictures of one size.

    Given pictures at the small size, where a line's sharpness no longer counts, it tells casts and wrong areas.
    """
    check_pair(result, reference)
    return float(ciede2000(lab(result), lab(reference)).mean())


@dataclass(frozen=True)
class Spots:
    """Coloured spots of a picture."""

    share: float
    """Pixels in spots per million."""
    clusters: int
    map: np.ndarray
    """(H, W) bool."""


def spots(
    result: np.ndarray,
    source: np.ndarray,
    original: np.ndarray | None = None,
    *,
    margin: float = 12.0,
    radius: int = 3,
    least: int = 12,
) -> Spots:
    """Clusters of pixels whose chroma has left that of the neighbourhood they were made from.

    A pixel's (a*, b*) must lie in the box that the colours of the (2 ``radius`` + 1)^2 source pixels around it span;
    where the original is known, what it has there belongs to the box too. Lines and edges get purer when blur is
    undone, so ``margin`` is allowed beyond the box, and half the box's width. What is further out, in 8-connected
    clusters of ``least`` pixels or more, is a spot. Without an original a small detail in a colour that the source has
    lost counts as well.

    Args:
        result: (4H, 4W, 3) uint8.
        source: (H, W, 3) uint8, what it was made from.
        original: (4H, 4W, 3) uint8.
        margin: CIELAB units.
        radius: source pixels.
        least: pixels of ``result``.
    """
    height, width = result.shape[:2]
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    after = lab(result)[..., 1:]
    low, high = span(source, original)
    low, high = cv2.erode(low, kernel), cv2.dilate(high, kernel)
    room = margin + (high - low) / 2
    low, high = (
        cv2.resize(edge, (width, height), interpolation=cv2.INTER_NEAREST) for edge in (low - room, high + room)
    )
    out = ((after < low) | (after > high)).any(axis=2)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(out.astype(np.uint8), connectivity=8)
    large = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= least) + 1
    found = np.isin(labels, large)
    return Spots(float(found.mean() * 1e6), len(large), found)


def span(source: np.ndarray, original: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest (a*, b*) at each source pixel, (H, W, 2) both: its own, and those of the 4x4 original ones."""
    own = np.ascontiguousarray(lab(source)[..., 1:])
    if original is None:
        return own, own
    height, width = source.shape[:2]
    blocks = lab(original)[..., 1:].reshape(height, SCALE, width, SCALE, 2)
    return np.minimum(own, blocks.min((1, 3))), np.maximum(own, blocks.max((1, 3)))
