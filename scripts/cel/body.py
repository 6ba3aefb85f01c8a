"""Neck, shoulders, arms and school clothes."""

from __future__ import annotations

from .canvas import Canvas
from .curves import Points, bezier, join, mirror, pts, smooth
from .look import Look, Pose

__all__ = ["draw_body"]

_SIDE = join(
    bezier((0.30, 1.62), (0.42, 1.86), (0.92, 1.98)),
    bezier((0.92, 1.98), (1.46, 2.08), (1.66, 2.7)),
    bezier((1.66, 2.7), (1.92, 4.0), (1.98, 6.5)),
)


def draw_body(canvas: Canvas, look: Look, pose: Pose) -> None:
    """All below the chin; the head is drawn over it."""
    torso = join(_SIDE, mirror(_SIDE)[::-1])
    canvas.fill(torso, look.cloth)
    shade = join(bezier((0.55, 1.8), (0.95, 2.9), (0.80, 6.5)), pts((2.2, 6.5), (2.2, 2.0)))
    canvas.fill(shade, look.cloth_shade, clip=torso)
    under_arm = join(
        bezier((-1.16, 2.75), (-1.3, 4.0), (-1.22, 6.5)), bezier((-1.42, 6.5), (-1.46, 4.2), (-1.16, 2.75))
    )
    canvas.fill(under_arm, look.cloth_shade, clip=torso)
    canvas.outline(torso, 0.028, look.line)
    for side in (1.0, -1.0):
        canvas.stroke(bezier((1.16 * side, 2.75), (1.30 * side, 4.0), (1.22 * side, 6.5)), 0.032, look.line, "start")
        canvas.stroke(bezier((1.62 * side, 3.0), (1.42 * side, 3.25), (1.34 * side, 3.7)), 0.022, look.line)
        canvas.stroke(bezier((1.02 * side, 2.62), (0.96 * side, 2.95), (0.72 * side, 3.2)), 0.022, look.line)
    _neck(canvas, look)
    (_sailor if look.outfit == "sailor" else _blazer)(canvas, look, pose)


def _neck(canvas: Canvas, look: Look) -> None:
    side = pts((0.34, 0.9), (0.32, 1.35), (0.36, 1.66), (0.62, 1.86))
    neck = join(smooth(side), pts((0.0, 2.5)), mirror(smooth(side))[::-1])
    canvas.fill(neck, look.skin)
    under_chin = join(pts((-0.36, 0.9)), bezier((-0.34, 1.34), (0.05, 1.74), (0.34, 1.48)), pts((0.36, 0.9)))
    canvas.fill(under_chin, look.skin_shade, clip=neck)
    canvas.fill(pts((0.16, 1.4), (0.4, 1.4), (0.62, 1.9), (0.1, 2.4), (0.22, 1.8)), look.skin_shade, clip=neck)
    canvas.outline(neck, 0.020, look.line)
    canvas.stroke(bezier((-0.30, 1.90), (-0.14, 1.93), (-0.07, 2.03)), 0.020, look.line)
    canvas.stroke(bezier((0.30, 1.90), (0.16, 1.93), (0.07, 2.03)), 0.020, look.line)


def _sailor(canvas: Canvas, look: Look, pose: Pose) -> None:
    flap = join(
        bezier((0.34, 1.58), (0.58, 1.78), (1.22, 1.98)),
        bezier((1.22, 1.98), (1.26, 2.3), (1.12, 2.62)),
        bezier((1.12, 2.62), (0.6, 2.72), (0.0, 3.18)),
        bezier((0.0, 2.88), (0.42, 2.3), (0.34, 1.58)),
    )
    for side in (flap, mirror(flap)):
        canvas.fill(side, look.trim)
        canvas.outline(side, 0.022, look.line)
    dark = tuple(int(c * 0.7) for c in look.trim)
    canvas.fill(join(bezier((0.62, 1.7), (0.9, 2.2), (0.6, 2.8)), pts((1.4, 2.7), (1.4, 1.8))), dark, clip=flap)
    for k in (0.0, 0.07):
        stripe = bezier((1.13 - k, 2.02), (1.16 - k, 2.3), (1.04 - k, 2.54 - k))
        lower = bezier((1.04 - k, 2.54 - k), (0.55, 2.64 - k), (0.06, 3.0 - k))
        for line in (stripe, lower):
            canvas.stroke(line, 0.028, (238, 240, 250), "none")
            canvas.stroke(mirror(line), 0.028, (238, 240, 250), "none")
    _bow(canvas, look, pose, 2.98)


