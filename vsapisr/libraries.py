"""The project's compiled libraries, which are optional and lie beside the modules that use them."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["load", "path"]

SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def path(module: str, name: str, variable: str) -> Path | None:
    """Where the library ``name`` of ``module`` (its ``__file__``) should be: what the environment's ``variable`` says
    ("0": nowhere), or beside the module."""
    named = os.environ.get(variable)
    if named:
        return None if named == "0" else Path(named)
    return Path(module).parent / f"libvsapisr_{name}{SUFFIX}"


def load(module: str, name: str, variable: str) -> ctypes.CDLL | None:
    """The library, or None if there is none for this system."""
    file = path(module, name, variable)
    if file is None or not file.exists():
        return None
    try:
        return ctypes.CDLL(str(file))
    except OSError:  # of another system
        return None
