"""Degrading one image: applying a draw of the full model."""

from __future__ import annotations

import time

import numpy as np

from vsapisr.errors import ArgumentError

from . import blur, compression, noise
from .config import DegradationConfig
from .draws import Blur, Codec, Draw, Noise, Resize, Step, draw, generator
from .resize import resize, to_bytes

__all__ = ["apply", "apply_step", "degrade", "to_bytes"]


def apply_step(image: np.ndarray, step: Step) -> np.ndarray:
    """One step on (H, W, 3), uint8 or float32 in [0, 1] or a little beyond. Codecs give uint8, the others float32."""
    image = np.ascontiguousarray(image)
    if isinstance(step, Codec):
        small = image if image.dtype == np.uint8 else to_bytes(image)
        return compression.compress(small, step.name, step.quality, step.effort)
    if isinstance(step, Blur):
        return blur.blur(image, step.kernel())
    if isinstance(step, Resize):
        return resize(image, step.height, step.width, step.interpolation)
    if isinstance(step, Noise):
        add = {"gaussian": noise.gaussian, "poisson": noise.poisson}[step.kind]
        return add(image, np.random.default_rng(step.seed), step.amount, step.grey)
    raise TypeError(f"{step!r} is not a step of a draw")


def check_image(image: np.ndarray) -> None:
    """``ArgumentError`` unless (H, W, 3) uint8 with both sides multiples of 8."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ArgumentError(f"image: {image.shape} {image.dtype} is not accepted; accepted: (H, W, 3) uint8")
    if image.shape[0] % 8 or image.shape[1] % 8 or not image.size:
        raise ArgumentError(
            f"image: {image.shape[1]}x{image.shape[0]} is not accepted; accepted: sides that are multiples of 8"
        )


def apply(image: np.ndarray, record: Draw, seconds: dict[str, float] | None = None) -> np.ndarray:
    """(H, W, 3) uint8 RGB of the size ``record`` was drawn for -> (H/4, W/4, 3) uint8 RGB; the input is left as it is.

    ``seconds`` collects the time taken per kind of step, codecs by name.
    """
    check_image(image)
    if image.shape[:2] != (record.height, record.width):
        raise ArgumentError(
            f"image: {image.shape[:2]} is not accepted; accepted: {(record.height, record.width)} as drawn for"
        )
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
