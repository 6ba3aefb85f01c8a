"""A starting point that already enlarges: GRL has no skip from its input to its output, so random weights spend
thousands of iterations on learning to show the picture at all. Here the first six channels carry it through instead.

LeakyReLU is undone by carrying each colour twice, as x and -x: f(x) - f(-x) = (1 + slope) x.
"""

from __future__ import annotations

import torch
from torch import nn

from vsapisr.networks.grl import GRL, bias_of

CARRIED = 3
LINEAR = (0.25, 0.5, 0.25)  # after a nearest x2 this is linear interpolation, taps 1/4 and 3/4
SHARPEN = (
    0.08,
    0.06,
)  # of the first and the last convolution at the small size: what linear interpolation loses, about


def sharpen(amount: float) -> torch.Tensor:
    """(3, 3) kernel of sum 1: the pixel and ``amount`` times a discrete Laplacian taken from it."""
    kernel = torch.tensor([[0.5, 1.0, 0.5], [1.0, -6.0, 1.0], [0.5, 1.0, 0.5]]) * -amount
    kernel[1, 1] += 1
    return kernel


def carry(conv: nn.Conv2d, kernel: torch.Tensor, slope: float | None, outputs: int = 2 * CARRIED) -> None:
    """Make the first ``outputs`` channels of ``conv`` pass the colours on through ``kernel`` (3, 3).

    ``slope`` is that of the LeakyReLU before it; None when its input is the plain image.
    """
    for out in range(outputs):
        sign, colour = (1.0, out) if out < CARRIED else (-1.0, out - CARRIED)
        conv.weight[out] *= 0.02
        bias_of(conv)[out] = 0
        gain = 1.0 if slope is None else 1 / (1 + slope)
        conv.weight[out, colour] += sign * gain * kernel
        if slope is not None:
            conv.weight[out, CARRIED + colour] -= sign * gain * kernel


@torch.no_grad()
def start_as_interpolation(model: GRL, branch_scale: float = 0.1) -> None:
    """Set the weights of a new ``model`` so that its output is a sharpened bilinear enlargement of its input, nearly.

    ``branch_scale`` is the first value of the norms that end each residual branch (res-post-norm, Swin V2): small
    branches leave a deep network near the identity while it starts to learn.
    """
    centre = sharpen(0.0)
    linear = torch.outer(torch.tensor(LINEAR), torch.tensor(LINEAR))
    carry(model.conv_first, sharpen(SHARPEN[0]), None)
    model.conv_after_body.weight[: 2 * CARRIED] *= 0.02
    bias_of(model.conv_after_body)[: 2 * CARRIED] = 0
    # before the first LeakyReLU x and -x come as they are: channel c alone carries x
    head = model.conv_before
    head.weight[: 2 * CARRIED] *= 0.02
    bias_of(head)[: 2 * CARRIED] = 0
    for channel in range(2 * CARRIED):
        head.weight[channel, channel] += sharpen(SHARPEN[1])
    carry(model.conv_up1, linear, 0.01)
    carry(model.conv_up2, linear, 0.2)
    carry(model.conv_hr, centre, 0.2)
    carry(model.conv_last, centre, 0.2, outputs=CARRIED)
    for stage in model.layers:
        for block in stage.blocks:
            block.norm1.weight.fill_(branch_scale)
            block.norm2.weight.fill_(branch_scale)
