"""The order of the degradations and their random draws, for one image at a time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import blur, compression, noise


@dataclass(frozen=True, kw_only=True)
class LightConfig:
    """A single round of degradations: what a good source on a small budget suffers. Ranges are (low, high), inclusive."""

    blur_probability: float = 0.5
    blur_sigma: tuple[float, float] = (0.2, 1.8)
    """Standard deviation in pixels of the large image."""
    noise_probability: float = 0.3
    gaussian_sigma: tuple[float, float] = (1.0, 8.0)
    poisson_scale: tuple[float, float] = (0.05, 0.8)
    grey_probability: float = 0.4
    codecs: tuple[str, ...] = ("none", "jpeg", "h264")
    codec_weights: tuple[float, ...] = (0.1, 0.25, 0.65)
    jpeg_quality: tuple[int, int] = (40, 95)
    h264_crf: tuple[int, int] = (17, 33)


RESIZERS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def quarter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) -> (H/4, W/4, 3), by area averages or after an antialiasing blur by bilinear or bicubic interpolation."""
    height, width = image.shape[0] // 4, image.shape[1] // 4
    name = rng.choice(list(RESIZERS))
    if name != "area":
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1.0, 1.6), borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(image, (width, height), interpolation=RESIZERS[name])


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Float in any range -> uint8, clamped before it is rounded so that overshoot cannot wrap."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def degrade_light(image: np.ndarray, rng: np.random.Generator, config: LightConfig) -> np.ndarray:
    """(H, W, 3) uint8 RGB, sides multiples of 8 -> (H/4, W/4, 3) uint8 RGB."""
    x = image.astype(np.float32) / 255
    if rng.random() < config.blur_probability:
        x = blur.blur(x, blur.random_kernel(rng, config.blur_sigma))
    x = quarter(x, rng)
    if rng.random() < config.noise_probability:
        grey = rng.random() < config.grey_probability
        if rng.random() < 0.5:
            x = noise.gaussian(x, rng, rng.uniform(*config.gaussian_sigma), grey)
        else:
            x = noise.poisson(x, rng, rng.uniform(*config.poisson_scale), grey)
    small = to_bytes(x)
    codec = rng.choice(config.codecs, p=config.codec_weights)
    if codec == "jpeg":
        return compression.still(small, "JPEG", int(rng.integers(*config.jpeg_quality, endpoint=True)))
    if codec == "h264":
        return compression.h264(small, int(rng.integers(*config.h264_crf, endpoint=True)))
    return small
