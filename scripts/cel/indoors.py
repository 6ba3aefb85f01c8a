"""Backgrounds indoors: a classroom by the window, and a title card."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .canvas import Canvas, Gradient, over, supersampling
from .curves import bezier, join, pts, smooth
from .outdoors import GREENS, box, tree
from .paint import HEIGHT, WIDTH, clouds, gradient, grain, textured

__all__ = ["classroom", "title_card"]


def classroom(scale: float, seed: int = 5) -> np.ndarray:
    """Windows, curtains, noticeboard, desks in the afternoon: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    sky = gradient(WIDTH, HEIGHT, scale, ((0, (120, 184, 238)), (200, (216, 238, 250))))
    clouds(sky, scale, ((90, 130, 190), (250, 170, 150), (560, 140, 220)), (255, 255, 255), (196, 216, 240), seed)
    outside = Canvas(WIDTH, HEIGHT, scale)
    for x in range(0, 660, 52):
        tree(outside, rng, x, 236, rng.uniform(50, 80), GREENS)
    picture = over(np.rint(sky).astype(np.uint8), outside.finish())
    room = Canvas(WIDTH, HEIGHT, scale)
    _wall(room)
    for x in (196, 470):
        _curtain(room, rng, x)
    _board(room, rng)
    _desks(room)
    beam = pts((60, 0), (250, 0), (470, 360), (230, 360))
    room.fill(beam, (255, 246, 214), alpha=0.10)
    return grain(over(picture, textured(room.finish(), scale, 0.035, seed + 2)), scale, 0.012, seed)


def _wall(room: Canvas) -> None:
    wall = Gradient((228, 214, 190), (206, 184, 164), 0, 250)
    for panel in ((0, 0, 640, 26), (0, 26, 18, 250), (190, 26, 480, 250), (0, 214, 640, 282), (626, 26, 640, 250)):
        room.fill(box(*panel), wall)
    room.fill(box(0, 250, 640, 282), Gradient((186, 160, 138), (170, 142, 124), 250, 282))
    room.fill(box(0, 282, 640, 360), Gradient((166, 122, 92), (124, 86, 72), 282, 360))
    for k in range(-6, 16):
        room.stroke(
            pts((320 + (k * 60 - 240) * 0.6, 282), (320 + (k * 60 - 240) * 1.5, 360)), 0.9, (118, 82, 66), "none"
        )
    for x0, x1 in ((18, 190), (480, 626)):
        room.fill(box(x0 - 5, 210, x1 + 5, 220), Gradient((246, 238, 222), (196, 182, 170), 210, 220))
        for frame in (
            (x0, 26, x0 + 5, 214),
            (x1 - 5, 26, x1, 214),
            (x0, 26, x1, 31),
            ((x0 + x1) / 2 - 3, 26, (x0 + x1) / 2 + 3, 214),
            (x0, 84, x1, 88),
        ):
            room.fill(box(*frame), (236, 232, 226))
            room.fill(box(frame[2] - 1.4, frame[1], frame[2], frame[3]), (176, 170, 176))
    room.fill(box(0, 22, 640, 26), (190, 172, 154))
    room.fill(box(0, 246, 640, 250), (150, 124, 108))


def _curtain(room: Canvas, rng: np.random.Generator, x: float) -> None:
    shape = join(
        pts((x - 30, 18), (x + 30, 18)),
        bezier((x + 30, 18), (x + 26, 130), (x + 36, 226)),
        smooth(pts((x + 36, 226), (x + 16, 231), (x, 226), (x - 18, 231), (x - 36, 226))),
        bezier((x - 36, 226), (x - 24, 130), (x - 30, 18)),
    )
    room.fill(shape, (244, 236, 222))
    for k in range(-2, 3):
        top, foot = x + 11 * k + rng.uniform(-2, 2), x + 14 * k + rng.uniform(-3, 3)
        fold = join(
            bezier((top, 18), (top + 3, 120), (foot, 232)), bezier((foot + 7, 232), (top + 7, 120), (top + 3.5, 18))
        )
        room.fill(fold, (206, 196, 200), clip=shape)
        room.stroke(bezier((top, 18), (top + 3, 120), (foot, 232)), 0.8, (168, 152, 164), "end")
    room.outline(shape, 0.9, (140, 120, 124))


def _board(room: Canvas, rng: np.random.Generator) -> None:
    room.fill(box(252, 60, 424, 168), (150, 108, 78))
    room.fill(box(257, 65, 419, 163), Gradient((94, 138, 116), (74, 116, 104), 65, 163))
    papers = (
        (266, 74, 34, 42),
        (310, 72, 46, 30),
        (366, 76, 40, 50),
        (312, 110, 30, 44),
        (270, 124, 30, 30),
        (352, 132, 52, 24),
    )
    for k, (x, y, width, height) in enumerate(papers):
        tilt = rng.uniform(-1.5, 1.5)
        sheet = pts((x, y), (x + width, y + tilt), (x + width, y + height + tilt), (x, y + height))
        room.fill(sheet + (1.6, 2.0), (56, 88, 82))
        room.fill(sheet, ((250, 246, 236), (246, 232, 190), (228, 236, 246))[k % 3])
        for line in range(4, int(height) - 3, 5):
            room.stroke(
                pts((x + 3, y + line), (x + width * rng.uniform(0.6, 0.92), y + line + 0.4 * tilt)),
                0.8,
                (150, 146, 160),
                "none",
            )
        room.fill(
            smooth(pts((x + width / 2 - 1.5, y + 1), (x + width / 2 + 1.5, y + 1), (x + width / 2, y + 4)), True),
            (220, 70, 70),
        )


