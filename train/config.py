"""Configurations of the training steps: frozen dataclasses read from TOML, unknown keys rejected by name."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from vsapisr.errors import ArgumentError

from .degradation.pipeline import LightConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Stage 1: L1 between the network's output and the drawing."""

    data: str
    """Folder of drawings to train on."""
    val: str
    """Folder of drawings to validate on; never trained on."""
    out: str
    """Folder for checkpoints and the log."""
    hours: float = 2.0
    """Length of the run. The learning rate falls to zero by a cosine over this time, across resumes."""
    batch: int = 4
    patch: int = 32
    """Side of the small crops; the large ones are four times it."""
    learning_rate: float = 5e-4
    warmup: int = 100
    """Iterations in which the learning rate rises from zero."""
    ema_decay: float = 0.998
    clip_norm: float = 0.5
    """Largest norm of the gradient."""
    seed: int = 0
    threads: int = 2
    workers: int = 1
    save_seconds: float = 120.0
    val_seconds: float = 900.0
    val_images: int = 12
    val_size: int = 96
    """Side of the small validation crop, centred."""
    degradation: LightConfig = field(default_factory=LightConfig)


def build(kind: type[T], values: dict[str, Any], where: str = "") -> T:
    """``kind(**values)`` with tables for nested dataclasses and lists for tuples.

    Raises:
        ArgumentError: a key that ``kind`` does not have, or one missing that has no default.
    """
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ArgumentError(f"unknown key {where + key!r}; known are {', '.join(where + name for name in known)}")
    arguments = {}
    for key, value in values.items():
        if isinstance(value, dict):
            value = build(type(known[key].default_factory()), value, f"{where}{key}.")
        arguments[key] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ArgumentError(f"{where or 'configuration'}: {error}") from None


def load(kind: type[T], path: str | Path) -> T:
    """Read ``path`` (TOML) as ``kind``."""
    with open(path, "rb") as file:
        return build(kind, tomllib.load(file))
