"""A frame and its tiles on their way: the samples, how they are to be understood, and how the result is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ..picture.colour import Colour, Format
from ..picture.tiles import Tile, padded

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Conversion", "Frame", "Job", "Planes"]

Planes = list[np.ndarray]


@dataclass(frozen=True)
class Conversion:
    """From the samples of a source frame to those of its result."""

    source: Format
    source_colour: Colour
    target: Format
    target_colour: Colour


@dataclass(frozen=True, eq=False)
class Frame:
    """A source frame that is to be enlarged. The planes may be lent: nothing that outlives its rendering refers to
    it."""

    planes: Planes
    conversion: Conversion
    number: int = 0
    around: Mapping[int, Planes] = MappingProxyType({})
    """The frames next to it by number, where there are any and they are wanted."""


@dataclass(eq=False)
class Job:
    """One tile for an engine: copies of its samples, and where the result will be."""

    engine: Engine
    samples: list[Tensor]
    conversion: Conversion
    tile: Tile
    result: Future[list[Tensor]] = field(default_factory=Future)

    @property
    def shape(self) -> tuple[int, int]:
        """What the network sees: (height, width), padded to what it takes."""
        unit, y, x = self.engine.descriptor.unit, self.tile.y, self.tile.x
        return padded(y.stop - y.start, unit), padded(x.stop - x.start, unit)