def _desks(room: Canvas) -> None:
    for x, y, size in (
        (40, 262, 0.8),
        (190, 268, 0.9),
        (420, 266, 0.86),
        (560, 262, 0.8),
        (-20, 306, 1.3),
        (520, 312, 1.35),
    ):
        width, deep = 104 * size, 20 * size
        for leg in (0.06, 0.9):
            room.fill(box(x + leg * width, y + deep, x + leg * width + 4 * size, y + 90 * size), (112, 116, 128))
            room.fill(
                box(x + leg * width + 2.5 * size, y + deep, x + leg * width + 4 * size, y + 90 * size), (80, 80, 98)
            )
        top = pts((x + 12 * size, y), (x + width - 12 * size, y), (x + width, y + deep), (x, y + deep))
        room.fill(top, Gradient((232, 192, 138), (206, 158, 108), y, y + deep))
        room.fill(box(x, y + deep, x + width, y + deep + 5 * size), (160, 112, 78))
        room.outline(join(top[:2], pts((x + width, y + deep + 5 * size), (x, y + deep + 5 * size))), 0.9, (96, 64, 56))


def title_card(scale: float, lines: tuple[tuple[str, float, float], ...], seed: int = 13) -> np.ndarray:
    """Lettering (text, height of its middle, size; design units) on a painted night ground: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    ground = gradient(WIDTH, HEIGHT, scale, ((0, (30, 34, 82)), (210, (92, 70, 138)), (360, (208, 126, 150))))
    clouds(ground, scale, ((90, 356, 330), (420, 372, 420), (650, 350, 300)), (248, 176, 172), (150, 96, 148), seed)
    canvas = Canvas(WIDTH, HEIGHT, scale)
    for _ in range(90):
        x, y, size = rng.uniform(0, WIDTH), rng.uniform(0, 230), rng.choice([0.7, 1.0, 1.8], p=[0.6, 0.3, 0.1])
        star = pts(
            (x, y - 2 * size),
            (x + 0.5 * size, y - 0.5 * size),
            (x + 2 * size, y),
            (x + 0.5 * size, y + 0.5 * size),
            (x, y + 2 * size),
            (x - 0.5 * size, y + 0.5 * size),
            (x - 2 * size, y),
            (x - 0.5 * size, y - 0.5 * size),
        )
        canvas.fill(star, (255, 250, 226))
    for _ in range(26):
        x, y, size, angle = rng.uniform(0, WIDTH), rng.uniform(20, HEIGHT), rng.uniform(4, 9), rng.uniform(0, 2 * np.pi)
        petal = (
            smooth(
                pts((0, -1), (0.6, -0.4), (0.5, 0.5), (0.12, 0.95), (0, 0.7), (-0.12, 0.95), (-0.5, 0.5), (-0.6, -0.4)),
                True,
            )
            * size
        )
        spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        petal = petal @ spin.T + (x, y)
        canvas.fill(petal, (250, 190, 206))
        canvas.fill(petal + (0.25 * size, 0.2 * size), (224, 142, 178), clip=petal)
    canvas.fill(box(150, 216, 490, 217.2), (255, 240, 224))
    picture = over(np.rint(ground).astype(np.uint8), canvas.finish())
    return _lettering(grain(picture, scale, 0.02, seed), scale, lines)


def _lettering(picture: np.ndarray, scale: float, lines: tuple[tuple[str, float, float], ...]) -> np.ndarray:
    """Letters are drawn finer and averaged down like all else, so that small sizes are not bent to the pixel grid."""
    fine = supersampling(scale)
    size = (picture.shape[1] * fine, picture.shape[0] * fine)
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for text, y, tall in lines:
        draw.text(
            (size[0] / 2, y * scale * fine),
            text,
            font=ImageFont.load_default(tall * scale * fine),
            fill=255,
            anchor="mm",
        )
    drop = round(1.5 * scale * fine)
    shadow = np.zeros(size[::-1], np.uint8)
    shadow[drop:, drop:] = np.asarray(mask)[:-drop, :-drop]
    for cover, ink in ((shadow, (44, 26, 70)), (np.asarray(mask), (255, 252, 244))):
        cover = cv2.resize(cover, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_AREA)
        layer = np.round(cover[..., None] * (np.array((*ink, 255)) / 255)).astype(np.uint8)
        picture = over(picture, layer)
    return picture
