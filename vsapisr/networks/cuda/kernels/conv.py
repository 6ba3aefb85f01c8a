"""Convolutions of 64 or so channels as implicit matrix products on (B, H, W, C), with what follows them in the same
pass.

One kernel does the 3x3 convolution (with residual, LayerNorm or LeakyReLU) and the phase convolution, which is nearest
x2 and then 3x3, as four 2x2 convolutions whose results are interleaved by the store. ``conv_hr`` and ``conv_last`` go
together: the first's result never leaves the chip, only its products with the 27 weights of ``conv_last``, which a
second kernel shifts and adds. All of them work on a strip of rows, so that a tail's largest maps need not exist whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from vsapisr.networks.cuda.kernels.block import layer_norm
from vsapisr.networks.grl import bias_of
from vsapisr.networks.tail import folded_weight

PLANES = 27  # of conv_last: 9 taps of 3 colours
PADDED_PLANES = 32


@triton.jit(do_not_specialize=["height", "in_top", "in_rows", "out_top", "out_rows"])  # a row count of 1 is no constant
def conv_kernel(
    x,
    weight,
    bias,
    out,
    residual,
    norm,
    last,
    height,
    width,
    in_top,
    in_rows,
    out_top,
    out_rows,
    slope,
    C: tl.constexpr,
    TAPS: tl.constexpr,
    SCALE: tl.constexpr,
    BY: tl.constexpr,
    BX: tl.constexpr,
    RESIDUAL: tl.constexpr,
    NORM: tl.constexpr,
    LAST: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Rows ``out_top`` to ``out_top + out_rows`` of a convolution C -> C of (B, height, width, C), zero beyond its
    edges.

    ``x`` holds rows ``in_top`` to ``in_top + in_rows`` of the image. ``SCALE`` 1: 3x3 taps. ``SCALE`` 2: 2x2 taps for
    each of 2x2 phases, rows counted in the small image. ``weight`` is (phases, taps, C in, C out). ``LAST`` is 0, or
    the columns of ``last`` (C, LAST), with which the result is multiplied; then ``out`` is (B, 27, rows, width) planes.
    """
    columns = tl.cdiv(width, BX)
    phase = tl.program_id(0) % (SCALE * SCALE)
    tile = tl.program_id(0) // (SCALE * SCALE)
    image = tl.program_id(1).to(tl.int64)
    top, left = out_top + tile // columns * BY, tile % columns * BX
    phase_y, phase_x = phase // SCALE, phase % SCALE
    pixel, channel = tl.arange(0, BY * BX), tl.arange(0, C)
    row, column = pixel // BX, pixel % BX
    y, x_ = top + row, left + column
    source = x + ((image * in_rows + top - in_top) * width + left) * C
    weight += phase * TAPS * TAPS * C * C
    acc = tl.zeros((BY * BX, C), tl.float32)
    for tap in tl.range(0, TAPS * TAPS, num_stages=STAGES):
        down, right = tap // TAPS - 1 + phase_y, tap % TAPS - 1 + phase_x
        inside = (y + down >= 0) & (y + down < height) & (x_ + right >= 0) & (x_ + right < width)
        inside = inside & (y < out_top + out_rows)
        offset = ((row + down) * width + column + right) * C
        values = tl.load(source + offset[:, None] + channel[None, :], mask=inside[:, None], other=0.0)
        kernel = tl.load(weight + tap * C * C + channel[:, None] * C + channel[None, :])
        acc = tl.dot(values, kernel, acc, input_precision="ieee")
    acc += tl.load(bias + channel)[None, :]
    kept = (y < out_top + out_rows) & (x_ < width)
    first = ((image * out_rows + top - out_top) * SCALE) * (width * SCALE) + left * SCALE
    place = ((row * SCALE + phase_y) * (width * SCALE) + column * SCALE + phase_x) * C
    if RESIDUAL:
        acc += tl.load(residual + first * C + place[:, None] + channel[None, :], mask=kept[:, None], other=0.0).to(
            tl.float32
        )
    acc = tl.where(acc >= 0, acc, acc * slope)
    if NORM:
        acc = layer_norm(acc, norm, C)
    if LAST:
        plane = tl.arange(0, LAST)
        acc = tl.dot(
            acc.to(x.dtype.element_ty), tl.load(last + channel[:, None] * LAST + plane[None, :]), input_precision="ieee"
        )
        area = out_rows.to(tl.int64) * width
        first = image * 27 * area + (top - out_top).to(tl.int64) * width + left
        target = out + first + (plane * area)[None, :] + (row * width + column)[:, None]
        tl.store(target, acc.to(out.dtype.element_ty), mask=kept[:, None] & (plane < 27)[None, :])
    else:
        target = out + first * C + place[:, None] + channel[None, :]
        tl.store(target, acc.to(out.dtype.element_ty), mask=kept[:, None])


