"""Blur: one kernel on one image, by whichever of several equal ways is cheapest: the library's two, or three of
OpenCV's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from .compiled import Compiled, steps
from .resize import to_float

__all__ = ["blur", "blur_direct", "blur_passes", "blur_reference", "factors", "trim"]

TOLERANCE = 1e-3
"""Share of a kernel's sum that trimming may drop, and of its absolute sum that the factors may leave: a quarter of a
level each at worst.
"""
DIRECT = 130
"""Taps from which OpenCV's ``filter2D`` goes by way of the Fourier transform."""
STRIP = 128
"""Rows worked on at a time."""


def trim(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``kernel`` with the smallest taps set to zero, as many as ``TOLERANCE`` allows, cut to the box of the rest (sides
    stay odd); and what ``kernel`` has in that box. Both of sum 1 again.
    """
    sizes = np.abs(kernel).ravel()
    order = np.argsort(sizes)
    less = kernel.copy()
    less.ravel()[order[np.cumsum(sizes[order]) <= TOLERANCE * abs(kernel.sum())]] = 0
    rows, columns = (np.flatnonzero(less.any(axis)) for axis in (1, 0))
    y, x = min(rows[0], len(less) - 1 - rows[-1]), min(columns[0], len(less) - 1 - columns[-1])
    box = np.s_[y : len(less) - y, x : len(less) - x]
    return less[box] / less.sum(), kernel[box] / kernel[box].sum()


def factors(kernel: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(column, row) pairs whose outer products add up to ``kernel`` within ``TOLERANCE`` of its absolute sum, few of
    them.

    ``kernel`` is symmetric about its centre. Then what is even in both axes and what is odd in both can be factored
    apart, into vectors that are even or odd to the last bit: OpenCV filters with those in half the multiplications.
    """
    pairs = []
    twice = [
        np.append(np.full(size // 2, math.sqrt(2)), 1) for size in kernel.shape
    ]  # a half stands for two, but its middle
    for sign in (1, -1):
        part = (kernel + sign * kernel[::-1])[: len(twice[0]), : len(twice[1])] / 2
        u, s, v = np.linalg.svd(part * np.outer(*twice))
        u, v = u / twice[0][:, None], v.T / twice[1][:, None]
        u, v = (np.concatenate([half[:-1], half[-1:] * (sign == 1), sign * half[-2::-1]]) for half in (u, v))
        pairs += [(s[n], u[:, n] * s[n], v[:, n]) for n in range(len(s)) if s[n] > 1e-9 * s[0]]
    pairs.sort(key=lambda pair: -pair[0])
    left, limit, result = kernel, TOLERANCE * np.abs(kernel).sum(), []
    for _, column, row in pairs:
        result.append((column, row))
        left = left - np.outer(column, row)
        if np.abs(left).sum() <= limit:
            break
    return result


def _columns(rows: np.ndarray) -> slice:
    """From the first to the last column of ``rows`` that is not zero."""
    used = np.flatnonzero(rows.any(0))
    return slice(used[0], used[-1] + 1) if used.size else slice(0, 1)


def bands(kernel: np.ndarray) -> list[tuple[slice, slice]]:
    """Rows of ``kernel`` after rows, with the columns that are not zero there, in pieces of less than ``DIRECT``
    taps.
    """
    pieces, top = [], 0
    while top < len(kernel):
        bottom = top + 1
        while bottom < len(kernel):
            columns = _columns(kernel[top : bottom + 1])
            if (bottom + 1 - top) * (columns.stop - columns.start) >= DIRECT:
                break
            bottom += 1
        pieces.append((slice(top, bottom), _columns(kernel[top:bottom])))
        top = bottom
    return pieces


def blur_reference(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(H, W, 3) float -> the same: the definition, with borders reflected about the outermost pixels."""
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def in_strips(image: np.ndarray, reach: int, work: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """``work`` on (H, W, 3) in strips of rows that stay in the processor's cache: float32 of the same shape.

    ``work`` filters what it sees with reflected borders and looks at most ``reach`` rows up and down.
    """
    height, result = image.shape[0], np.empty(image.shape, np.float32)
    for top in range(0, height, STRIP):
        first, bottom = max(top - reach, 0), min(top + STRIP, height)
        result[top:bottom] = work(image[first : min(bottom + reach, height)])[top - first : bottom - first]
    return result


def _direct(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    image = to_float(image) if image.dtype == np.uint8 else image
    if kernel.size < DIRECT:
        return blur_reference(image, kernel)
    (height, width), (y, x) = image.shape[:2], (kernel.shape[0] // 2, kernel.shape[1] // 2)
    wide, result = cv2.copyMakeBorder(image, y, y, x, x, cv2.BORDER_REFLECT_101), None
    for rows, columns in bands(kernel):
        seen = wide[rows.start : rows.stop - 1 + height, columns.start : columns.stop - 1 + width]
        part = cv2.filter2D(seen, -1, kernel[rows, columns], anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)[
            :height, :width
        ]
        result = part if result is None else cv2.add(result, part, dst=result)
    return np.asarray(result)


def blur_direct(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """``blur_reference`` by the taps that are not zero, without the Fourier transform; uint8 is taken as 0..1."""
    return in_strips(image, len(kernel) // 2, lambda seen: _direct(seen, kernel))


def blur_passes(image: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The sum over ``pairs`` of filtering with the column, then the row; uint8 is taken as 0..1. OpenCV's filters."""
    scale = 1 / 255 if image.dtype == np.uint8 else 1.0

    def work(seen: np.ndarray) -> np.ndarray:
        result = None
        for column, row in pairs:
            part = cv2.sepFilter2D(seen, cv2.CV_32F, row * scale, column, borderType=cv2.BORDER_REFLECT_101)
            result = part if result is None else cv2.add(result, part, dst=result)
        return np.asarray(result)

    return work(image) if len(pairs) == 1 else in_strips(image, len(pairs[0][0]) // 2, work)


def _compiled(
    library: Compiled, image: np.ndarray, sparse: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """By passes or by taps. The costs are milliseconds of 720p on one core."""
    columns, rows = (np.array(vectors, np.float32) for vectors in zip(*pairs))
    if len(pairs) * (0.05 * (columns.shape[1] + rows.shape[1]) + 0.4) + 1 < 0.055 * np.count_nonzero(sparse) + 1.5:
        return library.passes(image, columns, rows)
    return library.taps(image, np.ascontiguousarray(sparse, np.float32))


def blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """``blur_reference`` of (H, W, 3) float, or uint8 taken as 0..1, within half a level of 255 at worst (in practice a
    tenth).

    Whichever is cheapest of passes of rows and columns, the taps that weigh something one by one, and, without the
    library, OpenCV's way by the Fourier transform. The costs are milliseconds of 720p on one core.
    """
    sparse, box = trim(kernel)
    pairs = factors(box)
    library = steps()
    if library is not None:
        return _compiled(library, image, sparse, pairs)
    costs = {
        "passes": len(pairs) * (0.09 * sum(box.shape) + 1.3),
        "taps": 0.1 * np.count_nonzero(sparse) + 2,
        "transform": 33.0,
    }
    if sparse.size >= DIRECT:
        costs["taps"] += 1.5 + 2 * len(bands(sparse))
    way = min(costs, key=costs.__getitem__)
    if way == "passes":
        return blur_passes(image, pairs)
    if way == "taps":
        return blur_direct(image, sparse)
    return blur_reference(to_float(image) if image.dtype == np.uint8 else image, kernel)
