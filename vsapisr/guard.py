"""Colours that the network made up are taken back: what the source's neighbourhood does not have, the result does not get.

A pixel's colour is its distance from grey, (R - Y, B - Y) with BT.601's luma Y. In the result both must lie within what the
7x7 source pixels around the pixel span; what is further out is moved to the nearest value inside, and the luma stays as it is.
Pixels that are inside are not touched. Lines may get sharper or darker, but not blue; a grey source gives a grey result. What it
does to the shipped weights' results is in docs/evaluation.md.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["RADIUS", "keep_colours"]

RADIUS = 3  # source pixels
KR, KG, KB = 0.299, 0.587, 0.114
CPU_BAND, DEVICE_BAND = 1 << 17, 1 << 25  # bytes of one plane of the rows that are worked on at once


def differences(red: Tensor, green: Tensor, blue: Tensor) -> tuple[Tensor, Tensor]:
    """(R - Y, B - Y)"""
    return (KG + KB) * red - KG * green - KB * blue, (KR + KG) * blue - KR * red - KG * green


def largest(values: Tensor) -> Tensor:
    """Of the square of 2 ``RADIUS`` + 1 around each of (..., H, W); in steps of double width, sixty times as fast as pooling."""
    values = F.pad(values, [RADIUS] * 4, value=-torch.inf)
    for axis in (-2, -1):
        width, side = 1, 2 * RADIUS + 1
        while width < side:
            step = min(width, side - width)
            count = values.shape[axis] - step
            values = torch.maximum(values.narrow(axis, 0, count), values.narrow(axis, step, count))
            width += step
    return values


def spans(source: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(B, 3, H, W) -> least and largest of both differences in each pixel's neighbourhood, each (B, H, 1, W, 1)."""
    both = torch.stack(differences(*source.float().unbind(1)), 1)
    ends = (-largest(-both), largest(both))
    return [tuple(end[:, n, :, None, :, None] for end in ends) for n in range(2)]


@torch.no_grad()
def keep_colours(enlarged: Tensor, source: Tensor) -> Tensor:
    """``enlarged`` with its colours within those of ``source``, in place.

    Args:
        enlarged: (B, 3, s * H, s * W) RGB, of any floating type.
        source: (B, 3, H, W) RGB, what it was made from.
    """
    height, width = source.shape[-2:]
    scale = enlarged.shape[-1] // width
    ends = spans(source)
    row = enlarged.shape[0] * width * scale**2 * 4
    rows = max(1, (DEVICE_BAND if enlarged.is_cuda else CPU_BAND) // row)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        planes = [plane.unflatten(-1, (width, scale)).unflatten(-3, (bottom - top, scale))
                  for plane in enlarged[..., top * scale : bottom * scale, :].unbind(1)]
        moves = [torch.clamp(value, low[:, top:bottom], high[:, top:bottom]).sub_(value)
                 for value, (low, high) in zip(differences(*(plane.float() for plane in planes)), ends)]
        planes[1].sub_(moves[0].mul(KR / KG).add_(moves[1], alpha=KB / KG))
        planes[0].add_(moves[0])
        planes[2].add_(moves[1])
    return enlarged
