"""What is shown for a stretch: the mean of its frames.

The mean is nearer to the drawing than its frames are: its squared error is at most the mean of theirs, and where their
noise is independent, that divided by their number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..picture.colour import Format
from . import native
from .grids import padded
from .signature import BLOCK

__all__ = ["averaged", "means"]

Planes = list[np.ndarray]


def means(frames: Sequence[Planes], stretches: np.ndarray, counted: np.ndarray, format: Format) -> list[Planes]:
    """The frames as they are held; see :class:`.stretches.Analysis`. No memory of ``frames`` is kept."""
    names = stretches.reshape(len(frames), -1)
    counts = weights(names, counted.reshape(names.shape))
    planes = []
    for number in range(format.planes):
        down, right = format.subsampling(number)
        rows, columns = BLOCK >> down, BLOCK >> right
        source = [frame[number] for frame in frames]
        if (made := native.means(source, names, counts, rows, columns)) is not None:
            planes.append(made)
            continue
        blocks = [in_blocks(padded(plane, rows, columns), rows, columns) for plane in source]
        hold(blocks, names, counts)
        height, width = source[0].shape
        across = -(-width // columns)
        planes.append([in_plane(held, rows, columns, across)[:height, :width] for held in blocks])
    return [list(frame) for frame in zip(*planes)]


def averaged(
    frames: Sequence[np.ndarray], stretches: np.ndarray, counted: np.ndarray, side: tuple[int, int]
) -> list[np.ndarray]:
    """The same for float planes of whole blocks with ``side`` (rows, columns) of samples each."""
    names = stretches.reshape(len(frames), -1)
    counts = weights(names, counted.reshape(names.shape))
    if (made := native.means(frames, names, counts, *side)) is not None:
        return made
    blocks = [in_blocks(frame, *side) for frame in frames]
    hold(blocks, names, counts)
    return [in_plane(held, *side, stretches.shape[2]) for held in blocks]


def weights(names: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(frames, blocks) bool: whether a block counts for the mean of its stretch; all do if none should."""
    counts = counted.copy()
    if not counted.all():
        for name in range(len(names)):
            inside = names == name
            counts |= inside & ~(inside & counted).any(0)
    return counts


def hold(blocks: list[np.ndarray], names: np.ndarray, counted: np.ndarray) -> None:
    """In place: the blocks (N, samples) of each frame become the means of their stretches."""
    whole = blocks[0].dtype.kind != "f"
    for name in range(len(blocks)):
        inside = names[name:] == name  # the first frame keeps its samples, if it was away from the second's stretch
        held = np.flatnonzero(inside.sum(0) > 1)
        if not len(held):
            continue
        inside = inside[:, held]
        weighs = counted[name:, held] & inside
        total = np.zeros((len(held), blocks[0].shape[1]), np.uint32 if whole else np.float64)
        for block, weight in zip(blocks[name:], weighs):
            if weight.all():
                total += block[held]
            elif weight.any():
                total[weight] += block[held[weight]]
        number = weighs.sum(0, dtype=total.dtype)[:, None]
        mean = ((total + number // 2) // number if whole else total / number).astype(blocks[0].dtype)
        for block, here in zip(blocks[name:], inside):
            if here.all():
                block[held] = mean
            elif here.any():
                block[held[here]] = mean[here]


def in_blocks(plane: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(blocks, samples of one): a copy."""
    height, width = plane.shape
    parts = plane.reshape(height // rows, rows, width // columns, columns).transpose(0, 2, 1, 3)
    return np.array(parts, order="C").reshape(-1, rows * columns)


def in_plane(blocks: np.ndarray, rows: int, columns: int, across: int) -> np.ndarray:
    """(height, width) again."""
    parts = blocks.reshape(-1, across, rows, columns).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(parts).reshape(-1, across * columns)
