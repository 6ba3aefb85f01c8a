"""Memory: how much there is and how much is free, whose it was that ran out, and giving back what is free but still
held. Whether an error says that it ran out: :func:`vsapisr.needs.lacks_memory`.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil

from ..errors import DeviceError
from .cgroups import limit_and_used

if TYPE_CHECKING:
    import torch

__all__ = ["Trimmer", "check_room", "free_memory", "of_glibc", "of_machine", "total_memory", "trim"]

TRIM_SECONDS = 2.0
PICTURES = 330 << 20
"""Bytes of addresses that pictures need besides PyTorch: OpenCV, the network, the smallest tiles. Where OpenCV gets a
part of its own, it crashes instead of saying so."""


def of_machine(error: BaseException, device: torch.device) -> bool:
    """Whether the memory that ``error`` says ran out is the machine's, not that of a ``device`` of its own."""
    return device.type == "cpu" or isinstance(error, MemoryError | OSError) or "CPUAllocator" in str(error)


def free_memory(device: torch.device) -> int:
    """Bytes that can be taken now: of the device; or of the machine, of the container that this runs in, and of what
    the process is allowed, whichever is least.
    """
    if device.type == "cuda":
        import torch  # whoever has such a device has it; workers that degrade pictures do without

        return torch.cuda.mem_get_info(device)[0]
    free = [psutil.virtual_memory().available, *(limit - used for limit, used in limit_and_used())]
    if (allowed := address_space()) is not None:
        free.append(allowed - psutil.Process().memory_info().vms)
    return max(min(free), 0)


def total_memory(device: torch.device) -> int:
    """Bytes that there are, whoever uses them: of the device, or of the machine or container."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_properties(device).total_memory
    return min(psutil.virtual_memory().total, *(limit for limit, _ in limit_and_used()), address_space() or 1 << 62)


def address_space() -> int | None:
    """What ``ulimit -v`` allows the process; None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def check_room() -> None:
    """There are addresses enough to work on pictures.

    Raises:
        DeviceError: there are not.
    """
    if (allowed := address_space()) is None:
        return
    left = allowed - psutil.Process().memory_info().vms
    if left < PICTURES:
        raise DeviceError(
            f"not enough memory: {max(left, 0) >> 20} MiB are left of what ulimit -v allows, "
            f"{PICTURES >> 20} MiB are needed"
        )


def of_glibc(name: str) -> Callable[..., int] | None:
    """A function that glibc alone has; None with any other C library."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no CDLL(None)
        return None


def trim() -> None:
    """Give what is free but still held back to the system, where the C library can."""
    if give_back := of_glibc("malloc_trim"):
        give_back(0)


class Trimmer:
    """Gives freed memory back to the system, at most every two seconds.

    Tensors of tens of megabytes come and go with every tile, and glibc keeps what lies between longer-lived blocks: a
    thousand frames grew the process by a quarter, all of it free. A trim takes about 12 ms.
    """

    def __init__(self) -> None:
        self.trim, self.last = of_glibc("malloc_trim"), time.monotonic()

    def __call__(self) -> None:
        if self.trim and time.monotonic() - self.last > TRIM_SECONDS:
            self.trim(0)
            self.last = time.monotonic()
