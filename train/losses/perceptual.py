"""Distance of two pictures in the features of a frozen network (Johnson et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .features import FeatureNetwork
from .pixel import l1

__all__ = ["PerceptualLoss"]


class PerceptualLoss(nn.Module):
    """(B, 3, H, W) output and target, RGB in [0, 1] -> sum over layers of weight * mean absolute difference, a scalar.

    The gradient reaches ``output`` through the network. The target's features are computed without a graph. Under
    autocast the network runs in half precision; its input's normalisation and the means stay fp32.
    """

    def __init__(self, network: FeatureNetwork, weights: Sequence[float]):
        """``weights``: one per layer of ``network``."""
        super().__init__()
        self.network, self.weights = network, tuple(weights)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.network(target)
        found = self.network(output)
        return torch.stack([w * l1(a, b) for w, a, b in zip(self.weights, found, wanted, strict=True)]).sum()
