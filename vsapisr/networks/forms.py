"""Networks ready to run: loaded once per file, device and precision, and shared by all filters that use them."""

from __future__ import annotations

import os
import threading
import weakref

import torch
from torch import nn

from ..weights import files as weights
from .cuda.grl_cuda import GRLCuda
from .grl import GRL
from .grl_inference import GRLInference

_loaded: weakref.WeakValueDictionary[tuple, nn.Module] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def _after_fork() -> None:
    """A thread of the parent may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def inference_form(grl: GRL, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The fast form of a network on its device."""
    if device.type == "cuda":
        return GRLCuda(grl, dtype, device)
    return GRLInference(grl, dtype).to(device)


def load_form(model: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The fast form of a shipped model's name or of a weight file's path.

    Raises:
        WeightsError: see :mod:`vsapisr.weights.files`.
    """
    path = weights.find(model).resolve()
    status = path.stat()
    key = (path, status.st_mtime_ns, status.st_size, device, dtype)
    with _lock:
        form = _loaded.get(key)
        if form is None:
            form = _loaded[key] = inference_form(weights.load(path), device, dtype)
        return form


def own_form(model: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Like :func:`load_form`, but no filter's: the caller may do with it as it likes."""
    return inference_form(weights.load(weights.find(model)), device, dtype)
