"""Which frames show one drawing at a place: the stretches in which a block of 8x8 pixels is held.

A block stays in its stretch while it differs from the mean of the stretch by noise alone. It may return to an earlier
stretch (A-B-C-A). Noise is told from drawing by what means of different sizes differ by (:mod:`.noise`), and by whether
a shift explains the difference (:mod:`.motion`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..picture.colour import RGB, Format
from . import native
from .grids import blockwise, box, fine, gradients, mean_of, order, per_block, spread, statistics
from .means import averaged
from .motion import PITCH, SIDE, Products, gradual, moving, resampled, wander
from .noise import Limits, lined, noise

__all__ = ["Analysis", "analysed"]

STRETCHES = 4
"""That a block may return to."""
REGION = 2
"""Blocks around one whose means are looked at together."""
SHIFTED, EXPLAINED, STRONG, AROUND, LOOSE = 0.3, 0.25, 0.25, 1, 0.6
"""A line moved if a shift of so many pixels explains so much of the difference, and so much of what one part may differ
by, in a block and so many around it; blocks that more than a shift by the last has changed are left out."""
GRADUAL = 0.15
"""Part of what a mean of 4x4 samples may differ by, that counts as a change if it goes on."""
LAPSE, MORE = 0.5, (3.0, 1.5, 0.8)
"""A block that is back after one frame was away only if it differed by so much more than the limits are, in parts of
them and in levels: what weave and a codec's renewal bring."""
PLACED = 0.06
"""Pixels up to which a frame counts as where it belongs."""

Planes = list[np.ndarray]


@dataclass(frozen=True)
class Analysis:
    """Of successive frames."""

    stretches: np.ndarray
    """(frames, rows, columns) of blocks: the stretch each belongs to, named by the first of its frames."""
    counted: np.ndarray
    """(frames, rows, columns): the mean of a stretch is made of these, if there are any: not of what weave shifted and
    blurred."""
    noise: tuple[float, float]
    """See :func:`.noise.noise`."""
    wander: np.ndarray
    """(frames, 3), see :func:`.motion.wander`."""
    moving: np.ndarray
    """(frames, rows, columns): in the midst of motion."""


class Seen:
    """One frame as it is compared: 2x2 means of its planes, where they would be without weave and flicker."""

    def __init__(self, planes: Planes, sides: list[tuple[int, int]]):
        self.planes, self.sides = planes, sides
        self.slack = [slack(plane, *side) for plane, side in zip(planes, sides)]


