"""``reuse=2``: blocks of the source that hardly changed are held, so that their tiles have not changed at all.

A block takes the samples of an anchor, an earlier block at its place in the same segment, while it differs from it by
noise
alone: by at most the threshold in each sample, and by a quarter of it in the mean. Else it is the next anchor. It may
return to any of the last few anchors (A-B-C-A). Blocks are compared with the anchor, never with the frame before, so
nothing drifts. Segments begin anew at I-frames, at scene changes and every few frames: what a frame becomes depends on
the frames since then, and on nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from ..picture.colour import Format
from .cache import Recent
from .signature import BLOCK

ANCHORS = 4
"""Kept of each block."""
GROUPS = 4
"""Stretches of frames between two fixed beginnings that are kept, where frames are small."""
BYTES = 512 << 20
"""Of held frames, above which fewer stretches are kept; two at least, as requests straddle a beginning."""
DRIFT = 0.25
"""How far the mean of a block may move, as a part of the threshold."""

Planes = list[np.ndarray]


class Held:
    """The blocks of a clip as they are held, frame after frame."""

    def __init__(self, format: Format, threshold: float):
        """``threshold`` in steps of 8 bit."""
        self.format = format
        self.unit = 1 / 255 if format.sample_type else float(1 << (format.bits_per_sample - 8))
        self.limit = threshold * self.unit
        self.anchors: list[Planes] = []
        """The anchors of every block, the one that is shown first; planes padded to whole blocks."""
        self.valid: list[np.ndarray] = []
        """Which of them exist, as grids of blocks."""
        self.shown: Planes = []

    def step(self, planes: Planes, restart: bool) -> Planes:
        """The next frame as it is held; not to be written to. ``restart`` forgets all anchors."""
        now = [padded(plane, *self.block(number)) for number, plane in enumerate(planes)]
        if restart or not self.anchors:
            rows, columns = self.block(0)
            grid = now[0].shape[0] // rows, now[0].shape[1] // columns
            self.anchors = [now] + [[plane.copy() for plane in now] for _ in range(ANCHORS - 1)]
            self.valid = [np.full(grid, not k) for k in range(ANCHORS)]
            changed = True
        else:
            changed = self.update(now)
        if changed:
            self.shown = [
                anchor[: plane.shape[0], : plane.shape[1]].copy() for anchor, plane in zip(self.anchors[0], planes)
            ]
        return self.shown

    def block(self, plane: int) -> tuple[int, int]:
        """(rows, columns) of samples."""
        down, right = self.format.subsampling(plane)
        return BLOCK >> down, BLOCK >> right

    def blocks(self, planes: Planes) -> list[np.ndarray]:
        """Views (rows of blocks, columns of blocks, rows, columns)."""
        found = []
        for number, plane in enumerate(planes):
            rows, columns = self.block(number)
            whole = plane.reshape(plane.shape[0] // rows, rows, plane.shape[1] // columns, columns)
            found.append(whole.transpose(0, 2, 1, 3))
        return found

    def update(self, now: Planes) -> bool:
        """Choose the anchor of every block; whether any is another than before."""
        fresh, anchors = self.blocks(now), [self.blocks(planes) for planes in self.anchors]
        rest = ~self.equal(now, self.anchors[0])
        if not rest.any():
            return False
        rest[rest] = ~self.near([plane[rest] for plane in fresh], [plane[rest] for plane in anchors[0]])
        changed = bool(rest.any())
        for valid, anchor in zip(self.valid[1:], anchors[1:]):
            asked = rest & valid
            if not asked.any():
                continue
            back = asked.copy()
            back[asked] = self.near([plane[asked] for plane in fresh], [plane[asked] for plane in anchor])
            for shown, other in zip(anchors[0], anchor):
                shown[back], other[back] = other[back], shown[back]
            rest &= ~back
        for k in range(ANCHORS - 1, 0, -1):
            for older, newer in zip(anchors[k], anchors[k - 1]):
                older[rest] = newer[rest]
            self.valid[k][rest] = self.valid[k - 1][rest]
        for shown, plane in zip(anchors[0], fresh):
            shown[rest] = plane[rest]
        return changed

    def equal(self, a: Planes, b: Planes) -> np.ndarray:
        """Grid of the blocks that are equal bit for bit: most of them, as a rule."""
        same = np.ones(self.valid[0].shape, bool)
        for number, (x, y) in enumerate(zip(a, b)):
            rows, columns = self.block(number)
            different = (x.view(f"u{x.itemsize}") != y.view(f"u{y.itemsize}")).view(np.uint8)
            lines = np.bitwise_or.reduce(different.reshape(-1, rows, x.shape[1]), axis=1)
            words = lines.view(f"u{columns}")
            same &= words == 0
        return same

    def near(self, a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
        """Which of N blocks differ by noise alone; planes are (N, rows, columns)."""
        close = np.ones(a[0].shape[0], bool)
        for x, y in zip(a, b):
            kind = np.float32 if self.format.sample_type else np.int32
            difference = (x.astype(kind) - y.astype(kind)).reshape(x.shape[0], -1)
            size = np.abs(difference)
            close &= size.max(axis=1) <= self.limit
            # A fade or a slow pan over a gradient moves most samples one way; a codec's noise a few, or both ways.
            close &= np.abs(difference.sum(axis=1)) <= self.limit * DRIFT * difference.shape[1]
        return close


def padded(plane: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A copy with whole blocks of ``rows`` x ``columns``, the edge repeated."""
    below, beside = -plane.shape[0] % rows, -plane.shape[1] % columns
    return np.pad(plane, ((0, below), (0, beside)), mode="edge") if below or beside else plane.copy()


class Group:
    """Frames from one fixed beginning on, as far as they have been seen."""

    def __init__(self, held: Held, first: int):
        self.first, self.lock = first, threading.Lock()
        self.held: Held | None = held
        """None when all frames have been seen: its anchors are four frames."""
        self.frames: list[Planes] = []


class Holder:
    """Any frame of a clip, of ``frame_bytes`` each, as it is held."""

    def __init__(self, format: Format, threshold: float, interval: int, frame_bytes: int):
        self.format, self.threshold, self.interval = format, threshold, interval
        self.groups: Recent[Group] = Recent(min(max(BYTES // (interval * frame_bytes), 2), GROUPS))

    def first(self, n: int) -> int:
        """The first of the frames that frame ``n`` may take blocks from."""
        return n // self.interval * self.interval

    def get(self, n: int, source: Mapping[int, Planes], properties: Mapping[int, Mapping[str, object]]) -> Planes:
        """Frame ``n``; ``source`` and ``properties`` have it and all since ``first``."""
        first = self.first(n)
        group = self.groups.get(first, lambda: Group(Held(self.format, self.threshold), first))
        with group.lock:
            while len(group.frames) <= n - first:
                m = first + len(group.frames)
                said = properties.get(m, {})
                restart = said.get("_PictType") == b"I" or bool(said.get("_SceneChangePrev"))
                assert group.held is not None
                group.frames.append(group.held.step(source[m], restart))
                if len(group.frames) == self.interval:
                    group.held = None
            return group.frames[n - first]
