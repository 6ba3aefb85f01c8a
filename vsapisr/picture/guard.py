"""What the network made up is taken back: coloured spots, fringes and tints that nothing in the source accounts for,
and values of areas that are flat in the source.

**Colours**: a pixel's colour is its distance from grey, (R - Y, B - Y) with BT.601's luma Y. Both must lie within what
the 7x7 source pixels around the pixel span, and some room beyond: half of the span, since lines and edges get purer
when blur is undone and chroma had half the resolution, and a margin, which is smaller where it is dark, as the eye sees
more there, and nothing where the source is grey. What is further out is moved to the nearest value inside; the luma
stays as it is, and what is inside is not touched.

**Flat areas**: R, G and B must each lie within what the 7x7 source pixels around the pixel span, and twice that span
beyond. Where the source is flat the result is the source, then, to the edge of the frame, where networks see zeros
beyond; where there is an edge, or noise that is to be removed, the room is too wide to matter.

What both do to results is in docs/evaluation.md.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .colour import KR_KB

__all__ = ["keep", "keep_colours", "keep_flat"]

RADIUS = 3  # source pixels
SPAN_SHARE = 0.5  # of the span, allowed beyond it
MARGIN, OF_LUMA = 4 / 255, 1 / 8  # allowed besides: MARGIN + OF_LUMA * Y,
SPANS = 4.0  # but no more than this many spans
FLAT_SPANS = 2.0  # of each channel, allowed beyond its span
KR, KB = KR_KB[6]  # BT.601
KG = 1 - KR - KB
CPU_BAND, DEVICE_BAND = 1 << 17, 1 << 25  # bytes of one plane of the rows that are worked on at once


def luma(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    return KR * red + KG * green + KB * blue


def largest(values: Tensor) -> Tensor:
    """Of the square of 2 ``RADIUS`` + 1 around each of (..., H, W); in steps of double width, sixty times as fast as
    pooling.
    """
    values = F.pad(values, [RADIUS] * 4, value=-torch.inf)
    for axis in (-2, -1):
        width, side = 1, 2 * RADIUS + 1
        while width < side:
            step = min(width, side - width)
            count = values.shape[axis] - step
            values = torch.maximum(values.narrow(axis, 0, count), values.narrow(axis, step, count))
            width += step
    return values


def limits(source: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(B, 3, H, W) -> for R - Y and B - Y: least and largest value without a margin, largest margin; each (B, H, 1, W,
    1).
    """
    red, green, blue = source.float().unbind(1)
    y = luma(red, green, blue)
    result = []
    for value in (red - y, blue - y):
        low, high = -largest(-value), largest(value)
        span = high - low
        least, most, margin = (
            end[:, :, None, :, None] for end in (low - SPAN_SHARE * span, high + SPAN_SHARE * span, SPANS * span)
        )
        result.append((least, most, margin))
    return result


def keep(enlarged: Tensor, source: Tensor) -> Tensor:
    """Both, in place; arguments as of :func:`keep_colours`."""
    return keep_flat(keep_colours(enlarged, source), source)


@torch.no_grad()
def keep_colours(enlarged: Tensor, source: Tensor) -> Tensor:
    """``enlarged`` with its colours near those of ``source``, in place.

    Args:
        enlarged: (B, 3, s * H, s * W) RGB, of any floating type.
        source: (B, 3, H, W) RGB, what it was made from.
    """
    height, width = source.shape[-2:]
    scale = enlarged.shape[-1] // width
    ends = limits(source)
    row = enlarged.shape[0] * width * scale**2 * 4
    rows = max(1, (DEVICE_BAND if enlarged.is_cuda else CPU_BAND) // row)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        planes = [
            plane.unflatten(-1, (width, scale)).unflatten(-3, (bottom - top, scale))
            for plane in enlarged[..., top * scale : bottom * scale, :].unbind(1)
        ]
        red, green, blue = (plane.float() for plane in planes)
        y = luma(red, green, blue)
        margin = y.clamp(0, 1).mul_(OF_LUMA).add_(MARGIN)
        moves = []
        for value, (low, high, most) in zip((red - y, blue - y), ends):
            room = torch.minimum(margin, most[:, top:bottom])
            below, above = low[:, top:bottom] - room - value, value - high[:, top:bottom] - room
            moves.append(below.clamp_(min=0).sub_(above.clamp_(min=0)))
        planes[0].add_(moves[0])
        planes[2].add_(moves[1])
        planes[1].sub_(moves[0].mul_(KR / KG).add_(moves[1], alpha=KB / KG))
    return enlarged


@torch.no_grad()
def keep_flat(enlarged: Tensor, source: Tensor) -> Tensor:
    """``enlarged`` with the values of ``source`` where that is flat, in place; arguments as of :func:`keep_colours`."""
    height, width = source.shape[-2:]
    scale = enlarged.shape[-1] // width
    source = source.float()
    low, high = -largest(-source), largest(source)
    room = FLAT_SPANS * (high - low)
    # As long as the rows of the result: operators are several times slower where a row is broadcast in small steps.
    least, most = (
        end.to(enlarged.dtype).repeat_interleave(scale, -1).unsqueeze(-2) for end in (low - room, high + room)
    )
    rows = enlarged.unflatten(-2, (height, scale))
    torch.clamp(rows, least, most, out=rows)
    return enlarged
