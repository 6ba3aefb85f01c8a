"""Errors for users: each says what was wrong, with which value, and what is accepted."""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "ClipError",
    "ClusterError",
    "DeviceError",
    "VideoError",
    "VsapisrError",
    "WeightsError",
    "quoted",
]


class VsapisrError(Exception):
    """Root of everything this package raises on purpose. The bridge shows the text as ``Upscale: <text>``."""


class ArgumentError(VsapisrError, ValueError):
    """An argument has a value that is not accepted."""


class ClipError(VsapisrError, ValueError):
    """A clip or frame cannot be upscaled as it is."""


class WeightsError(VsapisrError, ValueError):
    """A weight file is missing, broken, of another kind or of another network."""


class DeviceError(VsapisrError, RuntimeError):
    """The chosen device is not there or cannot do what was asked."""


class VideoError(VsapisrError, RuntimeError):
    """A video cannot be read, upscaled or written as it was asked for."""


class ClusterError(VsapisrError, RuntimeError):
    """A cluster cannot be used, or a node of it does not fit."""


def quoted(value: str, most: int = 300) -> str:
    """``value`` in quotes for a message; of a longer one the middle is left out."""
    return repr(value if len(value) <= most else f"{value[: most // 2]}...{value[-most // 2 :]}")
