"""Hair in clumps: behind the head, and in front with shade, highlight band and strands."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .curves import Points, bezier, join, mirror, pts, smooth
from .face import turned
from .look import Look, Pose

__all__ = ["bangs_edge", "draw_back_hair", "draw_front_hair"]

_SKULL = pts((0.0, -1.55), (0.52, -1.46), (0.95, -1.12), (1.19, -0.55), (1.23, 0.0))


def _swayed(points: Points, sway: float) -> Points:
    """Wind: the further down, the more it moves."""
    p = np.array(points, dtype=np.float64)
    p[:, 0] += 0.16 * sway * np.clip(p[:, 1], 0.0, None) ** 1.3
    return p


def draw_back_hair(canvas: Canvas, look: Look, pose: Pose) -> None:
    """The mass behind head and neck, in the shade."""
    half = np.asarray(look.back)
    right, left = _zigzag(half), mirror(_zigzag(half * (0.98, 1.02)))[::-1]
    shape = _swayed(join(right, left), pose.sway)
    canvas.fill(shape, look.hair_shade)
    light = join(smooth(half[:6] + (-0.02, 0.0)), smooth(half[:6] * (0.86, 1.0))[::-1])
    canvas.fill(_swayed(mirror(light), pose.sway), look.hair, clip=shape)
    canvas.outline(shape, 0.022, look.hair_line)
    for x, top, bottom in ((0.95, 0.9, 2.7), (1.18, 0.5, 2.2), (-0.98, 0.7, 2.6), (-1.2, 0.6, 2.0), (0.7, 1.6, 3.0)):
        if bottom < np.max(half[:, 1]):
            strand = bezier((x, top), (x * 1.03, (top + bottom) / 2), (x * 1.13, bottom))
            canvas.stroke(_swayed(strand, pose.sway), 0.022, look.hair_line)


def _zigzag(half: np.ndarray) -> Points:
    """Smooth down the outside, then pointed clumps: tips keep their corners, sides bend."""
    count = 7 if half[:, 1].max() > 2 else 2
    parts = [smooth(half[:count])]
    for i in range(count - 1, len(half) - 1):
        a, b = half[i], half[i + 1]
        bend = (0.0, 0.16) if b[1] > a[1] else (0.03, -0.10)
        parts.append(bezier(a, (a + b) / 2 + np.array(bend), b, 8))
    return join(*parts)


def _clumps(look: Look) -> list[tuple[Points, Points, Points]]:
    """Each clump of the bangs as (left edge down, right edge up, shade on its right side)."""
    clumps, notch = [], np.asarray(look.first_notch)
    for tip, after, lean in look.bangs:
        tip, after = np.asarray(tip), np.asarray(after)
        drop = tip[1] - notch[1]
        left = bezier(notch, (notch[0] - 0.02 + 0.2 * lean, notch[1] + 0.62 * drop), tip)
        right = bezier(tip, (after[0] + 0.02 + 0.6 * lean, after[1] + 0.66 * (tip[1] - after[1])), after)
        middle = bezier(
            (0.35 * notch + 0.65 * after) + (0, 0.02), (0.42 * notch[0] + 0.58 * after[0], after[1] + 0.6 * drop), tip
        )
        clumps.append((left, right, join(middle, right)))
        notch = after
    return clumps


def bangs_edge(look: Look, pose: Pose) -> Points:
    """Lower edge of the bangs from left to right."""
    return turned(join(*(join(left, right) for left, right, _ in _clumps(look))), pose.turn)


def draw_front_hair(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Cap, bangs and side locks: fill, shade, highlight, lines."""
    tip = np.asarray(look.lock_tip)
    last = np.asarray(look.bangs[-1][1])
    outer = join(
        smooth(join(_SKULL, pts((1.20, 0.35 * tip[1])))), bezier((1.20, 0.35 * tip[1]), (1.16, 0.8 * tip[1]), tip)
    )
    inner = bezier(tip, (0.84, 0.55 * tip[1]), last)
    first = np.asarray(look.first_notch)
    left_inner = mirror(bezier(tip, (0.84, 0.55 * tip[1]), first * (-1, 1)))[::-1]
    clumps = _clumps(look)
    edge = turned(join(*(join(a, b) for a, b, _ in clumps)), pose.turn)
    right, left = (
        _swayed(join(outer, inner), 0.4 * pose.sway),
        _swayed(join(left_inner, mirror(outer)[::-1]), 0.4 * pose.sway),
    )
    right[-1], left[0] = edge[-1], edge[0]
    shape = join(left[::1], right[: len(outer)], right[len(outer) :], edge[::-1])
    for tuft in look.tufts:
        _tuft(canvas, look, tuft)
    canvas.fill(shape, look.hair)
    _shade(canvas, look, pose, clumps, right, left, shape)
    _highlight(canvas, look, pose, shape)
    canvas.outline(shape, 0.025, look.hair_line)
    for tuft in look.tufts:
        _tuft(canvas, look, tuft, root=True)
    _strands(canvas, look, pose)


