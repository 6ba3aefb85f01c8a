"""The network's two ends: from image planes to the feature map, and from the planes of ``conv_last`` to the image."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from vsapisr.networks.cuda.kernels.block import layer_norm
from vsapisr.networks.cuda.kernels.conv import Rows
from vsapisr.networks.grl import GRL, bias_of

PIXELS = 64  # of a program of first_kernel
COLUMNS = 512  # of a program of last_kernel


@triton.jit(do_not_specialize=["height", "width"])
def first_kernel(
    image, weight, bias, norm, mean, features, normed, height, width, C: tl.constexpr, BLOCK: tl.constexpr
):
    """3x3 convolution of (B, 3, height, width) minus its mean -> (B, height, width, C), and its LayerNorm.

    ``weight`` is (27, C): taps, then colours.
    """
    pixel, channel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, C)
    area = height * width
    batch = tl.program_id(1).to(tl.int64)
    y, x = pixel // width, pixel % width
    acc = tl.zeros((BLOCK, C), tl.float32) + tl.load(bias + channel)[None, :]
    for tap in tl.range(9):  # not unrolled: 27 loads ahead would not fit the registers
        row, column = y + tap // 3 - 1, x + tap % 3 - 1
        inside = (pixel < area) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        for colour in tl.static_range(3):
            source = image + (batch * 3 + colour) * area + row * width + column
            values = tl.load(source, mask=inside, other=0.0).to(tl.float32) - tl.load(mean + colour)
            values = tl.where(inside, values, 0.0)
            acc += values[:, None] * tl.load(weight + (tap * 3 + colour) * C + channel)[None, :]
    place = batch * area * C + pixel[:, None] * C + channel[None, :]
    kept = (pixel < area)[:, None]
    tl.store(features + place, acc.to(features.dtype.element_ty), mask=kept)
    tl.store(normed + place, layer_norm(acc, norm, C).to(normed.dtype.element_ty), mask=kept)


@triton.jit(do_not_specialize=["in_top", "in_rows", "height", "out_top", "kept_height"])
def last_kernel(
    planes, bias, out, width, in_top, in_rows, height, out_top, kept_height, kept_width, BLOCK: tl.constexpr
):
    """Sum of the 27 planes, shifted: rows from ``out_top`` on of (B, 3, kept_height, kept_width)."""
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y = out_top + tl.program_id(1)
    image, colour = (tl.program_id(2) // 3).to(tl.int64), tl.program_id(2) % 3
    area = in_rows.to(tl.int64) * width
    total = tl.zeros((BLOCK,), tl.float32) + tl.load(bias + colour)
    for tap in tl.static_range(9):
        row = y + tap // 3 - 1
        x_ = tl.where((row >= 0) & (row < height), column + tap % 3 - 1, -1)
        inside = (x_ >= 0) & (x_ < width)
        place = (image * 27 + tap * 3 + colour) * area + (row - in_top).to(tl.int64) * width
        total += tl.load(planes + place + x_, mask=inside, other=0.0).to(tl.float32)
    target = out + ((image * 3 + colour) * kept_height + y) * kept_width
    tl.store(target + column, total.to(out.dtype.element_ty), mask=column < kept_width)


class PackedFirst:
    """``conv_first`` and ``norm_start``."""

    def __init__(self, grl: GRL, device: torch.device):
        conv, norm = grl.conv_first, grl.norm_start
        self.channels = conv.out_channels
        self.weight = conv.weight.permute(2, 3, 1, 0).reshape(27, -1).float().contiguous().to(device)
        self.bias, self.mean = bias_of(conv).float().to(device), grl.mean.flatten().float().to(device)
        self.norm = torch.cat((norm.weight, norm.bias)).float().to(device)

    def run(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> features and what the body starts from, both (B, H, W, C)."""
        image = image.contiguous()
        b, _, h, w = image.shape
        features, normed = (image.new_empty(b, h, w, self.channels) for _ in range(2))
        first_kernel[(triton.cdiv(h * w, PIXELS), b)](
            image, self.weight, self.bias, self.norm, self.mean, features, normed, h, w, C=self.channels, BLOCK=PIXELS
        )
        return features, normed


def sum_planes(planes: Tensor, have: Rows, bias: Tensor, out: Tensor, want: Rows, height: int) -> None:
    """Rows ``want`` of ``out`` (B, 3, H, W), which may be cropped, from planes (B, 27, have.count, width) of
    ``conv_last``.
    """
    b, _, kept_height, kept_width = out.shape
    rows = min(want.stop, kept_height) - want.top
    if rows > 0:
        grid = (triton.cdiv(kept_width, COLUMNS), rows, 3 * b)
        last_kernel[grid](
            planes,
            bias,
            out,
            planes.shape[3],
            have.top,
            have.count,
            height,
            want.top,
            kept_height,
            kept_width,
            BLOCK=COLUMNS,
        )
