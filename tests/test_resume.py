"""A run that is killed and continued ends like one that is not, bit for bit; a full disk loses nothing."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from train.fit import checkpoint, state
from train.fit.loop import Interrupted, fit
from vsapisr.errors import ArgumentError

from .fitting import config, drawings, equal, killed, lasting, second_stage, settings

DROP = {"drop_path": 0.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return drawings(tmp_path_factory.mktemp("drawings"))


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    """By stage: settings of a run with everything random in it, and its last checkpoint when nothing happens to it."""
    made = {}
    for stage, make in ((1, settings), (2, second_stage)):
        out = tmp_path_factory.mktemp("whole")
        values = make(
            folder,
            out,
            iterations=7,
            accumulate=2,
            save_seconds=0.0,
            network=DROP,
            precision="bf16",
            clip_norm=0.1,
            validation={"folder": str(folder), "images": 1, "size": 16, "every": 3},
        )
        fit(config(values))
        made[stage] = values, lasting(out / "last.pth")
    return made


@pytest.mark.parametrize(
    ("stage", "event", "count"),
    [
        (1, "half written", 3),
        (1, "before the new name", 4),
        (1, "updated", 6),
        (2, "gradients there", 2),
        (2, "after the new name", 4),
    ],
)
def test_killed_anywhere_it_ends_the_same(runs, tmp_path, stage, event, count):
    values, expected = runs[stage]
    values = values | {"out": str(tmp_path / "run")}
    killed(values, event, count)
    names = {path.name for path in (tmp_path / "run").iterdir() if path.suffix == ".pth"}
    assert names <= {"last.pth", "best.pth", "iteration_00000004.pth"}
    for name in names:
        checkpoint.load(tmp_path / "run" / name)  # whole, whatever happened
    fit(config(values))
    equal(lasting(tmp_path / "run" / "last.pth"), expected)
    log = [json.loads(line)["iteration"] for line in (tmp_path / "run" / "log.jsonl").open()]
    assert log == list(range(1, 8))


def test_several_kills_with_workers(folder, tmp_path):
    data = {"workers": 1}
    whole = settings(folder, tmp_path / "whole", network=DROP, data=data)
    fit(config(whole))
    parts = whole | {"out": str(tmp_path / "parts"), "save_seconds": 0.0}
    for count in (2, 1, 2):
        killed(parts, "updated", count)
    fit(config(parts))
    equal(lasting(tmp_path / "parts" / "last.pth"), lasting(tmp_path / "whole" / "last.pth"))
    history = json.loads(checkpoint.load(tmp_path / "parts" / "last.pth")["history"])
    assert [(entry["event"], entry["iteration"]) for entry in history] == [("start", 0), ("resume", 1), ("resume", 2)]


def test_a_request_to_stop_saves_first(folder, tmp_path, monkeypatch, capfd):
    from train.fit.parts import Parts

    values = settings(folder, tmp_path / "run", network=DROP)
    fit(config(values | {"out": str(tmp_path / "whole")}))
    apply = Parts.apply

    def applying(parts: Parts) -> None:
        apply(parts)
        if parts.ema.steps == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(Parts, "apply", applying)
    with pytest.raises(Interrupted, match="iteration 3"):
        fit(config(values))
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) is before
    assert "\nfit: stops after this iteration and saves; once more ends it at once\n" in capfd.readouterr().err
    fit(config(values))
    equal(lasting(tmp_path / "run" / "last.pth"), lasting(tmp_path / "whole" / "last.pth"))


def test_what_may_change_is_recorded_and_the_rest_refused(folder, tmp_path):
    values = settings(folder, tmp_path, iterations=2)
    fit(config(values))
    changed = settings(folder, tmp_path, iterations=4, learning_rate=1e-5, data={"batch": 2}, precision="bf16")
    fit(config(changed))
    saved = checkpoint.load(tmp_path / "last.pth")
    assert saved["iteration"] == 4 and saved["data"]["position"] == 2 * 4 + 2 * 2
    entry = json.loads(saved["history"])[-1]
    assert entry["event"] == "resume" and entry["iteration"] == 2
    assert entry["changes"] == {
        "iterations": [2, 4],
        "learning_rate": [2e-4, 1e-5],
        "data.batch": [4, 2],
        "precision": ["fp32", "bf16"],
    }
    before = (tmp_path / "last.pth").read_bytes()
    for key, wrong in (
        ("seed", {"seed": 5}),
        ("data.patch", {"data": {"patch": 24}}),
        ("init", {"init": "random"}),
        ("network.dim", {"network": {"dim": 32}}),
    ):
        with pytest.raises(ArgumentError, match=f"^{key}: .* as the run .* began"):
            fit(config(settings(folder, tmp_path, iterations=6, **wrong)))
    with pytest.raises(ArgumentError, match="other files"):
        more = drawings(tmp_path / "more", 4)
        fit(config(settings(more, tmp_path, iterations=6)))
    assert (tmp_path / "last.pth").read_bytes() == before


def test_random_states_go_on():
    def numbers() -> list[float]:
        return [random.random(), random.gauss(), np.random.rand(), np.random.randn(), torch.rand(1).item()]

    state.seed_all(1, 2)
    numbers()
    random.gauss()  # half of a pair is left over in both
    np.random.randn()
    saved = state.capture()
    expected = [numbers() for _ in range(3)]
    state.seed_all(9)
    state.restore(saved)
    assert [numbers() for _ in range(3)] == expected


# A full disk


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, small_files):
    path = tmp_path / "last.pth"
    checkpoint.save(path, {"ema": {"a": torch.arange(1000)}})
    small_files(100_000)
    with pytest.raises(checkpoint.CheckpointError, match="last.pth cannot be written: File too large"):
        checkpoint.save(path, {"ema": {"a": torch.zeros(100_000)}})
    assert torch.equal(checkpoint.load(path)["ema"]["a"], torch.arange(1000))
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pth"]


def test_a_run_outlives_a_disk_that_is_full_for_a_while(folder, tmp_path, small_files, monkeypatch, caplog):
    from train.fit.parts import Parts

    values = settings(folder, tmp_path / "run", save_seconds=0.0)
    fit(config(values | {"out": str(tmp_path / "whole")}))
    apply = Parts.apply

    def applying(parts: Parts) -> None:
        apply(parts)
        small_files(20_000 if parts.ema.steps in (2, 3) else 10**8)

    monkeypatch.setattr(Parts, "apply", applying)
    fit(config(values))
    assert [record.message.split(":")[0] for record in caplog.records] == ["iteration 2", "iteration 3"]
    equal(lasting(tmp_path / "run" / "last.pth"), lasting(tmp_path / "whole" / "last.pth"))


def test_a_disk_full_at_the_end_is_an_error(folder, tmp_path, small_files, monkeypatch):
    from train.fit.parts import Parts

    apply = Parts.apply

    def applying(parts: Parts) -> None:
        apply(parts)
        small_files(20_000 if parts.ema.steps > 4 else 10**8)

    monkeypatch.setattr(Parts, "apply", applying)
    with pytest.raises(checkpoint.CheckpointError, match="last.pth"):
        fit(config(settings(folder, tmp_path)))
    assert checkpoint.load(tmp_path / "last.pth")["iteration"] == 4


@pytest.mark.parametrize("ends", [False, True])
def test_best_weights_that_cannot_be_written_wait(folder, tmp_path, monkeypatch, ends):
    """From iteration 2, the best one, a folder is in their place; before iteration 4 it goes, or not."""
    from train.fit.parts import Parts
    from train.fit.validation import Validation

    apply, scores, place = Parts.apply, iter((5.0, 9.0, 7.0, 6.0)), tmp_path / "best.pth"

    def applying(parts: Parts) -> None:
        apply(parts)
        if parts.ema.steps == 2:
            place.unlink()
            place.mkdir()
        if parts.ema.steps == 4 and not ends:
            place.rmdir()

    monkeypatch.setattr(Parts, "apply", applying)
    monkeypatch.setattr(Validation, "__call__", lambda *_: {"psnr_y": next(scores)})
    values = config(
        settings(
            folder,
            tmp_path,
            iterations=4,
            save_every=1,
            keep=4,
            validation={"folder": str(folder), "images": 1, "size": 16, "every": 1},
        )
    )
    if ends:
        with pytest.raises(checkpoint.CheckpointError, match="best.pth could not be written at the end"):
            fit(values)
    else:
        fit(values)
    saved = [checkpoint.load(tmp_path / f"iteration_0000000{number}.pth") for number in (1, 2, 3, 4)]
    first, second = {"iteration": 1, "psnr_y": 5.0}, {"iteration": 2, "psnr_y": 9.0}
    assert [one["best"] for one in saved] == [first, first, first, first if ends else second]  # what the file holds
    if not ends:
        best = checkpoint.load(place)
        equal(best, {key: saved[1][key] for key in best} | {"best": second})
        assert set(best) == set(checkpoint.LIGHT)


@pytest.mark.parametrize("content", [b"", b"PK damaged", None])
def test_damaged_and_missing_checkpoints_are_named(tmp_path, content):
    path = tmp_path / "last.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(checkpoint.CheckpointError, match="last.pth"):
        checkpoint.load(path)
