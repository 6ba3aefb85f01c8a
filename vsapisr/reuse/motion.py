"""What moves, and what only weaves: displacements by the method of Lucas and Kanade (1981), least squares of a
difference against the picture's gradient.

A difference that a shift explains is a line that moved; noise is explained by no shift. Pictures here are means of 4x4
source pixels; displacements are in source pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from . import native
from .grids import blockwise, box, gradients

__all__ = ["PITCH", "Products", "gradual", "moving", "resampled", "wander"]

PITCH = 4
"""Source pixels from one value to the next."""
SIDE = 2
"""Values along a side of a block."""
REACH = 2
"""Blocks around one that move together with it."""
AROUND, OFTEN, LEAST = 4, 3, 0.3
"""Of so many steps around a frame, how many have to move, and by how many pixels in all."""
WITHIN, SURROUNDED, CAMERA = 3, 0.4, 0.6
"""What has such a share of moving blocks within so many around it, moves too; with such a share all of a frame does."""
ALIKE, NEXT = 0.4, 0.2
"""How alike changes that go on are, as correlations: the first and the third of three in a row, and neighbours, which
noise makes unlike."""
PAN = 0.3
"""Pixels that a camera has to move by in a shot's frames, at least two steps of five of them."""
EXPLAINED = 0.3
"""Of the energy of a difference, that a shift has to explain before it counts as motion."""
NEAR, SHARE, FAR, TREND = 0.08, 0.3, 0.9, 0.15
"""Weave, in pixels: so near one place such a share of a shot's frames have to be, so far from it any may be, and so far
the shot may go."""
BRIGHTER, FADE = 1.2, 0.45
"""Flicker, in levels: by how much any frame may differ, and the last third from the first."""
STRAIGHT = 0.5
"""Of the way that frames go, how much has to be left in the end for a shot to go somewhere."""


