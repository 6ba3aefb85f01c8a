"""Pictures of cameras that were held on their side or upside down, as EXIF has it."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image


def orientation(image: Image.Image) -> int:
    """How a camera was held, 1 to 8 as in EXIF; 1, upright, also where that cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """(h, w, channels) as it is to be seen."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples
