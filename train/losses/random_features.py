"""Random weights for the feature networks under which the deep layers tell pictures apart, and only as far as they
differ.

He initialisation without biases (He et al. 2015), BatchNorm reduced to one scale per layer, and each compared layer
scaled by how much its channels vary over made-up pictures. Measured on six drawings, the fifth layers then differ half
as much as the first between two drawings, and the whole loss is a 50th to 70th of that under noise of 1/255. Zero mean
and unit variance of every channel, which one might prefer, makes such networks chaotic: ResNet-50 then gave that noise
a sixth of the distance between two drawings, and gradients were 40 times as large.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import LossConfig
from .features import LAYERS, MEAN, STD

__all__ = ["initialise", "pictures"]

SIDE = 128


def pictures(generator: torch.Generator, count: int = 4) -> Tensor:
    """(count, 3, 128, 128) RGB in [0, 1]: smooth shading inside hard-edged areas, crossed by thin dark lines."""

    def smooth(channels: int, cells: int) -> Tensor:
        noise = torch.rand(count, channels, cells, cells, generator=generator)
        return F.interpolate(noise, (SIDE, SIDE), mode="bicubic", align_corners=True)

    area, line = smooth(1, 9), smooth(1, 7)
    colour = torch.where(area > 0.5, smooth(3, 5), smooth(3, 5))
    return torch.where((line - 0.5).abs() < 0.02, 0.1 * colour, colour).clamp(0, 1)


def take_scale(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Forward hook of a BatchNorm, before it runs: it divides by one number, so that signals do not grow with depth."""
    assert isinstance(norm.running_var, Tensor)
    norm.running_var.fill_(inputs[0].var((0, 2, 3)).mean().clamp_min(1e-6))


@torch.no_grad()
def initialise(name: str, body: nn.Module, layers: Sequence[str], seed: int) -> list[float]:
    """Fill ``body`` (of :func:`.features.empty`) with random weights; returns a scale for each of ``layers``.

    With its scale a layer's mean absolute deviation from its channels' means is 1 / (default weight): the balanced
    weights then give all layers the same share, which is what they are there for in the trained networks.
    """
    generator = torch.Generator().manual_seed(seed)
    hooks = []
    for part in body.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
            hooks.append(part.register_forward_pre_hook(take_scale))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    found = body.eval()((pictures(generator) - mean) / std)
    for hook in hooks:
        hook.remove()
    return [1 / (weight * deviation(found[layer])) for layer, weight in zip(layers, reference(name, layers))]


def deviation(features: Tensor) -> float:
    """Mean absolute deviation of (B, C, h, w) from the means of the channels."""
    return (features - features.mean((0, 2, 3), keepdim=True)).abs().mean().item()


def reference(name: str, layers: Sequence[str]) -> list[float]:
    """The default weights of ``layers``."""
    default = dict(zip(LAYERS[name], getattr(LossConfig(), f"{name}_layers")))
    return [default[layer] for layer in layers]
