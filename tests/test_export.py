"""``export``: what is written loads again as the same network, tells how it was made, and is there whole or not at
all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import vsapisr
from train.__main__ import main
from train.export.export import ExportConfig, ExportError, export, read_source
from train.fit import checkpoint
from vsapisr.errors import ArgumentError, WeightsError
from vsapisr.networks.grl import GRLConfig
from vsapisr.weights import files as weights

from .networks import perturbed

ROOT = Path(__file__).parents[1]
TINY = GRLConfig(dim=16, depths=(2, 2), mlp_dim=24, bias_dim=16)
KNOWN = json.dumps({"network": {"window": 8, "anchor_down": 2}})


def run_folder(folder: Path, name: str = "last.pth", **more: object) -> Path:
    """A run's folder with one checkpoint of tiny weights."""
    config = {
        "out": "/home/someone/runs",
        "stage": 2,
        "init": "runs/first",
        "data": {"folder": "my anime", "batch": 32},
        "network": {"window": 8, "anchor_down": 2},
    }
    folder.mkdir(exist_ok=True)
    state = {
        "ema": perturbed(TINY).state_dict(), "iteration": 1234, "config": json.dumps(config),
        "metadata": {"losses": "1 l1 / 0.2 adversarial", "drawings": "42", "init": "/home/some one/first"},
        "validation": {"psnr_y.light": 27.5},
    }  # fmt: skip
    checkpoint.save(folder / name, state | more)
    return folder


def configured(source: object, *targets: Path, precision: str = "fp32") -> ExportConfig:
    return ExportConfig(source=str(source), target=tuple(map(str, targets)), precision=precision)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_the_averaged_weights_come_back_bit_for_bit(tmp_path, suffix):
    target = tmp_path / f"weights{suffix}"
    report = export(configured(run_folder(tmp_path / "run"), target))
    assert report.written == {str(target): target.stat().st_size} and "MB" in str(report)
    loaded, expected = weights.load(target).state_dict(), perturbed(TINY).state_dict()
    assert loaded.keys() == expected.keys() and all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert vsapisr.load_model(str(target))(torch.rand(1, 3, 16, 8)).shape == (1, 3, 64, 32)


def test_half_precision_rounds_and_halves_the_file(tmp_path):
    folder = run_folder(tmp_path / "run")
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    export(configured(folder, whole))
    export(configured(folder, half, precision="fp16"))
    assert half.stat().st_size < 0.65 * whole.stat().st_size
    loaded, expected = weights.load(half).state_dict(), perturbed(TINY).state_dict()
    assert all(torch.equal(loaded[name], expected[name].half().float()) for name in expected)


def test_metadata_tell_how_it_was_made_but_not_where(tmp_path):
    target = tmp_path / "w.safetensors"
    export(configured(run_folder(tmp_path / "run"), target), arm="no lines")
    with safe_open(target, "pt") as file:
        metadata = file.metadata()
    assert metadata["iterations"] == "1234" and metadata["drawings"] == "42" and metadata["arm"] == "no lines"
    assert metadata["losses"] == "1 l1 / 0.2 adversarial" and "init" not in metadata
    assert metadata["vsapisr"] == vsapisr.__version__ and json.loads(metadata["validation"]) == {"psnr_y.light": 27.5}
    network = {"window": 8, "anchor_down": 2}
    assert json.loads(metadata["config"]) == {"stage": 2, "data": {"batch": 32}, "network": network}
    assert network.items() <= json.loads(metadata["network"]).items()
    again = tmp_path / "again.pth"
    export(configured(target, again))
    content = torch.load(again, weights_only=True)
    assert content["iteration"] == 1234 and content["opt"] == metadata


