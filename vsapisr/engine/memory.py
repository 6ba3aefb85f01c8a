"""The machine's memory: how much is free, and giving back what is free but still held."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

TRIM_SECONDS = 2.0


def free_memory(device: torch.device) -> int:
    """Bytes that can be taken now: of the device, or of the machine's memory."""
    if device.type != "cuda":
        return psutil.virtual_memory().available
    import torch  # whoever has such a device has it; workers that degrade pictures do without

    return torch.cuda.mem_get_info(device)[0]


def of_glibc(name: str) -> Callable[..., int] | None:
    """A function that glibc alone has; None with any other C library."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no CDLL(None)
        return None


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
