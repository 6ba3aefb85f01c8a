"""Face: skin, shade, eyes, brows, nose, mouth."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Gradient
from .curves import Points, bezier, ellipse, join, mirror, pts, smooth
from .look import Look, Pose

__all__ = ["FACE", "draw_brows", "draw_eye_lines", "draw_face", "turned"]

_CHEEK = pts((1.0, -0.45), (1.03, -0.05), (1.0, 0.32), (0.92, 0.66), (0.70, 0.96), (0.36, 1.20), (0.09, 1.31))
FACE = smooth(join(_CHEEK, mirror(_CHEEK)[::-1], pts((-0.9, -0.9), (0.0, -1.2), (0.9, -0.9))), closed=True)
_LID = pts((-0.30, 0.07), (-0.22, -0.13), (-0.05, -0.27), (0.12, -0.28), (0.26, -0.14), (0.325, 0.07))
_LOWER = pts((0.325, 0.07), (0.27, 0.24), (0.08, 0.315), (-0.14, 0.275), (-0.26, 0.17), (-0.30, 0.07))
EYE = (0.47, 0.36)
DARK = (34, 22, 34)


def turned(points: Points, turn: float, depth: float = 0.17) -> Points:
    """Move what lies on the front of the head as it turns; the middle moves most, the rim hardly."""
    p = np.array(points, dtype=np.float64)
    p[:, 0] += turn * depth * np.sqrt(np.clip(1.15 - p[:, 0] ** 2, 0.0, None))
    return p


def draw_face(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Skin, shade, eyes, nose and mouth, without what lies over the bangs."""
    for ear in (pts((0.98, 0.02), (1.13, 0.0), (1.16, 0.22), (1.06, 0.5), (0.97, 0.52)),):
        for side in (ear, mirror(ear)):
            shape = smooth(side, closed=True)
            canvas.fill(shape, look.skin_shade)
            canvas.outline(shape, 0.019, look.line)
    face = turned(FACE, pose.turn, 0.05)
    canvas.fill(face, look.skin)
    canvas.outline(face, 0.021, look.line)
    inside = np.asarray(face) * 0.985
    # The light comes from the upper left: shade along the right cheek, and under the hair.
    crescent = join(
        smooth(pts((1.1, -0.5), (1.1, 0.4), (0.72, 1.05), (0.1, 1.4))),
        smooth(pts((0.25, 1.22), (0.66, 0.88), (0.83, 0.4), (0.86, -0.4))),
    )
    canvas.fill(turned(crescent, pose.turn, 0.08), look.skin_shade, clip=inside)
    for x in (-0.62, 0.62):
        blush = turned(ellipse((x, 0.70), (0.21, 0.10)), pose.turn)
        canvas.fill(blush, (246, 150, 146), clip=inside, alpha=0.34)
        for k in (-0.08, 0.0, 0.08):
            line = turned(pts((x + k + 0.03, 0.655), (x + k - 0.03, 0.745)), pose.turn)
            canvas.stroke(line, 0.022, (226, 116, 118), alpha=0.8)
    for side in (-1.0, 1.0):
        _eye(canvas, look, pose, side)
    nose = turned(bezier((0.03, 0.66), (0.075, 0.74), (0.0, 0.765)), pose.turn, 0.25)
    canvas.fill(turned(pts((0.035, 0.66), (0.12, 0.765), (0.0, 0.775)), pose.turn, 0.25), look.skin_shade)
    canvas.stroke(nose, 0.03, look.line, "start")
    _mouth(canvas, look, pose)


