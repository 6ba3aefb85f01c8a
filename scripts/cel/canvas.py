"""A canvas for vector drawings that come out the same, only finer, at every resolution.

Shapes are filled without smoothing on a canvas ``supersample`` times larger than asked for and averaged down once, so
edges are exact area averages and neighbouring shapes leave no gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .curves import Points, ribbon

__all__ = ["RGB", "Canvas", "Gradient", "over", "supersampling"]

RGB = tuple[int, int, int]
SHIFT = 4  # fillPoly takes fixed-point corners with this many fractional bits


@dataclass(frozen=True)
class Gradient:
    """Colour that changes from ``top`` at height ``y0`` to ``bottom`` at ``y1`` (drawing units of the canvas)."""

    top: RGB
    bottom: RGB
    y0: float
    y1: float


def supersampling(scale: float) -> int:
    """How much finer than the output shapes are drawn: about 1440 rows or more at every size."""
    return 8 if scale <= 0.75 else 4 if scale <= 1.5 else 2


class Canvas:
    """Drawing surface of ``width`` x ``height`` design units, ``scale`` output pixels to the unit.

    ``place`` maps a drawing's own units to design units (2x3 affine); None leaves them as they are.
    """

    def __init__(self, width: float, height: float, scale: float, place: np.ndarray | None = None) -> None:
        self.size = (max(1, round(width * scale)), max(1, round(height * scale)))
        self.supersample = supersampling(scale)
        self.scale = scale * self.supersample
        self.pixels = np.zeros((self.size[1] * self.supersample, self.size[0] * self.supersample, 4), np.uint8)
        self.place = np.array([[1.0, 0, 0], [0, 1, 0]]) if place is None else np.asarray(place, dtype=np.float64)
        self.unit = float(np.sqrt(abs(np.linalg.det(self.place[:, :2]))))

    def fixed(self, points: Points, origin: tuple[int, int] = (0, 0)) -> np.ndarray:
        """Drawing units -> fixed-point canvas pixels (pixel centres at whole numbers)."""
        p = np.asarray(points, dtype=np.float64) @ self.place[:, :2].T + self.place[:, 2]
        p = p * self.scale - 0.5 - np.asarray(origin, dtype=np.float64)
        return np.round(p * (1 << SHIFT)).astype(np.int32)

    def fill(self, points: Points, colour: RGB | Gradient, clip: Points | None = None, alpha: float = 1.0) -> None:
        """Fill a closed shape, inside ``clip`` alone if given, ``alpha`` between 0 and 1."""
        if len(points) < 3:
            return
        if clip is None and alpha >= 1.0 and not isinstance(colour, Gradient):
            cv2.fillPoly(self.pixels, [self.fixed(points)], (*colour, 255), cv2.LINE_8, SHIFT)
            return
        box = self._box(points if clip is None else _overlap(self, points, clip))
        if box is None:
            return
        x0, y0, x1, y1 = box
        mask = self._mask(points, box)
        if clip is not None:
            mask &= self._mask(clip, box)
        area = self.pixels[y0:y1, x0:x1]
        ink = self._ink(colour, box)
        if alpha < 1.0:
            # What is drawn later may be translucent, the drawing as a whole stays opaque where it was.
            mixed = cv2.addWeighted(area, 1.0 - alpha, ink, alpha, 0.0)
            mixed[..., 3] = area[..., 3]
            ink = mixed
        cv2.copyTo(ink, mask, area)

    def stroke(
        self,
        path: Points,
        width: float,
        colour: RGB,
        taper: str = "both",
        clip: Points | None = None,
        alpha: float = 1.0,
    ) -> None:
        """Draw a pen stroke; ``width`` in drawing units."""
        self.fill(ribbon(path, width, taper), colour, clip, alpha)

    def outline(self, shape: Points, width: float, colour: RGB) -> None:
        """Draw around a closed shape; the line is heavier where it faces down, as inked drawings have it."""
        ring = np.vstack([shape, shape[:1]])
        step = np.gradient(ring, axis=0)
        if np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]) < 0:
            step = -step
        # With y down and this winding the outward normal is (dy, -dx); its y share is -dx.
        down = -step[:, 0] / np.maximum(np.linalg.norm(step, axis=1), 1e-9)
        half = 0.5 * width * (1.0 + 0.35 * np.clip(down, -1, 1))
        corners = self.fixed(ring)
        for i in range(len(ring) - 1):
            size = max(1, round((half[i] + half[i + 1]) * self.unit * self.scale))
            cv2.line(
                self.pixels,
                tuple(map(int, corners[i])),
                tuple(map(int, corners[i + 1])),
                (*colour, 255),
                size,
                cv2.LINE_8,
                SHIFT,
            )

    def finish(self) -> np.ndarray:
        """Averaged down: (H, W, 4) uint8, colour premultiplied by coverage."""
        return cv2.resize(self.pixels, self.size, interpolation=cv2.INTER_AREA)

    def _box(self, points: Points | None) -> tuple[int, int, int, int] | None:
        if points is None:
            return None
        corners = self.fixed(points) / (1 << SHIFT)
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, (self.pixels.shape[1], self.pixels.shape[0]))
        return None if (high <= low).any() else (int(low[0]), int(low[1]), int(high[0]), int(high[1]))

    def _mask(self, points: Points, box: tuple[int, int, int, int]) -> np.ndarray:
        mask = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
        cv2.fillPoly(mask, [self.fixed(points, box[:2])], 255, cv2.LINE_8, SHIFT)
        return mask

    def _ink(self, colour: RGB | Gradient, box: tuple[int, int, int, int]) -> np.ndarray:
        ink = np.empty((box[3] - box[1], box[2] - box[0], 4), np.uint8)
        if not isinstance(colour, Gradient):
            ink[:] = (*colour, 255)
            return ink
        ends = self.fixed([(0.0, colour.y0), (0.0, colour.y1)])[:, 1] / (1 << SHIFT)
        t = np.clip((np.arange(box[1], box[3]) - ends[0]) / max(ends[1] - ends[0], 1e-6), 0, 1)[:, None]
        ink[..., :3] = np.round((1 - t) * np.array(colour.top) + t * np.array(colour.bottom))[:, None, :]
        ink[..., 3] = 255
        return ink


def _overlap(canvas: Canvas, points: Points, clip: Points) -> Points | None:
    """Corners of the box common to two shapes, in drawing units; None if they are apart."""
    if np.any(canvas.place[[0, 1], [1, 0]]):  # turned: boxes in drawing units do not bound the shapes on the canvas
        return points
    low = np.maximum(points.min(axis=0), clip.min(axis=0))
    high = np.minimum(points.max(axis=0), clip.max(axis=0))
    return None if (high <= low).any() else np.vstack([low, high])


def over(below: np.ndarray, layer: np.ndarray, x: int = 0, y: int = 0) -> np.ndarray:
    """Lay a premultiplied RGBA ``layer`` at pixel (x, y) over RGB ``below``; what sticks out is cut. A new array."""
    result = below.copy()
    height, width = below.shape[:2]
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + layer.shape[1], width), min(y + layer.shape[0], height)
    if x1 <= x0 or y1 <= y0:
        return result
    part = layer[y0 - y : y1 - y, x0 - x : x1 - x]
    rest = cv2.merge([255 - part[..., 3]] * 3)
    area = result[y0:y1, x0:x1]
    area[:] = cv2.add(cv2.multiply(area, rest, scale=1 / 255), part[..., :3])
    return result
