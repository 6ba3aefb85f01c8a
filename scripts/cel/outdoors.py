"""Backgrounds in the open: a school yard and a town below hills."""

from __future__ import annotations

import numpy as np

from .canvas import RGB, Canvas, Gradient, over
from .curves import bezier, join, pts, smooth
from .paint import HEIGHT, WIDTH, clouds, gradient, grain, textured

__all__ = ["TOWN_WIDTH", "foreground", "school", "town"]

TOWN_WIDTH = WIDTH + 180


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Corners of a rectangle."""
    return pts((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def tree(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float, tones: tuple[RGB, ...]) -> None:
    """A crown painted in dabs from dark to light, the light ones up and to the left; ``y`` is the foot."""
    trunk = join(
        bezier((x - 0.07 * size, y), (x - 0.03 * size, y - 0.3 * size), (x - 0.05 * size, y - 0.6 * size)),
        bezier((x + 0.05 * size, y - 0.6 * size), (x + 0.04 * size, y - 0.3 * size), (x + 0.09 * size, y)),
    )
    canvas.fill(trunk, (84, 62, 58))
    for k, tone in enumerate(tones):
        spread = 0.50 - 0.075 * k
        for _ in range(int(34 - 4 * k)):
            angle, far = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1)) * spread * size
            cx = x + far * np.cos(angle) * 1.05 - 0.07 * k * size
            cy = y - 0.86 * size + far * np.sin(angle) * 0.82 - 0.075 * k * size
            dab(canvas, rng, cx, cy, size * rng.uniform(0.09, 0.16) * (1 - 0.17 * k), tone)


def dab(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float, tone: RGB) -> None:
    """One stroke of a leaf brush: a jagged spot."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, 11))
    reach = size * np.where(np.arange(11) % 2, 1.0, 0.62) * rng.uniform(0.8, 1.15, 11)
    canvas.fill(np.stack([x + reach * np.cos(angle), y + 0.8 * reach * np.sin(angle)], axis=1), tone)


GREENS: tuple[RGB, ...] = ((38, 84, 70), (58, 116, 74), (96, 156, 78), (160, 200, 96))
DUSK_GREENS: tuple[RGB, ...] = ((46, 52, 84), (62, 78, 92), (98, 104, 90), (170, 148, 96))


