"""Measures of the package pyiqa: NIQE, MANIQA, CLIPIQA, LPIPS and whatever else it knows. It is not installed by
default.

pyiqa fetches the weights of a measure from the network when the measure is first made, and has licences of its own:
docs/evaluation.md. Nothing here imports it before a measure is asked for.
"""

from __future__ import annotations

import importlib.util
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from vsapisr.errors import ArgumentError, VsapisrError

__all__ = ["IqaError", "Measure", "installed", "undisturbed"]


class IqaError(VsapisrError, RuntimeError):
    """pyiqa is missing, or cannot make or apply a measure."""


def installed() -> bool:
    """Whether pyiqa can be imported; it is not imported for that."""
    return importlib.util.find_spec("pyiqa") is not None


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the random states of Python, NumPy and PyTorch (CUDA's too, when it is in use) as they were found."""
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(kept[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


def _package() -> Any:
    try:
        with undisturbed():
            import pyiqa
    except ImportError as error:
        raise IqaError(
            f"this measure needs the package pyiqa ({error}): pip install 'vsapisr[metrics]', and see its "
            "licences in docs/evaluation.md"
        ) from None
    return pyiqa


class Measure:
    """One measure of pyiqa on a device: ``Measure("niqe")(image)``, ``Measure("lpips")(image, gt)``.

    ``lower_is_better`` and ``full_reference`` are pyiqa's own statements.

    Raises:
        IqaError: pyiqa is not installed, or cannot make the measure (its weights cannot be fetched, for instance).
        ArgumentError: pyiqa knows no such measure.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu"):
        package = _package()
        if name not in (known := package.list_models()):
            raise ArgumentError(f"{name!r} is no metric of pyiqa; accepted: {', '.join(known)}")
        try:
            with undisturbed():
                self.metric = package.create_metric(name, device=torch.device(device))
        except Exception as error:  # whatever network, disk and forty packages can raise
            raise IqaError(f"pyiqa cannot make the measure {name!r}: {type(error).__name__}: {error}") from error
        self.name, self.device = name, torch.device(device)
        self.lower_is_better = bool(self.metric.lower_better)
        self.full_reference = self.metric.metric_mode == "FR"

    def __call__(self, image: np.ndarray, gt: np.ndarray | None = None) -> float:
        """(H, W, 3) uint8 RGB, and the original for a full-reference measure.

        Raises:
            IqaError: the measure fails, or gives no finite number.
        """
        if self.full_reference and gt is None:
            raise ArgumentError(f"{self.name} compares with an original, and there is none")
        pictures = [image, gt] if self.full_reference else [image]
        tensors = [
            torch.from_numpy(x.transpose(2, 0, 1).copy())[None].float().div(255).to(self.device)
            for x in pictures
            if x is not None
        ]
        try:
            with undisturbed(), torch.no_grad():
                value = float(self.metric(*tensors))
        except Exception as error:
            raise IqaError(
                f"{self.name} on {image.shape[1]}x{image.shape[0]}: {type(error).__name__}: {error}"
            ) from error
        if not math.isfinite(value):
            raise IqaError(f"{self.name} on {image.shape[1]}x{image.shape[0]} gives {value}")
        return value
