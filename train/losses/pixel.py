"""Distances of two pictures, pixel by pixel."""

from __future__ import annotations

from torch import Tensor

__all__ = ["l1", "mse"]


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


def _difference(a: Tensor, b: Tensor) -> Tensor:
    if a.shape != b.shape:
        raise ValueError(f"the shapes differ: {tuple(a.shape)} and {tuple(b.shape)}")
    return a.float() - b.float()
