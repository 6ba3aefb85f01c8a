"""Find, verify and load weights. No code in a file is ever run: safetensors, or torch.load with weights_only."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ..errors import WeightsError, quoted
from ..needs import lacks_memory, without_memory
from ..networks.grl import GRL, GRLConfig
from . import published
from .foreign import what_else
from .hidden import METADATA, hidden_sizes

MODELS = Path(__file__).parent / "models"
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
PREFIXES = ("_orig_mod.", "module.")  # of torch.compile, and of DistributedDataParallel and SWA
GENERATORS = ("netG.", "net_g.", "generator.")
"""Of trainers that save several networks together; the others, such as netD, are left out."""
HOLDERS = (
    "model_state_dict", "params_ema", "params-ema", "params", "state_dict", "ema", "model", "net_g", "netG",
    "generator",
)  # fmt: skip
"""Keys under which trainers keep a network, the better one first; "ema" is a training run's own."""
COUNTERS = ("n_averaged",)  # torch.optim.swa_utils.AveragedModel
NUMBERS: list[Any] = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),  # NumPy 1
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"},
]
"""A number of NumPy, as in ``{"psnr": np.float64(30)}`` beside the weights: values, which run nothing."""
GRL_PARTS = ("window_attn.attn_transform.", "stripe_attn.attn_transform")
DERIVED = ("table_", "index_", "mask_")  # buffers of the published checkpoint that follow from the architecture


def shipped() -> dict[str, Path]:
    """Name -> file of the models that come with the package."""
    return {path.stem: path for path in sorted(MODELS.glob("*.safetensors"))}


def find(model: str) -> Path:
    """The file of a shipped model's name, of a published one's that was fetched, or of a path.

    Raises:
        WeightsError: none of these; the text lists the known names, or says how to get a published model.
    """
    if model in (known := shipped()):
        return known[model]
    if model in published.PUBLISHED:
        return published.cached(model)
    try:
        path = Path(model).expanduser()
    except RuntimeError:  # "~nobody"
        path = Path(model)
    if os.path.isdir(path):  # not Path.is_dir, to which a name that is too long is an error
        inside = path / "best.pth"
        hint = f"; the weights in it are {str(inside)!r}" if inside.is_file() else ""
        raise WeightsError(f"model {quoted(model, 700)} is a folder, not a weight file{hint}")
    if os.path.isfile(path):
        return path
    if path.suffix.lower() == ".onnx":
        raise WeightsError(f"model {quoted(model, 700)} is {what_else(path, b'')}")
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        raise WeightsError(f"model file {quoted(model, 700)} does not exist")
    names = [*known, *published.PUBLISHED]
    near = get_close_matches(model, names, 1) if len(model) < 100 else []
    meant = f"; did you mean {near[0]}?" if near else ""
    raise WeightsError(f"unknown model {quoted(model)}; known are {', '.join(names)}, or give a path{meant}")


@dataclass(frozen=True)
class Contents:
    """What is in a weight file."""

    tensors: dict[str, Tensor]
    """Under the names that the file has."""
    metadata: dict[str, str]
    """What it says of them: safetensors' own, or what PyTorch files of this project and of its ``export`` hold."""
    path: Path

    def check(self) -> None:
        """
        Raises:
            WeightsError: a tensor says that it is larger than what the file has of it.
        """
        if odd := next((name for name, value in self.tensors.items() if not is_dense(value)), None):
            raise WeightsError(f"{self.path} has fewer values than it says, or none of real numbers, in {shown(odd)}")

    @cached_property
    def state(self) -> dict[str, Tensor]:
        """See :func:`clean`; raises what :meth:`check` does."""
        self.check()
        return clean(self.tensors)

    @cached_property
    def named(self) -> dict[str, Tensor]:
        """See :func:`stripped`; floating ones as float32. Raises what :meth:`check` does."""
        self.check()
        return {name: value.float() if value.is_floating_point() else value for name, value in stripped(self.tensors)}


def is_grl(file: Contents) -> bool:
    """Does it look like GRL, whole or not?"""
    return any(part in name for name in file.tensors for part in GRL_PARTS)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` or PyTorch file, under the names that are in it."""
    return contents(path).tensors


def contents(path: Path) -> Contents:
    """All that is of use in a ``.safetensors`` or PyTorch file.

    Raises:
        WeightsError: it cannot be read, is none of these, or wants to run code.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would keep us waiting, a device has no end
            raise WeightsError(f"{path} is no file")
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from None
    if words := what_else(path, start):
        raise WeightsError(f"{path} is {words}")
    if start[8:9] == b"{" or path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as opened:
                metadata = dict(opened.metadata() or {})
            return Contents(load_file(path), metadata, path)
        except (SafetensorError, ValueError, json.JSONDecodeError) as error:
            raise WeightsError(f"{path} is truncated or no safetensors file ({shown(str(error), 200)})") from None
    if start.startswith((b"PK", b"\x80")):
        return Contents(*read_pickle(path), path)
    raise WeightsError(f"{path} is neither a safetensors nor a PyTorch file")


def shown(text: str, most: int = 60) -> str:
    """Text out of a file, for a line: not too long, and without what a terminal would not print but obey."""
    return (text if text.isprintable() else ascii(text)[1:-1])[:most]


def plain_content(path: Path) -> Any:
    """What is in a PyTorch file; no code in it is run. Raises whatever damage leads PyTorch to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about foreign pickle protocols, which fail right after
        with torch.serialization.safe_globals(NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)


def read_pickle(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a PyTorch file, zip or old style, in the published layout or any of the usual ones."""
    try:
        content = plain_content(path)
    except pickle.UnpicklingError as error:
        if wanted := foreign_global(path, str(error)):
            raise WeightsError(f"{path} wants to run code ({shown(wanted)}) when it is loaded; refused") from None
        raise WeightsError(f"{path} is damaged or no PyTorch checkpoint") from None
    except Exception as error:
        if lacks_memory(error):
            raise WeightsError(without_memory(error, f"to read {path}")) from None
        reason = next(iter(str(error).split(". ")[0].splitlines()), type(error).__name__)
        raise WeightsError(f"{path} is truncated or damaged ({shown(reason, 200)})") from None
    metadata = said_beside(content)
    while isinstance(content, Mapping) and (key := next((k for k in HOLDERS if k in content), None)):
        content = content[key]
    if isinstance(content, Mapping):
        content = {name: value for name, value in content.items() if name not in COUNTERS}
    if (
        not content
        or not isinstance(content, Mapping)
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    ):
        raise WeightsError(f"{path} holds no state dict (looked for {', '.join(HOLDERS)})")
    return dict(content), metadata


def is_dense(value: Tensor) -> bool:
    """Are all its values there, one by one? A tensor without end takes a few bytes, if one value stands for all."""
    plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_nested
    plain = plain and not (value.is_quantized or value.is_complex())
    return plain and value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def said_beside(content: Any) -> dict[str, str]:
    """Text beside the weights: a checkpoint's ``config``, and what ``export`` puts under ``opt``."""
    if not isinstance(content, Mapping):
        return {}
    said = content.get("opt")
    places = (content, said if isinstance(said, Mapping) else {})
    return {key: place[key] for place in places for key in (METADATA, "config") if isinstance(place.get(key), str)}


def foreign_global(path: Path, error: str) -> str | None:
    """The name that a refused pickle would have called, from torch's ``error`` or from the pickle's own
    instructions.
    """
    if named := re.search(r"(?:GLOBAL |class )([\w.]+\.\w+)", error):
        return named[1]
    if zipfile.is_zipfile(path):
        return None
    strings: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(path.read_bytes()):
            if code.name == "GLOBAL":
                return str(argument).replace(" ", ".")
            if code.name == "STACK_GLOBAL":
                return ".".join(strings[-2:])
            if isinstance(argument, str):
                strings.append(argument)
    except ValueError:
        pass
    return None


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes that wrappers add, other networks and derived buffers; floating, as float32."""
    return {name: value.float() for name, value in stripped(state) if not name.startswith(DERIVED)}


def stripped(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """What is of the generator, without the prefixes that wrappers add."""
    ours = next((prefix for prefix in GENERATORS if any(name.startswith(prefix) for name in state)), "")
    for name, value in state.items():
        if not name.startswith(ours):
            continue
        name = name[len(ours) :]
        while prefix := next((p for p in PREFIXES if name.startswith(p)), None):
            name = name[len(prefix) :]
        yield name, value


def hyperparameters(file: Contents, hidden: tuple[int, int] | None = None) -> GRLConfig:
    """The configuration of the network in ``file``: most of it is in the shapes of its weights, the rest it says.

    Args:
        hidden: (window, anchor_down), where the file need not say them.

    Raises:
        WeightsError: another network, or see :func:`.hidden.hidden_sizes`.
    """
    state, path = file.state, file.path
    attention = "layers.0.blocks.0.attn."
    first, bias = "conv_first.weight", attention + "window_attn.attn_transform.cpb_mlp.0.weight"
    window, stripe = (
        attention + f"{name}.logit_scale" for name in ("window_attn.attn_transform", "stripe_attn.attn_transform1")
    )
    mlp = "layers.0.blocks.0.mlp.fc1.weight"
    required = (first, attention + "qkv.body.weight", window, stripe, bias, mlp)
    if missing := next((name for name in required if name not in state or not state[name].ndim), None):
        some = ", ".join(map(shown, list(state)[:3]))
        raise WeightsError(f"{path} holds another network, not GRL: it has no {missing} (it starts with {some})")
    if "conv_up2.weight" not in state:
        raise WeightsError(
            f"{path} holds a GRL of another scale; only four times is supported (it has no conv_up2.weight)"
        )
    named = [re.match(r"layers\.(\d{1,6})\.blocks\.(\d{1,6})\.", name) for name in state]
    blocks = Counter(stage for stage, _ in {(int(m[1]), int(m[2])) for m in named if m})
    depths = tuple(blocks[stage] for stage in range(len(blocks)))
    if 0 in depths:
        raise WeightsError(f"{path} does not fit GRL: it has a layer {max(blocks)} and no layer {depths.index(0)}")
    window_side, down = hidden_sizes(file.tensors, file.metadata, path, hidden)
    return GRLConfig(
        window=window_side,
        anchor_down=down,
        dim=state[first].shape[0],
        depths=depths,
        heads_window=state[window].shape[0],
        heads_stripe=state[stripe].shape[0],
        mlp_dim=state[mlp].shape[0],
        bias_dim=state[bias].shape[0],
    )


def load(path: Path, hidden: tuple[int, int] | None = None) -> GRL:
    """The readable network with the weights of ``path``, fp32, on the CPU, in eval mode.

    Args:
        hidden: (window, anchor_down), for a file that does not say them.

    Raises:
        WeightsError: missing, truncated, foreign or dangerous file, weights that are not finite, or a network whose
            window is not known.
    """
    return network_of(contents(path), hidden)


def network_of(file: Contents, hidden: tuple[int, int] | None = None) -> GRL:
    """:func:`load` of what was read before."""
    state, path = file.state, file.path
    config = hyperparameters(file, hidden)
    try:
        with torch.device("meta"):  # a few shapes may ask for more memory than there is; this takes none
            GRL(config).load_state_dict(state, assign=True)
    except RuntimeError as error:
        detail = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise WeightsError(f"{path} does not fit GRL: {shown(detail, 200)}") from None
    except (ArithmeticError, AssertionError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not fit GRL: {shown(str(error) or type(error).__name__, 200)}") from None
    model = GRL(config)
    model.load_state_dict(state)
    if broken := next((name for name, value in state.items() if not torch.isfinite(value).all()), None):
        raise WeightsError(f"{path} has values that are not finite in {shown(broken)}")
    return model.eval().requires_grad_(False)
