"""Networks ready to run: loaded once per file, device and precision, and shared by all filters that use them."""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path

import torch
from torch import nn

from ..config import SCALE, UpscaleConfig
from ..weights import files as weights
from . import zoo
from .cuda.grl_cuda import GRLCuda
from .grl import GRL
from .grl_inference import GRLInference

_loaded: weakref.WeakValueDictionary[tuple, nn.Module] = weakref.WeakValueDictionary()
_scales: dict[tuple, int] = {}
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


def form_of(path: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network in a file: GRL in its fast form, others as spandrel has them.

    Raises:
        WeightsError: see :mod:`vsapisr.weights.files`.
        PrecisionError: it cannot be run in ``dtype``.
    """
    file = weights.contents(path)
    if weights.is_grl(file):
        return inference_form(weights.network_of(file), device, dtype)
    return zoo.network(file, device, dtype)


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
            form = _loaded[key] = form_of(path, device, dtype)
        return form


def own_form(model: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Like :func:`load_form`, but no filter's: the caller may do with it as it likes."""
    return form_of(weights.find(model), device, dtype)


def result_scale(config: UpscaleConfig) -> int:
    """How many times larger ``Upscale`` makes a clip.

    Raises:
        WeightsError: see :mod:`vsapisr.weights.files`.
    """
    return config.scale or scale_of(config.model)


def scale_of(model: str) -> int:
    """How many times larger the result of a model is by itself.

    Raises:
        WeightsError: see :mod:`vsapisr.weights.files`.
    """
    if model in weights.shipped():
        return SCALE
    path = weights.find(model).resolve()
    status = path.stat()
    key = (path, status.st_mtime_ns, status.st_size)
    if key not in _scales:
        file = weights.contents(path)
        _scales[key] = SCALE if weights.is_grl(file) else zoo.load(file).scale
    return _scales[key]
