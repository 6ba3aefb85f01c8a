"""A decoded frame as the picture a viewer sees: RGB of the right matrix and range, square pixels, upright."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av import VideoFrame
from av.video.reformatter import ChromaLocation, ColorRange, Colorspace, Interpolation
from PIL import Image

from vsapisr.errors import ClipError

MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
}
# libswscale's fast way to RGB is one to two levels too dark and repeats chroma instead of interpolating it; these
# pictures become the truth of a training, so it is told to take care.
CAREFUL = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def to_rgb(frame: VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 full-range RGB as coded: no rotation, no aspect correction.

    An unspecified matrix is BT.601 up to 1024x576 and BT.709 above, an unspecified range is limited and unspecified
    chroma sits left, VapourSynth's customs. Primaries and transfer are taken as they are.
    """
    if frame.format.is_rgb:
        return frame.to_ndarray(format="rgb24")
    default = Colorspace.ITU601 if frame.width <= 1024 and frame.height <= 576 else Colorspace.ITU709
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    if int(frame.chroma_location) == 0 and not full:
        frame.chroma_location = ChromaLocation.LEFT
    picture = frame.reformat(
        format="gbrp",
        interpolation=CAREFUL,  # planar: the same numbers as rgb24 in two thirds of the time
        src_colorspace=MATRICES.get(int(frame.colorspace), default),
        dst_colorspace=default,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return picture.to_ndarray()


def square_size(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """Size in square pixels of ``width`` x ``height`` pixels, each ``aspect`` times as wide as high; never enlarges."""
    if not aspect or aspect == 1:
        return width, height
    if aspect > 1:  # wide pixels: fewer lines instead of more columns
        return width, max(1, round(height / aspect))
    return max(1, round(width * aspect)), height


def upright_size(width: int, height: int, aspect: Fraction | None, degrees: int) -> tuple[int, int]:
    """(width, height) of what :func:`picture` returns."""
    size = square_size(width, height, aspect)
    return size[::-1] if quarter_turns(degrees) % 2 else size


def quarter_turns(degrees: int) -> int:
    """Counter-clockwise quarter turns of a display matrix's angle.

    Raises:
        ClipError: the angle is not a multiple of 90 degrees.
    """
    turns = round(degrees / 90)
    if abs(degrees - 90 * turns) > 1:
        raise ClipError(f"rotated by {degrees} degrees; accepted: multiples of 90")
    return turns % 4


def picture(frame: VideoFrame, aspect: Fraction | None) -> np.ndarray:
    """(H, W, 3) uint8 RGB as shown: square pixels (antialiased bicubic), display rotation applied."""
    image = to_rgb(frame)
    size = square_size(frame.width, frame.height, aspect)
    if size != (frame.width, frame.height):
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    turns = quarter_turns(frame.rotation)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