def slack(plane: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(3, rows, columns) of blocks: what a shift by a pixel would change, for each of the statistics of a block."""
    if (found := native.slack(plane, rows, columns)) is not None:
        return found
    steep = np.maximum(*map(np.abs, gradients(plane))) * np.float32(0.5)
    mean = mean_of(steep, rows, columns)
    return np.stack([blockwise(steep, rows, columns, np.maximum), mean * np.float32(0.6), mean * np.float32(0.7)])


class Places:
    """The last stretches of every block, the one that it is in first."""

    def __init__(self, sides: list[tuple[int, int]], grid: tuple[int, int]):
        self.sides = sides
        shapes = [(grid[0] * rows, grid[1] * columns) for rows, columns in sides]
        self.sums = [[np.zeros(shape, np.float32) for shape in shapes] for _ in range(STRETCHES)]
        self.counts = [np.zeros(grid, np.float32) for _ in range(STRETCHES)]
        self.names = [np.zeros(grid, np.int16) for _ in range(STRETCHES)]
        self.near: list[np.ndarray] = []
        """For each frame, the blocks that are not far from the stretch that the frame before is in."""

    def add(self, n: int, frame: Seen, limits: Limits, fresh: np.ndarray) -> np.ndarray:
        """The name of the stretch of each block in frame ``n``; where ``fresh``, a new one whatever it looks like."""
        good, near = self.fits(0, frame, limits, ~fresh)
        self.near.append(near)
        rest = fresh | ~good
        for k in range(1, STRETCHES):
            asked = rest & ~fresh & (self.counts[k] > 0)
            if asked.any() and (back := asked & self.fits(k, frame, limits, asked)[0]).any():
                self.swap(k, back)
                rest &= ~back
        if rest.any():
            self.begin(n, rest)
        for total, plane in zip(self.sums[0], frame.planes):
            total += plane
        self.counts[0] += 1
        return self.names[0].copy()

    def fits(self, k: int, frame: Seen, limits: Limits, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether blocks show the drawing of stretch ``k``, and whether they may if only for a frame they do not."""
        constants = (AROUND, REGION, SHIFTED**2, EXPLAINED, STRONG, LOOSE, LAPSE, MORE, PITCH)
        made = native.fits(
            frame.planes, self.sums[k], frame.slack, self.sides, self.counts[k], limits.values, constants, asked
        )
        if made is not None:
            return made
        good = asked & (self.counts[k] > 0)
        share = 1 / np.maximum(self.counts[k], 1)
        means = [total * spread(share, *side) for total, side in zip(self.sums[k], self.sides)]
        differences = [plane - mean for plane, mean in zip(frame.planes, means)]
        found = [statistics(difference, *side) for difference, side in zip(differences, self.sides)]
        loose = good & (found[0][0] <= limits.sample + frame.slack[0][0] * LOOSE)
        shift, clear, strong = shifts(means[0], differences[0], limits, loose)
        near = good.copy()
        good &= ~(clear & strong & (shift > SHIFTED**2))
        for values, allowed in zip(found, frame.slack):
            bars = (limits.sample, limits.part, limits.block)
            for value, slack, limit, most in zip(values, allowed, bars, MORE):
                size = np.abs(value)
                good &= size <= limit + slack * limits.weave
                near &= size <= limit + np.minimum(LAPSE * limit, most) + slack * limits.weave
        for held, times in ((good, 1), (near, 1 + LAPSE)):
            around, count = box(np.stack([np.where(held, found[0][2], 0), held.astype(np.float32)]), REGION)
            held &= np.abs(around) <= times * limits.region * np.maximum(count, 1)
        return good, near

    def swap(self, k: int, where: np.ndarray) -> None:
        """Stretch ``k`` of blocks is the one that they are in."""
        for a, b, side in zip(self.sums[0], self.sums[k], self.sides):
            wide = spread(where, *side)
            a[wide], b[wide] = b[wide], a[wide]
        for lists in (self.counts, self.names):
            lists[0][where], lists[k][where] = lists[k][where], lists[0][where]

    def begin(self, n: int, where: np.ndarray) -> None:
        """Blocks are in a stretch of their own; the oldest one is forgotten."""
        for k in range(STRETCHES - 1, 0, -1):
            if not self.counts[k - 1][where].any():
                continue
            for older, newer, side in zip(self.sums[k], self.sums[k - 1], self.sides):
                np.copyto(older, newer, where=spread(where, *side))
            np.copyto(self.counts[k], self.counts[k - 1], where=where)
            np.copyto(self.names[k], self.names[k - 1], where=where)
        for total, side in zip(self.sums[0], self.sides):
            total[spread(where, *side)] = 0
        self.counts[0][where] = 0
        self.names[0][where] = n

    def forget(self) -> None:
        """All stretches, at a cut."""
        for counts in self.counts:
            counts[:] = 0


def shifts(
    mean: np.ndarray, difference: np.ndarray, limits: Limits, good: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The square of by how many pixels what is around a block is shifted, whether that explains the difference, and
    whether the difference that it explains is more than noise."""
    mean, difference = mean_of(mean, 2, 2), mean_of(difference, 2, 2)
    weight = good.astype(np.float32)
    right, down, explained, energy = Products(mean + difference * np.float32(0.5), difference).shift(AROUND, weight)
    bar = (STRONG * limits.part) ** 2 * SIDE**2
    return right**2 + down**2, explained > EXPLAINED * energy, explained > bar * box(weight, AROUND)


def analysed(frames: Sequence[Planes], format: Format, threshold: float, cuts: Sequence[bool]) -> Analysis:
    """What is held in successive frames. ``cuts`` are True for those that begin a shot, by what the source says."""
    numbers = order(format)
    sides = [per_block(format, number) for number in numbers]
    pictures = [[fine(planes[number], format, number) for number in numbers] for planes in frames]
    grid = tuple(side // many for side, many in zip(pictures[0][0].shape, sides[0]))
    broken = [unusable(planes, sides) if format.sample_type else np.zeros(grid, bool) for planes in pictures]
    small = [mean_of(planes[0], 2, 2) for planes in pictures]
    motion, moves = moving(small, cuts)
    level, (wandered, camera) = noise(small, moves, cuts), wander(small, cuts)
    motion |= camera[:, None, None]
    still = [straight(planes, away, format, numbers) for planes, away in zip(pictures, wandered)]
    limits = [Limits.of(level, lined(picture), threshold) for picture in small]
    motion |= gradual(small, [GRADUAL * each.part for each in limits], cuts)
    fresh = [here | bad for here, bad in zip(motion, broken)]
    placed = np.hypot(wandered[:, 0], wandered[:, 1]) <= PLACED
    counted = np.repeat(placed, grid[0] * grid[1]).reshape(len(frames), *grid)
    stretches = gathered(still, sides, limits, fresh, cuts, counted)
    for k, side in enumerate(sides):
        for planes, mean in zip(still, averaged([planes[k] for planes in still], stretches, counted, side)):
            planes[k] = mean
    return Analysis(gathered(still, sides, limits, fresh, cuts, counted), counted, level, wandered, motion)


def gathered(
    frames: Sequence[Planes],
    sides: list[tuple[int, int]],
    limits: Sequence[Limits],
    fresh: Sequence[np.ndarray],
    cuts: Sequence[bool],
    counted: np.ndarray,
) -> np.ndarray:
    """The stretches, (frames, rows, columns). ``counted`` is changed: it becomes False where a block was away for a
    frame by little, and was not."""
    places, names = Places(sides, counted.shape[1:]), []
    for n, planes in enumerate(frames):
        if cuts[n]:
            places.forget()
        names.append(places.add(n, Seen(planes, sides), limits[n], fresh[n]))
    stretches = np.stack(names)
    for n in range(len(frames)):
        before, after = stretches[max(n - 1, 0)], stretches[min(n + 1, len(frames) - 1)]
        if n == 0:
            lapse = (after == 1) & places.near[1] if len(frames) > 2 else np.zeros_like(fresh[0])
            before = after
        else:
            lapse = (before == after) & (stretches[n] == n) & places.near[n]
        stretches[n][lapse] = before[lapse]
        counted[n] &= ~lapse
    return stretches


def straight(planes: Planes, away: np.ndarray, format: Format, numbers: Sequence[int]) -> Planes:
    """Without weave and flicker; the latter is in the first plane, and in all of RGB's."""
    right, down, brighter = away.tolist()
    found = []
    for k, (plane, number) in enumerate(zip(planes, numbers)):
        below, beside = format.subsampling(number)
        moved = (
            resampled(plane, -right / (2 << beside), -down / (2 << below))
            if max(abs(right), abs(down)) > 0.02
            else plane
        )
        found.append(moved - np.float32(brighter) if k == 0 or format.color_family == RGB else moved)
    return found


def unusable(planes: Planes, sides: list[tuple[int, int]]) -> np.ndarray:
    """In place: values that are no numbers become 0; the blocks that have some."""
    found = None
    for plane, side in zip(planes, sides):
        bad = ~(np.abs(plane) < 1e6)
        plane[bad] = 0
        grid = blockwise(bad, *side, np.logical_or)
        found = grid if found is None else found | grid
    assert found is not None
    return found
