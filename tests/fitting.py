"""Tiny training runs for tests: configurations, and processes that end where they are told to."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from train.fit.config import FitConfig
from train.settings import build, merged

NETWORK = {
    "dim": 16,
    "depths": [2, 1],
    "heads_window": 1,
    "heads_stripe": 1,
    "mlp_dim": 16,
    "bias_dim": 8,
    "drop_path": 0.0,
}
EASY = {"easy": {"probability": 1.0, "interpolations": ["area", "bilinear", "bicubic"]}}


def drawing(seed: int, height: int = 128, width: int = 136) -> np.ndarray:
    """(height, width, 3) uint8: flat areas of colour with soft borders."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 40
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(0.3, 1.5, (3, 3))]
    return np.stack([(127 + 90 * np.tanh(4 * wave)).astype(np.uint8) for wave in waves], axis=2)


def drawings(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(drawing(number)).save(folder / f"{number}.png")
    return folder


def settings(folder: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """Tables of a tiny stage-1 run on the drawings in ``folder``."""
    values: dict[str, Any] = {
        "out": str(out), "iterations": 6, "threads": 1, "warmup": 3, "save_every": 4, "tensorboard": False,
        "network": NETWORK,
        "data": {"folder": str(folder), "batch": 4, "patch": 16, "pool": 2, "per_image": 3, "workers": 0,
        "degradation": EASY},
    }  # fmt: skip
    return merged(values, changes)


def second_stage(folder: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """The same for stage 2, adversarial and without feature networks."""
    values = {
        "stage": 2,
        "init": "interpolation",
        "discriminator_channels": 4,
        "loss": {"features": "none"},
        "data": {"patch": 24, "batch": 2},
    }
    return merged(settings(folder, out, **values), changes)


def config(values: dict[str, Any]) -> FitConfig:
    return build(FitConfig, values)


def equal(one: Any, two: Any, where: str = "") -> None:
    """Asserts that two nested states are the same bit for bit."""
    assert type(one) is type(two), where
    if isinstance(one, dict):
        assert list(one) == list(two), where
        for key in one:
            equal(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two), where
        for number, pair in enumerate(zip(one, two)):
            equal(*pair, f"{where}[{number}]")
    elif isinstance(one, torch.Tensor):
        assert one.dtype == two.dtype and torch.equal(one, two), where
    else:
        assert one == two, where


def lasting(path: Path) -> dict[str, Any]:
    """A checkpoint without what two equal runs may differ in: times, and the folder they write to."""
    from train.fit import checkpoint

    state = checkpoint.load(path)
    return {key: value for key, value in state.items() if key not in ("history", "config")}


def _die_at(values: dict[str, Any], event: str, count: int) -> None:
    """Child process: the run of ``values``, ended by SIGKILL when ``event`` happens the ``count``-th time."""
    seen = 0

    def hook(name: str, *_: object) -> None:
        nonlocal seen
        seen += name == event
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)

    from train.fit import checkpoint
    from train.fit import parts as stages
    from train.fit.loop import fit

    replace, fsync, apply = os.replace, os.fsync, stages.Parts.apply

    def replacing(source: Any, target: Any) -> None:
        hook("before the new name")
        replace(source, target)
        hook("after the new name")

    def syncing(file: int) -> None:
        if event == "half written" and seen == count - 1:
            os.ftruncate(file, os.fstat(file).st_size // 2)
        hook("half written")
        fsync(file)

    def applying(parts: Any) -> None:
        hook("gradients there")
        apply(parts)
        hook("updated")

    checkpoint.os = _Patched(os, replace=replacing, fsync=syncing)
    stages.Parts.apply = applying
    fit(config(values))


class _Patched:
    """A module with some functions replaced, for one of its users."""

    def __init__(self, module: Any, **functions: Any):
        self.__dict__.update(vars(module), **functions)


def killed(values: dict[str, Any], event: str, count: int) -> None:
    """Run in a process of its own, which must end by SIGKILL at that event."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train.fit.loop"])  # imported once for all of them
    process = context.Process(target=_die_at, args=(values, event, count))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, process.exitcode


def toml(values: dict[str, Any], table: str = "") -> str:
    """The text of a TOML file."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    text = "\n".join([f"[{table}]", *lines] if table else lines) + "\n"
    inner = {key: value for key, value in values.items() if isinstance(value, dict)}
    return text + "".join(toml(value, f"{table}.{key}" if table else key) for key, value in inner.items())
