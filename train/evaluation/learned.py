"""Distance of two pictures in the features of a frozen network: how different they look to a network that was trained
to tell pictures apart.

As LPIPS (Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018) without its
weights that were learned from opinions: at every place of a layer the features are made a vector of length 1, and what
counts is the squared distance of the two vectors, 0 for the same direction and at most 2 for features of 0 or more;
mean over places, then over layers.

The network that measures must not be one that the weights were trained with: they learn to please it.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses.config import LossConfig
from ..losses.features import LAYERS, NORMALISATION, FeatureNetwork, empty
from ..losses.files import folder, load
from ..losses.packages.files import PACKAGES

__all__ = ["FeatureDistance", "feature_distance", "measuring_network", "network_there"]

MEASURING = "photographs"
SMALLEST = 32  # pixels; smaller pictures are repeated at their edges


def network_there() -> bool:
    """Whether ``python -m train features`` has brought the network that measures."""
    return (folder() / PACKAGES[MEASURING].file).is_file()


def measuring_network() -> FeatureNetwork:
    """The thin ResNet-50 of photographs; the perceptual loss is to be trained with others.

    Raises:
        WeightsError: its weights are not there, or damaged.
    """
    body = empty(MEASURING, LAYERS[MEASURING])
    load(MEASURING, body, LossConfig())
    return FeatureNetwork(body, LAYERS[MEASURING], normalisation=NORMALISATION[MEASURING])


def directions(network: FeatureNetwork, image: Tensor) -> list[Tensor]:
    """(B, 3, H, W) RGB in [0, 1] -> (B, C, h, w) of length 1 along C for every layer."""
    missing = [max(SMALLEST - side, 0) for side in image.shape[-2:]]
    if any(missing):
        image = F.pad(image, (0, missing[1], 0, missing[0]), mode="replicate")
    return [F.normalize(features.float(), dim=1) for features in network(image)]


def between(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """Mean over the layers; (B,)."""
    return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in zip(first, second, strict=True)]).mean(0)


@torch.no_grad()
def feature_distance(network: FeatureNetwork, result: Tensor, target: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1], both -> (B,), 0 to 2."""
    return between(directions(network, result), directions(network, target))


class FeatureDistance:
    """``measure(image, gt)`` of (H, W, 3) uint8; the original's features are kept for the next methods."""

    def __init__(self, network: FeatureNetwork, device: torch.device | str = "cpu"):
        self.network, self.device = network.to(device), device
        self.known: tuple[np.ndarray, list[Tensor]] | None = None

    def directions(self, image: np.ndarray) -> list[Tensor]:
        x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(self.device)
        return directions(self.network, x.float() / 255)

    @torch.no_grad()
    def __call__(self, image: np.ndarray, gt: np.ndarray) -> float:
        if self.known is None or self.known[0] is not gt:
            self.known = gt, self.directions(gt)
        return float(between(self.directions(image), self.known[1]))
