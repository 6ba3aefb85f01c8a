"""``reuse=2``: the source is held still where its drawing does not change, so that tiles there do not change at all.

Frames are looked at in segments of ``interval``, all of one at once: which frames show one drawing at a place
(:mod:`.stretches`) is told from many of them, and each then shows the mean of all (:mod:`.means`). Segments begin at
fixed frames, so what a frame becomes depends on the frames of its segment and on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..picture.colour import Format
from .cache import Recent
from .means import means
from .stretches import analysed

__all__ = ["Holder", "held"]

SEGMENTS = 4
"""That are kept, where frames are small."""
BYTES = 512 << 20
"""Of held frames, above which fewer segments are kept; two at least, as requests straddle a beginning."""

Planes = list[np.ndarray]


class Holder:
    """Any of the ``frames`` frames of a clip, of ``frame_bytes`` each, as it is held."""

    def __init__(self, format: Format, threshold: float, interval: int, frames: int, frame_bytes: int):
        self.format, self.threshold, self.interval, self.frames = format, threshold, interval, frames
        self.segments: Recent[list[Planes]] = Recent(min(max(BYTES // (interval * frame_bytes), 2), SEGMENTS))

    def segment(self, n: int) -> range:
        """The frames that frame ``n`` depends on."""
        first = n // self.interval * self.interval
        return range(first, min(first + self.interval, self.frames))

    def get(self, n: int, source: Mapping[int, Planes], properties: Mapping[int, Mapping[str, object]]) -> Planes:
        """Frame ``n``, not to be written to; ``source`` and ``properties`` have its segment."""
        segment = self.segment(n)

        def make() -> list[Planes]:
            cuts = [bool(properties.get(m, {}).get("_SceneChangePrev")) for m in segment]
            return held([source[m] for m in segment], self.format, self.threshold, cuts)

        return self.segments.get(segment.start, make)[n - segment.start]


def held(frames: list[Planes], format: Format, threshold: float, cuts: list[bool] | None = None) -> list[Planes]:
    """The frames of a segment as they are held; see ``UpscaleConfig.threshold``. ``cuts``: those that begin a shot."""
    if threshold == 0:
        return [[plane.copy() for plane in planes] for planes in frames]
    found = analysed(frames, format, threshold, cuts or [False] * len(frames))
    return means(frames, found.stretches, found.counted, format)
