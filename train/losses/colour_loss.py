"""Distance of two pictures in colour alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vsapisr.config import SCALE

__all__ = ["chroma", "colour"]

XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
"""Of linear sRGB (ITU-R BT.709 primaries, white D65). The rows' sums are the white that colours are relative to."""
KNEE = 6 / 29
TINY = 1e-6


def chroma(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) sRGB in [0, 1] -> (B, 2, H, W): a* and b* of CIELAB (CIE 15), in hundreds: about -1.1 to 1.1."""
    rgb = rgb.clamp(0, 1)
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055).pow(2.4), rgb / 12.92)
    red, green, blue = linear.unbind(1)
    # Sum by sum: as a matrix product autocast would round it to half precision.
    x, y, z = (_compress((r * red + g * green + b * blue) / (r + g + b)) for r, g, b in XYZ)
    return torch.stack([5 * (x - y), 2 * (y - z)], 1)


def _compress(share: Tensor) -> Tensor:
    """CIELAB's cube root, which is a line near black."""
    root = share.clamp_min(KNEE**3).pow(1 / 3)
    return torch.where(share > KNEE**3, root, share / (3 * KNEE**2) + 4 / 29)


def colour(a: Tensor, b: Tensor) -> Tensor:
    """Mean distance in the (a*, b*) plane, in hundreds, of two (B, 3, H, W) pictures in sRGB, averaged over the 4x4
    pixels that an LR pixel becomes: sharp or blurred lines count little there, casts and spots all the more. A scalar
    in fp32.

    Squared errors in RGB hardly see a tint of dark lines, which eyes (and CIELAB) do.

    Raises:
        ValueError: the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"the shapes differ: {tuple(a.shape)} and {tuple(b.shape)}")
    first, second = (chroma(avg_pool2d(image.float(), SCALE)) for image in (a, b))
    return ((first - second).square().sum(1) + TINY).sqrt().mean()
