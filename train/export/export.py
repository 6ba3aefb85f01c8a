"""The step ``export``: the averaged weights of a run, or any weights, as files for the filter and for other
programs.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from safetensors.torch import save

import vsapisr
from vsapisr.errors import VsapisrError
from vsapisr.networks.grl import GRL
from vsapisr.weights import files as weights
from vsapisr.weights.hidden import described
from vsapisr.writing import write_atomically

from ..fit import checkpoint
from ..settings import check
from .published_layout import published

__all__ = ["ExportConfig", "ExportError", "ExportReport", "Source", "export", "read_source"]

SUFFIXES = (".safetensors", ".pth", ".onnx")
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}
PLACES = ("data", "val", "out", "folder", "cache", "pseudo_gt", "source", "weights")
"""Keys of configurations that name places on the disk of whoever trained."""


class ExportError(VsapisrError, OSError):
    """A file cannot be written, or what it takes to write it is not installed."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What is written where."""

    source: str
    """A checkpoint, a run's folder (its best.pth, else its last.pth), a weight file, or a model's name."""
    target: tuple[str, ...]
    """Files to write. The suffix says what: .safetensors (for the filter), .pth (the published layout), .onnx (for
    vs-mlrt, ONNX Runtime, TensorRT).
    """
    precision: str = "fp32"
    """"fp32" or "fp16": of the weights and, in ONNX, of input and output."""
    blend: str = ""
    """Another source, whose weights are mixed in: something between a sharp network and a faithful one (network
    interpolation; Wang et al. 2018, ESRGAN, section 3.4). One of them must have been trained from the other.
    """
    share: float = 0.5
    """Of ``blend`` in the mixture: 0 leaves ``source`` as it is, 1 is ``blend`` alone."""
    force: bool = False
    """Replace targets that exist."""
    window: int = 0
    """Of a ``source`` that does not say it: the side of its network's windows (published GRLs have 8). 0: as it says.
    """
    anchor_down: int = 0
    """The same for the side of the squares that anchors average (published GRLs have 2)."""

    def __post_init__(self) -> None:
        check(bool(self.target), "target", self.target, f"one or more files ending in {', '.join(SUFFIXES)}")
        for name in self.target:
            check(Path(name).suffix in SUFFIXES, "target", name, f"a file ending in {', '.join(SUFFIXES)}")
        check(self.precision in PRECISIONS, "precision", self.precision, ", ".join(PRECISIONS))
        check(0 <= self.share <= 1, "share", self.share, "0 to 1")
        for key in ("window", "anchor_down"):
            check(getattr(self, key) >= 0, key, getattr(self, key), "0 or more")
        check(bool(self.window) == bool(self.anchor_down), "anchor_down", self.anchor_down, "both with window, or none")


@dataclass(frozen=True)
class Source:
    """A network, and what is known of how it was made."""

    network: GRL
    metadata: dict[str, str]
    path: Path

    def __str__(self) -> str:
        iterations = self.metadata.get("iterations")
        return str(self.path) + (f", iteration {int(iterations):,}" if iterations and iterations.isdecimal() else "")


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    source: str = ""
    """What was read: of a run, which of its checkpoints, and of which iteration."""
    written: dict[str, int] = field(default_factory=dict)
    """File -> bytes."""

    def __str__(self) -> str:
        sizes = (f"{name}: {size / 1e6:.2f} MB" for name, size in self.written.items())
        return "\n".join([f"from {self.source}", *sizes])


def is_path(text: str) -> bool:
    """Absolute on some system, or with separators and no blanks; a sentence may have a slash in it."""
    return (
        PurePosixPath(text).is_absolute()
        or PureWindowsPath(text).is_absolute()
        or bool(re.fullmatch(r"\S*[/\\]\S*", text))
    )


def without_places(value: Any, key: str = "") -> Any:
    """A configuration without what tells the disk it was made on: keys of ``PLACES`` that hold text, and all paths."""
    if isinstance(value, dict):
        kept = {name: without_places(one, name) for name, one in value.items()}
        return {name: one for name, one in kept.items() if one is not None or value[name] is None}
    if isinstance(value, str) and (key in PLACES or is_path(value)):
        return None
    return value


def of_checkpoint(state: dict[str, Any], path: Path) -> Source:
    """The averaged weights, and the run's configuration, iterations, validation and metadata as text."""
    said = state.get("config") or "{}"
    try:
        network = weights.network_of(weights.Contents(state["ema"], {"config": said}, path))
    except (TypeError, AttributeError) as error:
        raise checkpoint.damaged(path, error) from None
    metadata = {"iterations": str(state.get("iteration", 0)), "config": json.dumps(without_places(json.loads(said)))}
    if state.get("validation"):
        metadata["validation"] = json.dumps(state["validation"])
    return Source(network, without_places(state.get("metadata", {})) | metadata, path)


