"""Painted surfaces: brush texture, skies, clouds. Random fields live in design units, so all sizes show the same."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import RGB

__all__ = ["HEIGHT", "WIDTH", "clouds", "gradient", "grain", "noise", "textured"]

WIDTH, HEIGHT = 640, 360
"""Size of the picture in design units; scale 1 gives 640x360 pixels, scale 4 gives 2560x1440."""


def noise(width: int, height: int, scale: float, cell: float, octaves: int, seed: int) -> np.ndarray:
    """Smooth noise around 0, about -1 to 1: (H, W) float32; ``cell`` is the largest spot in design units."""
    rng = np.random.default_rng(seed)
    size = (round(width * scale), round(height * scale))
    total, share = np.zeros(size[::-1], np.float32), 1.0
    for _ in range(octaves):
        columns, rows = int(np.ceil(width / cell)) + 1, int(np.ceil(height / cell)) + 1
        grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        step = 1 / (cell * scale)
        place = np.array(
            [[step, 0, step / 2], [0, step, step / 2]]
        )  # pixel centres, or scales would differ by half a pixel
        total += share * cv2.warpAffine(
            grid, place, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        cell, share = cell / 2, share * 0.55
    return total


def gradient(width: int, height: int, scale: float, stops: tuple[tuple[float, RGB], ...]) -> np.ndarray:
    """Vertical gradient through (height in design units, colour): (H, W, 3) float32 in 0..255."""
    rows = (np.arange(round(height * scale)) + 0.5) / scale
    column = np.stack([np.interp(rows, [y for y, _ in stops], [c[k] for _, c in stops]) for k in range(3)], axis=1)
    return np.repeat(column[:, None, :].astype(np.float32), round(width * scale), axis=1)


def clouds(
    sky: np.ndarray, scale: float, banks: tuple[tuple[float, float, float], ...], light: RGB, shade: RGB, seed: int
) -> None:
    """Paint cumulus banks (middle, base and width in design units) into ``sky`` (float32 RGB), in place."""
    rng = np.random.default_rng(seed)
    for k, (middle, base, width) in enumerate(banks):
        puffs = _puffs(rng, middle, base, width)
        # The area in steps of 20 design units: whole pixels at every accepted height, so its noise falls alike in all.
        low = np.maximum(20 * np.floor((puffs[:, :2] - 1.4 * puffs[:, 2:]).min(axis=0) / 20), 0)
        high = 20 * np.ceil(np.array([(puffs[:, 0] + 1.4 * puffs[:, 2]).max(), base + 0.1 * width]) / 20)
        high = np.minimum(high, np.array(sky.shape[1::-1]) / scale)
        if (high <= low).any():
            continue
        (x0, y0), (x1, y1) = (np.round(v * scale).astype(int) for v in (low, high))
        x = (np.arange(x0, x1, dtype=np.float32) + 0.5) / scale
        y = (np.arange(y0, y1, dtype=np.float32) + 0.5)[:, None] / scale
        rough = noise(*(high - low), scale, width / 9, 4, seed + 17 * k)
        depth, facing = np.full(rough.shape, -1.0, np.float32), np.zeros_like(rough)
        for px, py, radius in puffs:
            dx, dy = (x - px) / radius, (y - py) / radius
            inside = 1.0 - np.sqrt(dx * dx + dy * dy)
            nearer = inside > depth
            np.copyto(depth, inside, where=nearer)
            np.copyto(facing, -0.45 * dx - 0.8 * dy, where=nearer)
        flat = np.clip((base + 0.03 * width - y) / (0.07 * width), 0, 1)
        cover = _step(depth + 0.22 * rough, 0.10, 0.22) * flat
        lit = _step(facing + 0.30 * rough + 0.25 * (base - y) / width, -0.12, 0.10)
        tone = (
            np.array(shade, np.float32) + (np.array(light, np.float32) - np.array(shade, np.float32)) * lit[..., None]
        )
        area = sky[y0:y1, x0:x1]
        area += cover[..., None] * (tone - area)


def _puffs(rng: np.random.Generator, middle: float, base: float, width: float) -> np.ndarray:
    u = np.linspace(-1, 1, 15) + rng.uniform(-0.05, 0.05, 15)
    hump = 1.0 - np.abs(u) ** 1.6
    radius = width * (0.06 + 0.11 * np.clip(hump, 0, 1) * rng.uniform(0.7, 1.2, 15))
    rise = np.clip(hump, 0, 1) * width * 0.22 * rng.uniform(0.1, 1.2, 15)
    low = np.stack([middle + u * width / 2, base - 0.5 * radius, radius], axis=1)
    high = np.stack([middle + u * width / 2.6, base - rise - 0.6 * radius, 0.95 * radius], axis=1)
    return np.vstack([high, low])


def _step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def grain(image: np.ndarray, scale: float, strength: float, seed: int) -> np.ndarray:
    """Brush and paper texture over a painting: uint8 in, uint8 out."""
    height, width = image.shape[:2]
    field = 0.65 * noise(width / scale, height / scale, scale, 60, 3, seed) + 0.35 * noise(
        width / scale, height / scale, scale, 3, 2, seed + 1
    )
    field = cv2.resize(field, (width, height))
    return np.clip(np.rint(image * (1.0 + strength * field[..., None])), 0, 255).astype(np.uint8)


def textured(layer: np.ndarray, scale: float, strength: float, seed: int) -> np.ndarray:
    """The same for a premultiplied RGBA layer; coverage stays."""
    colour = np.minimum(grain(layer[..., :3], scale, strength, seed), layer[..., 3:])
    return np.dstack([colour, layer[..., 3]])
