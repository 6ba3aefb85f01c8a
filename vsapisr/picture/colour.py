"""Planes <-> RGB as tensors: bit depth, range, matrix and chroma position, on any device.

Coefficients are ITU-T H.273's. Chroma is interpolated with the Catmull-Rom cubic, stretched for antialiasing on the way
back, which is what VapourSynth's resize.Bicubic does by default; tests compare with it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ClipError

GRAY, RGB, YUV = 1, 2, 3  # VSColorFamily
KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
MATRIX_NAMES = {
    0: "RGB",
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "YDzDx",
    12: "derived from the primaries",
    13: "derived, constant luminance",
    14: "ICtCp",
}
# chroma location -> place of a chroma sample between the first (0) and last (1) luma sample that share it: (x, y)
CHROMA_PLACES = {0: (0, 0.5), 1: (0.5, 0.5), 2: (0, 0), 3: (0.5, 0), 4: (0, 1), 5: (0.5, 1)}


@dataclass(frozen=True)
class Format:
    """The parts of a VSVideoFormat that matter for its samples."""

    color_family: int
    sample_type: int
    """0 integer, 1 float."""
    bits_per_sample: int
    subsampling_w: int = 0
    subsampling_h: int = 0

    @property
    def planes(self) -> int:
        return 1 if self.color_family == GRAY else 3

    @property
    def dtype(self) -> torch.dtype:
        if self.sample_type:
            return torch.float16 if self.bits_per_sample == 16 else torch.float32
        return torch.uint8 if self.bits_per_sample == 8 else torch.uint16

    def subsampling(self, plane: int) -> tuple[int, int]:
        """(vertical, horizontal) as powers of two."""
        return (self.subsampling_h, self.subsampling_w) if plane and self.color_family == YUV else (0, 0)


@dataclass(frozen=True)
class Colour:
    """How the samples of one frame are to be understood."""

    matrix: int
    full_range: bool
    chroma_location: int = 0


def resolve(format: Format, properties: Mapping[str, object], width: int, height: int) -> Colour:
    """The frame's own matrix and range; where it has none, VapourSynth's customs: BT.601 up to 1024x576, BT.709 above,
    RGB full and the rest limited, chroma on the left.

    Raises:
        ClipError: a matrix that is not a plain weighting of R, G and B.
    """
    small = width <= 1024 and height <= 576
    matrix = properties.get("_Matrix", 2)
    if matrix == 2 or (format.color_family == GRAY and matrix not in KR_KB):
        matrix = 6 if small else 1
    if format.color_family == RGB:
        matrix = 0
    elif matrix not in KR_KB:
        name = MATRIX_NAMES.get(matrix, "unknown") if isinstance(matrix, int) else "unknown"
        raise ClipError(
            f"_Matrix={matrix} ({name}) of a YUV frame is not supported; accepted are {', '.join(map(str, KR_KB))}: "
            + way_out(matrix)
        )
    full = properties.get("_Range", 1 if format.color_family == RGB else 0) == 1
    place = properties.get("_ChromaLocation", 0)
    return Colour(matrix, full, place if place in CHROMA_PLACES else 0)


def way_out(matrix: object) -> str:
    """What to do about a matrix that is not supported. ``resize`` converts from these alone, and not from the others
    without knowing primaries and transfer too."""
    if matrix == 8:
        return "convert it by resize.Bicubic(matrix=1)"
    if matrix in (10, 12, 13, 14):
        return "convert it by resize.Bicubic(matrix=1, primaries_in=..., transfer_in=...)"
    return "it is wrong or unknown; set the right one, as std.SetFrameProps(_Matrix=1) for BT.709"


def scale_offset(format: Format, colour: Colour, chroma: bool) -> tuple[float, float]:
    """(scale, offset) with sample = value * scale + offset; values are 0..1, chroma -0.5..0.5."""
    if format.sample_type:
        return 1.0, 0.0
    bits = format.bits_per_sample
    if colour.full_range:
        return float((1 << bits) - 1), float(1 << (bits - 1)) if chroma else 0.0
    step = float(1 << (bits - 8))
    return (224 * step, 128 * step) if chroma else (219 * step, 16 * step)


def cubic(x: float) -> float:
    """Catmull-Rom: the cubic with b = 0, c = 0.5."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


MARGIN = 3  # chroma samples needed beyond either end to interpolate between


