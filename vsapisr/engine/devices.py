"""Which device and which precision are meant, and the network that is ready on it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..config import UpscaleConfig
from ..errors import DeviceError, quoted
from ..needs import lacks_memory
from ..networks import forms
from ..networks.zoo import PrecisionError
from .forked import usable_here

__all__ = ["choose_device", "choose_precision", "ready", "suited"]


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: not one of these, not on this machine, or not in a forked process.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise DeviceError(f"device must be auto, cpu, cuda or cuda:N, got {quoted(name)}")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(f"device {name!r} was asked for, but torch {torch.__version__} finds no CUDA device")
        if int(index or 0) >= torch.cuda.device_count():
            raise DeviceError(
                f"device {name!r} was asked for, but there are only {torch.cuda.device_count()} CUDA devices"
            )
    return usable_here(torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device("cpu"))


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is fp16 on CUDA and fp32 on the CPU, where half precision is no faster without special instructions."""
    if name == "auto":
        name = "fp16" if device.type == "cuda" else "fp32"
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]


def suited[T](name: str, device: torch.device, load: Callable[[torch.dtype], T]) -> tuple[torch.dtype, T]:
    """The precision ``name`` on a device, and what ``load`` gives for it; fp32, where ``auto`` is one that the network
    cannot be run in.

    Raises:
        PrecisionError: it cannot be run in the precision that was asked for.
    """
    dtype = choose_precision(name, device)
    try:
        return dtype, load(dtype)
    except PrecisionError:
        if name != "auto" or dtype == torch.float32:
            raise
    return torch.float32, load(torch.float32)


def ready(config: UpscaleConfig) -> tuple[torch.device, torch.dtype, torch.nn.Module]:
    """Device, precision and network of every upscaler with this configuration; loaded as long as somebody keeps it.

    Raises:
        WeightsError, DeviceError: the weights or the device cannot be used.
    """
    device = choose_device(config.device)
    try:
        return device, *suited(config.precision, device, lambda dtype: forms.load_form(config.model, device, dtype))
    except Exception as error:
        if not lacks_memory(error):
            raise
        raise DeviceError(f"out of memory on {device} while loading {config.model}: {error}") from error
