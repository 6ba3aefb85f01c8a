"""The upsampling end of GRL for inference: folded convolutions, run in strips of rows that stay in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsapisr.networks.grl import GRL, bias_of

CPU_STRIP_BYTES = 4 << 20  # of one activation at four times the size, for each thread


def folded_weight(weight: Tensor) -> Tensor:
    """Weight of a 2x2 convolution that does nearest x2 and then a 3x3 convolution: (O, I, 3, 3) -> (4 * O, I, 2, 2).

    Of the two output pixels an input pixel becomes, the first sees its left neighbour through tap 0 and itself through
    taps 1 and 2; the second itself through 0 and 1 and its right neighbour through 2. Phases go by row, column.
    """
    first, second = weight.new_tensor([[1, 0, 0], [0, 1, 1]]), weight.new_tensor([[1, 1, 0], [0, 0, 1]])
    phases = torch.stack((first, second))  # (phase, small tap, tap)
    out = torch.einsum("pst,qur,oitr->pqoisu", phases, phases, weight)
    return out.reshape(-1, weight.shape[1], 2, 2)


def in_strips(
    strips: Iterable[tuple[Tensor, bool]], layer: Callable[[Tensor], Tensor]
) -> Iterator[tuple[Tensor, bool]]:
    """Run ``layer``, which uses up one row above and one below, over an image that comes in strips of rows.

    ``strips`` yields (B, C, rows, W) and whether it is the last; so does this. Rows beyond the image are 0.
    """
    kept: Tensor | None = None
    for strip, last in strips:
        zero = strip.new_zeros(strip.shape[0], 1, strip.shape[3], strip.shape[1]).permute(0, 3, 1, 2)
        joined = torch.cat((zero if kept is None else kept, strip, *([zero] if last else [])), dim=2)
        if joined.shape[2] > 2:
            yield layer(joined), last
        kept = joined[:, :, -2:]


class Tail(nn.Module):
    """(B, C, H, W) channels-last -> (B, 3, 4H, 4W), the mean added."""

    up1_weight: Tensor
    up1_bias: Tensor
    up2_weight: Tensor
    up2_bias: Tensor
    last_bias: Tensor

    def __init__(self, grl: GRL):
        super().__init__()
        self.before, self.hr, self.last = grl.conv_before, grl.conv_hr, grl.conv_last
        for name, conv in (("up1", grl.conv_up1), ("up2", grl.conv_up2)):
            self.register_buffer(f"{name}_weight", folded_weight(conv.weight))
            self.register_buffer(f"{name}_bias", bias_of(conv).repeat(4))
        self.register_buffer("last_bias", bias_of(grl.conv_last) + grl.mean.flatten())

    @staticmethod
    def conv(x: Tensor, conv: nn.Conv2d, slope: float) -> Tensor:
        return F.leaky_relu_(F.conv2d(x, conv.weight, conv.bias, padding=(0, 1)), slope)

    @staticmethod
    def doubled(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Nearest x2, 3x3 convolution and LeakyReLU of (B, C, rows + 2, W): (B, C, 2 * rows, 2 * W)."""
        phases = F.leaky_relu_(F.conv2d(x, weight, bias, padding=(0, 1)), 0.2).permute(0, 2, 3, 1)
        b, h, w, c = phases.shape
        h, w, c = h - 1, w - 1, c // 4
        out = phases.new_empty(b, h, 2, w, 2, c)
        for i in range(2):
            for j in range(2):
                out[:, :, i, :, j] = phases[:, i : i + h, j : j + w, (2 * i + j) * c : (2 * i + j + 1) * c]
        return out.view(b, 2 * h, 2 * w, c).permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        strip = CPU_STRIP_BYTES * torch.get_num_threads()
        rows = h if x.is_cuda else max(1, strip // (16 * w * c * x.element_size()))
        strips: Iterable = ((x[:, :, top : top + rows], top + rows >= h) for top in range(0, h, rows))
        strips = in_strips(strips, lambda y: self.conv(y, self.before, 0.01))
        strips = in_strips(strips, lambda y: self.doubled(y, self.up1_weight, self.up1_bias))
        strips = in_strips(strips, lambda y: self.doubled(y, self.up2_weight, self.up2_bias))
        strips = in_strips(strips, lambda y: self.conv(y, self.hr, 0.2))
        strips = in_strips(strips, lambda y: F.conv2d(y, self.last.weight, self.last_bias, padding=(0, 1)))
        out, top = x.new_empty(b, 3, 4 * h, 4 * w), 0
        for made, _ in strips:
            out[:, :, top : top + made.shape[2]] = made
            top += made.shape[2]
        return out