@functools.cache
def up_taps(factor: int, place: float) -> tuple[tuple[int, tuple[float, ...]], ...]:
    """For each of ``factor`` luma samples that share a chroma sample: (first neighbour, four weights)."""
    taps = []
    for phase in range(factor):
        position = (phase - place * (factor - 1)) / factor
        base = math.floor(position)
        taps.append((base - 1, tuple(cubic(position - (base + k)) for k in range(-1, 3))))
    return tuple(taps)


def total(parts: Iterable[Tensor]) -> Tensor:
    """The sum of at least one."""
    return functools.reduce(torch.add, parts)


def enlarge(x: Tensor, factor: int, place: float, axis: int) -> Tensor:
    """Chroma with ``MARGIN`` samples beyond both ends of ``axis`` -> luma resolution without them."""
    if factor == 1:
        return x
    length = x.shape[axis] - 2 * MARGIN
    phases = [
        total(w * x.narrow(axis, MARGIN + first + k, length) for k, w in enumerate(weights) if w)
        for first, weights in up_taps(factor, place)
    ]
    return torch.stack(phases, dim=axis % x.ndim + 1).flatten(axis % x.ndim, axis % x.ndim + 1)


def mirrored(x: Tensor, missing: Sequence[int], axis: int) -> Tensor:
    """With so many samples more (before, after) on ``axis``, which go back from the ends, as zimg has them."""
    last = x.shape[axis] - 1
    before = [x.narrow(axis, min(n, last), 1) for n in reversed(range(missing[0]))]
    after = [x.narrow(axis, max(last - n, 0), 1) for n in range(missing[1])]
    return torch.cat([*before, x, *after], axis)


def repeated(x: Tensor, missing: Sequence[int], axis: int) -> Tensor:
    """With the end samples so many times more (before, after) on ``axis``, 2 or 3."""
    return F.pad(x, [0, 0, *missing] if axis == 2 else [*missing, 0, 0], mode="replicate")


@functools.cache
def shrink_taps(factor: int, place: float) -> tuple[int, tuple[float, ...]]:
    """What a chroma sample is made of: (first of the luma samples, counted from the first that share it; weights)."""
    if factor == 1:
        return 0, (1.0,)
    position = place * (factor - 1)
    first = math.floor(position) - 2 * factor + 1
    weights = [cubic((first + k - position) / factor) / factor for k in range(4 * factor + 1)]
    whole = sum(weights)
    return first, tuple(weight / whole for weight in weights)


def shrink(
    x: Tensor,
    factor: int,
    place: float,
    axis: int,
    margin: tuple[int, int],
    beyond: Callable[[Tensor, Sequence[int], int], Tensor] = repeated,
) -> Tensor:
    """(B, C, H, W) at luma resolution -> chroma samples of what is left without ``margin`` (before, after) on ``axis``.

    ``beyond`` makes what is needed beyond the margin.
    """
    if factor == 1:
        return x.narrow(axis, margin[0], x.shape[axis] - sum(margin))
    first, weights = shrink_taps(factor, place)
    count = (x.shape[axis] - sum(margin)) // factor
    before, after = -first, first + len(weights) + (count - 1) * factor - count * factor
    missing = [max(before - margin[0], 0), max(after - margin[1], 0)]
    if any(missing):
        x = beyond(x, missing, axis)
    start = margin[0] + missing[0] - before
    picks = (x.narrow(axis, start + k, (count - 1) * factor + 1) for k in range(len(weights)))
    step = (slice(None),) * axis + (slice(None, None, factor),)
    return total(w * pick[step] for w, pick in zip(weights, picks) if w)


REACH = 4  # samples that a reduction by two sees beyond either end


def halved(
    x: Tensor, places: tuple[float, float], shifts: tuple[int, int], kept: list[int], most: float = torch.inf
) -> Tensor:
    """Samples (B, 1, H, W) of a plane as ``resize.Bicubic`` reduces it to half: what is left without ``kept`` (top,
    bottom, left, right). First the columns, then the rows, and what lies outside 0 to ``most`` is lost between.

    Args:
        places: of the plane's samples among the luma's, (vertical, horizontal), which the result's keep.
        shifts: its subsampling, (vertical, horizontal).
    """
    for axis, place, shift, sides in zip((2, 3), places, shifts, (kept[:2], kept[2:])):
        factor = 1 << shift
        between = (place * (factor - 1) + 0.5) / factor
        x = x.clamp(0, most) if most < torch.inf else x
        x = shrink(x, 2, between, axis, (sides[0], sides[1]), mirrored)
    return x


