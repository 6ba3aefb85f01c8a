"""Which tiles a frame is made of: those of the plan where all moves, parts of them where it holds still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..picture.tiles import Tile
from .pyramid import Pyramid
from .results import Signatures

if TYPE_CHECKING:
    from ..engine.frame import Frame

__all__ = ["MotionDivision"]


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
