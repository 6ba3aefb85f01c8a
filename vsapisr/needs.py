"""What must be there before anything can be enlarged, with words for who lacks it."""

from __future__ import annotations

from .errors import DeviceError

__all__ = ["check_torch"]

INSTALL = "pip install torch (CPU alone, and much smaller: https://pytorch.org/get-started/locally)"


def check_torch() -> None:
    """PyTorch can be imported.

    Raises:
        DeviceError: it cannot; the text says why and what to do.
    """
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: a library of it that is missing or broken
        reason = " ".join(str(error).split())[:200]
        raise DeviceError(f"PyTorch is needed and could not be imported ({reason}): {INSTALL}") from None
