"""Frames of a clip: an :class:`~vsapisr.engine.upscaler.Upscaler` with the parts that know other frames.

The cache takes over tiles, the division makes small tiles where a clip holds still, the holder holds blocks that
differ by noise alone. The way of a frame through them is told in :mod:`vsapisr.engine.upscaler`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch

from ..config import UpscaleConfig
from ..engine.engine import Engine
from ..engine.frame import Conversion, Frame
from ..engine.memory import free_memory
from ..engine.upscaler import Results, Upscaler
from ..picture.colour import Colour, Format
from .cache import TileCache
from .division import MotionDivision, SegmentDivision
from .hold import Holder
from .results import CachedResults, Signatures

__all__ = ["ClipUpscaler"]

CACHE_SHARE = 8  # the cache may take this part of the free memory
FRAMES = 24  # and at most as much as so many enlarged frames


class ClipUpscaler:
    """Enlarges the frames of a clip of ``frames`` frames.

    With automatic tile sizes the tiles of a frame depend on its neighbours; with given ones they are always the same.
    Either way they are the same with ``reuse`` 0 and 1, so the pixels are.

    Args:
        results: makes another source of results from the engine, such as one that only counts.

    Raises:
        VsapisrError: see :class:`~vsapisr.engine.upscaler.Upscaler`.
    """

    def __init__(
        self,
        config: UpscaleConfig,
        width: int,
        height: int,
        source: Format,
        target: Format,
        frames: int,
        results: Callable[[Engine, Signatures], Results] | None = None,
    ):
        self.config, self.source, self.target = config, source, target
        self.width, self.height, self.frames = width, height, frames
        self.divides = not any(config.tile)
        self.signatures = Signatures(source)
        self.cache: TileCache | None = None
        self.holder = None
        if config.reuse == 2:
            self.holder = Holder(source, config.threshold, config.interval, frames, frame_bytes(source, width, height))

        def cached(engine: Engine) -> Results:
            if results:
                return results(engine, self.signatures)
            if not config.reuse:
                return engine
            self.cache = TileCache(cache_budget(config, target, width, height, engine.scale))
            return CachedResults(engine, self.cache, self.signatures)

        def motion(overlap: int, multiple: int) -> MotionDivision:
            kind = SegmentDivision if self.holder else MotionDivision
            return kind(width, height, overlap, multiple, self.signatures)

        self.upscaler = Upscaler(config, width, height, source, target, cached, motion if self.divides else None)
        self.scale = self.upscaler.scale

    def needs(self, n: int) -> list[int]:
        """The source frames that frame ``n`` is made from."""
        if self.holder:
            return list(self.holder.segment(n))  # neighbours beyond it are not looked at: it would be two segments
        first, last = (max(n - 1, 0), min(n + 1, self.frames - 1)) if self.divides else (n, n)
        return list(range(first, last + 1))

    @property
    def looks_around(self) -> bool:
        """Frames are made from more than the one source frame of their number."""
        return self.divides or self.holder is not None

    @property
    def window(self) -> int:
        """Source frames that are asked for so often that they have to stay at hand; 0 if neighbours are all."""
        return 2 * self.holder.interval if self.holder else 0

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
        used = [m for m in (n - 1, n, n + 1) if m in frames] if self.divides else [n]
        if self.holder is not None:
            used = list(self.holder.segment(n)) if self.divides else [n]
            with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity differ from everything: not held
                frames = {m: self.holder.get(m, frames, properties) for m in used}
        conversion = Conversion(self.source, colour, self.target, out_colour)
        around = {m: frames[m] for m in used if m != n}
        return self.upscaler.render(Frame(frames[n], conversion, n, around), out)

    def close(self) -> None:
        self.upscaler.close()
        if self.cache is not None:
            self.cache.clear()


def cache_budget(config: UpscaleConfig, target: Format, width: int, height: int, scale: int) -> int:
    """Bytes for tiles of a ``width`` x ``height`` source that have been computed."""
    if config.cache is not None:
        return config.cache << 20
    enlarged = frame_bytes(target, width * scale, height * scale)
    return min(free_memory(torch.device("cpu")) // CACHE_SHARE, FRAMES * enlarged)


def frame_bytes(format: Format, width: int, height: int) -> int:
    """Of all planes of a frame."""
    shifts = map(format.subsampling, range(format.planes))
    return sum((width >> right) * (height >> down) * format.dtype.itemsize for down, right in shifts)
