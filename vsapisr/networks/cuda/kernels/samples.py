"""RGB to the samples of a plane in one pass: :func:`vsapisr.picture.colour.from_rgb`, which by torch's operators is
some eighty over planes of the enlarged picture.

A plane's value is a weighted sum of R, G and B; a subsampled plane's one of such values around. Sums are in fp32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from vsapisr.picture.colour import CHROMA_PLACES, KR_KB, RGB, YUV, Colour, Format, scale_offset, shrink_taps

__all__ = ["from_rgb"]

PIXELS = 256  # of a program, in one row


@triton.jit(do_not_specialize=["rows", "columns", "top", "left", "height", "width"])
def plane_kernel(
    rgb,
    out,
    down,
    across,
    rows,
    columns,
    top,
    left,
    height,
    width,
    row_step,
    plane_step,
    red_part,
    green_part,
    blue_part,
    scale,
    offset,
    most,
    DOWN: tl.constexpr,
    ACROSS: tl.constexpr,
    FACTOR_Y: tl.constexpr,
    FACTOR_X: tl.constexpr,
    INTEGER: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """(rows, columns) of ``out`` from three planes of height x width.

    Sample (i, j) is the sum over ``DOWN`` x ``ACROSS`` pixels from (top + i * FACTOR_Y, left + j * FACTOR_X) on, with
    weights ``down`` and ``across``; beyond the sides their own pixels are repeated.
    """
    column, row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.program_id(1)
    kept = column < columns
    total = tl.zeros((BLOCK,), tl.float32)
    for k in tl.range(DOWN):
        y = tl.minimum(tl.maximum(top + row * FACTOR_Y + k, 0), height - 1)
        line = rgb + y.to(tl.int64) * row_step
        part = tl.zeros((BLOCK,), tl.float32)
        for m in tl.static_range(ACROSS):
            place = line + tl.minimum(tl.maximum(left + column * FACTOR_X + m, 0), width - 1)
            value = red_part * inside(tl.load(place, mask=kept, other=0.0))
            value += green_part * inside(tl.load(place + plane_step, mask=kept, other=0.0))
            value += blue_part * inside(tl.load(place + 2 * plane_step, mask=kept, other=0.0))
            part += value * tl.load(across + m)
        total += part * tl.load(down + k)
    total = total * scale + offset
    kind = out.dtype.element_ty
    if INTEGER:
        # Adding 1.5 * 2^23 leaves no bits after the point: rounded to nearest, halves to even.
        total = (tl.minimum(tl.maximum(total, 0.0), most) + 12582912.0) - 12582912.0
        tl.store(out + row.to(tl.int64) * columns + column, total.to(tl.int32).to(kind), mask=kept)
    else:
        tl.store(out + row.to(tl.int64) * columns + column, total.to(kind), mask=kept)


@triton.jit
def inside(value):
    """In [0, 1]; 0 for what is no number."""
    value = value.to(tl.float32)
    return tl.minimum(tl.maximum(tl.where(value == value, value, 0.0), 0.0), 1.0)


def parts(number: int, format: Format, matrix: int) -> tuple[float, float, float]:
    """Weights of R, G and B in plane ``number``."""
    if format.color_family == RGB:
        return (float(number == 0), float(number == 1), float(number == 2))
    kr, kb = KR_KB[matrix]
    luma = (kr, 1 - kr - kb, kb)
    if number == 0:
        return luma
    divisor, own = (2 - 2 * kb, 2) if number == 1 else (2 - 2 * kr, 0)
    red, green, blue = (((place == own) - share) / divisor for place, share in enumerate(luma))
    return red, green, blue


def from_rgb(rgb: Tensor, format: Format, colour: Colour, margin: tuple[int, int, int, int]) -> list[Tensor]:
    """See :func:`vsapisr.picture.colour.from_rgb`; pixels of a row lie side by side."""
    _, _, height, width = rgb.shape
    top, bottom, left, right = margin
    planes = []
    for number in range(format.planes):
        shifts = format.subsampling(number)
        places = CHROMA_PLACES[colour.chroma_location][::-1]
        (first_y, down), (first_x, across) = (shrink_taps(1 << s, place) for s, place in zip(shifts, places))
        rows, columns = (height - top - bottom) >> shifts[0], (width - left - right) >> shifts[1]
        out = torch.empty(rows, columns, dtype=format.dtype, device=rgb.device)
        # Triton knows no unsigned 16 bits everywhere; the bits are the same.
        target = out.view(torch.int16) if format.dtype == torch.uint16 else out
        scale, offset = scale_offset(format, colour, number > 0 and format.color_family == YUV)
        plane_kernel[(triton.cdiv(columns, PIXELS), rows)](
            rgb, target, taps(down, rgb.device), taps(across, rgb.device), rows, columns, top + first_y, left + first_x,
            height, width, rgb.stride(2), rgb.stride(1), *parts(number, format, colour.matrix), scale, offset,
            float((1 << format.bits_per_sample) - 1), DOWN=len(down), ACROSS=len(across), FACTOR_Y=1 << shifts[0],
            FACTOR_X=1 << shifts[1], INTEGER=format.sample_type == 0, BLOCK=PIXELS, num_warps=4,
        )  # fmt: skip
        planes.append(out)
    return planes


KEPT: dict[tuple[tuple[float, ...], torch.device], Tensor] = {}


def taps(weights: tuple[float, ...], device: torch.device) -> Tensor:
    """``weights`` on the device, once."""
    key = (weights, device)
    if key not in KEPT:
        KEPT[key] = torch.tensor(weights, device=device)
    return KEPT[key]