def school(scale: float, seed: int = 3) -> np.ndarray:
    """School building, yard and trees on a clear day: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    sky = gradient(WIDTH, HEIGHT, scale, ((0, (66, 138, 222)), (150, (146, 200, 244)), (230, (218, 238, 250))))
    clouds(sky, scale, ((130, 150, 250), (470, 96, 200), (620, 190, 240)), (255, 255, 255), (186, 208, 238), seed)
    canvas = Canvas(WIDTH, HEIGHT, scale)
    for x in range(-10, 680, 46):
        tree(canvas, rng, x, 262, rng.uniform(48, 74), ((70, 118, 120), (92, 146, 124), (128, 176, 132)))
    _building(canvas, 250, 66, 700, 262)
    for x, size in ((30, 150), (118, 112), (226, 96)):
        tree(canvas, rng, x, 276, size, GREENS)
    _yard(canvas, rng)
    _wires(canvas)
    return grain(
        over(np.rint(sky).astype(np.uint8), textured(canvas.finish(), scale, 0.05, seed + 5)), scale, 0.012, seed
    )


def _building(canvas: Canvas, x0: float, y0: float, x1: float, y1: float) -> None:
    canvas.fill(box(x0, y0, x1, y1), Gradient((244, 236, 222), (226, 214, 206), y0, y1))
    canvas.fill(
        pts((x0 - 34, y0 + 12), (x0, y0), (x0, y1), (x0 - 34, y1)), Gradient((176, 172, 192), (150, 148, 176), y0, y1)
    )
    canvas.fill(
        pts((x0 - 40, y0 - 2), (x0, y0 - 12), (x1, y0 - 12), (x1, y0 + 4), (x0, y0 + 4), (x0 - 40, y0 + 14)),
        (206, 198, 198),
    )
    canvas.fill(box(x0, y0 + 4, x1, y0 + 10), (186, 178, 190))
    for row in range(3):
        top = y0 + 26 + row * 58
        canvas.fill(box(x0, top + 42, x1, top + 46), (200, 190, 190))
        for column in range(7):
            left = x0 + 16 + column * 58
            _window(canvas, left, top, 42, 34, (row * 7 + column) % 3)
    canvas.fill(
        pts((x0 + 150, y0 - 12), (x0 + 150, y0 - 40), (x0 + 200, y0 - 40), (x0 + 200, y0 - 12)), (226, 216, 208)
    )
    for k in range(0, 420, 12):
        canvas.fill(box(x0 + k, y0 - 26, x0 + k + 0.9, y0 - 12), (130, 150, 150))
    canvas.fill(box(x0, y0 - 27, x1, y0 - 25.6), (130, 150, 150))
    clock = np.stack(
        [x0 + 175 + 12 * np.cos(np.linspace(0, 6.2, 40)), y0 - 24 + 12 * np.sin(np.linspace(0, 6.2, 40))], axis=1
    )
    canvas.fill(clock, (250, 250, 250))
    canvas.outline(clock, 1.2, (96, 90, 104))
    canvas.stroke(pts((x0 + 175, y0 - 24), (x0 + 175, y0 - 32)), 1.4, (60, 56, 70), "none")
    canvas.stroke(pts((x0 + 175, y0 - 24), (x0 + 180, y0 - 20)), 1.6, (60, 56, 70), "none")


def _window(canvas: Canvas, x: float, y: float, width: float, height: float, kind: int) -> None:
    canvas.fill(box(x - 2, y - 2, x + width + 2, y + height + 2), (152, 146, 160))
    pane = box(x, y, x + width, y + height)
    canvas.fill(pane, Gradient((104, 150, 190), (172, 208, 226), y, y + height))
    if kind != 1:
        canvas.fill(
            pts((x + 4, y + height), (x + 18, y), (x + 27, y), (x + 13, y + height)),
            (214, 234, 244),
            clip=pane,
            alpha=0.75,
        )
    if kind:
        curtain = pts((x, y), (x + 10, y), (x + 7, y + height), (x, y + height))
        canvas.fill(curtain, (236, 226, 204), clip=pane)
    canvas.fill(box(x, y, x + width, y + 4), (84, 116, 158), clip=pane, alpha=0.6)
    for k in (0.5,):
        canvas.fill(box(x + k * width - 0.8, y, x + k * width + 0.8, y + height), (222, 222, 226))
    canvas.fill(box(x - 3, y + height + 1.5, x + width + 3, y + height + 4), (240, 232, 222))


def _yard(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(box(0, 262, WIDTH, HEIGHT), Gradient((214, 192, 160), (182, 158, 138), 262, HEIGHT))
    for _ in range(60):
        x, y = rng.uniform(-20, WIDTH), 272 + 88 * rng.uniform(0, 1) ** 0.7
        long = rng.uniform(10, 46) * (y - 250) / 60
        canvas.fill(
            smooth(pts((x, y), (x + long / 2, y - 0.8), (x + long, y), (x + long / 2, y + 1.0)), True),
            (226, 206, 176) if rng.random() < 0.5 else (176, 150, 134),
            alpha=0.5,
        )
    canvas.fill(
        smooth(pts((-20, 276), (60, 270), (170, 274), (290, 280), (210, 292), (60, 294), (-20, 290)), True),
        (120, 108, 124),
        alpha=0.55,
    )
    for x in np.arange(-6, WIDTH + 10, 5.2):
        for tone, rise in (((42, 92, 72), 0.0), ((70, 132, 76), 3.0), ((124, 176, 86), 6.0)):
            dab(
                canvas,
                rng,
                x + rng.uniform(-3, 3),
                263 - rise + rng.uniform(-2, 2),
                rng.uniform(3.4, 6.0) - 0.3 * rise,
                tone,
            )


def _wires(canvas: Canvas) -> None:
    canvas.fill(pts((206.5, 30), (209.5, 30), (211, 276), (205, 276)), (104, 100, 112))
    canvas.fill(pts((208.2, 30), (209.5, 30), (211, 276), (208.4, 276)), (76, 72, 90))
    for y in (38, 50):
        canvas.fill(box(192, y, 224, y + 2.4), (96, 90, 102))
        for x in (194, 203, 213, 222):
            canvas.fill(box(x - 1, y - 4, x + 1, y), (206, 210, 214))
            canvas.stroke(bezier((x, y - 3), ((x - 40) / 2, y + 34), (-40, y - 8)), 0.8, (70, 70, 86), "none")
            canvas.stroke(bezier((x, y - 3), ((x + 700) / 2, y + 26), (700, y - 30)), 0.8, (70, 70, 86), "none")


def town(scale: float, seed: int = 8) -> np.ndarray:
    """A town in the evening, wider than the picture for a pan: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    sky = gradient(
        TOWN_WIDTH,
        HEIGHT,
        scale,
        ((0, (74, 92, 170)), (90, (178, 140, 186)), (160, (248, 178, 150)), (220, (255, 222, 166))),
    )
    clouds(
        sky,
        scale,
        ((180, 128, 300), (560, 92, 260), (800, 150, 340), (1060, 110, 240)),
        (255, 226, 198),
        (186, 136, 172),
        seed,
    )
    canvas = Canvas(TOWN_WIDTH, HEIGHT, scale)
    for base, tall, step, tone in (
        (214, 60, 150, (146, 118, 168)),
        (232, 40, 110, (112, 98, 150)),
        (246, 30, 90, (82, 84, 124)),
    ):
        x = np.arange(-step, TOWN_WIDTH + 2 * step, step)
        ridge = smooth(np.stack([x, base - tall * rng.uniform(0.1, 1.0, len(x))], axis=1))
        canvas.fill(join(ridge, pts((TOWN_WIDTH + step, HEIGHT), (-step, HEIGHT))), tone)
    for row, (y, size) in enumerate(((252, 20), (272, 30), (300, 42))):
        x = -30.0
        while x < TOWN_WIDTH:
            if rng.random() < 0.3:
                tree(canvas, rng, x + size / 2, y + 6, size * rng.uniform(1.2, 1.7), DUSK_GREENS)
                x += size * 0.9
            else:
                x += _house(canvas, rng, x, y + rng.uniform(-4, 4), size * rng.uniform(1.1, 1.7), size, row)
    canvas.fill(box(0, 322, TOWN_WIDTH, HEIGHT), Gradient((86, 84, 112), (60, 58, 88), 322, HEIGHT))
    return grain(
        over(np.rint(sky).astype(np.uint8), textured(canvas.finish(), scale, 0.06, seed + 5)), scale, 0.015, seed
    )