def test_a_run_s_best_comes_before_its_last(tmp_path):
    folder = run_folder(tmp_path / "run")
    run_folder(folder, "best.pth", iteration=1000)
    assert read_source(str(folder)).metadata["iterations"] == "1000"
    assert read_source(str(folder / "last.pth")).metadata["iterations"] == "1234"
    assert read_source("fidelity").metadata["iterations"] == "5000"


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_can_be_mixed(tmp_path, share):
    folder, target = run_folder(tmp_path / "run"), tmp_path / "mixed.safetensors"
    other = {name: value * 3 - 1 for name, value in perturbed(TINY).state_dict().items()}
    checkpoint.save(
        tmp_path / "other.pth", {"ema": other, "iteration": 77, "metadata": {"stage": "1"}, "config": KNOWN}
    )
    export(ExportConfig(source=str(folder), target=(str(target),), blend=str(tmp_path / "other.pth"), share=share))
    loaded = weights.load(target).state_dict()
    for name, value in perturbed(TINY).state_dict().items():
        torch.testing.assert_close(loaded[name], (1 - share) * value + share * other[name])
    with safe_open(target, "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["blend"]) == {"share": share, "iterations": "77", "stage": "1"}
    assert metadata["iterations"] == "1234" and "validation" not in metadata


def test_only_networks_of_the_same_sizes_are_mixed(tmp_path):
    folder, target = run_folder(tmp_path / "run"), tmp_path / "mixed.safetensors"
    with pytest.raises(ArgumentError, match="blend.*same sizes"):
        export(ExportConfig(source=str(folder), target=(str(target),), blend="default"))
    assert not target.exists()
    with pytest.raises(ArgumentError, match="share"):
        ExportConfig(source=str(folder), target=(str(target),), blend="default", share=1.5)


def test_the_published_layout_is_that_of_the_reference(tmp_path, fixtures_dir):
    """All 455 entries with their order, types and values, the derived buffers among them."""
    source, target = fixtures_dir / "grl_tiny2_upstream_layout.pth", tmp_path / "ours.pth"
    export(configured(source, target))
    expected = torch.load(source, weights_only=True)["model_state_dict"]
    got = torch.load(target, weights_only=True)["model_state_dict"]
    assert set(got) == set(expected) and len(got) == 455
    for name, value in expected.items():
        assert got[name].dtype == value.dtype and torch.equal(got[name], value), name


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"target": ("a.bin",)}, "a.bin.*safetensors"),
        ({"target": ()}, "target"),
        ({"target": ("a.pth",), "precision": "int8"}, "int8.*fp16"),
    ],
)
def test_wrong_values_are_named(values, word):
    with pytest.raises(ArgumentError, match=word):
        ExportConfig(source="default", **values)


