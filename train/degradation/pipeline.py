"""Degrading one image: applying a draw of the full model, and the light recipe of the first weights."""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np

from vsapisr.errors import ArgumentError

from . import blur, compression, noise
from .config import DegradationConfig
from .draws import Blur, Codec, Draw, Noise, Resize, Step, draw, generator
from .resize import RESIZERS, resize, to_bytes, to_float

__all__ = ["LightConfig", "apply", "apply_step", "degrade", "degrade_light", "to_bytes"]


def apply_step(image: np.ndarray, step: Step) -> np.ndarray:
    """One step. Codecs take and give (H, W, 3) uint8, the others float32 in [0, 1] or a little beyond."""
    if isinstance(step, Codec):
        small = image if image.dtype == np.uint8 else to_bytes(image)
        return compression.compress(small, step.name, step.quality, step.effort)
    x = to_float(image) if image.dtype == np.uint8 else image
    if isinstance(step, Blur):
        return blur.blur(x, step.kernel())
    if isinstance(step, Resize):
        return resize(x, step.height, step.width, step.interpolation)
    if isinstance(step, Noise):
        add = {"gaussian": noise.gaussian, "poisson": noise.poisson}[step.kind]
        return add(x, np.random.default_rng(step.seed), step.amount, step.grey)
    raise TypeError(f"{step!r} is not a step of a draw")


def check_image(image: np.ndarray) -> None:
    """``ArgumentError`` unless (H, W, 3) uint8 with both sides multiples of 8."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ArgumentError(f"image: {image.shape} {image.dtype} is not accepted; accepted: (H, W, 3) uint8")
    if image.shape[0] % 8 or image.shape[1] % 8 or not image.size:
        raise ArgumentError(f"image: {image.shape[1]}x{image.shape[0]} is not accepted; accepted: sides that are multiples of 8")


def apply(image: np.ndarray, record: Draw, seconds: dict[str, float] | None = None) -> np.ndarray:
    """(H, W, 3) uint8 RGB of the size ``record`` was drawn for -> (H/4, W/4, 3) uint8 RGB; the input is left as it is.

    ``seconds`` collects the time taken per kind of step, codecs by name.
    """
    check_image(image)
    if image.shape[:2] != (record.height, record.width):
        raise ArgumentError(f"image: {image.shape[:2]} is not accepted; accepted: {(record.height, record.width)} as drawn for")
    x = image
    for step in record.steps:
        start = time.perf_counter()
        x = apply_step(x, step)
        if seconds is not None:
            name = step.name if isinstance(step, Codec) else type(step).__name__.lower()
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
    return x if x.dtype == np.uint8 else to_bytes(x)


def degrade(image: np.ndarray, config: DegradationConfig, *numbers: int) -> tuple[np.ndarray, Draw]:
    """(H, W, 3) uint8 RGB -> (H/4, W/4, 3) and what was drawn: a function of image, ``config`` and ``numbers`` alone.

    ``numbers`` name the stream: (seed, epoch, index).
    """
    check_image(image)
    record = draw(generator("degrade", *numbers), config, *image.shape[:2])
    return apply(image, record), record


@dataclass(frozen=True, kw_only=True)
class LightConfig:
    """A single round of degradations: what a good source on a small budget suffers. Ranges are (low, high), inclusive.
    """

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


def quarter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) -> (H/4, W/4, 3), by area averages or after an antialiasing blur by bilinear or bicubic interpolation.
    """
    height, width = image.shape[0] // 4, image.shape[1] // 4
    name = rng.choice(list(RESIZERS))
    if name != "area":
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1.0, 1.6), borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(image, (width, height), interpolation=RESIZERS[name])


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