def to_rgb(planes: list[Tensor], format: Format, colour: Colour) -> Tensor:
    """Samples of one tile -> (1, 3, H, W) float32 RGB in [0, 1].

    ``planes`` are (H, W); subsampled ones have ``MARGIN`` samples more on both sides of each subsampled axis.
    """
    values = []
    for number, plane in enumerate(planes):
        chroma = number > 0 and format.color_family == YUV
        scale, offset = scale_offset(format, colour, chroma)
        x = (plane.to(torch.float32) - offset) / scale
        if chroma:
            place_x, place_y = CHROMA_PLACES[colour.chroma_location]
            x = enlarge(x, 1 << format.subsampling_h, place_y, 0)
            x = enlarge(x, 1 << format.subsampling_w, place_x, 1)
        values.append(x)
    if format.color_family == GRAY:
        values *= 3
    elif format.color_family == YUV:
        kr, kb = KR_KB[colour.matrix]
        y, cb, cr = values
        red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
        values = [red, (y - kr * red - kb * blue) / (1 - kr - kb), blue]
    return torch.stack(values).nan_to_num_(0.0).clamp_(0, 1)[None]


def beyond(planes: list[Tensor], format: Format, colour: Colour, scale: int) -> Tensor:
    """Of a gray tile: by how much its samples lie outside [0, 1], (1, scale H, scale W), enlarged bilinearly.

    Masks use the whole range of integers without saying so, and floats have no range; ``resize`` keeps such values
    too. The network never sees them, as it was trained on [0, 1].
    """
    step, offset = scale_offset(format, colour, False)
    x = (planes[0].to(torch.float32) - offset) / step
    x = torch.nan_to_num(x, nan=0.0, posinf=1.0, neginf=0.0)
    return F.interpolate((x - x.clamp(0, 1))[None, None], scale_factor=scale, mode="bilinear")[0]


def from_rgb(
    rgb: Tensor,
    format: Format,
    colour: Colour,
    margin: tuple[int, int, int, int],
    more: Tensor | float = 0.0,
    reduction: int = 1,
) -> list[Tensor]:
    """(1, 3, H, W) RGB -> samples of the planes of what is left without ``margin`` (top, bottom, left, right).

    The margin is what chroma's filter sees beyond the tile; values are clamped to [0, 1] and rounded to nearest.
    What is no number, as half precision gives where it overflows, becomes 0 before anything is made of its neighbours.

    Args:
        more: of a gray ``format``: what is added to the clamped values, (1, H, W); see :func:`beyond`.
        reduction: 2: planes of half the size on each side, as ``resize.Bicubic`` makes them of those of 1, but from
            samples that were not rounded yet. It sees up to 25 pixels beyond what is left.
    """
    rgb = torch.nan_to_num(rgb.to(torch.float32), nan=0.0, posinf=1.0, neginf=0.0).clamp_(0, 1)
    if format.color_family == RGB:
        values = list(rgb.unbind(1))
    else:
        kr, kb = KR_KB[colour.matrix]
        red, green, blue = rgb.unbind(1)
        y = kr * red + (1 - kr - kb) * green + kb * blue
        values = [y + more] if format.color_family == GRAY else [y, (blue - y) / (2 - 2 * kb), (red - y) / (2 - 2 * kr)]
    return [sampled(value, number, format, colour, margin, reduction) for number, value in enumerate(values)]


def sampled(
    value: Tensor, number: int, format: Format, colour: Colour, margin: tuple[int, int, int, int], reduction: int
) -> Tensor:
    """(1, H, W) values of plane ``number`` at luma resolution -> its samples; see :func:`from_rgb`."""
    places = CHROMA_PLACES[colour.chroma_location][::-1]
    shifts = format.subsampling(number)
    kept = [0, 0, 0, 0]
    if reduction == 2:
        kept = [min(side, REACH << shifts[n // 2]) for n, side in enumerate(margin)]
    top, bottom, left, right = (side - inner for side, inner in zip(margin, kept))
    x = shrink(value[:, None], 1 << shifts[0], places[0], 2, (top, bottom))
    x = shrink(x, 1 << shifts[1], places[1], 3, (left, right))
    most = torch.inf if format.sample_type else (1 << format.bits_per_sample) - 1
    if not format.sample_type:
        scale, offset = scale_offset(format, colour, number > 0 and format.color_family == YUV)
        x = x * scale + offset
    if reduction == 2:
        x = halved(x, places, shifts, [side >> shifts[n // 2] for n, side in enumerate(kept)], most)
    if not format.sample_type:
        x = x.round_().clamp_(0, most)
    return x[0, 0].to(format.dtype)
