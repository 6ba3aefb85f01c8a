"""A whole character as one transparent drawing."""

from __future__ import annotations

import numpy as np

from .body import draw_body
from .canvas import Canvas
from .curves import join, pts
from .face import FACE, draw_brows, draw_eye_lines, draw_face, turned
from .hair import bangs_edge, draw_back_hair, draw_front_hair
from .look import Look, Pose

__all__ = ["LAYER_UNITS", "draw_character"]

LAYER_UNITS = (5.2, 8.2, 2.6, 1.8)
"""Width and height of the layer and the head's place in it, in units of half a face's width."""


def draw_character(
    look: Look,
    pose: Pose,
    unit: float,
    scale: float,
    height: float | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """(H, W, 4) uint8, premultiplied; half a face is ``unit`` design pixels wide, ``scale`` output pixels to one.

    ``height`` (design pixels) cuts the layer off below: what lies outside the picture is not drawn.
    ``shift`` (design pixels, less than one output pixel) moves the drawing within the layer.
    """
    width, full, x, y = (v * unit for v in LAYER_UNITS)
    upright = np.array([[unit, 0.0, x + shift[0]], [0.0, unit, y + shift[1]]])
    canvas = Canvas(width, min(full, height or full), scale, upright)
    # The head turns about the root of the neck.
    angle, pivot = np.radians(pose.tilt), np.array([0.0, 1.3])
    spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = pivot - spin @ pivot
    head = np.hstack([upright[:, :2] @ spin, (upright[:, :2] @ shift + upright[:, 2])[:, None]])

    canvas.place = head
    draw_back_hair(canvas, look, pose)
    canvas.place = upright
    draw_body(canvas, look, pose)
    canvas.place = head
    draw_face(canvas, look, pose)
    edge = bangs_edge(look, pose)
    shadow = join(edge + (0.035, 0.10), pts((1.2, -0.6), (-1.2, -0.6)))
    canvas.fill(shadow, look.skin_shade, clip=turned(FACE, pose.turn, 0.05) * 0.985, alpha=0.85)
    draw_front_hair(canvas, look, pose)
    draw_brows(canvas, look, pose)
    draw_eye_lines(canvas, look, pose)
    return canvas.finish()
