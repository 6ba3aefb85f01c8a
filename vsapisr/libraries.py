"""The project's compiled libraries, which are optional and lie beside the modules that use them."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from pathlib import Path

__all__ = ["load", "path"]

log = logging.getLogger("vsapisr")

SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def path(module: str, name: str, variable: str) -> Path | None:
    """Where the library ``name`` of ``module`` (its ``__file__``) should be: what the environment's ``variable`` says
    ("0": nowhere), or beside the module."""
    named = os.environ.get(variable)
    if named:
        return None if named == "0" else Path(named)
    return Path(module).parent / f"libvsapisr_{name}{SUFFIX}"


def load(module: str, name: str, variable: str, abi: str, *facts: int) -> ctypes.CDLL | None:
    """The library, or None if there is none for this system, or if it is not what the module was written for.

    Args:
        abi: its function that returns a number of its version and the sizes of the structures that it shares,
        facts: which must be these. After an update a library of before may still be there, and would read garbage.
    """
    file = path(module, name, variable)
    if file is None or not file.exists():
        return None
    try:
        library = ctypes.CDLL(str(file))
    except OSError:  # of another system
        return None
    try:
        function = getattr(library, abi)
    except AttributeError:  # of before there was one
        found = None
    else:
        function.restype = ctypes.POINTER(ctypes.c_ssize_t)
        found = tuple(function()[:1])  # with another number there may be fewer sizes
        found = tuple(function()[: len(facts)]) if found == facts[:1] else found
    if found != facts:
        log.warning(
            "%s is of another version and is not used, which is slower; build it again: pip install -e . (%s, not %s)",
            file, found, facts,
        )  # fmt: skip
        return None
    return library
