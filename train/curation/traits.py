"""What can be told of a picture without a network: its hash, black bars, emptiness, likeness to a page of credits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

BLACK = 32
"""Luma up to which a pixel may be a black bar: limited-range black is 0 here, coding noise adds some."""
BAR_OUTLIERS = 0.005
"""Share of brighter pixels that a black line may have."""
INK = 48
"""Difference of luma from the background at which a pixel belongs to the lettering."""


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Black lines at the edges of a picture, in pixels."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def cut(self, image: np.ndarray) -> np.ndarray:
        """(H, W, ...) without the bars; a view."""
        height, width = image.shape[:2]
        return image[self.top : height - self.bottom, self.left : width - self.right]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """All of one picture, taken inside its own bars."""

    bars: Bars
    hash: int
    """64 bits, unsigned."""
    brightness: float
    """Mean luma, 0..255."""
    spread: float
    """Standard deviation of luma, 0..255."""
    credits: float
    """Likeness to a page of lettering, 0..1; see :func:`credits`."""


def luma(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) uint8."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def black_lines(dark: np.ndarray) -> tuple[int, int]:
    """(lines, pixels) bool -> number of leading and of trailing lines that are black; (0, 0) when all are."""
    black = dark.mean(axis=1) >= 1 - BAR_OUTLIERS
    if black.all():
        return 0, 0
    return int(np.argmin(black)), int(np.argmin(black[::-1]))


def find_bars(grey: np.ndarray) -> Bars:
    """Black bars of (H, W) uint8 luma, letterbox first; a wholly black picture has none."""
    dark = grey <= BLACK
    top, bottom = black_lines(dark)
    left, right = black_lines(dark[top : dark.shape[0] - bottom].T)
    return Bars(top=top, bottom=bottom, left=left, right=right)


def dct_hash(grey: np.ndarray) -> int:
    """64-bit perceptual hash of (H, W) uint8: signs of the 8x8 lowest DCT coefficients of its 32x32 reduction.

    The mean is left out and its bit says nothing; the others are compared with their median, so that brightness and
    contrast do not matter. Two versions of one drawing differ in few bits, unrelated pictures in about half of them.
    """
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return int(np.packbits(bits).view(">u8")[0])


def distance(one: int, many: np.ndarray) -> np.ndarray:
    """Number of bits in which ``one`` differs from each of ``many`` (uint64)."""
    return np.bitwise_count(np.bitwise_xor(np.uint64(one), many))


def credits(grey: np.ndarray) -> float:
    """Likeness of (H, W) uint8 to lettering on a plain background, 0..1.

    The background is the most frequent luma. What differs from it clearly is split into connected parts; lettering is
    many parts, each small. The score is the share of that ink in glyph-sized parts, times the share of background,
    times how far there are 40 such parts. Drawings have large parts or no plain background. Text over a moving scene is
    not found.
    """
    width = 640
    if grey.shape[1] > width:
        grey = cv2.resize(
            grey, (width, max(1, round(grey.shape[0] * width / grey.shape[1]))), interpolation=cv2.INTER_AREA
        )
    counts = np.bincount(grey.ravel(), minlength=256)
    plain = np.convolve(counts, np.ones(17, np.int64), "same")
    background = int(plain.argmax())
    ink = (np.abs(grey.astype(np.int16) - background) > INK).astype(np.uint8)
    parts, _, found, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    if parts <= 1:
        return 0.0
    heights, widths, areas = found[1:, cv2.CC_STAT_HEIGHT], found[1:, cv2.CC_STAT_WIDTH], found[1:, cv2.CC_STAT_AREA]
    glyph = (heights <= grey.shape[0] * 0.12) & (heights >= 3) & (widths <= grey.shape[1] * 0.3)
    share = areas[glyph].sum() / max(1, areas.sum())
    return float(share * plain.max() / grey.size * min(1.0, glyph.sum() / 40))


def measure(image: np.ndarray) -> Measures:
    """All measures of (H, W, 3) uint8 RGB."""
    grey = luma(image)
    bars = find_bars(grey)
    inner = bars.cut(grey)
    lettering = credits(inner)
    if bars != Bars():  # the margins of a black page pass for bars
        lettering = max(lettering, credits(grey))
    return Measures(
        bars=bars, hash=dct_hash(inner), brightness=float(inner.mean()), spread=float(inner.std()), credits=lettering
    )
