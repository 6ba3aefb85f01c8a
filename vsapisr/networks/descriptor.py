"""What the rest of the package has to know of a network, whatever its architecture."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..config import SCALE, WINDOW
from ..errors import ArgumentError

__all__ = ["Descriptor", "descriptor_of"]


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """Of one network. The defaults are those of the published GRL-tiny."""

    scale: int = SCALE
    """The result is so many times larger on each side: 1, 2 or 4."""
    multiple: int = WINDOW
    """Tiles begin, end and are cut at multiples of this many pixels; a multiple of 8, so that cuts fall between whole
    chroma samples and between the blocks that reuse compares."""
    overlap: int = 8
    """Source pixels that a tile sees beyond what is kept, unless the user says otherwise; a multiple of
    ``multiple``."""
    padding: int | None = None
    """The network is given multiples of this many pixels; of ``multiple`` when not given. 1: it takes any size."""
    values_per_pixel: int = 3 * 64 * 16
    """Numbers that one input pixel takes at the widest place. GRL-tiny: three maps of 64 channels at 4x4 the size."""

    @property
    def unit(self) -> int:
        """See :attr:`padding`."""
        return self.padding or self.multiple

    def result_scale(self, asked: int | None) -> int:
        """Of the result, where ``asked`` is the argument ``scale``.

        Raises:
            ArgumentError: the network does not enlarge so much.
        """
        if asked is None or asked == self.scale:
            return self.scale
        if asked > self.scale:
            if self.scale == 1:
                raise ArgumentError(f"scale must be left out with this model, which keeps the size, got {asked}")
            raise ArgumentError(f"scale must be {self.scale} with this model, which enlarges no more, got {asked}")
        return asked

    @classmethod
    def for_window(cls, window: int, **others: int) -> Descriptor:
        """Of a network whose attention works in windows of that side."""
        multiple = math.lcm(WINDOW, window)
        return cls(multiple=multiple, overlap=max(cls.overlap, multiple), **others)


def descriptor_of(network: object) -> Descriptor:
    """What ``network`` says of itself as ``descriptor``; one that says nothing is taken for GRL-tiny."""
    return getattr(network, "descriptor", Descriptor())
