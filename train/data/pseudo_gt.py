"""Hand-drawn line enhancement (sections 3.3 and B.2 of the paper): from a drawing to the pseudo-GT the losses compare
with.

Images here are (H, W, 3) RGB float32 in 0..255 unless said otherwise; maps are (H, W) bool.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from vsapisr.errors import ArgumentError

__all__ = ["GAMMA", "Lines", "dilate", "enhance", "line_map", "remove_outliers", "sharpen", "xdog"]

GAMMA = (0.97, 0.98)
"""Range of XDoG's gamma, drawn for each image."""
TAPS, MARGIN = 51, 28
BASES = ("sharpened", "plain")


@dataclass(frozen=True)
class Lines:
    """What ``enhance`` makes: ``once`` and ``thrice`` sharpened, the final ``map``, and ``pseudo_gt`` as (H, W, 3)
    uint8.
    """

    once: np.ndarray
    thrice: np.ndarray
    map: np.ndarray
    pseudo_gt: np.ndarray


@lru_cache(maxsize=1)
def gaussian_taps() -> np.ndarray:
    """(51,) float32: OpenCV's kernel for 51 taps, whose automatic sigma is 8."""
    return cv2.getGaussianKernel(TAPS, 0)[:, 0].astype(np.float32)


@lru_cache(maxsize=1)
def half_taps() -> np.ndarray:
    """(27,) float32: the kernel at half the resolution that with ``pyrDown`` before and ``pyrUp`` after it gives the 51
    taps.

    Found by least squares for an impulse on even and on odd pixels; what remains is below 0.0007 in absolute sum.
    """
    down, radius, length = np.array([1, 4, 6, 4, 1]) / 16, 13, 256
    rows, targets = [], []
    for phase in (0, 1):
        impulse = np.zeros(length)
        impulse[length // 2 + phase] = 1
        half = np.convolve(impulse, down, "same")[::2]
        columns = []
        for tap in range(radius + 1):
            kernel = np.zeros(2 * radius + 1)
            kernel[[radius - tap, radius + tap]] = 1
            full = np.zeros(length)
            full[::2] = np.convolve(half, kernel, "same")
            columns.append(np.convolve(full, 2 * down, "same"))
        rows.append(np.stack(columns, axis=1))
        targets.append(np.convolve(impulse, gaussian_taps(), "same"))
    taps = np.linalg.lstsq(np.concatenate(rows), np.concatenate(targets), rcond=None)[0]
    kernel = np.concatenate([taps[:0:-1], taps])
    return (kernel / kernel.sum()).astype(np.float32)


def blur_exact(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 (a quarter faster) or float32 -> float32: the 51 taps along both axes, borders reflected."""
    return cv2.sepFilter2D(image, cv2.CV_32F, gaussian_taps(), gaussian_taps(), borderType=cv2.BORDER_REFLECT_101)


def widened(height: int, width: int) -> np.ndarray:
    """Uninitialised room for (height, width, 3) float32 with ``MARGIN`` more below and to the right."""
    return np.empty((height + MARGIN, width + MARGIN, 3), np.float32)


def blur_half(wide: np.ndarray, room: np.ndarray) -> np.ndarray:
    """``blur_exact`` of what ``wide`` holds but its margin, within 0.0002 of the range on real masks, in a quarter of
    the time.

    A sigma of 8 survives at half size. The margin is filled here with reflections: half the pixels of an even side
    could not be reflected about its last pixel. The result lies in ``room``, of the size of ``wide``: fresh memory
    costs as much as the arithmetic.
    """
    height, width = wide.shape[0] - MARGIN, wide.shape[1] - MARGIN
    if min(height, width) <= MARGIN + 1:
        inner = wide[:height, :width]
        wide = cv2.copyMakeBorder(inner, 0, MARGIN, 0, MARGIN, cv2.BORDER_REFLECT_101)
    else:
        wide[:height, width:] = wide[:height, width - 2 : width - 2 - MARGIN : -1]
        wide[height:] = wide[height - 2 : height - 2 - MARGIN : -1]
    half = cv2.pyrDown(wide)
    half = cv2.sepFilter2D(half, -1, half_taps(), half_taps(), borderType=cv2.BORDER_REFLECT_101)
    return cv2.pyrUp(half, dst=room, dstsize=(wide.shape[1], wide.shape[0]))[:height, :width]


def strips(height: int, rows: int = 24) -> list[slice]:
    """Few rows at a time: what is done to each pixel alone stays in the cache."""
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def sharpen(image: np.ndarray, rounds: int = 3) -> list[np.ndarray]:
    """(H, W, 3) uint8 or float32 -> the float32 image after each of ``rounds`` of unsharp masking; each is a new array.

    A round: residual = image - blur; the blurred mask of |residual| > 10 blends the image with itself plus half the
    residual. The blur of the next round is the last one plus the blur of what this round changed, which is small.
    """
    height, width = image.shape[:2]
    blurred, image, delta, results = blur_exact(image), np.ascontiguousarray(image, np.float32), None, []
    wide, room = widened(height, width), widened(height, width)  # the mask, then the change; and the blur of either
    for number in range(rounds):
        for rows in strips(height):
            if delta is not None:
                cv2.add(blurred[rows], delta[rows], dst=blurred[rows])
            differs = cv2.absdiff(image[rows], blurred[rows])
            cv2.threshold(differs, 10, 1, cv2.THRESH_BINARY, dst=wide[rows, :width])
        soft, result = blur_half(wide, room), np.empty_like(image)
        for rows in strips(height):
            sharp = cv2.addWeighted(image[rows], 1.5, blurred[rows], -0.5, 0)
            np.clip(sharp, 0, 255, out=sharp)
            change = cv2.multiply(cv2.subtract(sharp, image[rows], dst=sharp), soft[rows], dst=wide[rows, :width])
            cv2.add(image[rows], change, dst=result[rows])
        if number + 1 < rounds:
            delta = blur_half(wide, room)
        image = result
        results.append(image)
    return results


def xdog(image: np.ndarray, gamma: float) -> np.ndarray:
    """Lines of ``image`` (thrice sharpened): where the difference of Gaussians, relative to its maximum, is below
    -15/255.

    XDoG's soft threshold with a slope of 1e9 is this step.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    difference = cv2.GaussianBlur(grey, (0, 0), 0.6) - np.float32(gamma) * cv2.GaussianBlur(grey, (0, 0), 0.6 * 2.5)
    highest = difference.max()
    if highest <= 0:  # black all over
        return np.zeros(grey.shape, bool)
    return difference / highest < -15 / 255


def remove_outliers(lines: np.ndarray, smallest: int = 32) -> np.ndarray:
    """Without the 8-connected regions of fewer than ``smallest`` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(lines.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    keep = stats[:, cv2.CC_STAT_AREA] >= smallest
    keep[0] = False  # the background
    return keep.take(np.asarray(labels))


def dilate(lines: np.ndarray, neighbours: int = 3) -> np.ndarray:
    """Passive dilation, one pass: pixels with ``neighbours`` or more lines among their eight become line."""
    counts = cv2.boxFilter(lines.view(np.uint8), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return lines | (counts >= neighbours)  # a non-line centre adds nothing to its own count


def line_map(image: np.ndarray, gamma: float) -> np.ndarray:
    """(H, W) bool of a thrice sharpened image: XDoG, outlier filter, passive dilation."""
    return dilate(remove_outliers(xdog(image, gamma)))


def enhance(image: np.ndarray, gamma: float = 0.975, base: str = "sharpened") -> Lines:
    """(H, W, 3) uint8 or float RGB in 0..255 -> its pseudo-GT and what it is made of.

    Lines come from the thrice sharpened image, the rest from the once sharpened one (``base="sharpened"``, the public
    code) or from the image itself (``base="plain"``, the paper's Eq. 3).

    Raises:
        ArgumentError: another shape, base or gamma.
    """
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ArgumentError(f"image: shape {image.shape} is not accepted; accepted: (H, W, 3)")
    if base not in BASES:
        raise ArgumentError(f"base: {base!r} is not accepted; accepted: {', '.join(BASES)}")
    if not 0 < gamma < 1:
        raise ArgumentError(f"gamma: {gamma!r} is not accepted; accepted: above 0, below 1")
    once, _, thrice = sharpen(image if image.dtype == np.uint8 else np.asarray(image, np.float32))
    lines = line_map(thrice, gamma)
    result = to_levels(once) if base == "sharpened" else to_levels(image)
    cv2.copyTo(to_levels(thrice), lines.view(np.uint8), result)
    return Lines(once, thrice, lines, result)


def to_levels(image: np.ndarray) -> np.ndarray:
    """A new uint8 array of ``image`` in 0..255, rounded and clamped."""
    # cv2.add takes a scalar too, which its stub does not say.
    return image.copy() if image.dtype == np.uint8 else cv2.add(np.asarray(image, np.float32), 0, dtype=cv2.CV_8U)  # type: ignore[call-overload]
