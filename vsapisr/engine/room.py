"""How large a tile may be. Pixels depend on it, so it depends on what a device is, never on what is free on it."""

from __future__ import annotations

import torch

from .memory import total_memory

__all__ = ["graph_bytes", "memory_class", "tile_pixels"]

CPU_PIXELS = 640 * 360
"""More at once gains nothing on a CPU and makes progress jerky; takes about 320 MB with the shipped network."""
CLASSES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192)
"""GiB that devices are sold with."""
SOLD = 0.9
"""Devices report a little less than they are sold with."""
TILE_SHARE = 4
"""A batch's activations may take this part of the class,"""
GRAPH_SHARE = 8
"""and CUDA graphs, which keep their input and output, this part."""


def memory_class(total: int) -> int:
    """Bytes of the largest class that a device of ``total`` bytes belongs to; of the smallest if it is smaller."""
    fitting = [size for size in CLASSES if size * SOLD <= total / 2**30]
    return max(fitting, default=CLASSES[0]) << 30


def tile_pixels(device: torch.device, bytes_per_pixel: int) -> int:
    """Pixels of an automatic tile.

    Args:
        bytes_per_pixel: of a whole batch, for each pixel of a tile; of no account on the CPU, where images go through
        the
            network one at a time.
    """
    if device.type == "cpu":
        return CPU_PIXELS
    size = memory_class(total_memory(device))
    return (size - size // GRAPH_SHARE) // TILE_SHARE // bytes_per_pixel


def graph_bytes(device: torch.device) -> int:
    """What CUDA graphs may hold for themselves."""
    return memory_class(total_memory(device)) // GRAPH_SHARE
