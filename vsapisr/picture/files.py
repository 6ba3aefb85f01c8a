"""What is in an image file, as the filter's command line and training both read it: upright, in the depth it has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import VsapisrError
from . import deep
from .orientation import orientation, upright

__all__ = ["GREYS", "KindError", "apart", "eight_bit", "samples"]

GREYS = ("1", "L", "LA", "La")
"""Modes of Pillow without colour."""


class KindError(VsapisrError, ValueError):
    """An image holds something that is neither 8 nor 16 bit."""


def samples(path: Path, image: Image.Image) -> np.ndarray:
    """(h, w, channels) of ``path``, which is open as ``image``: grey, grey and alpha, RGB, or RGB and alpha.

    uint8, or uint16 from 0 to 65535 of PNG, TIFF and PNM of 16 bit. Palettes are resolved, CMYK is converted, alpha is
    not multiplied in, an EXIF orientation is applied.

    Raises:
        VsapisrError: samples of another kind.
        Exception: whatever Pillow's plugins raise of damage.
    """
    if (found := deep.samples(path, image)) is None:
        if image.mode.startswith(("I", "F")):
            raise KindError(f"{path} has samples of a kind that is not supported (mode {image.mode})")
        grey = image.mode in GREYS
        mode = ("LA" if grey else "RGBA") if image.has_transparency_data else ("L" if grey else "RGB")
        found = np.asarray(image.convert(mode))
        found = found.reshape(*found.shape[:2], -1)
    return upright(found, orientation(image))


def apart(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours, (h, w, 3), and alpha, (h, w) or None, of what :func:`samples` gives; grey is three equal channels."""
    channels = values.shape[2]
    rgb = np.repeat(values[..., :1], 3, axis=2) if channels < 3 else np.ascontiguousarray(values[..., :3])
    return rgb, np.ascontiguousarray(values[..., -1]) if channels in (2, 4) else None


def eight_bit(values: np.ndarray) -> np.ndarray:
    """uint8 of uint8 or uint16, rounded."""
    if values.dtype == np.uint8:
        return values
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
