"""Small pictures in which noise is told from drawing: means of 2x2 samples of each plane, in levels of 8 bit, and what
8x8 blocks of source pixels hold of them.

Everything is float32 made by element-wise operations in a fixed order, so that every machine finds the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..picture.colour import RGB, Format
from . import native
from .signature import BLOCK

__all__ = ["blockwise", "box", "fine", "gradients", "mean_of", "order", "padded", "per_block", "spread", "statistics"]

Fold = Callable[..., np.ndarray]


def order(format: Format) -> tuple[int, ...]:
    """The planes, the one that shows most first: luma, or green."""
    return (1, 0, 2) if format.color_family == RGB else tuple(range(format.planes))


def per_block(format: Format, plane: int) -> tuple[int, int]:
    """(rows, columns) of 2x2 means in a block."""
    down, right = format.subsampling(plane)
    return (BLOCK >> down) // 2, (BLOCK >> right) // 2


def padded(plane: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """With whole blocks of ``rows`` x ``columns``, the edge repeated; the plane itself if it has them."""
    below, beside = -plane.shape[0] % rows, -plane.shape[1] % columns
    return np.pad(plane, ((0, below), (0, beside)), mode="edge") if below or beside else plane


def fine(plane: np.ndarray, format: Format, number: int) -> np.ndarray:
    """Means of 2x2 samples of (height, width), in levels of 8 bit: float32, whole blocks."""
    down, right = format.subsampling(number)
    plane = padded(plane, BLOCK >> down, BLOCK >> right)
    if format.sample_type:
        plane, unit = plane.astype(np.float32), 1 / 255
    else:
        plane, unit = plane.astype(np.uint16 if plane.itemsize == 1 else np.uint32), 1 << (format.bits_per_sample - 8)
    rows = plane[::2] + plane[1::2]
    return (rows[:, ::2] + rows[:, 1::2]).astype(np.float32) * np.float32(0.25 / unit)


def fold(values: np.ndarray, count: int, axis: int, how: Fold) -> np.ndarray:
    """Every ``count`` neighbours along one of the last two axes made one."""
    if count == 1:
        return values
    parts = [values[..., k::count, :] if axis == 0 else values[..., k::count] for k in range(count)]
    found = how(parts[0], parts[1])
    for part in parts[2:]:
        how(found, part, out=found)
    return found


def blockwise(values: np.ndarray, rows: int, columns: int, how: Fold = np.add) -> np.ndarray:
    """Sums, or largest values, of every ``rows`` x ``columns``."""
    return fold(fold(values, rows, 0, how), columns, 1, how)


def mean_of(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return blockwise(values, rows, columns) * np.float32(1 / (rows * columns))


def statistics(difference: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a plane of 2x2 means with ``rows`` x ``columns`` of them a block, for each block: the largest size of one, the
    largest size of a mean of 2x2 of them, and the mean of all.
    """
    largest = blockwise(np.abs(difference), rows, columns, np.maximum)
    down, right = min(rows, 2), min(columns, 2)
    means = mean_of(difference, down, right)
    rows, columns = rows // down, columns // right
    return largest, blockwise(np.abs(means), rows, columns, np.maximum), mean_of(means, rows, columns)


def spread(grid: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Each value of a grid of blocks ``rows`` x ``columns`` times."""
    wide = np.repeat(grid, columns, axis=1) if columns > 1 else grid
    return np.repeat(wide, rows, axis=0) if rows > 1 else wide


def box(grids: np.ndarray, reach: int) -> np.ndarray:
    """Sums of all within ``reach`` along both of the last axes; nothing beyond the edge."""
    if (made := native.box(grids, reach)) is not None:
        return made
    *more, height, width = grids.shape
    tall = np.zeros((*more, height + 2 * reach, width), grids.dtype)
    tall[..., reach : reach + height, :] = grids
    wide = np.zeros((*more, height, width + 2 * reach), grids.dtype)
    rows = wide[..., reach : reach + width]
    for k in range(2 * reach + 1):
        rows += tall[..., k : k + height, :]
    found = wide[..., :width].copy()
    for k in range(1, 2 * reach + 1):
        found += wide[..., k : k + width]
    return found


def gradients(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per step to the right and down; 0 at the edges."""
    if (found := native.gradients(values)) is not None:
        return found
    right, down = np.zeros_like(values), np.zeros_like(values)
    np.subtract(values[:, 2:], values[:, :-2], out=right[:, 1:-1])
    np.subtract(values[2:], values[:-2], out=down[1:-1])
    right *= np.float32(0.5)
    down *= np.float32(0.5)
    return right, down