def _house(canvas: Canvas, rng: np.random.Generator, x: float, y: float, width: float, size: float, row: int) -> float:
    walls: tuple[RGB, ...] = ((236, 206, 184), (214, 186, 182), (196, 172, 186), (244, 220, 190))
    roofs: tuple[RGB, ...] = ((128, 76, 92), (92, 82, 120), (156, 96, 90), (86, 92, 124))
    wall, roof = walls[rng.integers(4)], roofs[rng.integers(4)]
    dark = tuple(int(c * 0.66) for c in wall)
    top = y - size * rng.uniform(0.7, 1.2)
    canvas.fill(box(x, top, x + width, y + 60), wall)
    canvas.fill(box(x + 0.62 * width, top, x + width, y + 60), dark)
    eaves, ridge = 0.1 * width, top - 0.42 * size
    canvas.fill(
        pts((x - eaves, top + 1), (x + 0.16 * width, ridge), (x + 0.74 * width, ridge), (x + width + eaves, top + 1)),
        roof,
    )
    canvas.fill(
        pts((x + 0.62 * width, top + 1), (x + 0.74 * width, ridge), (x + width + eaves, top + 1)),
        tuple(int(c * 0.7) for c in roof),
    )
    for k in range(1, 5):
        level = ridge + (top - ridge) * k / 5
        reach = 0.16 * width * (1 - k / 5) - eaves * k / 5
        canvas.stroke(pts((x + reach, level), (x + 0.7 * width, level)), 0.5, tuple(int(c * 0.8) for c in roof), "none")
    for floor in range(2):
        for k in range(2):
            left, high = x + (0.1 + 0.27 * k) * width, top + (0.16 + 0.55 * floor) * size
            lit = rng.random() < 0.4
            canvas.fill(box(left - 0.6, high - 0.6, left + 0.17 * width + 0.6, high + 0.3 * size + 0.6), dark)
            canvas.fill(
                box(left, high, left + 0.17 * width, high + 0.3 * size), (255, 232, 150) if lit else (120, 122, 164)
            )
            canvas.stroke(
                pts((left + 0.085 * width, high), (left + 0.085 * width, high + 0.3 * size)), 0.7, dark, "none"
            )
    return width * 1.06


def foreground(scale: float, seed: int = 21) -> np.ndarray:
    """What passes near the camera while the town pans by: a railing and grass; (H, W, 4) premultiplied, longer."""
    rng = np.random.default_rng(seed)
    width = WIDTH + 360
    canvas = Canvas(width, HEIGHT, scale)
    for x in np.arange(0, width, 26):
        canvas.fill(box(x, 300, x + 3.2, HEIGHT), (58, 52, 78))
        canvas.fill(box(x, 300, x + 1.0, HEIGHT), (250, 196, 150))
    for y in (298, 322):
        canvas.fill(box(0, y, width, y + 5), (66, 58, 84))
        canvas.fill(box(0, y, width, y + 1.4), (255, 208, 160))
    for tone, low in (((34, 36, 60), 348), ((52, 54, 72), 354), ((92, 84, 80), 360)):
        for x in np.arange(-10, width, 3.0):
            x0, tall, lean = x + rng.uniform(-2, 2), rng.uniform(6, 26), rng.uniform(-7, 9)
            canvas.fill(
                join(bezier((x0 - 1.6, low + 14), (x0, low), (x0 + lean, low - tall)), pts((x0 + 1.6, low + 14))), tone
            )
    return canvas.finish()