def of_weights(path: Path, hidden: tuple[int, int] | None) -> Source:
    """A weight file; its metadata if it is safetensors."""
    file = weights.contents(path)
    return Source(weights.network_of(file, hidden), file.metadata if path.suffix == ".safetensors" else {}, path)


def read_source(source: str, hidden: tuple[int, int] | None = None) -> Source:
    """What ``source`` names, in eval mode; ``hidden`` is (window, anchor_down) of a file that does not say them.

    Raises:
        VsapisrError: it is missing, damaged or of another network.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        found = [path / name for name in ("best.pth", "last.pth") if (path / name).is_file()]
        check(
            bool(found),
            "source",
            source,
            "a run's folder (this one has no best.pth or last.pth), a file or a model's name",
        )
        path = found[0]
    else:
        path = weights.find(source)
    state = None
    if path.suffix != ".safetensors":
        # Else another layout of weights, or :mod:`vsapisr.weights.files` will say what is wrong with it.
        with contextlib.suppress(checkpoint.CheckpointError):
            state = checkpoint.load(path)
    made = of_checkpoint(state, path) if state and "ema" in state else of_weights(path, hidden)
    metadata = {name: value for name, value in made.metadata.items() if name != "format"} | {
        "vsapisr": vsapisr.__version__,
        **described(made.network.config),
    }
    return Source(made.network.eval().requires_grad_(False), metadata, path)


def _onnx(source: Source, dtype: torch.dtype) -> bytes:
    try:
        from .onnx_form import build
    except ModuleNotFoundError as error:
        raise ExportError(f"writing .onnx needs the package {error.name!r}: pip install vsapisr[onnx]") from None
    return build(source.network, dtype, source.metadata).SerializeToString()


def encoded(source: Source, suffix: str, dtype: torch.dtype) -> bytes:
    """The file that ``suffix`` of ``SUFFIXES`` stands for."""
    if suffix == ".onnx":
        return _onnx(source, dtype)
    if suffix == ".pth":
        data = io.BytesIO()
        torch.save(published(source.network, dtype, source.metadata), data)
        return data.getvalue()
    state = source.network.state_dict()
    return save({name: value.to(dtype).contiguous() for name, value in state.items()}, source.metadata)


def blended(source: Source, source_name: str, name: str, share: float) -> Source:
    """``source`` with ``share`` of the weights of the source ``name``.

    Raises:
        VsapisrError: that one cannot be used, or is a network of other sizes.
    """
    other, network = read_source(name), copy.deepcopy(source.network)
    state, there = network.state_dict(), other.network.state_dict()
    same = replace(network.config, drop_path=0) == replace(other.network.config, drop_path=0)
    check(same, "blend", name, f"a network of the same sizes as {source_name!r}")
    network.load_state_dict({key: value.lerp(there[key], share) for key, value in state.items()})
    about = {
        "share": share,
        "iterations": other.metadata.get("iterations", ""),
        "stage": other.metadata.get("stage", ""),
    }
    metadata = {
        key: value for key, value in source.metadata.items() if key != "validation"
    }  # which was of ``source`` alone
    return Source(network, metadata | {"blend": json.dumps(about)}, source.path)


def export(config: ExportConfig, **metadata: str) -> ExportReport:
    """Write all targets of ``config``, with ``metadata`` beside the source's; each appears when it is whole.

    Raises:
        VsapisrError: the source cannot be used, the onnx package is missing, or a file cannot be written.
    """
    hidden = (config.window, config.anchor_down) if config.window else None
    source, written, dtype = read_source(config.source, hidden), {}, PRECISIONS[config.precision]
    if config.blend:
        source = blended(source, config.source, config.blend, config.share)
    source = replace(source, metadata=source.metadata | metadata)
    largest = max(float(value.abs().max()) for value in source.network.state_dict().values())
    fits = largest <= torch.finfo(dtype).max
    check(fits, "precision", config.precision, f"fp32: a weight is {largest:.3g}, too large for fp16")
    present = [name for name in config.target if Path(name).exists()]
    check(config.force or not present, "target", ", ".join(present), "files that do not exist; --force replaces them")
    for name in config.target:
        data, path = encoded(source, Path(name).suffix, dtype), Path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
        except OSError as error:
            raise ExportError(f"{path} cannot be written: {error.strerror or error}") from None
        written[name] = len(data)
    return ExportReport(source=str(source), written=written)
