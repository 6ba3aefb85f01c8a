"""What of a network can only be seen by running it: how far it looks, and how much memory it takes for a pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..picture.tiles import padded

__all__ = ["Measured", "measured"]

HEIGHT, CUT, KEPT = 16, 48, 24
"""Of the picture: rows, columns before the cut, and columns after it, which are compared."""
FARTHEST = 32
"""Pixels beyond a cut that are tried; a tile pays for each."""
LIMIT = 4.0
"""Steps of 8 bit: the largest difference at a cut that is not worth a larger overlap. GRL's shipped weights differ by
up to 6 with their overlap of 8, and by 1 with 16 (docs/tiling.md)."""
MAPS = 3
"""That are there at once at the widest place."""


@dataclass(frozen=True)
class Measured:
    """Of one network, on the CPU in float32."""

    overlap: int
    """The least multiple that keeps differences at cuts below :data:`LIMIT`, or the largest that was tried."""
    difference: float
    """The largest with this overlap, in steps of 8 bit."""
    values_per_pixel: int
    """See :class:`.descriptor.Descriptor`."""


class Largest(TorchDispatchMode):
    """Notes the number of values in the largest tensor that an operator makes."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (list, tuple)) else (made,):
            if isinstance(one, Tensor):
                self.values = max(self.values, one.numel())
        return made


def drawing(height: int, width: int) -> Tensor:
    """(1, 3, height, width) in [0, 1], always the same: overlapping flat areas with dark outlines, as drawings have."""
    random = np.random.default_rng(7)
    image = np.full((height, width, 3), 0.8, np.float32)
    for _ in range(height * width // 40):
        top, left = random.integers(0, (height, width))
        tall, wide = random.integers(3, 20, 2)
        image[top : top + tall, left : left + wide] = 0.1
        image[top + 1 : top + tall - 1, left + 1 : left + wide - 1] = random.random(3)
    return torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()


@torch.inference_mode()
def measured(network: Callable[[Tensor], Tensor], multiple: int, scale: int) -> Measured:
    """Cut a picture in two and compare with the whole, with more and more overlap, in steps of ``multiple`` pixels."""
    cut = padded(CUT, multiple)
    picture = drawing(padded(HEIGHT, multiple), cut + KEPT)
    with Largest() as seen:
        whole = network(picture)
    values = MAPS * -(-seen.values // (picture.shape[-2] * picture.shape[-1]))
    overlap, difference = multiple, 0.0
    for overlap in range(multiple, max(FARTHEST, multiple) + 1, multiple):
        part = network(picture[..., max(cut - overlap, 0) :].contiguous())
        apart = (part[..., -KEPT * scale :].clamp(0, 1) - whole[..., -KEPT * scale :].clamp(0, 1)).abs().max()
        difference = 255 * float(apart)
        if difference <= LIMIT:
            break
    return Measured(overlap=overlap, difference=difference, values_per_pixel=values)
