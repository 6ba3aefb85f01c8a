"""What :mod:`vsapisr.picture.guard` does, in one pass: by torch's operators it is some sixty over planes of the
enlarged picture.

A program takes a few pixels of the source in one row and the 4x4 pixels that each of them became. Sums are in fp32;
only the result is rounded, where the operators also round between colours and flat areas.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from vsapisr.picture.guard import FLAT_SPANS, KB, KG, KR, MARGIN, OF_LUMA, RADIUS, SPAN_SHARE, SPANS

__all__ = ["keep"]

PIXELS = 128  # of a program
CONSTANTS = {
    "BLOCK": PIXELS, "SCALE": 4, "RADIUS": RADIUS, "KR": KR, "KG": KG, "KB": KB, "SHARE": SPAN_SHARE, "SPANS": SPANS,
    "MARGIN": MARGIN, "SLOPE": OF_LUMA, "FLAT": FLAT_SPANS,
}  # fmt: skip


@triton.jit
def colour(red, green, blue, KR: tl.constexpr, KG: tl.constexpr, KB: tl.constexpr):
    """Distance from grey (R - Y, B - Y), and the luma Y."""
    luma = KR * red + KG * green + KB * blue
    return red - luma, blue - luma, luma


@triton.jit
def moved(value, low, high, luma, SHARE: tl.constexpr, SPANS: tl.constexpr, MARGIN: tl.constexpr, SLOPE: tl.constexpr):
    """What takes ``value`` to the nearest that is allowed where the source spans ``low`` to ``high``."""
    span = high - low
    room = tl.minimum(tl.minimum(tl.maximum(luma, 0.0), 1.0) * SLOPE + MARGIN, SPANS * span)
    below, above = low - SHARE * span - room - value, value - (high + SHARE * span) - room
    return tl.maximum(below, 0.0) - tl.maximum(above, 0.0)


@triton.jit
def flat(value, low, high, SPANS: tl.constexpr):
    room = SPANS * (high - low)
    return tl.minimum(tl.maximum(value, low - room), high + room)


@triton.jit
def extremes(source, x, y, height, width, BLOCK: tl.constexpr, RADIUS: tl.constexpr,
             KR: tl.constexpr, KG: tl.constexpr, KB: tl.constexpr):  # fmt: skip
    """Least and largest R, G, B, R - Y, B - Y around the pixels (y, x) of three planes of height x width."""
    area = height.to(tl.int64) * width
    red_low = tl.full((BLOCK,), float("inf"), tl.float32)
    green_low, blue_low, rim_low, rib_low = red_low, red_low, red_low, red_low
    red_high, green_high, blue_high, rim_high, rib_high = -red_low, -red_low, -red_low, -red_low, -red_low
    for row in tl.range(tl.maximum(y - RADIUS, 0), tl.minimum(y + RADIUS + 1, height)):
        for step in tl.static_range(2 * RADIUS + 1):
            # Beyond the sides the outermost pixel once more, which changes no extreme.
            place = source + row * width + tl.minimum(tl.maximum(x + step - RADIUS, 0), width - 1)
            red = tl.load(place, mask=x < width, other=0.0).to(tl.float32)
            green = tl.load(place + area, mask=x < width, other=0.0).to(tl.float32)
            blue = tl.load(place + 2 * area, mask=x < width, other=0.0).to(tl.float32)
            rim, rib, _luma = colour(red, green, blue, KR, KG, KB)
            red_low, red_high = tl.minimum(red_low, red), tl.maximum(red_high, red)
            green_low, green_high = tl.minimum(green_low, green), tl.maximum(green_high, green)
            blue_low, blue_high = tl.minimum(blue_low, blue), tl.maximum(blue_high, blue)
            rim_low, rim_high = tl.minimum(rim_low, rim), tl.maximum(rim_high, rim)
            rib_low, rib_high = tl.minimum(rib_low, rib), tl.maximum(rib_high, rib)
    return red_low, red_high, green_low, green_high, blue_low, blue_high, rim_low, rim_high, rib_low, rib_high


@triton.jit(do_not_specialize=["height"])
def guard_kernel(
    source, enlarged, height, width,
    BLOCK: tl.constexpr, SCALE: tl.constexpr, RADIUS: tl.constexpr, KR: tl.constexpr, KG: tl.constexpr,
    KB: tl.constexpr, SHARE: tl.constexpr, SPANS: tl.constexpr, MARGIN: tl.constexpr, SLOPE: tl.constexpr,
    FLAT: tl.constexpr,
):  # fmt: skip
    """(B, 3, height, width) source, (B, 3, SCALE * height, SCALE * width) enlarged, which is changed in place."""
    x = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y, image = tl.program_id(1), tl.program_id(2).to(tl.int64)
    area = height.to(tl.int64) * width
    red_low, red_high, green_low, green_high, blue_low, blue_high, rim_low, rim_high, rib_low, rib_high = extremes(
        source + image * 3 * area, x, y, height, width, BLOCK, RADIUS, KR, KG, KB
    )
    across = tl.arange(0, SCALE)
    kind = enlarged.dtype.element_ty
    kept = (x < width)[:, None] & (across < SCALE)[None, :]
    target = enlarged + image * 3 * area * SCALE * SCALE + (x * SCALE)[:, None] + across[None, :]
    for down in tl.static_range(SCALE):
        place = target + (y.to(tl.int64) * SCALE + down) * width * SCALE
        red = tl.load(place, mask=kept, other=0.0).to(tl.float32)
        green = tl.load(place + area * SCALE * SCALE, mask=kept, other=0.0).to(tl.float32)
        blue = tl.load(place + 2 * area * SCALE * SCALE, mask=kept, other=0.0).to(tl.float32)
        rim, rib, luma = colour(red, green, blue, KR, KG, KB)
        more_red = moved(rim, rim_low[:, None], rim_high[:, None], luma, SHARE, SPANS, MARGIN, SLOPE)
        more_blue = moved(rib, rib_low[:, None], rib_high[:, None], luma, SHARE, SPANS, MARGIN, SLOPE)
        green -= more_red * (KR / KG) + more_blue * (KB / KG)
        red = flat(red + more_red, red_low[:, None], red_high[:, None], FLAT)
        green = flat(green, green_low[:, None], green_high[:, None], FLAT)
        blue = flat(blue + more_blue, blue_low[:, None], blue_high[:, None], FLAT)
        tl.store(place, red.to(kind), mask=kept)
        tl.store(place + area * SCALE * SCALE, green.to(kind), mask=kept)
        tl.store(place + 2 * area * SCALE * SCALE, blue.to(kind), mask=kept)


def keep(enlarged: Tensor, source: Tensor) -> Tensor:
    """:func:`vsapisr.picture.guard.keep`, of (B, 3, 4H, 4W) and (B, 3, H, W) without gaps between rows, in place."""
    b, _, height, width = source.shape
    guard_kernel[(triton.cdiv(width, PIXELS), height, b)](source, enlarged, height, width, **CONSTANTS, num_warps=4)
    return enlarged
