"""The beginning of Inception v3 (Szegedy et al. 2016), up to Keras's ``mixed2``, with weights of drawings and
photographs.

The package ``nsfwjs`` has it, trained to tell drawings from photographs, among other things: its early layers know line
art as well as photographs. Numbers of layers are Keras's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LAYERS", "Inception", "convert"]

LAYERS = ("activation_1", "activation_3", "activation_5", "mixed0", "mixed2")
"""Outputs after the ReLU, of 1/2, 1/2, 1/4, 1/8 and 1/8 of the picture's sides."""


class Shape(NamedTuple):
    """One convolution: channels, side of the kernel, step; "same" pads so that step 1 keeps the size."""

    channels_in: int
    channels: int
    kernel: int = 1
    step: int = 1
    same: bool = True


def block(channels_in: int, pooled: int) -> list[Shape]:
    """The seven convolutions of ``mixed0`` to ``mixed2``: 1x1; 1x1 and 5x5; 1x1, 3x3 and 3x3; 1x1 of the average."""
    one, five, three = Shape(channels_in, 64), Shape(channels_in, 48), Shape(channels_in, 64)
    return [one, five, Shape(48, 64, 5), three, Shape(64, 96, 3), Shape(96, 96, 3), Shape(channels_in, pooled)]


SHAPES = [
    Shape(3, 32, 3, 2, False),
    Shape(32, 32, 3, 1, False),
    Shape(32, 64, 3),
    Shape(64, 80, 1, 1, False),
    Shape(80, 192, 3, 1, False),
    *block(192, 32),
    *block(256, 64),
    *block(288, 64),
]
MIXED = {"mixed0": 6, "mixed1": 13, "mixed2": 20}
"""Block -> number of its first convolution."""


class Inception(nn.Module):
    """(B, 3, H, W) RGB in [0, 1], sides of 75 or more -> dict from each of ``layers`` to its output (B, C, h, w).

    The weights are uninitialised; batch normalisation is folded into them. What comes after the last of ``layers`` is
    left out.
    """

    def __init__(self, layers: Sequence[str]):
        super().__init__()
        self.layers = tuple(layers)
        last = max(MIXED.get(layer, 0) + 6 if layer in MIXED else int(layer.rpartition("_")[2]) for layer in layers)
        for number, shape in enumerate(SHAPES[:last], 1):
            padding = shape.kernel // 2 if shape.same else 0
            conv = nn.Conv2d(shape.channels_in, shape.channels, shape.kernel, shape.step, padding, device="meta")
            self.add_module(f"conv{number}", conv.to_empty(device="cpu"))

    def conv(self, number: int, x: Tensor) -> Tensor:
        return F.relu(self.get_submodule(f"conv{number}")(x))

    def mixed(self, first: int, x: Tensor) -> Tensor:
        """Average pooling with TensorFlow's "same" divides by the number of samples that are there."""
        pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        five = self.conv(first + 2, self.conv(first + 1, x))
        three = self.conv(first + 5, self.conv(first + 4, self.conv(first + 3, x)))
        return torch.cat([self.conv(first, x), five, three, self.conv(first + 6, pooled)], 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for number in range(1, 6):
            if f"conv{number}" not in self._modules:
                return found
            x = self.conv(number, F.max_pool2d(x, 3, 2) if number == 4 else x)
            if f"activation_{number}" in self.layers:
                found[f"activation_{number}"] = x
        x = F.max_pool2d(x, 3, 2)
        for name, first in MIXED.items():
            if f"conv{first}" not in self._modules:
                break
            x = self.mixed(first, x)
            if name in self.layers:
                found[name] = x
        return found


def convert(weights: Mapping[str, np.ndarray], epsilon: float = 1e-3) -> dict[str, Tensor]:
    """Keras's tensors -> the state of an :class:`Inception` with all its layers.

    The convolutions have no bias and are followed by batch normalisation without gamma, with Keras's ``epsilon``.

    Raises:
        ValueError: a tensor is missing, of another shape or not finite.
    """
    state = {}
    for number, shape in enumerate(SHAPES, 1):
        norm = f"batch_normalization_{number}"
        names = (f"conv2d_{number}/kernel", f"{norm}/beta", f"{norm}/moving_mean", f"{norm}/moving_variance")
        if missing := [name for name in names if name not in weights]:
            raise ValueError(f"{missing[0]} is missing")
        kernel, beta, mean, variance = (weights[name].astype(np.float64) for name in names)
        wanted = (shape.kernel, shape.kernel, shape.channels_in, shape.channels)
        if kernel.shape != wanted or {part.shape for part in (beta, mean, variance)} != {(shape.channels,)}:
            raise ValueError(f"{names[0]} has shape {kernel.shape}, {wanted} is needed")
        factor = 1 / np.sqrt(variance + epsilon)
        state[f"conv{number}.weight"] = torch.from_numpy((kernel * factor).transpose(3, 2, 0, 1).copy()).float()
        state[f"conv{number}.bias"] = torch.from_numpy(beta - mean * factor).float()
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise ValueError("some of its values are not finite")
    return state
