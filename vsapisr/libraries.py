"""The project's compiled libraries, which are optional and lie beside the VapourSynth plugin."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

__all__ = ["load", "path"]

SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def path(name: str, variable: str) -> Path | None:
    """Where the library ``name`` should be: what the environment's ``variable`` says ("0": nowhere), or beside the plugin."""
    named = os.environ.get(variable)
    if named:
        return None if named == "0" else Path(named)
    found = importlib.util.find_spec("vapoursynth")
    return (
        Path(found.origin).parent / "plugins" / "apisr" / f"libvsapisr_{name}{SUFFIX}"
        if found and found.origin
        else None
    )


def load(name: str, variable: str) -> ctypes.CDLL | None:
    """The library, or None if there is none for this system."""
    file = path(name, variable)
    if file is None or not file.exists():
        return None
    try:
        return ctypes.CDLL(str(file))
    except OSError:  # of another system
        return None
