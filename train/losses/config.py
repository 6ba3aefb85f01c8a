"""Weights of the losses and where their feature networks come from; the defaults are the paper's (sections 3.4,
4.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..settings import check

__all__ = ["FEATURES", "LossConfig"]

FEATURES = ("pretrained", "random", "none")
LAYERS = 5


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Loss = l1 * L1 + mse * MSE + colour * L_colour + perceptual * (resnet * L_resnet + vgg * L_vgg) + adversarial *
    L_adv.

    Stage 1 has ``perceptual`` and ``adversarial`` at 0. A term of weight 0 is not computed and its network not built.
    """

    l1: float = 1.0
    mse: float = 0.0
    """Mean squared error, which is not in the paper: for weights of the highest PSNR. 10 of it are about as much as 1
    of L1.
    """
    colour: float = 0.0
    """Mean distance in CIELAB's colour plane at LR size, which is not in the paper either: against casts and tinted
    lines.
    """
    perceptual: float = 0.5
    resnet: float = 1.0
    vgg: float = 1.0
    adversarial: float = 0.2
    vgg_layers: tuple[float, ...] = (0.1, 1.0, 1.0, 1.0, 1.0)
    """Of conv1_2, conv2_2, conv3_4, conv4_4, conv5_4, before their ReLU. (The public code has 0.1 for the second too.)
    """
    resnet_layers: tuple[float, ...] = (0.1, 20.0, 25.0, 1.0, 1.0)
    """Of conv1 and the last convolution of layer1 to layer4."""
    features: str = "pretrained"
    """"pretrained": VGG-19 of ImageNet and ResNet-50 of Danbooru2018, whose files are needed; "random": the same
    networks with random weights from ``features_seed``; "none": no perceptual term."""
    vgg_weights: str | None = None
    """File of VGG-19; left out, ``vgg19-dcbb9e9d.pth`` in PyTorch's cache folder."""
    resnet_weights: str | None = None
    """File of the Danbooru ResNet-50; left out, ``resnet50-13306192.pth`` in PyTorch's cache folder."""
    download: bool = False
    """Fetch what is in neither place. Nothing uses the network otherwise."""
    features_seed: int = 0

    def __post_init__(self) -> None:
        for key in ("l1", "mse", "colour", "perceptual", "resnet", "vgg", "adversarial"):
            value = getattr(self, key)
            check(math.isfinite(value) and value >= 0, key, value, "a number, not negative")
        for key in ("vgg_layers", "resnet_layers"):
            value = getattr(self, key)
            check(
                len(value) == LAYERS and all(math.isfinite(w) and w >= 0 for w in value) and any(value),
                key,
                value,
                f"{LAYERS} numbers, none negative, not all zero",
            )
        check(self.features in FEATURES, "features", self.features, " or ".join(map(repr, FEATURES)))
        check(0 <= self.features_seed < 2**63, "features_seed", self.features_seed, "0 or more")
        for key in ("vgg_weights", "resnet_weights"):
            check(getattr(self, key) != "", key, "", "a file, or leave the key out")

    def layers(self, network: str) -> tuple[float, ...]:
        """Layer weights of "vgg" or "resnet", times all that stands before them; all zero where the term is off."""
        factor = self.perceptual * getattr(self, network) * (self.features != "none")
        return tuple(factor * weight for weight in getattr(self, network + "_layers"))
