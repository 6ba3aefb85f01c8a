"""Weight files of the pretrained feature networks: where they are, how they are fetched, what is in them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vsapisr.errors import WeightsError
from vsapisr.weights import files as weights
from vsapisr.weights.published import Published, hash_of, obtain

from ..media.progress import Progress
from .config import LossConfig
from .features import whole
from .packages.files import PACKAGES, kept

__all__ = ["SOURCES", "fill", "find", "folder", "load", "look", "read"]

SOURCES = {
    "vgg": Published(
        url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        file="vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        licence="weights of torchvision (BSD 3-clause), trained on ImageNet",
    ),
    "resnet": Published(
        url="https://github.com/RF5/danbooru-pretrained/releases/download/v0.1/resnet50-13306192.pth",
        file="resnet50-13306192.pth",
        sha256="13306192",
        licence="weights of M. Baas (MIT with attribution), trained on Danbooru2018",
    ),
}
TITLES = {"vgg": "VGG-19 of ImageNet", "resnet": "ResNet-50 of Danbooru2018"}
BODY = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Place among the children of torchvision's ResNet -> its name there."""


def folder() -> Path:
    """Where PyTorch, torchvision and this module keep downloaded weights; ``TORCH_HOME`` moves it."""
    path = Path(torch.hub.get_dir()) / "checkpoints"
    if path.parts[0].startswith("~"):  # it would be made below the folder that one is in
        raise WeightsError("there is no folder for downloaded weights, as this user has no home; set TORCH_HOME to one")
    return path


def find(name: str, config: LossConfig) -> tuple[Path, str]:
    """The file of "vgg" or "resnet" and its SHA-256: the configured one, else the cached, else fetched if allowed.

    A file that was named is taken as it is; a cached one must be the published one.

    Raises:
        WeightsError: it is not there; the text says which file, from where, and how to train without it.
        FetchError: it was to be fetched and could not be.
    """
    key, source = f"{name}_weights", SOURCES[name]
    given = getattr(config, key)
    path = Path(given).expanduser() if given is not None else folder() / source.file
    if path.is_file():
        found = hash_of(path)
        if given is None and not source.is_right(found):
            raise WeightsError(
                f"{path} is not what its name says: its SHA-256 is {found} and should begin with {source.sha256}; "
                "delete it and get it again"
            )
        return path, found
    if given is not None or not config.download:
        raise WeightsError(
            f"the perceptual loss needs the weights of {TITLES[name]}, and {path} is not there. Get {source.file} from "
            f"{source.url} ({source.licence}) and give its place as loss.{key}, or set loss.download = true; "
            'to train without: loss.features = "random" or loss.features = "none"'
        )
    fetched = fetch(source, path)
    return path, fetched


def look(name: str, config: LossConfig) -> None:
    """:func:`load` without a network to fill: raises what it would."""
    if name in PACKAGES:
        kept(name, folder() / PACKAGES[name].file)
    else:
        find(name, config)


def load(name: str, body: nn.Module, config: LossConfig) -> str:
    """Fill ``body`` (of :func:`.features.empty`) with the weights of network ``name``; says which they are.

    Raises:
        WeightsError: they are not there, or not what they should be.
        FetchError: they were to be fetched and could not be.
    """
    if name in PACKAGES:
        path = folder() / PACKAGES[name].file
        state = kept(name, path)
        body.load_state_dict({key: state[key] for key in body.state_dict()})
        return f"{path.name}, SHA-256 of its values {PACKAGES[name].values}"
    path, digest = find(name, config)
    fill(name, body, read(name, path), path)
    return f"{path.name}, SHA-256 {digest}"


def fetch(source: Published, path: Path) -> str:
    """Download with progress; the SHA-256."""
    with Progress(f"fetch {source.file}", 0, "MB") as progress:

        def told(done: int, total: int | None) -> None:
            progress.total = (total or 0) / 1e6
            progress.to(done / 1e6)

        return obtain(source, path, told).sha256


def read(name: str, path: Path) -> dict[str, Tensor]:
    """The weights in ``path`` under torchvision's names, without the Danbooru network's head.

    Raises:
        WeightsError: damaged, no state dict, or one of another network; no code in it is run.
    """
    state = weights.read(path)
    if name == "resnet":
        if not all(key.partition(".")[0] in ("0", "1") for key in state):
            raise WeightsError(
                f"{path} is not {TITLES[name]}: its entries should begin with 0. (body) or 1. (head), and there is "
                f"{next(key for key in state if key.partition('.')[0] not in ('0', '1'))}"
            )
        state = {rename(key): value for key, value in state.items() if key.startswith("0.")}
    return state


def rename(key: str) -> str:
    """``0.4.0.conv1.weight`` -> ``layer1.0.conv1.weight``."""
    _, place, rest = (*key.split(".", 2), "")[:3]
    return f"{BODY.get(place, place)}.{rest}"


def fill(name: str, body: nn.Module, state: Mapping[str, Tensor], path: os.PathLike[str]) -> None:
    """Put ``state`` into the part of network ``name`` that is in use; ``path`` is for the error.

    Raises:
        WeightsError: entries are missing, unknown, of another shape or not finite.
    """
    known, needed = whole(name).state_dict(), body.state_dict()
    counts = {key for key in needed if key.endswith("num_batches_tracked")}  # used in training alone
    missing, unknown = sorted(needed.keys() - counts - state.keys()), sorted(state.keys() - known.keys())
    if missing or unknown:
        raise WeightsError(
            f"{path} is not {TITLES[name]}: {len(missing)} entries missing ({', '.join(missing[:3])}), "
            f"{len(unknown)} unknown ({', '.join(unknown[:3])})"
        )
    for key in needed.keys() - counts:
        if state[key].shape != needed[key].shape:
            raise WeightsError(
                f"{path} is not {TITLES[name]}: {key} has shape {tuple(state[key].shape)}, "
                f"{tuple(needed[key].shape)} is needed"
            )
        if not torch.isfinite(state[key]).all():
            raise WeightsError(f"{path} has values that are not finite in {key}")
    zeros = {key: torch.zeros_like(needed[key]) for key in counts}
    body.load_state_dict({key: state[key].to(needed[key].dtype) for key in needed.keys() - counts} | zeros)
