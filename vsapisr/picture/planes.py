"""Planes of a frame as arrays, and the parts of them that belong to a tile, for any sample type and stride."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import ClipError
from .colour import GRAY, MARGIN, RGB, YUV, Format
from .tiles import Tile

FAMILIES = {GRAY: "GRAY", RGB: "RGB", YUV: "YUV"}
NUMPY = {torch.uint8: np.uint8, torch.uint16: np.uint16, torch.float16: np.float16, torch.float32: np.float32}


def check_format(format: Format, what: str) -> Format:
    """``format`` itself when its samples can be read and written; ``what`` names its clip in the error."""
    bits = format.bits_per_sample
    if format.sample_type not in (0, 1):
        raise ClipError(f"{what} must have integer or float samples, got sample type {format.sample_type}")
    if format.color_family not in FAMILIES:
        raise ClipError(f"{what} must be GRAY, RGB or YUV, got color family {format.color_family}")
    if not (bits in (16, 32) if format.sample_type else 8 <= bits <= 16):
        kind = "float" if format.sample_type else "integer"
        raise ClipError(f"{what} must be 8 to 16 bit integer, half or float, got {bits} bit {kind}")
    if format.color_family != YUV and (format.subsampling_w or format.subsampling_h):
        raise ClipError(f"{what} must not be subsampled unless it is YUV")
    if max(format.subsampling_w, format.subsampling_h) > 2:
        raise ClipError(
            f"{what} must be subsampled by 1, 2 or 4, got {1 << format.subsampling_w}x{1 << format.subsampling_h}"
        )
    return format


def plane_array(memory: memoryview, stride: int, width: int, height: int, dtype: torch.dtype) -> np.ndarray:
    """(height, width) view of plane memory whose rows are ``stride`` bytes apart; writable if the memory is."""
    kind = np.dtype(NUMPY[dtype])
    return np.ndarray((height, width), kind, memory, strides=(stride, kind.itemsize))


def arrays(planes: Sequence[tuple[memoryview, int]], format: Format, width: int, height: int) -> list[np.ndarray]:
    """Views of all planes of a ``width`` x ``height`` frame; ``planes`` are (memory, stride in bytes)."""
    shapes = (format.subsampling(number) for number in range(len(planes)))
    return [
        plane_array(memory, stride, width >> right, height >> down, format.dtype)
        for (memory, stride), (down, right) in zip(planes, shapes)
    ]


def read_tile(planes: list[np.ndarray], format: Format, tile: Tile) -> list[Tensor]:
    """Copies of a tile's samples, as :func:`vsapisr.picture.colour.to_rgb` takes them: the frame's edge is repeated
    around subsampled planes, so that a tile's RGB is that of the whole frame, bit for bit."""
    samples = []
    for number, plane in enumerate(planes):
        axes: list[np.ndarray | slice] = []
        for span, shift, length in zip((tile.y, tile.x), format.subsampling(number), plane.shape):
            if shift:
                index = np.arange((span.start >> shift) - MARGIN, (span.stop >> shift) + MARGIN)
                axes.append(index.clip(0, length - 1))
            else:
                axes.append(slice(span.start, span.stop))
        part = plane[axes[0]][:, axes[1]]
        samples.append(torch.from_numpy(np.array(part, order="C")))
    return samples


def views(planes: list[np.ndarray], format: Format, tile: Tile) -> list[np.ndarray]:
    """All that :func:`read_tile` reads, as parts of the planes."""
    parts = []
    for number, plane in enumerate(planes):
        area = []
        for span, shift in zip((tile.y, tile.x), format.subsampling(number)):
            margin = MARGIN if shift else 0
            area.append(slice(max((span.start >> shift) - margin, 0), (span.stop >> shift) + margin))
        parts.append(plane[tuple(area)])
    return parts


def write_tile(planes: list[np.ndarray], format: Format, tile: Tile, scale: int, samples: list[Tensor]) -> None:
    """Put what is kept of a tile, enlarged ``scale`` times, where it belongs."""
    for number, (plane, values) in enumerate(zip(planes, samples)):
        down, right = format.subsampling(number)
        top, left = tile.y.keep_start * scale >> down, tile.x.keep_start * scale >> right
        height, width = values.shape
        plane[top : top + height, left : left + width] = values.numpy()
