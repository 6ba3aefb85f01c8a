"""The network outside VapourSynth: as a module on tensors, and on whole images with the filter's tiling."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from .config import UpscaleConfig
from .engine.devices import choose_device, suited
from .engine.frame import Conversion, Frame
from .engine.upscaler import Upscaler
from .errors import ArgumentError
from .networks import forms
from .picture.colour import RGB, Colour, Format

FORMATS = {
    "uint8": Format(RGB, 0, 8),
    "uint16": Format(RGB, 0, 16),
    "float16": Format(RGB, 1, 16),
    "float32": Format(RGB, 1, 32),
}


def load_model(model: str = "default", device: str = "cpu", precision: str = "fp32") -> nn.Module:
    """The network, ready to run: (B, 3, H, W) RGB in [0, 1] -> (B, 3, 4H, 4W), not clamped (of others than GRL clamped,
    and as many times larger as its ``descriptor.scale`` says). Each call gives a new one.

    Args:
        model: name of a shipped or fetched model, or path of a ``.safetensors`` or ``.pth`` file.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``auto``; float32 input is taken in all of them, and its result is
        float32.

    Raises:
        WeightsError: the weights are missing, damaged or of another network.
        DeviceError: the device is not there.
    """
    config = UpscaleConfig(model=model, device=device, precision=precision)
    where = choose_device(config.device)
    return suited(config.precision, where, lambda dtype: forms.own_form(config.model, where, dtype))[1]


def upscale_image(image: np.ndarray, **arguments: Any) -> np.ndarray:
    """Enlarge an RGB image four times, or as ``scale`` and the model say: (H, W, 3) -> (4H, 4W, 3) of the same type.

    Args:
        image: uint8 or uint16 of the full range, or float16/float32 in [0, 1].
        **arguments: those of ``core.apisr.Upscale``, ``format`` excepted.

    Raises:
        ArgumentError: another shape or type, or an argument that is not accepted.
    """
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ArgumentError(f"image must be (H, W, 3), got {image.shape}")
    if image.dtype.name not in FORMATS:
        raise ArgumentError(f"image must be {', '.join(FORMATS)}, got {image.dtype.name}")
    if "format" in arguments:
        raise ArgumentError("format is of clips; the type of the image decides here")
    format, colour = FORMATS[image.dtype.name], Colour(0, True)
    height, width = image.shape[:2]
    upscaler = Upscaler(UpscaleConfig.from_arguments(arguments), width, height, format, format)
    try:
        out = np.empty((height * upscaler.scale, width * upscaler.scale, 3), image.dtype)
        frame = Frame([image[..., c] for c in range(3)], Conversion(format, colour, format, colour))
        upscaler.render(frame, [out[..., c] for c in range(3)])
    finally:
        upscaler.close()
    return out
