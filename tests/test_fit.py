"""The training loop: it learns, both stages, several processes, precisions, losses that are not finite, its
configuration.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from train.__main__ import main
from train.data.crops import ImageStream
from train.evaluation.full_reference import psnr_y
from train.fit import checkpoint
from train.fit.config import FitConfig, rate_factor
from train.fit.distributed import Processes
from train.fit.loop import Run, fit
from train.fit.nonfinite import NonFiniteError
from train.fit.parts import Parts
from train.fit.plan import plan
from train.fit.validation import enlarge
from train.media.images import list_images
from train.settings import load
from vsapisr.errors import VsapisrError

from .conftest import ROOT
from .fitting import NETWORK, config, drawing, drawings, equal, lasting, second_stage, settings, toml


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return drawings(tmp_path_factory.mktemp("drawings"))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def curve(out: Path, key: str = "loss/l1", record: str = "log") -> list[float]:
    return [json.loads(line)[key] for line in (out / f"{record}.jsonl").open()]


def test_it_learns_one_picture_by_heart(tmp_path):
    folder = drawings(tmp_path / "one", 0)
    Image.fromarray(drawing(0, 96, 96)).save(folder / "a.png")
    values = settings(
        folder,
        tmp_path / "out",
        iterations=400,
        learning_rate=4e-3,
        warmup=10,
        ema_decay=0.95,
        clip_norm=0.5,
        schedule="cosine",
        data={"variants": 1, "pool": 1, "per_image": 16, "cache": str(tmp_path / "cache")},
    )
    run = Run(config(values), Processes("cpu"))
    small, drawn, target = ImageStream(list_images(folder), run.config.data).degraded(0, 0)
    assert psnr_y(enlarge(run.parts.ema.average, small), target) < 30
    for _ in range(run.config.iterations):
        run.update(next(run.feed))
    assert psnr_y(enlarge(run.parts.ema.average, small), target) > 35
    assert psnr_y(enlarge(run.parts.ema.average, small), drawn) > 35


# One batch, however it is divided


def test_two_processes_have_the_loss_curve_of_one(folder, tmp_path):
    check = {"folder": str(folder), "images": 3, "size": 24, "every": 3, "lpips": False}
    one, two = (settings(folder, tmp_path / name, shards=2, validation=check) for name in ("one", "two"))
    fit(config(one))
    (tmp_path / "two.toml").write_text(toml(two))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "train",
        "fit",
        "--config",
        str(tmp_path / "two.toml"),
    ]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("last.pth") == 1  # one process speaks, and writes
    for key in ("loss/l1", "grad/g"):
        assert curve(tmp_path / "two", key) == pytest.approx(curve(tmp_path / "one", key), rel=1e-4)
    for key in ("psnr_y", "heavy/ssim_y"):
        measured = [curve(tmp_path / name, key, "validation") for name in ("one", "two")]
        assert len(measured[0]) == 2 and measured[1] == pytest.approx(measured[0], rel=1e-3)
    states = [checkpoint.load(tmp_path / name / "last.pth") for name in ("one", "two")]
    assert len(states[1]["random"]) == 2 and states[1]["data"] == states[0]["data"]
    for name, value in states[0]["generator"].items():
        torch.testing.assert_close(states[1]["generator"][name], value, rtol=1e-2, atol=2e-5)
    for broken, message in (
        ({"shards": 1}, "shards: 1 .* multiple of the 2"),
        ({"data": {"batch": 3}}, "data.batch: 3 "),
    ):
        with pytest.raises(VsapisrError, match=message):
            check_split(config(settings(folder, tmp_path / "x", **broken)))


def check_split(made: FitConfig) -> None:
    """What a process of two would be told about ``made``."""
    from train.data.feed import Feed

    processes = Processes("cpu")
    processes.world = 2
    Feed(made, processes)


@pytest.mark.parametrize("make", [settings, second_stage])
def test_pieces_add_up_to_the_batch(folder, tmp_path, make):
    curves = []
    for pieces in (1, 2):
        out = tmp_path / str(pieces)
        fit(config(make(folder, out, iterations=3, accumulate=pieces)))
        curves.append(curve(out) + (curve(out, "gan/real") if make is second_stage else []))
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


# Precision and forms


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("make", [settings, second_stage])
def test_half_precisions_stay_near_fp32(folder, tmp_path, precision, make):
    for name in ("fp32", precision):
        fit(config(make(folder, tmp_path / name, iterations=4, precision=name, accumulate=1 if name == "fp32" else 2)))
    assert curve(tmp_path / precision) == pytest.approx(curve(tmp_path / "fp32"), rel=0.02)
    state = checkpoint.load(tmp_path / precision / "last.pth")
    assert all(value.dtype == torch.float32 for value in state["ema"].values())
    assert set(state["scalers"]) == set(state["optimizers"]) and bool(state["scalers"]["g"]) == (precision == "fp16")


def test_a_compiler_that_fails_is_done_without(folder, tmp_path, monkeypatch, caplog):
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", lambda function: refuse)
    values = settings(folder, tmp_path / "on", compile="on", iterations=2, network={"drop_path": 0.5})
    fit(config(values))
    fit(config(values | {"compile": "off", "out": str(tmp_path / "off")}))
    assert "torch.compile failed, the run goes on without it: no compiler here" in caplog.text
    equal(lasting(tmp_path / "on" / "last.pth"), lasting(tmp_path / "off" / "last.pth"))


def test_layouts_compute_the_same(folder, tmp_path):
    for last in (True, False):
        fit(config(settings(folder, tmp_path / str(last), channels_last=last)))
    assert curve(tmp_path / "True") == pytest.approx(curve(tmp_path / "False"), rel=1e-3)


# Not finite


def test_exploding_losses_are_named_kept_and_end_the_run(folder, tmp_path, caplog):
    values = settings(folder, tmp_path, iterations=50, learning_rate=1e30, warmup=0, nonfinite_limit=3)
    with pytest.raises(NonFiniteError, match="3 updates were not finite .* 3 times"):
        fit(config(values))
    assert "the update is left out" in caplog.text and "loss/l1 is " in caplog.text
    state = checkpoint.load(tmp_path / "last.pth")
    assert sum(state["skipped"].values()) == 3 and all(value.isfinite().all() for value in state["generator"].values())
    kept = sorted((tmp_path / "nonfinite").iterdir())
    assert len(kept) == 3
    batch = checkpoint.load(kept[0])
    assert batch["term"] in kept[0].name.replace("_", "/") and batch["lr"][0].shape == (4, 3, 16, 16)
    assert batch["gt"][0].shape == batch["pseudo_gt"][0].shape == (4, 3, 64, 64)
    with pytest.raises(NonFiniteError):  # at once: nothing has changed
        fit(config(values))
    assert checkpoint.load(tmp_path / "last.pth")["iteration"] == state["iteration"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_bad_batch_changes_nothing_but_the_count(folder, tmp_path, monkeypatch, precision):
    image = Parts.image
    run = Run(config(second_stage(folder, tmp_path, precision=precision)), Processes("cpu"))
    run.update(next(run.feed))
    before = {key: value.clone() for key, value in run.parts.state_dict()["ema"].items()}
    monkeypatch.setattr(Parts, "image", lambda parts, pixels: image(parts, pixels) * float("nan"))
    run.update(next(run.feed))
    assert run.guard.skipped == {"loss/l1": 1} and run.iteration == 2
    equal(before, dict(run.parts.state_dict()["ema"]))
    monkeypatch.undo()
    run.update(next(run.feed))
    assert run.guard.skipped == {"loss/l1": 1}
    assert any(not torch.equal(before[key], value) for key, value in run.parts.state_dict()["ema"].items())


# Stages


def test_stage_2_starts_from_the_best_validated_average(folder, tmp_path):
    check = {"folder": str(folder), "images": 2, "size": 24, "every": 2}
    first, second = tmp_path / "first", tmp_path / "second"
    # the first update improves on the start, the others are much too large
    fit(config(settings(folder, first, iterations=6, learning_rate=3e-2, ema_decay=0.0, warmup=0, validation=check)))
    measured = [json.loads(line) for line in (first / "validation.jsonl").open()]
    best = max(measured, key=lambda entry: entry["psnr_y"])
    saved = checkpoint.load(first / "best.pth")
    assert saved["iteration"] == best["iteration"] and set(saved) == set(checkpoint.LIGHT)
    assert saved["validation"]["psnr_y"] == pytest.approx(best["psnr_y"], abs=1e-4)
    run = Run(config(second_stage(folder, second, init=str(first))), Processes("cpu"))
    equal(dict(run.parts.generator.state_dict()), dict(saved["ema"]))
    values = run.update(next(run.feed))
    assert {"loss/l1", "loss/adversarial", "gan/real", "gan/fake", "grad/g", "grad/d", "rate/g", "rate/d"} == set(
        values
    )
    assert values["rate/g"] == pytest.approx(1e-4 / 3)  # the preset of stage 2, in warm-up
    (first / "best.pth").unlink()
    with pytest.raises(VsapisrError, match="init: .* has no best.pth"):
        config_run(second_stage(folder, second, init=str(first)))
    for network in ({"dim": 32}, {"window": 16}, {"anchor_down": 4}):  # of the last two no tensor's shape tells
        with pytest.raises(VsapisrError, match="other sizes"):
            config_run(second_stage(folder, second, init=str(first / "last.pth"), network=network))
    with pytest.raises(VsapisrError, match="^network.window: 16 .* 8, as the run in"):
        fit(config(settings(folder, first, validation=check, network={"window": 16})))


def config_run(values: dict) -> Run:
    return Run(config(values), Processes("cpu"))


def test_the_discriminator_sees_drawings_and_the_losses_their_pseudo_gt(folder, tmp_path, monkeypatch):
    run, seen = config_run(second_stage(folder, tmp_path)), {}
    lr, _, _ = next(run.feed)
    gt, pseudo = (torch.full((2, 3, 96, 96), value, dtype=torch.uint8) for value in (51, 204))
    run.parts.networks["d"].register_forward_hook(lambda _, x, __: seen.setdefault("d", []).append(x[0].mean().item()))
    monkeypatch.setattr(
        run.parts.losses,
        "forward",
        lambda output, target, scores: (
            seen.update(target=target.mean().item()) or {"l1": output.mean(), "adversarial": scores[0].mean()}
        ),
    )
    run.parts.backward((lr, gt, pseudo))
    assert seen["target"] == pytest.approx(0.8) and seen["d"][1] == pytest.approx(0.2) and len(seen["d"]) == 3


def test_old_numbered_checkpoints_go(folder, tmp_path):
    fit(config(settings(folder, tmp_path, save_every=1, keep=2)))
    names = ["iteration_00000005.pth", "iteration_00000006.pth", "last.pth"]
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == names
    equal(checkpoint.load(tmp_path / "iteration_00000006.pth"), checkpoint.load(tmp_path / "last.pth"))


@pytest.mark.parametrize("make", [settings, second_stage])
def test_a_dry_run_tells_the_plan_and_writes_nothing(folder, tmp_path, make):
    cache = str(tmp_path / "cache")
    text = plan(
        config(
            make(
                folder,
                tmp_path / "out",
                data={"variants": 1, "cache": cache},
                validation={"folder": str(folder), "images": 2, "size": 16},
            )
        )
    )
    assert list(tmp_path.iterdir()) == []
    parameters = sum(
        p.numel() for p in Parts(config(settings(folder, tmp_path)), torch.device("cpu")).generator.parameters()
    )
    assert f"{parameters:,} parameters" in text and "3 drawings" in text and "2 drawings" in text
    for word in ("6 iterations", "it/s", "MiB", "last.pth", "best.pth", "from the beginning", "Nothing was written"):
        assert word in text
    assert ("discriminator:" in text) == (make is second_stage)


def test_dry_run_from_the_command_line_knows_a_run_that_began(folder, tmp_path, capsys):
    values = settings(folder, tmp_path / "out", iterations=1)
    fit(config(values))
    (tmp_path / "a.toml").write_text(toml(values))
    assert main(["fit", "--config", str(tmp_path / "a.toml"), "--dry-run", "--iterations", "9"]) == 0
    assert "from iteration 1 of" in (text := capsys.readouterr().out) and "changed: iterations: 1 -> 9" in text
    assert main(["fit", "--config", str(tmp_path / "a.toml"), "--seed", "3"]) == 2
    assert "train fit: seed: 3 is not accepted" in capsys.readouterr().err


def test_compiled_once_for_the_batches_that_come(folder, tmp_path, monkeypatch):
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(
        torch, "compile", partial(torch.compile, backend="aot_eager")
    )  # traces alone: seconds, not minutes
    one_block = {**NETWORK, "depths": [1]}
    made = config(settings(folder, tmp_path, network=one_block, compile="on", data={"batch": 2}))
    torch.manual_seed(0)
    fast = Parts(made, torch.device("cpu"))
    torch.manual_seed(0)
    plain = Parts(replace(made, compile="off"), torch.device("cpu"))
    compilations = counters["stats"]["unique_graphs"]
    assert compilations > 0
    batch = tuple(torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8) for side in (16, 64, 64))
    for _ in range(2):
        torch.testing.assert_close(fast.backward(batch), plain.backward(batch), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(fast.norms(), plain.norms(), rtol=1e-3, atol=1e-6)
    assert counters["stats"]["unique_graphs"] == compilations
