"""Memory: how much there is and how much is free, whether an error says that it ran out, and giving back what is free
but still held.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil

from ..errors import VsapisrError
from .cgroups import limit_and_used

if TYPE_CHECKING:
    import torch

__all__ = ["Trimmer", "free_memory", "lacks_memory", "of_glibc", "of_machine", "total_memory", "trim"]

TRIM_SECONDS = 2.0
SAID = (
    "out of memory",
    "not enough memory",
    "allocate memory",  # "DefaultCPUAllocator: can't allocate memory", and what Linux and macOS say of ENOMEM
    "defaultcpuallocator",
    "bad_alloc",
    "bad allocation",
    "alloc_failed",
    "nable to find an engine",
    "could not create a memory",
)
"""In lower case, in RuntimeErrors of torch and of the libraries under it; cuDNN says of a workspace that there was no
room for only that it found no way, oneDNN that it could not create an object."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, the machine's or a device's, whoever raised it and in which words.

    There is no one type: Python and NumPy raise MemoryError, the system OSError, torch OutOfMemoryError on CUDA and a
    bare RuntimeError on the CPU.
    """
    if isinstance(error, VsapisrError):  # already said in the user's words
        return False
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemory", "OutOfMemoryError"):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in words for part in (*SAID, os.strerror(errno.ENOMEM).lower()))


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