def _eye(canvas: Canvas, look: Look, pose: Pose, side: float) -> None:
    if pose.eyes < 0.15:
        return
    shape = turned(_eye_shape(look, pose, side), pose.turn)
    canvas.fill(shape, (252, 252, 255))
    x, y = EYE[0] * side + 0.045 * pose.look, EYE[1] + 0.03
    k = look.eye_size
    iris = turned(ellipse((x, y), (0.20 * k, 0.285 * k)), pose.turn)
    top, bottom, rim = look.iris
    canvas.fill(iris, tuple(c // 2 for c in top), clip=shape)
    inner = turned(ellipse((x, y), (0.178 * k, 0.262 * k)), pose.turn)
    canvas.fill(inner, Gradient(top, bottom, y - 0.2 * k, y + 0.16 * k), clip=shape)
    glow = turned(ellipse((x, y + 0.17 * k), (0.125 * k, 0.075 * k)), pose.turn)
    canvas.fill(glow, rim, clip=shape, alpha=0.75)
    canvas.fill(turned(ellipse((x, y + 0.005), (0.085 * k, 0.135 * k)), pose.turn), DARK, clip=shape)
    # The upper lid throws a shade over white and iris.
    lid = _lid(look, pose, side)
    shade = join(lid, (lid + (0.0, 0.105))[::-1])
    canvas.fill(turned(shade, pose.turn), (86, 70, 120), clip=shape, alpha=0.45)
    canvas.fill(turned(ellipse((x - 0.085, y - 0.125 * k), (0.072, 0.088)), pose.turn), (255, 255, 255), clip=shape)
    canvas.fill(turned(ellipse((x + 0.085, y + 0.13 * k), (0.036, 0.044)), pose.turn), (255, 255, 255), clip=shape)


def _lid(look: Look, pose: Pose, side: float) -> Points:
    """Edge of the upper lid from the inner to the outer corner, lowered as far as the eye is shut."""
    p = _LID * look.eye_size
    low = 0.20 - 0.9 * (p[:, 0] - 0.01) ** 2
    p = np.stack([p[:, 0], pose.eyes * p[:, 1] + (1 - pose.eyes) * low], axis=1)
    return smooth(p) * (side, 1.0) + (EYE[0] * side, EYE[1])


def _eye_shape(look: Look, pose: Pose, side: float) -> Points:
    lower = smooth(_LOWER * look.eye_size * (1.0, 0.35 + 0.65 * pose.eyes) + (0, 0.10 * (1 - pose.eyes)))
    return join(_lid(look, pose, side), lower * (side, 1.0) + (EYE[0] * side, EYE[1]))


def draw_eye_lines(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Lids and lashes: drawn over the bangs, as the customs of the field have it."""
    for side in (-1.0, 1.0):
        lid = _lid(look, pose, side)
        thick = 0.088 if look.long_lashes else 0.07
        heavy = 0.5 + 0.5 * max(pose.eyes, 0.4)
        canvas.stroke(turned(lid, pose.turn), thick * heavy, DARK, "start")
        corner = lid[-1]
        if look.long_lashes:
            for k, (dx, dy) in enumerate(((0.11, -0.06), (0.09, -0.115))):
                root = lid[-1 - 4 * k]
                lash = bezier(root, root + np.array([dx * 0.6 * side, dy * 0.2]), root + np.array([dx * side, dy]), 6)
                canvas.stroke(turned(lash, pose.turn), 0.05, DARK, "end")
        if pose.eyes > 0.3:
            fold = lid[6:-8] + (0.0, -0.085 * pose.eyes)
            canvas.stroke(turned(fold, pose.turn), 0.022, look.line)
            under = _eye_shape(look, pose, side)[len(lid) + 2 : len(lid) + 24]
            canvas.stroke(turned(under, pose.turn), 0.03, look.line, "end")
        else:
            canvas.stroke(turned(pts(corner, corner + (0.06 * side, 0.05)), pose.turn), 0.04, DARK, "end")


def draw_brows(canvas: Canvas, look: Look, pose: Pose) -> None:
    """Brows, seen through the hair."""
    lift = -0.07 * max(pose.brows, 0.0)
    worry = -0.10 * max(-pose.brows, 0.0)
    for side in (-1.0, 1.0):
        brow = bezier((0.24 * side, -0.10 + lift + worry), (0.48 * side, -0.21 + lift), (0.74 * side, -0.075 + lift))
        canvas.stroke(turned(brow, pose.turn), 0.055, look.hair_line, "end")


def _mouth(canvas: Canvas, look: Look, pose: Pose) -> None:
    y, curve = 0.985, 0.05 * pose.smile
    if pose.mouth == 0:
        line = bezier((-0.14, y - curve), (0.0, y + 1.5 * curve), (0.14, y - curve))
        canvas.stroke(turned(line, pose.turn, 0.2), 0.032, look.line)
        return
    wide, deep = ((0.13, 0.105), (0.19, 0.235))[pose.mouth - 1]
    top = bezier((-wide, y - 0.06), (0.0, y - 0.02), (wide, y - 0.06))
    bottom = smooth(
        pts(
            (wide, y - 0.06),
            (wide * 0.72, y - 0.06 + deep * 0.72),
            (0.0, y - 0.06 + deep),
            (-wide * 0.72, y - 0.06 + deep * 0.72),
            (-wide, y - 0.06),
        )
    )
    shape = turned(join(top, bottom), pose.turn, 0.2)
    canvas.fill(shape, (140, 44, 58))
    tongue = turned(ellipse((0.0, y - 0.06 + deep * 0.98), (wide * 0.62, deep * 0.42)), pose.turn, 0.2)
    canvas.fill(tongue, (232, 120, 120), clip=shape)
    if pose.mouth == 2:
        teeth = turned(join(top, (top * (0.85, 1.0) + (0, 0.045))[::-1]), pose.turn, 0.2)
        canvas.fill(teeth, (250, 248, 246), clip=shape)
    canvas.outline(shape, 0.016, look.line)
