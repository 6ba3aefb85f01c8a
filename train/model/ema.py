"""Exponential moving average of a network's parameters."""

from __future__ import annotations

import copy

import torch
from torch import nn


class EMA:
    """``average`` follows ``model``; early steps use a faster decay so that the start does not linger in it."""

    def __init__(self, model: nn.Module, decay: float):
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.average.parameters()), list(model.parameters()), 1 - decay)
