"""Plan of tiles for a frame: which part the network sees and which part of its result is kept. Pure integers.

Origins, sizes and cuts are multiples of 8, or of what the network asks for, so that the network's windows in a tile
are those of the whole frame and cuts fall between whole chroma samples. All tiles of a plan have one size once padded
to the window; they are spread evenly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

from ..config import WINDOW


@dataclass(frozen=True)
class Span:
    """One axis of a tile, in source pixels: the network sees [start, stop), [keep_start, keep_stop) is kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


@dataclass(frozen=True)
class Tile:
    y: Span
    x: Span

    @property
    def kept(self) -> int:
        """Pixels."""
        return (self.y.keep_stop - self.y.keep_start) * (self.x.keep_stop - self.x.keep_start)


def padded(length: int, multiple: int = WINDOW) -> int:
    """The next multiple."""
    return -(-length // multiple) * multiple


def spans(length: int, tile: int, overlap: int, multiple: int = WINDOW) -> tuple[Span, ...]:
    """Spans that cover ``length`` pixels with tiles of ``tile``, ``overlap`` seen beyond each cut (or more).

    ``tile`` and ``overlap`` are multiples of ``multiple`` and tile > 2 overlap unless one tile is enough.
    """
    total = padded(length, multiple)
    if tile >= total:
        return (Span(0, length, 0, length),)
    count = -(-(total - 2 * overlap) // (tile - 2 * overlap))
    starts = [i * ((total - tile) // multiple) // (count - 1) * multiple for i in range(count)]
    cuts = [(after + before + tile) // 2 // multiple * multiple for before, after in pairwise(starts)]
    edges = [0, *cuts, length]
    return tuple(Span(s, min(s + tile, length), a, b) for s, a, b in zip(starts, edges, edges[1:]))


def plan(width: int, height: int, tile: tuple[int, int], overlap: int, multiple: int = WINDOW) -> tuple[Tile, ...]:
    """Tiles of a ``width`` x ``height`` frame in reading order; ``tile`` is (width, height)."""
    rows, columns = spans(height, tile[1], overlap, multiple), spans(width, tile[0], overlap, multiple)
    return tuple(Tile(y, x) for y, x in product(rows, columns))


def automatic(width: int, height: int, pixels: int, overlap: int, multiple: int = WINDOW) -> tuple[int, int]:
    """The (width, height) of tiles of at most ``pixels`` pixels that make the network see the fewest pixels in all.

    The whole frame when it fits. ``pixels`` is raised to what one tile with something kept needs.
    """
    pixels = max(pixels, (2 * overlap + multiple) ** 2)

    def sides(length: int) -> list[tuple[int, int]]:
        """(tile, count) for one tile, two tiles, ... until they keep a single window each."""
        total = padded(length, multiple)
        found: list[tuple[int, int]] = []
        for count in range(1, max(total // multiple, 1) + 1):
            side = padded(-(-(total + 2 * overlap * (count - 1)) // count), multiple)
            if side <= 2 * overlap and count > 1:
                break
            if not found or side < found[-1][0]:
                found.append((side, len(spans(length, side, overlap, multiple))))
        return found

    options = product(sides(width), sides(height))
    fitting = [(w * h * m * n, m * n, w, h) for (w, m), (h, n) in options if w * h <= pixels]
    return min(fitting)[2:]