def _tuft(canvas: Canvas, look: Look, tuft, root: bool = False) -> None:
    """A clump that stands out from the cap; with ``root`` only what opens the cap's line where it grows out."""
    a, tip, b = (np.asarray(v, dtype=np.float64) for v in tuft)
    out = 0.5 * (a + b) * 0.12
    shape = join(bezier(a, 0.5 * (a + tip) + out, tip), bezier(tip, 0.45 * (b + tip) + 0.1 * b, b))
    if root:
        canvas.fill(
            0.97 * shape + 0.03 * tip,
            look.hair,
            clip=np.vstack([a * 0.9, a, 0.6 * a + 0.4 * tip, 0.6 * b + 0.4 * tip, b, b * 0.9]),
        )
        return
    canvas.fill(shape, look.hair)
    canvas.fill(join(bezier(0.4 * a + 0.6 * b, 0.5 * (b + tip), tip), pts(b)), look.hair_shade, clip=shape)
    canvas.outline(shape, 0.025, look.hair_line)


def _shade(canvas: Canvas, look: Look, pose: Pose, clumps, right: Points, left: Points, shape: Points) -> None:
    for _, _, dark in clumps:
        canvas.fill(turned(dark, pose.turn), look.hair_shade, clip=shape)
    for lock, k in ((right, 0.86), (left, 0.94)):
        below = lock[lock[:, 1] > -0.45 + 0.5 * np.abs(lock[:, 0])]
        canvas.fill(below * (k, 1.0) + (0.0, 0.02), look.hair_shade, clip=shape)
    rim = join(smooth(_SKULL * (1.02, 1.0)), smooth(_SKULL * (0.90, 0.96) + (-0.03, 0.1))[::-1])
    canvas.fill(rim, look.hair_shade, clip=shape)


def _highlight(canvas: Canvas, look: Look, pose: Pose, shape: Points) -> None:
    """The shining band: arcs with jagged edges, broken where the hair parts."""
    for x0, x1, thick in ((-0.86, -0.26, 0.20), (-0.18, 0.10, 0.13), (0.20, 0.66, 0.16)):
        x = np.linspace(x0, x1, 9)
        fade = np.sin(np.pi * (x - x0) / (x1 - x0)) ** 0.5
        base = -0.93 + 0.34 * x**2
        jag = np.where(np.arange(9) % 2, 1.0, 0.25)
        top = np.stack([x, base - thick * 0.5 * fade * jag[::-1]], axis=1)
        bottom = np.stack([x, base + thick * fade * jag], axis=1)[::-1]
        canvas.fill(turned(join(top, bottom), pose.turn), look.hair_light, clip=shape)


def _strands(canvas: Canvas, look: Look, pose: Pose) -> None:
    notches = [look.first_notch] + [after for _, after, _ in look.bangs]
    for i, (x, y) in enumerate(notches):
        long = 0.55 if i % 2 else 0.32
        end = (x * (1 - 0.55 * long) + 0.02, y - long * 1.25)
        line = bezier((x, y), (x * 1.04, y - 0.6 * long), end)
        canvas.stroke(turned(line, pose.turn), 0.023, look.hair_line, "end")
    for x, width in ((-0.1, 0.03), (0.08, 0.022), (0.22, 0.02)):
        crown = bezier((0.03 + 0.1 * x, -1.5), (x, -1.3), (x * 1.6, -1.02))
        canvas.stroke(turned(crown, pose.turn), width, look.hair_line, "end")
    for side in (-1.0, 1.0):
        tip = np.asarray(look.lock_tip) * (side, 1.0)
        lock = bezier((1.03 * side, -0.15), (1.06 * side, 0.4 * tip[1]), tip + (0.04 * side, -0.25 * tip[1]))
        canvas.stroke(_swayed(lock, 0.4 * pose.sway), 0.020, look.hair_line)
