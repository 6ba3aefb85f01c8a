"""64-bit signatures of the 8x8 blocks of a frame, made in one pass over the source's own planes.

They say where two frames differ and under which key a tile's input is looked for. Equal samples have equal signatures.
The reverse is very likely but not certain: whoever needs certainty compares the samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..picture.colour import MARGIN, Format
from ..picture.tiles import Span, Tile

BLOCK = 8
_CONSTANTS = np.random.default_rng(0x41504953).integers(0, 2**63, (4, BLOCK, 8), dtype=np.uint64) * 2 + 1
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Signature:
    """Of one frame; both grids are (ceil(height / 8), ceil(width / 8)) uint64."""

    full: np.ndarray
    """The planes that have as many samples as the frame has pixels."""
    chroma: np.ndarray | None
    """The subsampled planes; None if there are none."""
    halo: tuple[int, int]
    """(vertical, horizontal) blocks beyond a tile that its subsampled planes reach into."""

    def key(self, tile: Tile) -> bytes:
        """Of everything that :func:`vsapisr.picture.planes.read_tile` reads for ``tile``, and perhaps a little more."""
        key = self.full[blocks(tile.y), blocks(tile.x)].tobytes()
        if self.chroma is not None:
            key += self.chroma[blocks(tile.y, self.halo[0]), blocks(tile.x, self.halo[1])].tobytes()
        return key

    def changed(self, other: Signature) -> np.ndarray:
        """Boolean grid: where a tile that reads the block would see that ``other`` differs."""
        changed = self.full != other.full
        if self.chroma is not None:
            changed |= dilated(self.chroma != other.chroma, self.halo)
        return changed


def blocks(span: Span, halo: int = 0) -> slice:
    return slice(max(span.start // BLOCK - halo, 0), -(-span.stop // BLOCK) + halo)


def dilated(grid: np.ndarray, halo: tuple[int, int]) -> np.ndarray:
    """True wherever something within ``halo`` (rows, columns) is."""
    for axis, reach in enumerate(halo):
        out = grid.copy()
        for shift in range(1, reach + 1):
            fore, back = [slice(None)] * 2, [slice(None)] * 2
            fore[axis], back[axis] = slice(shift, None), slice(None, -shift)
            out[tuple(fore)] |= grid[tuple(back)]
            out[tuple(back)] |= grid[tuple(fore)]
        grid = out
    return grid


def signature(planes: list[np.ndarray], format: Format) -> Signature:
    """Of the samples of a frame, (height, width) each; rows may lie apart, samples of a row may not."""
    grids: dict[bool, np.ndarray] = {}
    for number, plane in enumerate(planes):
        down, right = format.subsampling(number)
        grid = plane_signature(plane, BLOCK >> down, BLOCK >> right, _CONSTANTS[number])
        small = bool(down or right)
        grids[small] = grids[small] + grid if small in grids else grid
    down, right = (-(-(MARGIN << shift) // BLOCK) if shift else 0 for shift in format.subsampling(1))
    return Signature(grids[False], grids.get(True), (down, right))


def plane_signature(plane: np.ndarray, rows: int, columns: int, constants: np.ndarray) -> np.ndarray:
    """One uint64 for each block of ``rows`` x ``columns`` samples; those beyond the edge count as 0.

    Each word is mixed, multiplied by an odd number of its place and added up, all modulo 2**64.
    """
    x = plane_words(plane, columns) ^ constants[-1, -1]
    x *= _MULTIPLIER
    x ^= x >> np.uint64(32)
    per_block = x.shape[1] // -(-plane.shape[1] // columns)
    factors = np.tile(constants[:rows, :per_block], (-(-x.shape[0] // rows), 1))[: x.shape[0]]
    x = x.reshape(*x.shape[:1], -1, per_block)
    x *= factors[:, None]
    if per_block > 1:
        x = x.sum(axis=2, keepdims=True, dtype=np.uint64)
    return np.add.reduceat(x[..., 0], np.arange(0, x.shape[0], rows), axis=0)


def plane_words(plane: np.ndarray, columns: int) -> np.ndarray:
    """The rows as whole words, so that a block of ``columns`` samples is one or several: (height, words) unsigned."""
    height, width = plane.shape
    if rest := width % columns:
        whole = np.zeros((height, width - rest + columns), plane.dtype)
        whole[:, :width] = plane
        plane = whole
    word = min(columns * plane.itemsize, 8)
    words = plane.view(f"u{word}")
    return words if word == 8 else words.astype(np.uint64)