def test_unusable_sources_are_named(tmp_path):
    target = tmp_path / "x.safetensors"
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "empty").mkdir()
    sources = [
        ("nothing", WeightsError, "unknown model"),
        (tmp_path / "gone.pth", WeightsError, "does not exist"),
        (tmp_path / "text.pth", WeightsError, "neither"),
        (tmp_path / "empty", ArgumentError, "best.pth"),
    ]
    for source, kind, word in sources:
        with pytest.raises(kind, match=word):
            export(configured(source, target))
    large = perturbed(TINY)
    large.conv_last.bias.data[0] = 1e6
    checkpoint.save(tmp_path / "large.pth", {"ema": large.state_dict(), "iteration": 1, "config": KNOWN})
    with pytest.raises(ArgumentError, match="too large for fp16"):
        export(configured(tmp_path / "large.pth", target, precision="fp16"))
    assert not target.exists()


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from train.__main__ import main
sys.exit(main(["export", "--source", sys.argv[1], "--target", sys.argv[2], "--force"]))
"""


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_full_disk_leaves_the_old_file(tmp_path, suffix):
    """A limit on the size of files, which ends a write in the middle as a full disk does."""
    folder, target = run_folder(tmp_path / "run"), tmp_path / "out" / f"w{suffix}"
    export(configured(folder, target))
    before = target.read_bytes()
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(folder), str(target)], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 2 and "cannot be written: File too large" in run.stderr
    assert target.read_bytes() == before and [p.name for p in target.parent.iterdir()] == [target.name]


def test_the_command_and_a_missing_package(tmp_path, capsys, monkeypatch):
    folder, target = run_folder(tmp_path / "run"), tmp_path / "w.safetensors"
    assert main(["export", "--source", str(folder), "--target", f"{target},{tmp_path / 'w.pth'}"]) == 0
    assert "w.pth" in capsys.readouterr().out and target.exists()
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "train.export.onnx_form", raising=False)
    with pytest.raises(ExportError, match=r"'onnx'.*pip install vsapisr\[onnx\]"):
        export(configured(folder, tmp_path / "w.onnx"))


def test_the_filter_takes_both_files_for_the_same(tmp_path):
    vs = pytest.importorskip("vapoursynth")
    if not hasattr(vs.core, "apisr"):
        pytest.skip("the plugin is not installed")
    targets = [tmp_path / "w.safetensors", tmp_path / "w.pth"]
    export(configured(run_folder(tmp_path / "run"), *targets))
    clip = vs.core.std.BlankClip(width=24, height=16, format=vs.RGB24, length=1, color=[200, 90, 30])
    frames = [clip.apisr.Upscale(model=str(path), device="cpu").get_frame(0) for path in targets]
    assert (frames[0].width, frames[0].height) == (96, 64)
    assert all(bytes(frames[0][plane]) == bytes(frames[1][plane]) for plane in range(3))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_another_window_stays_through_export(tmp_path, suffix):
    wide = GRLConfig(dim=16, depths=(1,), mlp_dim=16, bias_dim=16, window=16, anchor_down=4)
    said = json.dumps({"network": {"window": 16, "anchor_down": 4}})
    folder = run_folder(tmp_path / "run", ema=perturbed(wide).state_dict(), config=said)
    target, again = tmp_path / f"w{suffix}", tmp_path / "again.safetensors"
    export(configured(folder, target))
    export(configured(target, again))
    assert weights.load(target).config == weights.load(again).config == wide
    other = run_folder(tmp_path / "other", ema=perturbed(wide).state_dict(), config=KNOWN)
    with pytest.raises(ArgumentError, match="blend.*same sizes"):  # all shapes are equal
        export(ExportConfig(source=str(folder), target=(str(tmp_path / "x.pth"),), blend=str(other)))


def test_what_a_file_does_not_say_can_be_told_to_export(tmp_path):
    bare, target = tmp_path / "bare.pth", tmp_path / "w.safetensors"
    torch.save(perturbed(TINY).state_dict(), bare)
    with pytest.raises(WeightsError, match="does not say the window"):
        export(configured(bare, target))
    export(ExportConfig(source=str(bare), target=(str(target),), window=16, anchor_down=4))
    assert weights.load(target).config.window == 16
    with pytest.raises(WeightsError, match="contradictory: .16, 4. by metadata, .8, 2. by you"):
        export(ExportConfig(source=str(target), target=(str(tmp_path / "x.pth"),), window=8, anchor_down=2))
    with pytest.raises(ArgumentError, match="anchor_down"):
        ExportConfig(source=str(bare), target=(str(target),), window=16)


def test_no_target_is_replaced_unasked_and_the_source_is_said(tmp_path, capsys):
    folder, target = run_folder(tmp_path / "run", "best.pth"), tmp_path / "w.safetensors"
    target.write_bytes(b"a person's")
    command = ["export", "--source", str(folder), "--target", f"{tmp_path / 'new.pth'},{target}"]
    assert main(command) == 2 and target.read_bytes() == b"a person's" and not (tmp_path / "new.pth").exists()
    assert f"target: '{target}' is not accepted; accepted: files that do not exist; --force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0 and weights.load(target)
    assert capsys.readouterr().out.startswith(f"from {folder / 'best.pth'}, iteration 1,234\n")
