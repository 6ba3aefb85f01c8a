"""Tiles within tiles: small ones where a clip holds still, large ones where all of it moves.

A tile can be taken over only as a whole, so small tiles find more that did not change; but each sees its overlap anew,
so they cost more where everything has to be computed. Which tiles a frame is made of is therefore decided by the clip:
by where the frame differs from the one before and the one after, and by nothing else, whether anything is taken over or
not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config import WINDOW
from ..picture.tiles import Span, Tile, padded
from .signature import BLOCK

CELL = 64
"""Side of what the smallest tiles keep, in source pixels; measured, see docs/reuse.md."""
GROUPS = (4, 2, 1)
"""Cells along a side of the tiles in between."""


@dataclass(frozen=True)
class Branch:
    """A tile, the cells it keeps, and what it may be divided into."""

    tile: Tile
    cells: tuple[int, ...]
    parts: tuple[Branch, ...] = ()


class Pyramid:
    """The tiles of ``plan`` and their divisions, for frames of ``width`` x ``height``."""

    def __init__(self, width: int, height: int, plan: tuple[Tile, ...], overlap: int, multiple: int = WINDOW):
        self.cells: list[Tile] = []
        self.tops = tuple(self.divided(tile, width, height, overlap, multiple) for tile in plan)
        edges = [
            [bound(t) for t in self.cells]
            for bound in (
                lambda t: t.y.start,
                lambda t: -(-t.y.stop // BLOCK) * BLOCK,
                lambda t: t.x.start,
                lambda t: -(-t.x.stop // BLOCK) * BLOCK,
            )
        ]
        self.top, self.bottom, self.left, self.right = (np.array(edge) // BLOCK for edge in edges)

    def divided(self, tile: Tile, width: int, height: int, overlap: int, multiple: int) -> Branch:
        """The tile of a plan with groups of 4x4 cells in it, and so on down to the cells."""
        rows = axis_spans(tile.y, height, overlap, multiple)
        columns = axis_spans(tile.x, width, overlap, multiple)

        def branches(level: int, y0: int, y1: int, x0: int, x1: int) -> tuple[Branch, ...]:
            """Those of GROUPS[level] that cover the cells [y0, y1) x [x0, x1)."""
            side, found = GROUPS[level], []
            for y in range(y0, y1, side):
                for x in range(x0, x1, side):
                    below, beside = min(y + side, y1), min(x + side, x1)
                    here = Tile(rows[y, below], columns[x, beside])
                    if side == 1:
                        found.append(Branch(here, (len(self.cells),)))
                        self.cells.append(here)
                        continue
                    parts = branches(level + 1, y, below, x, beside)
                    cells = tuple(cell for part in parts for cell in part.cells)
                    found.append(Branch(here, cells, parts) if len(parts) > 1 else parts[0])
            return tuple(found)

        count_y, count_x = max(y for _, y in rows), max(x for _, x in columns)
        parts = branches(0, 0, count_y, 0, count_x)
        if len(parts) == 1 and parts[0].tile == tile:
            return parts[0]
        return Branch(tile, tuple(cell for part in parts for cell in part.cells), parts)

    def touched(self, changed: np.ndarray) -> np.ndarray:
        """For each cell, whether its tile reads a block that is True in ``changed``."""
        total = np.zeros(np.add(changed.shape, 1), np.int64)
        total[1:, 1:] = changed.cumsum(0).cumsum(1)
        return (
            total[self.bottom, self.right] - total[self.top, self.right]
            > total[self.bottom, self.left] - total[self.top, self.left]
        )

    def choose(self, before: np.ndarray | None, after: np.ndarray | None) -> tuple[Tile, ...]:
        """The tiles of a frame: the largest all of whose cells are of no use to its neighbours, else cells.

        ``before`` and ``after`` are True for the blocks that differ from the frame before and after; None if there is
        none.
        """
        moving = np.ones(len(self.cells), bool)
        for changed in (before, after):
            if changed is not None:
                moving &= self.touched(changed)
        flags, chosen = moving.tolist(), []

        def visit(branch: Branch) -> None:
            if not branch.parts or all(flags[cell] for cell in branch.cells):
                chosen.append(branch.tile)
            else:
                for part in branch.parts:
                    visit(part)

        for branch in self.tops:
            visit(branch)
        return tuple(chosen)


def axis_spans(span: Span, length: int, overlap: int, multiple: int) -> dict[tuple[int, int], Span]:
    """{(first cell, one after the last): Span} of all aligned groups of cells along one axis of a tile.

    Cells are cut evenly at multiples of ``multiple``. Spans of as many cells have one length, so that few shapes go
    through the network; at the frame's edge they see more on the other side.
    """
    steps = (padded(span.keep_stop, multiple) - span.keep_start) // multiple
    count = -(-steps * multiple // max(CELL, multiple))
    edges = [span.keep_start + i * steps // count * multiple for i in range(count)] + [span.keep_stop]
    spans: dict[tuple[int, int], Span] = {}
    for side in GROUPS:
        groups = [(first, min(first + side, count)) for first in range(0, count, side)]
        longest: dict[int, int] = {}
        for first, last in groups:
            longest[last - first] = max(
                longest.get(last - first, 0), padded(edges[last], multiple) - edges[first] + 2 * overlap
            )
        for first, last in groups:
            size = min(longest[last - first], padded(length, multiple))
            start = max(min(edges[first] - overlap, padded(length, multiple) - size), 0)
            spans[first, last] = Span(start, min(start + size, length), edges[first], edges[last])
    return spans
