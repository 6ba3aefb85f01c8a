"""Shots -> frames, with drawings kept while they are held."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np

from . import indoors, outdoors
from .canvas import over
from .character import LAYER_UNITS, draw_character
from .paint import HEIGHT
from .shots import Actor, Shot, at, length

__all__ = ["Painter", "render"]

CACHE_BYTES = 768 << 20


class Painter:
    """Renders frames of one size. The same shot, frame and ``seed`` give the same picture bit for bit.

    ``height`` in pixels, a multiple of 18 so that the picture is exactly 16:9 with even sides; the geometry is the same
    at every height, so that 1440 gives the clean original of 360. Raises ValueError for another height.
    """

    def __init__(self, height: int = 360, seed: int = 0) -> None:
        if height < 90 or height % 18:
            raise ValueError(
                f"height is {height}; accepted are multiples of 18 from 90 up, such as 180, 360, 720, 1440"
            )
        self.height, self.width, self.seed = height, height * 16 // 9, seed
        self.scale = height / HEIGHT
        self._kept: OrderedDict[object, np.ndarray] = OrderedDict()

    def frame(self, shot: str, n: int) -> np.ndarray:
        """Frame ``n`` of a shot of SHOTS or of "mixed": (H, W, 3) uint8 RGB, not to be written to."""
        return self._frame(*at(shot, n))

    def frames(self, shot: str = "mixed", count: int | None = None) -> Iterator[np.ndarray]:
        """``count`` frames (default: the whole shot), from the start."""
        for n in range(length(shot) if count is None else count):
            yield self.frame(shot, n)

    def _frame(self, shot: Shot, n: int) -> np.ndarray:
        picture = self._background(shot)
        if shot.pan or picture.shape[1] > self.width:
            left = round(shot.pan * n * self.scale)
            picture = picture[:, left : left + self.width]
        for actor in shot.actors:
            layer, x, y = self._actor(actor, n)
            picture = over(picture, layer, x, y)
        if shot.near:
            layer = self._keep(shot.near, lambda: outdoors.foreground(self.scale, self.seed + 21))
            picture = over(picture, layer, -round(2 * shot.pan * n * self.scale), 0)
        picture = np.ascontiguousarray(picture)
        picture.setflags(write=False)
        return picture

    def _background(self, shot: Shot) -> np.ndarray:
        paint: dict[str, Callable[[], np.ndarray]] = {
            "classroom": lambda: indoors.classroom(self.scale, self.seed + 5),
            "school": lambda: outdoors.school(self.scale, self.seed + 3),
            "town": lambda: outdoors.town(self.scale, self.seed + 8),
            "title": lambda: indoors.title_card(self.scale, shot.lines, self.seed + 13),
        }
        return self._keep((shot.background, shot.lines), paint[shot.background])

    def _actor(self, actor: Actor, n: int) -> tuple[np.ndarray, int, int]:
        pose, (x, y), unit = actor.pose_at(n), actor.place_at(n), actor.unit
        # Two more than reach the lower edge, as the layer begins on the pixel above its place.
        tall = HEIGHT + 2 - (actor.y + min(actor.bob) - LAYER_UNITS[3] * unit)
        left, top = (x - LAYER_UNITS[2] * unit) * self.scale, (y - LAYER_UNITS[3] * unit) * self.scale
        # The layer lies on whole pixels, the drawing within it just where it belongs.
        px, py = math.floor(left + 1e-6), math.floor(top + 1e-6)
        shift = (round((left - px) / self.scale, 4), round((top - py) / self.scale, 4))
        layer = self._keep(
            (actor.look, pose, unit, tall, shift),
            lambda: draw_character(actor.look, pose, unit, self.scale, tall, shift),
        )
        return layer, px, py

    def _keep(self, key: object, draw: Callable[[], np.ndarray]) -> np.ndarray:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self._kept[key] = drawing = draw()
        while sum(d.nbytes for d in self._kept.values()) > CACHE_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return drawing


def render(shot: str, n: int, height: int = 360, seed: int = 0) -> np.ndarray:
    """One frame on its own; for many frames keep a Painter, it keeps the drawings."""
    return Painter(height, seed).frame(shot, n)
