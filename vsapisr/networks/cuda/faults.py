"""What an error on a CUDA device says of the kernel that was started last."""

from __future__ import annotations

import torch

__all__ = ["fatal"]


def fatal(error: BaseException) -> bool:
    """Whether it says nothing: the device is lost to this process, or lacks memory."""
    return isinstance(error, torch.OutOfMemoryError) or "CUDA error" in str(error)