class Products:
    """Sums over the blocks of a difference ``d`` and of the gradient ``x``, ``y`` of a picture that it is about."""

    def __init__(self, picture: np.ndarray, difference: np.ndarray):
        found = native.products(picture, difference)
        if found is None:
            (x, y), d = gradients(picture), difference
            found = blockwise(np.stack([x * x, x * y, y * y, x * d, y * d, d * d, x, y, d]), SIDE, SIDE)
        self.all = found
        """Of the products xx, xy, yy, xd, yd, dd, and of x, y and d: (9, rows, columns)."""
        self.sums = found[:6]

    def shift(self, reach: int, weight: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """For each block, of all within ``reach`` that have a ``weight``: the shift along x and y that explains the
        difference best, how much of its energy it explains, and all of that.
        """
        around = box(self.sums if weight is None else self.sums * weight, reach)
        if (made := native.shift(around, PITCH)) is not None:
            return tuple(made)
        xx, xy, yy, xd, yd, dd = around
        xx, yy = xx + 4, yy + 4
        area = xx * yy - xy * xy
        right, down = (yy * xd - xy * yd) / area, (xx * yd - xy * xd) / area
        return right * PITCH, down * PITCH, xd * right + yd * down, dd


def moving(pictures: Sequence[np.ndarray], cuts: Sequence[bool]) -> tuple[np.ndarray, list[np.ndarray]]:
    """(frames, rows, columns) bool: blocks in the midst of motion, and for each step those that seem to move.

    In the midst of motion are those that three of the four steps around a frame move one way. A drawing that is held
    for two frames is not, whatever it does between; one that weaves goes back.
    """
    rights, downs, seen = [], [], []
    for before, after in pairwise(pictures):
        right, down, explained, energy = Products((before + after) * np.float32(0.5), after - before).shift(REACH)
        count = SIDE**2 * (2 * REACH + 1) ** 2
        moves = (explained > EXPLAINED * energy) & (energy > 0.01 * count) & (right**2 + down**2 > 0.08**2)
        rights.append(right * moves)
        downs.append(down * moves)
        seen.append(moves)
    frames = len(pictures)
    found = np.zeros((frames, pictures[0].shape[0] // SIDE, pictures[0].shape[1] // SIDE), bool)
    for n in range(frames):
        first = max(min(n - 2, frames - 1 - AROUND), 0)
        steps = [k for k in range(first, min(first + AROUND, frames - 1)) if not cuts[k + 1]]
        if len(steps) < OFTEN:
            continue
        often = sum(seen[k].astype(np.int8) for k in steps)
        way = np.hypot(sum(rights[k] for k in steps), sum(downs[k] for k in steps))
        length = sum(np.hypot(rights[k], downs[k]) for k in steps)
        found[n] = (often >= OFTEN) & (way >= np.maximum(0.7 * length, LEAST))
    return np.stack([widened(here) for here in found]), seen


def gradual(pictures: Sequence[np.ndarray], bars: Sequence[np.ndarray], cuts: Sequence[bool]) -> np.ndarray:
    """(frames, rows, columns) bool: blocks in the midst of a change that goes on: a fade, a dissolve, a slow move.

    Of four means of as many frames in a row, each differs from the next one alike. Noise does not, and a drawing that
    was exchanged differs once. ``bars``: levels that count, of each block.
    """
    frames = len(pictures)
    found = np.zeros((frames, *bars[0].shape), bool)
    count = box(np.full(bars[0].shape, SIDE**2, np.float32), REACH)
    for many in sorted({min(frames // 4, 2), frames // 4} - {0}):
        sums = [np.sum(pictures[k : k + many], axis=0) for k in range(frames - many + 1)]
        for first in range(frames - 4 * many + 1):
            if any(cuts[first + 1 : first + 4 * many]):
                continue
            outer, norm, inner = alike([sums[first + k * many] for k in range(4)])
            goes_on = (outer > (many * bars[first]) ** 2 * count) & (outer > ALIKE * norm) & inner
            last = frames - 4 * many
            begin, end = (0 if first == 0 else first + 2 * many), (frames if first == last else first + 2 * many + 1)
            found[begin:end] |= goes_on
    return found


def alike(values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of four pictures in a row: for each block and those around it the product of the first and the last difference,
    what it would be if they were the same but for their size, and whether the one between is alike too."""
    one, next, last = (after - before for before, after in pairwise(values))
    pairs = ((one, last), (one, next), (next, last), (one, one), (next, next), (last, last))
    products = blockwise(np.stack([x * y for x, y in pairs]), SIDE, SIDE)
    outer, first_two, last_two, before, between, after = box(products, REACH)
    inner = (first_two > NEXT * np.sqrt(before * between)) & (last_two > NEXT * np.sqrt(between * after))
    return outer, np.sqrt(before * after), inner


def widened(found: np.ndarray) -> np.ndarray:
    """With what lies within it: a flat sky moves with its clouds. All of a frame, where the camera moves."""
    if found.mean() > CAMERA:
        return np.ones_like(found)
    side = 2 * WITHIN + 1
    return found | (box(found.astype(np.float32), WITHIN) > SURROUNDED * side**2)


def step(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float, float]:
    """How a whole picture differs from the one before: shift along x and y, offset in levels, and the size in levels
    of what is left of the differences, most blocks of it. What moves on its own is left out.
    """
    p = Products((before + after) * np.float32(0.5), after - before)
    right, down, offset, rest = native.step(p.all) or stepped(p)
    return right * PITCH, down * PITCH, offset, float(np.sqrt(rest / np.float32(SIDE**2)))


def stepped(p: Products) -> tuple[float, float, float, np.float32]:
    """Shift in values along x and y, offset, and the median of the energy that is left of a block."""
    pxx, pxy, pyy, pxd, pyd, energy, x, y, d = p.all
    right = down = offset = 0.0
    rest, weight = np.float32(0), np.ones(energy.shape, bool)
    for _ in range(4):
        sums = [float(np.cumsum(s[weight], dtype=np.float64)[-1]) for s in p.all]
        right, down, offset = solved(sums, SIDE**2 * float(weight.sum()))
        left = (
            energy + right * right * pxx + down * down * pyy + SIDE**2 * (offset * offset) + 2 * right * down * pxy
            - 2 * (right * pxd + down * pyd + offset * d - right * offset * x - down * offset * y)
        ).clip(0)  # fmt: skip
        rest = np.median(left)
        weight = left <= np.float32(4) * rest + np.float32(0.4)
    return right, down, offset, rest


def solved(sums: Sequence[float], number: float) -> tuple[float, ...]:
    """Shift along x and y and offset by the normal equations, to six decimals; ``number`` of values."""
    xx, xy, yy, xd, yd, _, x, y, d = sums
    a, f = xx + 1e-3, number + 1e-3
    below, last = xy / a, x / a
    c, e, q = yy + 1e-3 - below * xy, y - below * x, yd - below * xd
    third = e / c
    offset = (d - last * xd - third * q) / (f - last * x - third * e)
    down = (q - e * offset) / c
    right = (xd - xy * down - x * offset) / a
    return tuple(float(np.rint(value * 1e6)) / 1e6 for value in (right, down, offset))


def wander(pictures: Sequence[np.ndarray], cuts: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    """(frames, 3): by how much each picture is shifted along x and y, in pixels, and brighter, in levels, than it
    should be: the weave and flicker of a film. And (frames,) bool: those of a shot that goes somewhere, of a pan.

    Weave and flicker are there when most frames of a shot are where they belong, none is far away, and the shot goes
    nowhere. A pan and a fade give 0.
    """
    found, goes = np.zeros((len(pictures), 3)), np.zeros(len(pictures), bool)
    first, places = 0, [np.zeros(3)]
    for n in range(1, len(pictures) + 1):
        if n < len(pictures) and not cuts[n]:
            *moved, left = step(pictures[n - 1], pictures[n])
            if left <= 4 and max(abs(moved[0]), abs(moved[1])) <= 0.8:
                places.append(places[-1] + moved)
                continue
        found[first:n], goes[first:n] = back_and_forth(np.array(places))
        first, places = n, [np.zeros(3)]
    return found, goes


def back_and_forth(places: np.ndarray) -> tuple[np.ndarray, bool]:
    """What of a shot's (frames, 3) positions is weave and flicker; whether the camera moves."""
    steps = np.diff(places[:, :2], axis=0)
    way, length = steps.sum(0), np.hypot(steps[:, 0], steps[:, 1]).sum()
    far = float(np.hypot(*way))
    straight = far > STRAIGHT * length
    pan = straight and far > PAN and (steps @ way > 0.02 * far).mean() >= 0.4
    apart = np.hypot(*(places[:, None, :2] - places[None, :, :2]).transpose(2, 0, 1))
    near = (apart <= NEAR).sum(1)
    shift = places[:, :2] - places[near.argmax(), :2]
    if near.max() < SHARE * len(places) or np.hypot(*shift.T).max() > FAR or (straight and far > TREND):
        shift[:] = 0
    light = places[:, 2] - np.median(places[:, 2])
    third = max(len(light) // 3, 1)
    if np.abs(light).max() > BRIGHTER or abs(light[:third].mean() - light[-third:].mean()) > FADE:
        light[:] = 0
    return np.column_stack([shift, light]), bool(pan)


def resampled(values: np.ndarray, right: float, down: float) -> np.ndarray:
    """The values that much further along, by cubic interpolation (Keys 1981); less than 2 steps."""
    for axis, way in ((1, right), (0, down)):
        if abs(way) < 1e-4:
            continue
        whole = int(np.floor(way))
        f = way - whole
        taps = (
            ((2 - f) * f - 1) * f / 2,
            ((3 * f - 5) * f * f + 2) / 2,
            ((4 - 3 * f) * f + 1) * f / 2,
            (f - 1) * f**2 / 2,
        )
        around = np.pad(values, [(3, 3) if axis == k else (0, 0) for k in (0, 1)], mode="edge")
        begin, length = 2 + whole, values.shape[axis]
        parts = [
            around[begin + k : begin + k + length] if axis == 0 else around[:, begin + k : begin + k + length]
            for k in range(4)
        ]
        first, second, third, fourth = (np.float32(tap) * part for tap, part in zip(taps, parts))
        values = first + second + third + fourth
    return values