def _bow(canvas: Canvas, look: Look, pose: Pose, y: float) -> None:
    swing = 0.14 * pose.sway
    tail = join(
        bezier((0.02, y), (0.26 + swing, y + 0.5), (0.50 + swing, y + 1.12)),
        pts((0.36 + swing, y + 1.06), (0.24 + swing, y + 1.2)),
        bezier((0.24 + swing, y + 1.2), (0.1, y + 0.6), (-0.03, y)),
    )
    other = join(
        bezier((-0.02, y), (-0.2 + swing, y + 0.5), (-0.34 + swing, y + 1.0)),
        pts((-0.22 + swing, y + 0.98), (-0.10 + swing, y + 1.1)),
        bezier((-0.10 + swing, y + 1.1), (0.0, y + 0.6), (0.05, y)),
    )
    loop = smooth(
        pts((0.03, y), (0.30, y - 0.2), (0.64, y - 0.22), (0.68, y + 0.06), (0.58, y + 0.26), (0.26, y + 0.12)), True
    )
    for shape, colour in (
        (other, look.ribbon_shade),
        (tail, look.ribbon),
        (loop, look.ribbon),
        (mirror(loop), look.ribbon),
    ):
        canvas.fill(shape, colour)
        if colour == look.ribbon:
            canvas.fill(shape * (1.0, 0.6) + (0.05, 0.4 * y + 0.13), look.ribbon_shade, clip=shape)
        canvas.outline(shape, 0.021, look.line)
    knot = smooth(pts((-0.11, y - 0.11), (0.11, y - 0.11), (0.13, y + 0.1), (-0.13, y + 0.1)), True)
    canvas.fill(knot, look.ribbon)
    canvas.outline(knot, 0.021, look.line)
    for side in (-1, 1):
        canvas.stroke(
            bezier((0.14 * side, y), (0.26 * side, y - 0.02), (0.40 * side, y - 0.08)), 0.019, look.line, "end"
        )


def _blazer(canvas: Canvas, look: Look, pose: Pose) -> None:
    shirt = pts((-0.5, 1.75), (0.5, 1.75), (0.34, 2.6), (0.0, 3.7), (-0.34, 2.6))
    skin = pts((-0.26, 1.6), (0.26, 1.6), (0.0, 2.08))
    canvas.fill(shirt, look.trim)
    canvas.fill(skin, look.skin_shade)
    canvas.fill(pts((0.1, 2.1), (0.5, 1.8), (0.34, 2.6), (0.0, 3.7)), (196, 200, 218), clip=shirt)
    tie = pts((-0.10, 2.12), (0.10, 2.12), (0.07, 2.34), (0.17, 3.2), (0.0, 3.55), (-0.17, 3.2), (-0.07, 2.34))
    canvas.fill(tie, look.ribbon)
    canvas.fill(pts((0.0, 2.1), (0.2, 2.1), (0.2, 3.6), (0.02, 3.6)), look.ribbon_shade, clip=tie)
    canvas.outline(tie, 0.021, look.line)
    canvas.stroke(pts((-0.08, 2.34), (0.08, 2.34)), 0.022, look.line)
    collar: Points = join(
        bezier((0.33, 1.56), (0.5, 1.75), (0.56, 1.92)),
        pts((0.36, 2.42), (0.06, 2.12)),
        bezier((0.06, 2.12), (0.26, 1.9), (0.33, 1.56)),
    )
    lapel: Points = join(
        bezier((0.50, 1.72), (0.78, 1.9), (0.86, 2.3)),
        pts((0.66, 2.42), (0.80, 2.56), (0.04, 3.86)),
        bezier((0.04, 3.86), (0.22, 2.9), (0.46, 2.1)),
    )
    for flip in (False, True):
        a, b = (mirror(lapel), mirror(collar)) if flip else (lapel, collar)
        canvas.fill(b, look.trim if flip else (206, 210, 226))
        canvas.outline(b, 0.019, look.line)
        canvas.fill(a, look.cloth if flip else look.cloth_shade)
        canvas.outline(a, 0.022, look.line)
    canvas.stroke(bezier((0.02, 3.86), (0.06, 5.0), (0.04, 6.5)), 0.029, look.line, "none")
    canvas.fill(smooth(pts((-0.12, 4.3), (0.0, 4.3), (0.0, 4.42), (-0.12, 4.42)), True), (222, 186, 92))
