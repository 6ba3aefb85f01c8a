"""The whole network from kernels: from the image to the end of the body, and from there to the enlarged image.

Every program works on its own window or tile of pixels and takes its constants from the same places, so that what an
image gives depends neither on its place in a batch nor on the batch's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsapisr.networks.cuda.kernels.block import BlockTiling, PackedBlock
from vsapisr.networks.cuda.kernels.conv import PLANES, ConvTiling, PackedConv, Rows
from vsapisr.networks.cuda.kernels.ends import PackedFirst, sum_planes
from vsapisr.networks.grl import GRL, bias_of

STRIP_BYTES = 512 << 20  # of the largest map of a strip of the tail


@dataclass(frozen=True, kw_only=True)
class Tilings:
    """How each kind of kernel is laid out; see :mod:`vsapisr.networks.cuda.kernels.tuning`."""

    window: BlockTiling = BlockTiling()
    block: BlockTiling = BlockTiling()
    conv: ConvTiling = ConvTiling()
    phases: ConvTiling = ConvTiling()
    last: ConvTiling = ConvTiling()
    """``conv_hr`` with ``conv_last``."""


class KernelBody:
    """(B, 3, H, W) in [0, 1], H and W multiples of the window -> (B, H, W, C): the body's output and the features
    added.
    """

    def __init__(self, grl: GRL, dtype: torch.dtype, device: torch.device):
        self.first = PackedFirst(grl, device)
        self.stages = [[PackedBlock(block, dtype, device) for block in stage.blocks] for stage in grl.layers]
        norms = [None] * (len(grl.layers) - 1) + [grl.norm_end]  # follows the last stage: done where that is written
        self.convs = [PackedConv(stage.conv, dtype, device, norm=norm) for stage, norm in zip(grl.layers, norms)]
        self.after = PackedConv(grl.conv_after_body, dtype, device)

    def __call__(self, image: Tensor, tilings: Tilings) -> Tensor:
        features, x = self.first.run(image)
        y, height = torch.empty_like(x), x.shape[1]
        rows = Rows(0, height)
        for blocks, conv in zip(self.stages, self.convs):
            source = x
            for block in blocks:
                block.run(source, y, tilings.block, tilings.window)
                source = y
            conv.run(y, rows, x, rows, height, tilings.conv, residual=x)
        self.after.run(x, rows, features, rows, height, tilings.conv, residual=features)
        return features


class KernelTail:
    """(B, h, w, C) -> (B, 3, height, width), at most 4h x 4w, the mean added; in strips of rows, so that the maps at
    four times the size take no more than :data:`STRIP_BYTES` each, whatever the image."""

    def __init__(self, grl: GRL, dtype: torch.dtype, device: torch.device):
        self.before = PackedConv(grl.conv_before, dtype, device, slope=0.01)
        self.ups = [PackedConv(conv, dtype, device, scale=2, slope=0.2) for conv in (grl.conv_up1, grl.conv_up2)]
        self.hr = PackedConv(grl.conv_hr, dtype, device, slope=0.2, last=grl.conv_last)
        self.bias = (bias_of(grl.conv_last) + grl.mean.flatten()).float().to(device)

    def __call__(self, x: Tensor, height: int, width: int, tilings: Tilings, strip_bytes: int = STRIP_BYTES) -> Tensor:
        b, h, w, c = x.shape
        out = x.new_empty(b, 3, height, width)
        small = torch.empty_like(x)
        self.before.run(x, Rows(0, h), small, Rows(0, h), h, tilings.conv)
        step = max(strip_bytes // (16 * b * w * c * x.element_size()), 1)
        for top in range(0, h, step):
            self.strip(small, Rows(top, min(top + step, h)), out, tilings)
        return out

    def strip(self, small: Tensor, rows: Rows, out: Tensor, tilings: Tilings) -> None:
        """Rows ``rows`` of ``small``, four times as many of ``out``; each layer makes the rows that the next one
        sees.
        """
        b, h, w, c = small.shape
        x, have = small, Rows(0, h)
        for up, layer in enumerate(self.ups):
            want = Rows(rows.top << up, rows.stop << up).grown(1, h << up)
            enlarged = x.new_empty(b, 2 * want.count, w << (up + 1), c)
            layer.run(x, have, enlarged, want, h << up, tilings.phases)
            x, have = enlarged, want.doubled()
        want = Rows(4 * rows.top, 4 * rows.stop)
        around = want.grown(1, 4 * h)
        planes = x.new_empty(b, PLANES, around.count, 4 * w)
        self.hr.run(x, have, planes, around, 4 * h, tilings.last)
        sum_planes(planes, around, self.bias, out, want, 4 * h)
