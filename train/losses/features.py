"""The networks of the perceptual loss, cut down to the layers that it compares: VGG-19 and ResNet-50 as torchvision
defines them, and those of :mod:`.packages`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .packages import inception, thin_resnet

__all__ = ["LAYERS", "NORMALISATION", "FeatureNetwork", "empty", "whole"]

LAYERS = {
    # conv1_2, conv2_2, conv3_4, conv4_4, conv5_4, before their ReLU
    "vgg": ("features.2", "features.7", "features.16", "features.25", "features.34"),
    # the output of the convolution itself: neither normalised nor added to the skip
    "resnet": ("conv1", "layer1.2.conv3", "layer2.3.conv3", "layer3.5.conv3", "layer4.2.conv3"),
    "drawings": inception.LAYERS,
    "photographs": thin_resnet.LAYERS,
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, RGB in [0, 1]
NORMALISATION = {
    "drawings": ((0.0,) * 3, (1.0,) * 3),
    "photographs": (thin_resnet.MEAN, thin_resnet.STD),
    "vgg": (MEAN, STD),
    "resnet": (MEAN, STD),
}
"""Network -> the means that are taken from RGB in [0, 1], and the divisors."""


def whole(name: str) -> nn.Module:
    """torchvision's network "vgg" (19) or "resnet" (50) without memory for its weights: names and shapes alone."""
    import torchvision

    with torch.device("meta"):
        if name == "vgg":
            return torchvision.models.vgg19(weights=None, init_weights=False).eval()
        return torchvision.models.resnet50(weights=None).eval()


def empty(name: str, layers: Sequence[str]) -> nn.Module:
    """The part of a network that ``layers`` need, with uninitialised weights, under torchvision's names where it is one
    of torchvision's.

    Input (B, 3, H, W), normalised; result: dict from each of ``layers`` to its output (B, C, h, w).
    """
    if name == "drawings":
        return inception.Inception(layers).eval()
    if name == "photographs":
        return thin_resnet.ThinResNet(layers).eval()
    from torchvision.models.feature_extraction import create_feature_extractor

    network = whole(name)
    for part in network.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False  # in place it would overwrite the layer before it, which is compared
    return create_feature_extractor(network, list(layers)).to_empty(device="cpu")


class FeatureNetwork(nn.Module):
    """(B, 3, H, W) RGB in [0, 1] -> list of features (B, C, h, w), one per layer, times the layer's ``scale``.

    Frozen, and in eval mode whatever is asked: BatchNorm must neither learn nor mix the batch. Gradients pass to the
    input. Weights and input are channels-last. ``normalisation``: of :data:`NORMALISATION`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        layers: Sequence[str],
        scales: Sequence[float] | None = None,
        normalisation: tuple = (MEAN, STD),
    ):
        super().__init__()
        self.body = body.requires_grad_(False).to(memory_format=torch.channels_last)
        self.layers = tuple(layers)
        self.scales = tuple(scales) if scales is not None else (1.0,) * len(self.layers)
        self.register_buffer("mean", torch.tensor(normalisation[0]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(normalisation[1]).view(1, 3, 1, 1), persistent=False)
        self.train(False)

    def train(self, mode: bool = True) -> FeatureNetwork:
        return super().train(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = ((image.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        found = self.body(x)
        return [found[layer] if scale == 1 else found[layer] * scale for layer, scale in zip(self.layers, self.scales)]
