"""Three PatchGANs on one picture at full, half and quarter size (halved twice), with spectral norm (APISR, section
3.4).

The names and shapes in the state dict are those of published checkpoints, in which PyTorch's older spectral norm left
``weight_orig``, ``weight_u`` and ``weight_v``; ``torch.nn.utils.parametrizations`` names them otherwise.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsapisr.errors import ArgumentError

__all__ = ["SMALLEST", "Discriminator", "PatchGAN", "SpectralConv2d"]

SMALLEST = 96
"""Least height and width of a picture: the quarter of it is the smallest that five 4x4 convolutions leave a value of.
"""
SETTLED = 15
"""Power iterations at the start, as many as ``torch.nn.utils.parametrizations.spectral_norm`` does."""


class SpectralConv2d(nn.Conv2d):
    """Convolution whose weight is divided by its largest singular value (Miyato et al. 2018).

    In training mode each forward does one power iteration, which moves the buffers ``weight_u`` and ``weight_v``. They
    follow from the weights and the number of forwards alone, not from the data: processes that take the same steps stay
    equal without exchanging them, and a resume that restores the state dict is exact. PyTorch's own function is not
    used because it iterates in half precision under autocast and leaves behind a weight that cannot be copied.
    """

    weight_orig: nn.Parameter
    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, padding: int):
        super().__init__(inputs, outputs, kernel, stride, padding)
        self.register_parameter("weight_orig", self._parameters.pop("weight"))
        self.register_buffer("weight_u", F.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(inputs * kernel**2), dim=0))
        for _ in range(SETTLED):
            self.iterate()

    @torch.no_grad()
    def iterate(self) -> tuple[Tensor, Tensor]:
        """One power iteration: the buffers move; returns copies, which later iterations leave as they are."""
        matrix = self.weight_orig.flatten(1)
        v = F.normalize(matrix.T @ self.weight_u, dim=0, eps=1e-12)
        u = F.normalize(matrix @ v, dim=0, eps=1e-12)
        self.weight_u.copy_(u)
        self.weight_v.copy_(v)
        return u, v

    def normalised(self) -> Tensor:
        """(out, in, k, k): the weight over its largest singular value, differentiable; the vectors are constants."""
        u, v = self.iterate() if self.training else (self.weight_u.clone(), self.weight_v.clone())
        return self.weight_orig / torch.dot(u, self.weight_orig.flatten(1) @ v)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # a singular value in half precision has two or three digits
            weight = self.normalised()
        return self._conv_forward(x, weight, self.bias)


class PatchGAN(nn.Module):
    """(B, 3, H, W) -> (B, 1, H/8 - 2, W/8 - 2) scores of overlapping 70x70 patches (Isola et al. 2017)."""

    def __init__(self, channels: int = 64):
        super().__init__()
        widths = (3, channels, 2 * channels, 4 * channels, 8 * channels, 1)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for n, (place, stride) in enumerate(zip((0, 2, 5, 8, 11), (2, 2, 2, 1, 1))):
            layers[str(place)] = SpectralConv2d(widths[n], widths[n + 1], 4, stride, 1)
            if n < 4:
                layers[str(place + 1)] = nn.LeakyReLU(0.2)
        self.model = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Discriminator(nn.Module):
    """(B, 3, H, W) RGB in [0, 1] -> three maps (B, 1, h, w) of scores without a sigmoid, largest first.

    The scales share nothing. With 64 channels there are 8,294,211 parameters; tests take fewer. Source of the numbers
    that it is held against: fixture ``train_nets_expected.pt``.

    Raises:
        ArgumentError: a picture of fewer than 96 rows or columns.
    """

    def __init__(self, channels: int = 64):
        super().__init__()
        self.dis_list = nn.ModuleList(PatchGAN(channels) for _ in range(3))

    def forward(self, x: Tensor) -> list[Tensor]:
        height, width = x.shape[2:]
        if min(height, width) < SMALLEST:
            raise ArgumentError(
                f"the discriminator needs pictures of at least {SMALLEST}x{SMALLEST}, got {width}x{height}"
            )
        scores = []
        for network in self.dis_list:
            scores.append(network(x))
            x = F.interpolate(x, (x.shape[2] // 2, x.shape[3] // 2), mode="bilinear", align_corners=True)
        return scores
