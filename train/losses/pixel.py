"""Distances of two pictures, pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

__all__ = ["l1", "lines", "mse", "overshoot"]

NEAR = 9  # pixels of the window that overshoot allows: two of the source to each side
LINE = 9  # pixels; what is narrower is a line
SQUARE = 16  # pixels; side of the squares in which lines are compared
TINY = 1e-6
LUMA = (0.299, 0.587, 0.114)  # BT.601, of RGB in [0, 1]


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of two tensors of one shape, as a scalar in fp32 whatever theirs (a mean over a million
    values has no digits left in half precision).

    Raises:
        ValueError: the shapes differ; broadcasting would hide it.
    """
    return _difference(a, b).abs().mean()


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference, else like :func:`l1`. Where the picture leaves a choice it asks for the mean of what is
    likely, L1 for the median.
    """
    return _difference(a, b).square().mean()


def overshoot(a: Tensor, b: Tensor) -> Tensor:
    """Mean of how far (B, 3, H, W) ``a`` goes beyond the largest and smallest value that ``b`` has within the ``NEAR``
    x ``NEAR`` pixels around, in each channel: halos along edges, which features and a discriminator like. 0 for ``b``
    itself, and for it blurred. A scalar in fp32.

    Raises:
        ValueError: the shapes differ.
    """
    difference = _difference(a, b)
    target = b.float()
    above = max_pool2d(target, NEAR, 1, NEAR // 2) - target
    below = max_pool2d(-target, NEAR, 1, NEAR // 2) + target
    return ((difference - above).relu() + (-difference - below).relu()).mean()


def lines(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of how deep the lines of (B, 3, H, W) ``a`` and ``b`` are in squares of ``SQUARE`` x
    ``SQUARE`` pixels: the root of the mean square of luma's top-hats, of dark lines and light ones apart. A line that
    is faint, blurred or missing costs, one that is a pixel beside its place hardly does: blurring what is uncertain
    does not pay, as it does with :func:`l1`. A scalar in fp32.

    Raises:
        ValueError: the shapes differ.
    """
    _difference(a, b)
    found, wanted = (_lines_in(image.float()) for image in (a, b))
    return (found - wanted).abs().mean()


def _lines_in(image: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 2, h, w): black and white top-hat of luma in squares that overlap."""
    red, green, blue = image.unbind(1)
    grey = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    both = torch.stack([grey, -grey], 1)
    widened = max_pool2d(both, LINE, 1, LINE // 2)
    # Without a gradient: a line is to get darker, and what is around it not lighter, which would be a halo.
    closed = -max_pool2d(-widened, LINE, 1, LINE // 2).detach()
    return (avg_pool2d((closed - both).square(), SQUARE, SQUARE // 4) + TINY).sqrt()


def _difference(a: Tensor, b: Tensor) -> Tensor:
    if a.shape != b.shape:
        raise ValueError(f"the shapes differ: {tuple(a.shape)} and {tuple(b.shape)}")
    return a.float() - b.float()
