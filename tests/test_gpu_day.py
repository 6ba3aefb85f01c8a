"""The day on a GPU, rehearsed without one: packs, training against the clock, parts that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from scripts import gpu_day
from scripts.day import pack, training
from train.evaluation.full_reference import psnr_y
from vsapisr.weights import files as weights

from .clips import drawing


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    files = []
    for number in range(3):
        files.append(folder / f"{number}.png")
        Image.fromarray(drawing(number, 296, 272, shapes=12)).save(files[-1])
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "small.png")
    (folder / "feature.bin").write_bytes(b"features")
    files += [folder / "small.png", folder / "feature.bin"]
    made = pack.write(folder / "day.pack", files, files[:2], files[-1:], 10_000_000, 0)
    assert made == 3, "what is too small or no picture is left out"
    return folder / "day.pack"


def test_pack(packed: Path, tmp_path: Path) -> None:
    read = pack.read(packed)
    assert read.files == {"feature.bin": b"features"} and len(read.drawings) == 3 and len(read.validation) == 2
    for sample in read.drawings:
        height, width = sample.gt.shape[:2]
        assert not height % 8 and not width % 8 and min(height, width) >= 256
        assert {kind: len(pictures) for kind, pictures in sample.small.items()} == pack.VARIANTS
        for pictures in sample.small.values():
            assert {picture.shape for picture in pictures} == {(height // 4, width // 4, 3)}
            assert (pictures[0] != pictures[1]).any()
    shown = read.validation[0]
    assert shown.gt.shape == (256, 256, 3) and shown.small["light"][0].shape == (64, 64, 3)
    files = [packed.with_name(f"{number}.png") for number in range(3)]
    again, less = tmp_path / "again", tmp_path / "less"
    assert pack.write(again, files, [], [], packed.stat().st_size // 2, 0) in (1, 2)
    assert again.stat().st_size <= packed.stat().st_size // 2
    assert pack.write(less, files, [], [], 100, 0) == 0


def test_crops_belong_together() -> None:
    """A picture whose small form is its quarter: every crop of it too, turned and mirrored alike."""
    small = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    sample = pack.Sample(small.repeat(4, 0).repeat(4, 1), {kind: [small] for kind in pack.KINDS})
    crops = training.Crops([sample], training.GOALS["fidelity"].easy, torch.device("cpu"), 24, 1)
    low, high = crops.batch(16)
    assert low.shape == (16, 3, 24, 24) and torch.equal(low.repeat_interleave(4, 2).repeat_interleave(4, 3), high)
    assert len({tuple(one[:, 0, 0].tolist()) for one in low}) > 8


def options(packed: Path, out: Path, **more: object) -> Namespace:
    return Namespace(
        goal="fidelity", pack=packed, out=out, init="fidelity", seconds=14.0, device="cpu", batch=1, patch=16, seed=0,
        compile=False, warm=False, begun=None, name=None, easy=None, loss="colour=0.5", **more,
    )  # fmt: skip


def test_training_against_the_clock(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that goes on by a second whenever it is read."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small pieces: more wait for each other
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    clock = SimpleNamespace(monotonic=map(float, count()).__next__)
    monkeypatch.setattr(training, "time", clock)
    monkeypatch.setattr(training, "psnr", lambda model, shown, device: {"light": float(len(shown))})
    try:
        training.train(options(packed, tmp_path))
    finally:
        torch.set_num_threads(threads)
    lines = [json.loads(line) for line in (tmp_path / "gpu_day.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["ready", "validation", "saved", "done"]
    done = lines[-1]
    names = ("fidelity", tmp_path / "fidelity.safetensors", tmp_path / "fidelity-last.safetensors")
    before, average, last = (list(weights.load(weights.find(str(name))).parameters()) for name in names)
    moved = [max((a - b).abs().max().item() for a, b in zip(before, now)) for now in (average, last)]
    told = weights.contents(tmp_path / "fidelity.safetensors").metadata
    assert json.loads(told["loss"])["colour"] == 0.5
    assert 2 <= done["iteration"] == done["crops"] and 0 < moved[1] < 0.01 and moved[0] < 0.01
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fidelity-last.safetensors", "fidelity.safetensors", "gpu_day.jsonl",
    ]  # fmt: skip


def test_psnr(monkeypatch: pytest.MonkeyPatch) -> None:
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    gt = small.repeat(4, 0).repeat(4, 1)
    sample = pack.Sample(gt, {"light": [small], "medium": [np.clip(small, 4, None) - np.uint8(4)]})
    monkeypatch.setattr(training, "forward", lambda model, x: x.repeat_interleave(4, 2).repeat_interleave(4, 3))
    found = training.psnr(None, [sample], torch.device("cpu"))
    assert found["light"] > 100
    wrong = sample.small["medium"][0].repeat(4, 0).repeat(4, 1)
    assert found["medium"] == pytest.approx(psnr_y(wrong, gt), abs=1e-3)


def test_a_bare_machine_is_enough() -> None:
    """Neither codecs nor OpenCV nor VapourSynth are needed to train."""
    missing = ("av", "cv2", "vapoursynth", "torchvision", "tensorboard", "typer", "rich", "scipy")
    code = (
        f"import sys\nfor name in {missing}: sys.modules[name] = None\nimport scripts.gpu_day, scripts.day.training\n"
    )
    code += "from train.losses.config import LossConfig\nfrom train.losses.generator import GeneratorLoss\n"
    code += "GeneratorLoss(scripts.day.training.GOALS['fidelity'].loss)\n"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_parts_that_fail_or_hang_cost_no_other(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One ends with an error, one never ends and has a child that does not either, one does its work."""
    hang = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import signal; signal.pause()'])"
    good = f"open({str(tmp_path / 'restore.safetensors')!r}, 'w').write('made')"
    monkeypatch.setattr(gpu_day, "check", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    parts = {"fidelity": hang, "restore": good}
    monkeypatch.setattr(gpu_day, "training", lambda goal, *_: [sys.executable, "-c", parts[goal]])
    arguments = ["--pack", str(packed), "--out", str(tmp_path), "--device", "cpu", "--seconds", "12"]
    assert gpu_day.main(arguments) == 1
    lines = [json.loads(line) for line in (tmp_path / "gpu_day.jsonl").read_text().splitlines()]
    how = {line["event"]: line.get("how", "") for line in lines}
    assert how["check"] == "ended with status 3" and how["fidelity"].startswith("killed") and how["restore"] == "done"
    assert lines[-1]["event"] == "end" and lines[-1]["files"]["restore.safetensors"] == 4


def test_a_pack_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu_day.main(["--pack", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert "make it with" in capsys.readouterr().err and not (tmp_path / "out").exists()
