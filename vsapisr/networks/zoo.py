"""Networks other than GRL, by spandrel (the extra ``zoo``): APISR's RRDB and DAT, which are tested, and others.

GRL never goes that way: spandrel 0.4.2 computes APISR's wrongly (tests/test_zoo.py, docs/export.md).
"""

from __future__ import annotations

import math
import os
import re
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..config import WINDOW
from ..errors import ArgumentError, WeightsError
from ..needs import lacks_memory, without_memory
from ..weights.files import Contents, shown
from .descriptor import Descriptor
from .measure import Measured, measured

__all__ = ["PrecisionError", "ZooNetwork", "architecture", "described", "load", "network", "precisions"]

TESTED = {"ESRGAN": "RRDB", "DAT": "DAT"}
"""spandrel's name of an architecture: ours."""
SCALES = (1, 2, 4)

_known: dict[tuple, Measured] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    """A thread of the parent may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

GROWTH, ROOM = 2, 1 << 24
"""A network may take so many values for each that its file has, and so many besides: what shapes or names ask for
beyond that is in no file."""
LAYERS = 32
"""Numbers in names may be twice the number of tensors, and so many more: there are layers without any."""


class PrecisionError(ArgumentError):
    """The network cannot be run in this precision."""


@dataclass(frozen=True, kw_only=True)
class ZooDescriptor(Descriptor):
    """With what is known of the measurement."""

    difference: float = 0.0
    """See :class:`.measure.Measured`."""


class ZooNetwork(nn.Module):
    """What :func:`load` gives, as the filter runs it: (B, 3, H, W) RGB in [0, 1] -> (B, 3, s * H, s * W), by spandrel's
    own call, which pads to the sizes that the network takes and clamps to [0, 1].
    """

    def __init__(self, model: Any, descriptor: Descriptor, dtype: torch.dtype):
        super().__init__()
        self.descriptor, self.dtype = descriptor, dtype
        self.network = model.model
        self.run = model

    def forward(self, image: Tensor) -> Tensor:
        return self.run(image.to(self.dtype)).to(image.dtype)


class OversizedError(Exception):
    """A network asks for memory without bounds."""


class Bounded(TorchDispatchMode):
    """Lets no more than ``most`` values be made by ``torch.empty``, as parameters are."""

    def __init__(self, most: int):
        super().__init__()
        self.left = most

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.empty.memory_format:
            self.left -= math.prod(args[0])
            if self.left < 0:
                raise OversizedError("it asks for more values than the file can account for")
        return func(*args, **(kwargs or {}))


def load(file: Contents) -> Any:
    """spandrel's ``ImageModelDescriptor`` of the network in a file, on the CPU in float32.

    Raises:
        WeightsError: spandrel is missing or does not know it, or it is of a kind that the filter has no use for.
    """
    try:
        import spandrel
    except ImportError as error:
        raise WeightsError(
            f"{file.path} holds another network, not GRL; RRDB, DAT and others need spandrel, which cannot be "
            f"imported ({error}): pip install vsapisr[zoo]"
        ) from None
    state = file.named
    if max((int(n) for name in state for n in re.findall(r"\d{1,18}", name)), default=0) > 2 * len(state) + LAYERS:
        raise WeightsError(
            f"{file.path} does not fit any network: it has names with larger numbers than it has tensors"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, on how architectures are written
            with Bounded(GROWTH * sum(value.numel() for value in state.values()) + ROOM):
                model: Any = spandrel.MAIN_REGISTRY.load(state)
    except spandrel.UnsupportedModelError:
        some = ", ".join(map(shown, list(state)[:3]))
        raise WeightsError(
            f"{file.path} holds another network, neither GRL nor one that spandrel knows (it starts with {some})"
        ) from None
    except Exception as error:  # whatever shapes that do not fit lead an architecture to
        if lacks_memory(error):
            raise WeightsError(without_memory(error, f"to load {file.path}")) from None
        words = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(f"{file.path} does not fit the network that it looks like: {shown(words, 200)}") from None
    if use := useless(model, isinstance(model, spandrel.ImageModelDescriptor)):
        raise WeightsError(f"{file.path} holds a network ({architecture(model)}) that {use}")
    if broken := next((k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()), None):
        raise WeightsError(f"{file.path} has values that are not finite in {shown(broken)}")
    model.model.eval().requires_grad_(False)
    return model


def useless(model: Any, pictures: bool) -> str:
    """Why the filter cannot run it, "" if it can."""
    if not pictures or model.purpose not in ("SR", "Restoration"):
        return f"is for something else than pictures as a whole ({model.purpose})"
    if (model.input_channels, model.output_channels) != (3, 3):
        return f"makes {model.output_channels} channels of {model.input_channels}; 3 of 3 are needed"
    if model.scale not in SCALES:
        return f"enlarges {model.scale} times; {', '.join(map(str, SCALES))} are accepted"
    if model.architecture.id == "GRL" or model.size_requirements.square:
        return "cannot be run in tiles of any shape"
    return ""


def architecture(model: Any) -> str:
    """Its name, with "untested" where it is."""
    name = model.architecture.id
    return TESTED.get(name, f"{model.architecture.name}, untested")


def precisions(model: Any) -> tuple[str, ...]:
    """That it can be run in."""
    half = ("fp16",) * model.supports_half + ("bf16",) * model.supports_bfloat16
    return ("fp32", *half)


def multiple_of(model: Any) -> int:
    """So that tiles begin where windows of the whole frame do."""
    sides = {side for module in model.model.modules() for side in getattr(module, "split_size", ())}
    return math.lcm(WINDOW, model.size_requirements.multiple_of, *map(int, sides))


def described(file: Contents, model: Any) -> ZooDescriptor:
    """Of what :func:`load` gave; the first call for a file runs it on the CPU, seconds with large ones."""
    multiple = multiple_of(model)
    status = file.path.stat()
    key = (file.path.resolve(), status.st_mtime_ns, status.st_size)
    with _lock:
        found = _known.get(key)
        if found is None:
            found = _known[key] = measured(model, multiple, model.scale)
    return ZooDescriptor(
        scale=model.scale,
        multiple=multiple,
        padding=1,
        overlap=found.overlap,
        values_per_pixel=found.values_per_pixel,
        difference=found.difference,
    )


def network(file: Contents, device: torch.device, dtype: torch.dtype) -> ZooNetwork:
    """The network in ``file``, ready on a device.

    Raises:
        WeightsError: see :func:`load`.
        PrecisionError: it cannot be run in ``dtype``.
    """
    model = load(file)
    name = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}[dtype]
    if name not in (able := precisions(model)):
        raise PrecisionError(
            f"precision must be {' or '.join(able)} with this model ({architecture(model)}), got {name}"
        )
    descriptor = described(file, model)
    model.to(device=device, dtype=dtype)
    return ZooNetwork(model, descriptor, dtype)