@dataclass(frozen=True, kw_only=True)
class ConvTiling:
    """Pixels of a program, its warps, and how many taps are loaded ahead."""

    rows: int = 8
    columns: int = 16
    warps: int = 4
    stages: int = 3

    def shared_bytes(self, channels: int, size: int) -> int:
        """Of on-chip memory, for values of ``size`` bytes."""
        return max(self.stages, 1) * channels * (self.rows * self.columns + channels) * size


@dataclass(frozen=True)
class Rows:
    """Rows of an image that are in memory."""

    top: int
    stop: int

    @property
    def count(self) -> int:
        return self.stop - self.top

    def grown(self, by: int, height: int) -> Rows:
        """With ``by`` more on both sides, as far as there are."""
        return Rows(max(self.top - by, 0), min(self.stop + by, height))

    def doubled(self) -> Rows:
        return Rows(2 * self.top, 2 * self.stop)


class PackedConv:
    """A convolution's constants as the kernel reads them, and its launch."""

    def __init__(
        self,
        conv: nn.Conv2d,
        dtype: torch.dtype,
        device: torch.device,
        *,
        scale: int = 1,
        slope: float = 1.0,
        norm: nn.LayerNorm | None = None,
        last: nn.Conv2d | None = None,
    ):
        channels = conv.in_channels
        weight = folded_weight(conv.weight) if scale == 2 else conv.weight
        weight = weight.view(scale**2, channels, channels, -1).permute(0, 3, 2, 1)
        self.channels, self.scale, self.slope = channels, scale, slope
        self.weight = weight.contiguous().to(device, dtype)
        self.bias = bias_of(conv).float().to(device)
        self.norm = None if norm is None else torch.cat((norm.weight, norm.bias)).float().to(device)
        self.last = None
        if last is not None:
            taps = last.weight.permute(1, 2, 3, 0).reshape(channels, PLANES)  # column: tap, then colour
            self.last = nn.functional.pad(taps, (0, PADDED_PLANES - PLANES)).contiguous().to(device, dtype)

    def run(
        self,
        x: Tensor,
        have: Rows,
        out: Tensor,
        want: Rows,
        height: int,
        tiling: ConvTiling,
        residual: Tensor | None = None,
    ) -> None:
        """Fill ``out`` with rows ``want`` of the result, from ``x`` (B, have.count, W, C), rows ``have`` of ``height``.

        ``out`` is (B, scale * want.count, scale * W, C), or (B, 27, want.count, W); ``residual`` is shaped like it, may
        be it, and must not be ``x``.
        """
        b, _, w, c = x.shape
        tiles = triton.cdiv(want.count, tiling.rows) * triton.cdiv(w, tiling.columns)
        conv_kernel[(tiles * self.scale**2, b)](
            x,
            self.weight,
            self.bias,
            out,
            out if residual is None else residual,
            self.bias if self.norm is None else self.norm,
            self.weight if self.last is None else self.last,
            height,
            w,
            have.top,
            have.count,
            want.top,
            want.count,
            self.slope,
            C=c,
            TAPS=4 - self.scale,
            SCALE=self.scale,
            BY=tiling.rows,
            BX=tiling.columns,
            RESIDUAL=residual is not None,
            NORM=self.norm is not None,
            LAST=0 if self.last is None else PADDED_PLANES,
            STAGES=tiling.stages,
            num_warps=tiling.warps,
        )
