"""APISR anime upscaling for VapourSynth: ``core.apisr.Upscale(clip)``, and the same network for arrays and tensors.

Importing this does not import torch; using :func:`load_model` or :func:`upscale_image` does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .errors import ArgumentError, ClipError, DeviceError, VsapisrError, WeightsError

if TYPE_CHECKING:
    from .api import load_model, upscale_image

# Read when PyTorch is loaded. Its threads otherwise turn in circles while they wait for one another, on cores that an
# encoder beside them could use: docs/performance.md.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.2.0"
__all__ = [
    "ArgumentError",
    "ClipError",
    "DeviceError",
    "VsapisrError",
    "WeightsError",
    "help",
    "load_model",
    "upscale_image",
]


def help() -> None:
    """Print what ``core.apisr.Upscale`` takes: every argument, its type, default and meaning."""
    from .cli.arguments import table

    print("\n".join(table()))


def __getattr__(name: str) -> Any:
    if name in ("load_model", "upscale_image"):
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
