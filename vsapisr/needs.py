"""What must be there before anything can be enlarged, PyTorch and memory, with words for who lacks it.

Needs nothing but the standard library, since it speaks when other things could not be imported.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import DeviceError, VsapisrError

__all__ = ["check_torch", "lacks_memory", "room_for", "without_memory"]

INSTALL = "pip install torch (CPU alone, and much smaller: https://pytorch.org/get-started/locally)"
LIMITS = "see ulimit -v, and the limit of a container"
SAID = (
    "out of memory",
    "not enough memory",
    "allocate memory",  # "DefaultCPUAllocator: can't allocate memory", and what Linux and macOS say of ENOMEM
    "defaultcpuallocator",
    "bad_alloc",
    "bad allocation",
    "alloc_failed",
    "insufficient memory",
    "nable to find an engine",
    "could not create a memory",
    "can't start new thread",  # its stack is memory too
)
"""In lower case, in RuntimeErrors of torch and of the libraries under it, and in OpenCV's own error; cuDNN says of a
workspace that there was no room for only that it found no way, oneDNN that it could not create an object."""
LOADING = (
    "failed to map segment",
    "cannot map zero-fill pages",
    "cannot create shared object descriptor",
    "cannot create tls data structures",
    "allocate memory",
    "paging file is too small",
)
"""In lower case, in what the loaders of Linux, macOS and Windows say of a library that memory did not suffice for."""
ELSE = ("static tls", "not permitted", "permission")
"""Beside those words: a limit of the linker's own, and a folder whose files may not be run."""
WINDOWS = (8, 14, 1455)
"""Error numbers of Windows: two kinds of memory, and the paging file."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, the machine's or a device's, whoever raised it and in which words.

    There is no one type: Python and NumPy raise MemoryError, the system OSError, whoever loads a library OSError or
    ImportError, torch OutOfMemoryError on CUDA and a bare RuntimeError on the CPU, OpenCV a type of its own.
    """
    if isinstance(error, VsapisrError):  # already said in the user's words
        return False
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemory", "OutOfMemoryError"):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM or getattr(error, "winerror", None) in WINDOWS
    words = str(error).lower()
    if isinstance(error, OSError | ImportError):
        return any(part in words for part in LOADING) and not any(part in words for part in ELSE)
    if not isinstance(error, RuntimeError) and type(error).__module__ != "cv2":
        return False
    return any(part in words for part in (*SAID, os.strerror(errno.ENOMEM).lower()))


def without_memory(error: BaseException, for_what: str = "") -> str:
    """A line for users on an error that :func:`lacks_memory`; ``for_what`` as in "to read a.png"."""
    while isinstance(error, ImportError) and isinstance(error.__cause__, ImportError):
        error = error.__cause__  # NumPy says at length what may be wrong
    reason = " ".join(str(error).split())[:200]
    return " ".join(filter(None, ("not enough memory", for_what, f"({reason})" if reason else ""))) + f"; {LIMITS}"


@contextmanager
def room_for(for_what: str) -> Iterator[None]:
    """What runs below may need memory that is not there; ``for_what`` as in "to load PyTorch".

    Raises:
        DeviceError: it was not there.
    """
    try:
        yield
    except Exception as error:
        if not lacks_memory(error):
            raise
        raise DeviceError(without_memory(error, for_what)) from None


def check_torch() -> None:
    """PyTorch can be imported.

    Raises:
        DeviceError: it cannot; the text says why and what to do.
    """
    try:
        with room_for("to load PyTorch"):
            import torch  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: a library of it that is missing or broken
        reason = " ".join(str(error).split())[:200]
        raise DeviceError(f"PyTorch is needed and could not be imported ({reason}): {INSTALL}") from None
