"""RRDB, the convolutional network people use instead of GRL, for comparing speed. With random weights only.

Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks" (ECCV workshops 2018), section 3.1:
residual-in-residual dense blocks without batch normalisation; here with 6 blocks, the size APISR recommends for speed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESIDUAL_SCALE = 0.2


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all that came before it: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, features: int, growth: int):
        super().__init__()
        self.grow = nn.ModuleList(conv3x3(features + i * growth, growth) for i in range(4))
        self.fuse = conv3x3(features + 4 * growth, features)

    def forward(self, x: Tensor) -> Tensor:
        known = x
        for conv in self.grow:
            known = torch.cat((known, F.leaky_relu(conv(known), 0.2, inplace=True)), dim=1)
        return x + RESIDUAL_SCALE * self.fuse(known)


class ResidualInResidual(nn.Module):
    """Three dense blocks and a residual around them."""

    def __init__(self, features: int, growth: int):
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(features, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + RESIDUAL_SCALE * self.blocks(x)


class RRDB(nn.Module):
    """(B, 3, H, W) -> (B, 3, 4H, 4W)."""

    def __init__(self, blocks: int = 6, features: int = 64, growth: int = 32):
        super().__init__()
        self.first = conv3x3(3, features)
        residuals = (ResidualInResidual(features, growth) for _ in range(blocks))
        self.trunk = nn.Sequential(*residuals, conv3x3(features, features))
        self.up = nn.ModuleList(conv3x3(features, features) for _ in range(2))
        self.hr, self.last = conv3x3(features, features), conv3x3(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x + self.trunk(x)
        for conv in self.up:
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2, inplace=True)
        return self.last(F.leaky_relu(self.hr(x), 0.2, inplace=True))
