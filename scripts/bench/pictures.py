"""Pictures of 1280x720 to measure with: drawings of a folder, or made ones."""

from __future__ import annotations

import cv2
import numpy as np

from train.media.images import list_images, read_image


def made(seed: int, height: int = 720, width: int = 1280) -> np.ndarray:
    """(height, width, 3) uint8: flat areas, gradients, outlines and a little texture."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(rng.uniform(80, 160), rng.uniform(160, 240), height)[:, None, None]
    image = np.tile(ramp * rng.uniform(0.7, 1.0, 3), (1, width, 1)).astype(np.uint8)
    for _ in range(60):
        centre, axes = (
            (int(rng.integers(width)), int(rng.integers(height))),
            tuple(int(v) for v in rng.integers(8, 140, 2)),
        )
        angle, colour = float(rng.uniform(0, 180)), tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.ellipse(image, centre, axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(image, centre, axes, angle, 0, 360, (25, 20, 20), int(rng.integers(1, 4)), cv2.LINE_AA)
    texture = cv2.GaussianBlur(rng.normal(0, 12, (height, width, 1)).astype(np.float32), (0, 0), 1.5)[..., None]
    return np.clip(image + texture, 0, 255).astype(np.uint8)


def pictures(folder: str | None, count: int) -> list[np.ndarray]:
    """``count`` (720, 1280, 3) uint8, from ``folder`` scaled and cropped, or made."""
    if folder is None:
        return [made(seed) for seed in range(count)]
    files, result = list_images(folder), []
    for number in range(count):
        image = read_image(files[number * len(files) // count])
        scale = max(720 / image.shape[0], 1280 / image.shape[1])
        size = (max(1280, round(image.shape[1] * scale)), max(720, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        result.append(np.ascontiguousarray(image[:720, :1280]))
    return result
