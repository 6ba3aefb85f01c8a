"""Which tiles a frame is made of: those of the plan where all moves, parts of them where it holds still."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..picture.tiles import Tile
from .cache import Recent
from .pyramid import Branch, Pyramid
from .results import Signatures

if TYPE_CHECKING:
    from ..engine.frame import Frame, Planes

__all__ = ["MotionDivision", "SegmentDivision"]

SEGMENTS = 8
"""Whose divisions are kept; they are small."""
EXTRA = 256
"""Pixels that a tile costs besides its own."""


class MotionDivision:
    """By where a frame differs from its neighbours, see :mod:`vsapisr.reuse.pyramid`; whatever a cache holds."""

    def __init__(self, width: int, height: int, overlap: int, multiple: int, signatures: Signatures):
        self.size, self.overlap, self.multiple = (width, height), overlap, multiple
        self.signatures = signatures
        self.known: tuple[tuple[Tile, ...], Pyramid] | None = None
        """The last plan and what it can be divided into."""

    def pyramid(self, plan: tuple[Tile, ...]) -> Pyramid:
        known = self.known
        if known is None or known[0] is not plan:
            known = self.known = plan, Pyramid(*self.size, plan, self.overlap, self.multiple)
        return known[1]

    def tiles(self, plan: tuple[Tile, ...], frame: Frame) -> tuple[Tile, ...]:
        here = self.signatures.get(frame.number, frame.planes)
        changed = [
            here.changed(self.signatures.get(n, frame.around[n])) if n in frame.around else None
            for n in (frame.number - 1, frame.number + 1)
        ]
        return self.pyramid(plan).choose(*changed)


class SegmentDivision(MotionDivision):
    """Of all frames of a segment at once, so that the network computes the fewest pixels in them: a tile is computed
    once for each of the different things that it shows.
    """

    def __init__(self, width: int, height: int, overlap: int, multiple: int, signatures: Signatures):
        super().__init__(width, height, overlap, multiple, signatures)
        self.recent: Recent[tuple[Tile, ...]] = Recent(SEGMENTS)

    def tiles(self, plan: tuple[Tile, ...], frame: Frame) -> tuple[Tile, ...]:
        """``frame.around`` has the other frames of the segment."""
        segment = {**frame.around, frame.number: frame.planes}
        return self.recent.get((plan, min(segment)), lambda: self.cheapest(plan, segment))

    def cheapest(self, plan: tuple[Tile, ...], segment: Mapping[int, Planes]) -> tuple[Tile, ...]:
        seen = [self.signatures.get(n, segment[n]) for n in sorted(segment)]

        def best(branch: Branch) -> tuple[int, tuple[Tile, ...]]:
            tile = branch.tile
            area = (tile.y.stop - tile.y.start) * (tile.x.stop - tile.x.start)
            whole = (area + EXTRA) * len({signature.key(tile) for signature in seen})
            if not branch.parts:
                return whole, (tile,)
            parts = [best(part) for part in branch.parts]
            divided = sum(cost for cost, _ in parts)
            return (divided, tuple(t for _, tiles in parts for t in tiles)) if divided < whole else (whole, (tile,))

        return tuple(tile for branch in self.pyramid(plan).tops for tile in best(branch)[1])
