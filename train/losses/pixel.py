"""Distances of two pictures, pixel by pixel."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import max_pool2d

__all__ = ["l1", "mse", "overshoot"]

NEAR = 9  # pixels of the window that overshoot allows: two of the source to each side


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


def _difference(a: Tensor, b: Tensor) -> Tensor:
    if a.shape != b.shape:
        raise ValueError(f"the shapes differ: {tuple(a.shape)} and {tuple(b.shape)}")
    return a.float() - b.float()
