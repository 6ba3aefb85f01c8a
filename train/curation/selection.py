"""Which I-frames are taken, as pure functions of what the manifest knows: no picture is decoded here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np

from .config import SelectionConfig
from .traits import Bars, distance

BAR_MARGIN = 2
"""More pixels cut where a bar is: its inner edge is blurred by scaling and chroma subsampling."""
BAR_LEAST = 0.01
"""Share of the side from which black lines count as a bar at all."""
BAR_MOST = 0.32
"""Share of the side up to which a single frame's bars are believed; night scenes have more. 4:3 in 16:9 has 0.25."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An I-frame as the manifest has it."""

    frame: int
    """Row of the manifest."""
    name: str
    """As people see it: fingerprint and packet, "1f0c93aa-00412"."""
    time: float
    score: float | None
    """None: not scored, because of the stride."""
    fault: str | None
    width: int
    height: int
    bars: Bars
    hash: int
    brightness: float
    spread: float
    credits: float


@dataclass(frozen=True, kw_only=True)
class Decision:
    frame: int
    selected: bool
    reason: str
    crop: Bars


def video_bars(frames: Iterable[Candidate], blank: float = 12.0) -> Bars:
    """Bars that hold throughout a video: the least of its frames but the lowest twentieth, dark frames left out."""
    lit = [f.bars for f in frames if f.brightness > blank and f.spread > 6]
    if not lit:
        return Bars()
    sides = np.array([(b.top, b.bottom, b.left, b.right) for b in lit])
    low = np.quantile(sides, 0.05, axis=0, method="lower")
    return Bars(top=int(low[0]), bottom=int(low[1]), left=int(low[2]), right=int(low[3]))


def pair(own: tuple[int, int], common: tuple[int, int], side: int) -> tuple[int, int]:
    """Pixels to cut at the two ends of a ``side``: the frame's own bars where they are alike, else the video's.

    Never more than what is black in this frame, but for the margin.
    """
    alike = abs(own[0] - own[1]) <= max(2, 0.01 * side) and sum(own) <= BAR_MOST * side
    cut = own if alike else (min(own[0], common[0]), min(own[1], common[1]))
    low, high = (length + BAR_MARGIN if length >= max(2, BAR_LEAST * side) else 0 for length in cut)
    return low, high


def crop_of(frame: Candidate, common: Bars) -> Bars:
    """What is cut off ``frame`` in a video with the bars ``common``."""
    top, bottom = pair((frame.bars.top, frame.bars.bottom), (common.top, common.bottom), frame.height)
    left, right = pair((frame.bars.left, frame.bars.right), (common.left, common.right), frame.width)
    return Bars(top=top, bottom=bottom, left=left, right=right)


def unsuitable(frame: Candidate, crop: Bars, config: SelectionConfig, height: int) -> str | None:
    """Why ``frame`` may not be taken whatever the others are, or None. ``height`` is that of the step prepare."""
    if frame.fault:
        return frame.fault
    if frame.score is None:
        return "not scored"
    if frame.spread < config.blank_spread:
        return f"blank (mean {frame.brightness:.0f}, deviation {frame.spread:.1f})"
    if frame.credits > config.credits:
        return f"credits (likeness {frame.credits:.2f})"
    if config.minimum_score is not None and frame.score < config.minimum_score:
        return f"too simple ({frame.score:.4g} < {config.minimum_score:g})"
    scale = height / frame.height
    width, lines = (scale * (frame.width - crop.left - crop.right), scale * (frame.height - crop.top - crop.bottom))
    if min(width, lines) < config.minimum_side:
        return f"too small without its bars ({width:.0f}x{lines:.0f} at {height} lines)"
    return None


class Drawings:
    """Hashes of the pictures taken so far."""

    def __init__(self, bits: int):
        self.bits = bits
        self.names: list[str] = []
        self.hashes = np.empty(0, np.uint64)

    def twin(self, frame: Candidate) -> str | None:
        """Name of a picture taken before that ``frame`` nearly repeats."""
        if self.bits < 0 or not self.names:
            return None
        bits = distance(frame.hash, self.hashes)
        nearest = int(bits.argmin())
        return self.names[nearest] if bits[nearest] <= self.bits else None

    def put(self, name: str, value: int) -> None:
        self.names.append(name)
        self.hashes = np.append(self.hashes, np.uint64(value))

    def add(self, frame: Candidate) -> None:
        self.put(frame.name, frame.hash)


def quotas(frames: list[Candidate], config: SelectionConfig, duration: float) -> list[tuple[list[Candidate], int]]:
    """Groups of frames and how many of each are taken: one of the whole video, or the parts of equal duration."""
    if config.method == "topk":
        return [(frames, config.topk)]
    count = config.per_partition_long if duration > 60 * config.long_minutes else config.per_partition
    length = max([duration, *(f.time for f in frames)]) / config.partitions or 1.0
    parts: list[list[Candidate]] = [[] for _ in range(config.partitions)]
    for frame in frames:
        parts[min(config.partitions - 1, max(0, int(frame.time / length)))].append(frame)
    return [(part, count) for part in parts]


def select(
    frames: list[Candidate],
    config: SelectionConfig,
    *,
    duration: float,
    height: int = 720,
    struck: Set[str] = frozenset(),
    taken: Drawings | None = None,
) -> list[Decision]:
    """A decision for every I-frame of one video, in the order given.

    Best score first, in each group; near-duplicates of what is taken already are passed over.

    Args:
        duration: seconds.
        height: lines of the step prepare.
        struck: names that a person struck out.
        taken: pictures of other videos; those taken here are added.
    """
    taken = Drawings(config.duplicate_bits) if taken is None else taken
    common = video_bars(frames)
    decisions: dict[int, Decision] = {}
    for group, quota in quotas(frames, config, duration):
        for frame in sorted(group, key=lambda f: (-(f.score if f.score is not None else -np.inf), f.time)):
            crop = crop_of(frame, common) if config.letterbox else Bars()
            by_hand = frame.name in struck
            reason = unsuitable(frame, crop, config, height)
            if reason is None and (twin := taken.twin(frame)):
                reason = f"near-duplicate of {twin}"
            if reason is None and quota <= 0:
                reason = "not among the best"
            if reason is None:
                # one struck out keeps its place unless refilled, and its like does not come back in its stead
                taken.add(frame)
                quota -= not (by_hand and config.refill)
            reason = "struck out" if by_hand else reason
            decisions[frame.frame] = Decision(
                frame=frame.frame, selected=reason is None, reason=reason or "selected", crop=crop
            )
    return [decisions[frame.frame] for frame in frames]


def strike_lines(text: str) -> dict[str, int]:
    """Names in a strike.txt -> line numbers; ``#`` begins a comment, blank lines are nothing."""
    names: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for name in line.split("#")[0].replace(",", " ").split():
            names.setdefault(name, number)
    return names


def expand(names: Iterable[str], known: Iterable[str]) -> tuple[set[str], set[str]]:
    """(frames struck out, names that mean none): "1f0c93aa" or "1f0c93aa-*" means the whole video. The name of a file
    does as well: "ep01.1f0c93aa-00412.png" of a picture, "sheets/ep01.1f0c93aa.png" of a video's contact sheet.
    """
    known = set(known)
    struck: set[str] = set()
    lost: set[str] = set()
    for name in names:
        short = re.split(r"[./\\]", name.removesuffix(".png"))[-1]
        one = {short} & known or {k for k in known if k.split("-")[0] == short.removesuffix("-*")}
        struck |= one
        if not one:
            lost.add(name)
    return struck, lost
