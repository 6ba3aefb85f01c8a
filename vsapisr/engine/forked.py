"""What is left to a child that was forked from a process which had used torch.

The parent's threads do not exist in it: torch's own pools of threads would be waited for without end, in any operator
that is large enough to be divided. With one thread torch asks no pool, so the child works, on one core. CUDA does not
work at all. Processes that are started with spawn or forkserver have none of this.
"""

from __future__ import annotations

import logging
import os

import torch

from ..errors import DeviceError

__all__ = ["usable_here"]

log = logging.getLogger("vsapisr")


class _Process:
    """What is known of this process."""

    used_torch = False
    forked = False
    """From one that had used torch."""


def usable_here(device: torch.device) -> torch.device:
    """``device``; in a forked child torch is restricted to what works there.

    Raises:
        DeviceError: nothing works there.
    """
    if _Process.forked:
        if device.type == "cuda":
            raise DeviceError("CUDA does not survive a fork; start processes with spawn or forkserver")
        if torch.get_num_threads() > 1:
            torch.set_num_threads(1)
            log.warning(
                "this process was forked, and torch's threads were not: going on with one; "
                "processes that are started with spawn or forkserver have them all"
            )
    _Process.used_torch = True
    return device


def _after_fork() -> None:
    _Process.forked = _Process.used_torch


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
