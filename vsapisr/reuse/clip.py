"""Frames of a clip through an engine: which tiles a frame is made of, and which of them have been computed before."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from concurrent.futures import Future
from types import MappingProxyType

import numpy as np
import torch

from ..config import UpscaleConfig
from ..engine.memory import free_memory
from ..engine.upscaler import SCALE, Upscaler
from ..picture.colour import Colour, Format
from ..picture.planes import views
from ..picture.tiles import Tile
from .cache import Recent, TileCache
from .hold import Holder
from .pyramid import Pyramid
from .signature import Signature, signature

SIGNATURES = 96
"""Frames whose signatures are kept: more than a core has requests under way; 8 bytes for 64 pixels."""
SHARE = 8  # the cache may take this part of the free memory
FRAMES = 24  # and at most as much as so many enlarged frames


class ClipUpscaler(Upscaler):
    """An :class:`~vsapisr.engine.upscaler.Upscaler` for the frames of a clip of ``frames`` frames.

    With automatic tile sizes the tiles of a frame depend on its neighbours, see :mod:`vsapisr.reuse.pyramid`; with
    given ones they are always the same. Either way they are the same with ``reuse`` 0 and 1, so the pixels are.
    """

    def __init__(self, config: UpscaleConfig, width: int, height: int, source: Format, target: Format, frames: int):
        super().__init__(config, width, height, source, target)
        self.frames, self.divides = frames, not any(config.tile)
        self.signatures: Recent[Signature] = Recent(SIGNATURES)
        self.cache = TileCache(self.budget()) if config.reuse else None
        self.holder = None
        if config.reuse == 2:
            self.holder = Holder(source, config.threshold, config.interval, frame_bytes(source, width, height))
        self.pyramid = self.new_pyramid(self.plan)

    def budget(self) -> int:
        """Bytes for tiles that have been computed."""
        if self.config.cache is not None:
            return self.config.cache << 20
        enlarged = frame_bytes(self.target, self.width * SCALE, self.height * SCALE)
        return min(free_memory(torch.device("cpu")) // SHARE, FRAMES * enlarged)

    def new_pyramid(self, plan: tuple[Tile, ...]) -> tuple[tuple[Tile, ...], Pyramid | None]:
        """With the plan that it belongs to."""
        return plan, Pyramid(self.width, self.height, plan, self.config.overlap) if self.divides else None

    def needs(self, n: int) -> list[int]:
        """The source frames that frame ``n`` is made from."""
        first, last = (max(n - 1, 0), min(n + 1, self.frames - 1)) if self.divides else (n, n)
        return list(range(self.holder.first(first) if self.holder else first, last + 1))

    @property
    def looks_around(self) -> bool:
        """Frames are made from more than the one source frame of their number."""
        return self.divides or self.holder is not None

    @property
    def window(self) -> int:
        """Source frames that are asked for so often that they have to stay at hand; 0 if neighbours are all."""
        return self.holder.interval + 2 if self.holder else 0

    def signature(self, n: int, planes: list[np.ndarray]) -> Signature:
        return self.signatures.get(n, lambda: signature(planes, self.source))

    def tiles(self, plan: tuple[Tile, ...], n: int, frames: Mapping[int, list[np.ndarray]]) -> tuple[Tile, ...]:
        """Those of frame ``n``, whatever the cache holds."""
        if not self.divides:
            return plan
        known, pyramid = self.pyramid
        if known is not plan:
            known, pyramid = self.pyramid = self.new_pyramid(plan)
        here, *others = (self.signature(m, frames[m]) if m in frames else None for m in (n, n - 1, n + 1))
        return pyramid.choose(*(other and here.changed(other) for other in others))

    def frame(
        self,
        n: int,
        frames: Mapping[int, list[np.ndarray]],
        colour: Colour,
        out: list[np.ndarray],
        out_colour: Colour,
        properties: Mapping[int, Mapping[str, object]] = MappingProxyType({}),
    ) -> float:
        """Fill ``out`` with frame ``n``, made from what ``needs`` named; the share of it that was taken over.

        ``properties`` of the same frames say where segments begin.
        """
        if self.holder is not None:
            used = [m for m in (n - 1, n, n + 1) if m in frames] if self.divides else [n]
            frames = {m: self.holder.get(m, frames, properties) for m in used}
        planes = frames[n]

        def work(plan: tuple[Tile, ...]) -> float:
            taken = 0

            def start(tile: Tile) -> Future:
                nonlocal taken
                result, old = self.result(n, tile, planes, colour, out_colour)
                taken += old * kept(tile)
                return result

            self.run(self.tiles(plan, n, frames), start, out)
            return taken / (self.width * self.height)

        return self.in_memory(work)

    def result(
        self, n: int, tile: Tile, planes: list[np.ndarray], colour: Colour, out_colour: Colour
    ) -> tuple[Future, bool]:
        """The enlarged tile, and whether it was taken over."""
        if self.cache is None:
            return self.start(self.job(tile, planes, colour, out_colour)), False

        def compute() -> tuple[Future, object]:
            job = self.job(tile, planes, colour, out_colour)
            return job.result, lambda: self.start(job)

        return self.cache.get(self.key(n, tile, planes, colour, out_colour), views(planes, self.source, tile), compute)

    def key(self, n: int, tile: Tile, planes: list[np.ndarray], colour: Colour, out_colour: Colour) -> Hashable:
        """Equal for tiles that are to be looked at as one."""
        y, x = tile.y, tile.x
        place = (
            y.stop - y.start,
            y.keep_start - y.start,
            y.keep_stop - y.start,
            x.stop - x.start,
            x.keep_start - x.start,
            x.keep_stop - x.start,
        )
        edges = (y.start == 0, y.stop == self.height, x.start == 0, x.stop == self.width)
        return self.signature(n, planes).key(tile), place, edges, colour, out_colour

    def close(self) -> None:
        super().close()
        if self.cache is not None:
            self.cache.clear()


def frame_bytes(format: Format, width: int, height: int) -> int:
    """Of all planes of a frame."""
    shifts = map(format.subsampling, range(format.planes))
    return sum((width >> right) * (height >> down) * format.dtype.itemsize for down, right in shifts)


def kept(tile: Tile) -> int:
    """Pixels."""
    return (tile.y.keep_stop - tile.y.keep_start) * (tile.x.keep_stop - tile.x.keep_start)
