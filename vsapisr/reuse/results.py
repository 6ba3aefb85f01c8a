"""Results of tiles behind a cache: one that was computed before is taken over."""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from torch import Tensor

from ..picture.colour import Format
from ..picture.planes import views
from ..picture.tiles import Tile
from .cache import Recent, TileCache
from .signature import Signature, signature

if TYPE_CHECKING:
    from ..engine.frame import Frame, Planes
    from ..engine.upscaler import Results

__all__ = ["CachedResults", "Signatures", "key_of"]

SIGNATURES = 96
"""Frames whose signatures are kept: more than a core has requests under way; 8 bytes for 64 pixels."""


class Signatures:
    """Of the frames of a clip, made once for each."""

    def __init__(self, source: Format):
        self.source = source
        self.recent: Recent[Signature] = Recent(SIGNATURES)

    def get(self, number: int, planes: Planes) -> Signature:
        return self.recent.get(number, lambda: signature(planes, self.source))


class CachedResults:
    """A :class:`~vsapisr.engine.upscaler.Results` that asks ``others`` for what ``cache`` does not have."""

    def __init__(self, others: Results, cache: TileCache, signatures: Signatures):
        self.others, self.cache, self.signatures = others, cache, signatures

    def get(self, frame: Frame, tile: Tile) -> tuple[Future[list[Tensor]], bool]:
        samples = views(frame.planes, frame.conversion.source, tile)
        return self.cache.get(key_of(frame, tile, self.signatures), samples, lambda: self.others.get(frame, tile)[0])

    def give_back(self) -> int:
        return self.cache.give_back() + self.others.give_back()


def key_of(frame: Frame, tile: Tile, signatures: Signatures) -> Hashable:
    """Equal for tiles that are to be looked at as one."""
    y, x = tile.y, tile.x
    height, width = frame.planes[0].shape
    place = (
        y.stop - y.start,
        y.keep_start - y.start,
        y.keep_stop - y.start,
        x.stop - x.start,
        x.keep_start - x.start,
        x.keep_stop - x.start,
    )
    edges = (y.start == 0, y.stop == height, x.start == 0, x.stop == width)
    return signatures.get(frame.number, frame.planes).key(tile), place, edges, frame.conversion
