"""The training loop's configuration: what each key refuses, the learning rate's course, the examples."""

from __future__ import annotations

import tomllib
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from train.fit.config import FitConfig, free_keys, rate_factor
from train.settings import load
from vsapisr.errors import VsapisrError

from .conftest import ROOT
from .fitting import NETWORK, config, drawings, second_stage, settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return drawings(tmp_path_factory.mktemp("drawings"))


WRONG = {
    "out": "", "data": 3, "validation": {"folder": "x", "every": 0}, "stage": 3, "init": 4, "iterations": 0,
    "accumulate": 0,
    "shards": -1, "learning_rate": 0.0, "learning_rate_d": -1.0, "schedule": "linear", "halve_every": 0, "warmup": -1,
    "ema_decay": 1.0, "clip_norm": -1.0, "precision": "fp8", "compile": "maybe", "channels_last": "yes",
    "device": "tpu",
    "seed": -1, "threads": -1, "save_seconds": -1.0, "save_every": 0, "keep": -1, "nonfinite_limit": 0,
    "tensorboard": 1,
    "network": {"dim": 6}, "loss": {"perceptual": 0.5}, "discriminator_channels": 0,
}  # fmt: skip


def test_every_key_refuses_what_it_cannot_be(folder, tmp_path):
    assert set(WRONG) == {one.name for one in fields(FitConfig)}
    for key, value in WRONG.items():
        with pytest.raises(VsapisrError, match=f"^{key}[:.]"):
            config(settings(folder, tmp_path) | {key: value})
    for key, value in (("heads_window", 0), ("depths", []), ("window", 7), ("drop_path", 1.0), ("anchor_down", 3)):
        with pytest.raises(VsapisrError, match="^network"):
            config(settings(folder, tmp_path, network={**NETWORK, key: value}))
    with pytest.raises(VsapisrError, match="unknown key 'gan'"):
        config(settings(folder, tmp_path, gan=1))
    with pytest.raises(VsapisrError, match="^init: '' .* stage 2"):
        config(second_stage(folder, tmp_path, init=""))
    with pytest.raises(VsapisrError, match="^data.patch: 16"):
        config(second_stage(folder, tmp_path, data={"patch": 16}))


def test_rates(folder, tmp_path):
    def rates(*steps: int, **changes: object) -> list[float]:
        made = config(settings(folder, tmp_path, iterations=400, **changes))
        return [rate_factor(made, step) for step in steps]

    assert rates(0, 1, 9, 10, 99, 100, 250, warmup=10, halve_every=100) == [0.1, 0.2, 1, 1, 1, 0.5, 0.25]
    assert rates(0, 200, 400, schedule="cosine", warmup=0) == pytest.approx([1, 0.5, 0])
    assert rates(0, 399, schedule="constant", warmup=0) == [1, 1]


SHIPPED = ("fidelity", "sharp", "sharp_colour", "restore_lines", "restore_features", "restore")


@pytest.mark.parametrize("name", ["stage1", "stage2", *(f"shipped/{name}" for name in SHIPPED)])
def test_example_configurations_are_accepted(name):
    made = load(FitConfig, ROOT / "train" / "configs" / f"{name}.toml")
    if name.startswith("stage"):
        assert (made.iterations, made.halve_every, made.data.batch, made.data.patch) == (300_000, 100_000, 32, 64)
        assert made.learning_rate == {"stage1": 2e-4, "stage2": 1e-4}[name]


def test_what_a_resume_may_change_is_said_at_the_field():
    assert free_keys(FitConfig) == {
        "out", "iterations", "accumulate", "learning_rate", "learning_rate_d", "schedule", "halve_every", "warmup",
        "ema_decay", "clip_norm", "precision", "compile", "channels_last", "device", "threads", "save_seconds",
        "save_every", "keep", "nonfinite_limit", "tensorboard", "validation", "loss", "data.folder", "data.batch",
        "data.workers", "data.cache", "data.cache_megabytes", "data.pseudo_gt", "network.drop_path",
    }  # fmt: skip


def test_the_example_of_stage_1_has_every_key_it_says_it_has():
    text = (ROOT / "train" / "configs" / "stage1.toml").read_text(encoding="utf-8")

    def missing(values: dict, kind: type, before: str = "") -> list[str]:
        hints, found = typing.get_type_hints(kind), []
        for one in fields(kind):
            inner = [h for h in (hints[one.name], *typing.get_args(hints[one.name])) if is_dataclass(h)]
            if one.name not in values:
                found += [] if f"# {one.name} = " in text else [before + one.name]
            elif inner and one.name != "degradation":
                found += missing(values[one.name], inner[0], f"{before}{one.name}.")
        return found

    assert missing(tomllib.loads(text), FitConfig) == ["validation.degradation"]
