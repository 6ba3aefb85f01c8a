"""Weight files: every layout that is accepted, and the exact words for every one that is not."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from train.export.published_layout import derived
from vsapisr.errors import WeightsError
from vsapisr.networks.grl import GRL, GRLConfig
from vsapisr.weights import files as weights

from .networks import perturbed, write

SMALL = GRLConfig(dim=32, depths=(1, 2), heads_window=2, heads_stripe=4, mlp_dim=48, bias_dim=16)


@pytest.fixture(scope="module")
def small() -> GRL:
    torch.manual_seed(0)
    return GRL(SMALL).eval()


def same(a: GRL, b: GRL) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


def test_hyperparameters_come_from_the_weights(small, tmp_path):
    loaded = weights.load(write(small, tmp_path / "small.safetensors"))
    assert loaded.config == SMALL
    assert same(small, loaded) and not loaded.training


@pytest.mark.parametrize(
    "holder", ["model_state_dict", "params_ema", "params-ema", "params", "state_dict", "model", None]
)
@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "netG.module.", "net_g."])
def test_layouts(small, tmp_path, holder, prefix):
    state = {prefix + name: value for name, value in small.state_dict().items()}
    state |= {prefix + name: value for name, value in derived(small).items()}
    content = state if holder is None else {holder: state, "iteration": 7, "opt": {"lr": 1e-4}}
    torch.save(content, tmp_path / "w.pth")
    assert same(small, weights.load(tmp_path / "w.pth"))


def test_other_networks_and_counters_beside_are_left_out(small, tmp_path):
    both = {f"netG.{name}": value for name, value in small.state_dict().items()} | {"netD.conv.weight": torch.ones(1)}
    torch.save({"state_dict": both}, tmp_path / "both.ckpt")
    assert same(small, weights.load(tmp_path / "both.ckpt", (8, 2)))
    averaged = torch.optim.swa_utils.AveragedModel(small)
    torch.save(averaged.state_dict(), tmp_path / "swa.pth")
    assert same(small, weights.load(tmp_path / "swa.pth", (8, 2)))


@pytest.mark.parametrize("number", [np.float64(30.5), np.int64(7), np.float32(1), np.bool_(True)])
@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_a_number_of_numpy_beside_the_weights_is_no_code(small, tmp_path, number, module, monkeypatch):
    torch.save({"params": small.state_dict(), "best": number}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    data = (tmp_path / "w.pth").read_bytes()
    assert b"numpy._core.multiarray" in data
    (tmp_path / "w.pth").write_bytes(data.replace(b"numpy._core.multiarray", module))
    assert same(small, weights.load(tmp_path / "w.pth", (8, 2)))


def test_half_precision_files_load(small, tmp_path):
    write(copy.deepcopy(small).half(), tmp_path / "h.safetensors")
    assert weights.load(tmp_path / "h.safetensors").conv_first.weight.dtype == torch.float32


def test_published_layout(fixtures_dir):
    model = weights.load(fixtures_dir / "grl_tiny2_upstream_layout.pth")
    assert model.config == GRLConfig()
    assert sum(p.numel() for p in model.parameters()) == 1_027_939


class RunsCode:
    def __reduce__(self):
        return os.system, ("exit 3",)


def bad_files(small, folder):
    """(file, what the error says after the file's name)."""
    state = derived(small) | small.state_dict()
    torch.save(state, folder / "whole.pth")
    write(small, folder / "whole.safetensors")
    for kind in ("pth", "safetensors"):
        data = (folder / f"whole.{kind}").read_bytes()
        (folder / f"cut.{kind}").write_bytes(data[: len(data) // 2])
    yield "cut.pth", "is truncated or damaged"
    yield "cut.safetensors", "is truncated or no safetensors file"
    (folder / "text.pth").write_text("a letter to a friend")
    yield "text.pth", "is neither a safetensors nor a PyTorch file"
    (folder / "empty.pth").touch()
    yield "empty.pth", "is neither a safetensors nor a PyTorch file"
    torch.save({"model_state_dict": RunsCode()}, folder / "evil.pth")
    yield "evil.pth", f"wants to run code ({os.system.__module__}.system) when it is loaded; refused"
    (folder / "evil_old.pth").write_bytes(pickle.dumps(RunsCode()))
    yield "evil_old.pth", f"wants to run code ({os.system.__module__}.system) when it is loaded; refused"
    (folder / "start.pth").write_bytes(b"\x80\x02}q\x01.")
    yield "start.pth", "is truncated or damaged"
    torch.save({0: torch.zeros(1)}, folder / "numbers.pth")
    yield "numbers.pth", "holds no state dict"
    torch.save([1, 2], folder / "list.pth")
    yield (
        "list.pth",
        "holds no state dict (looked for model_state_dict, params_ema, params-ema, params, state_dict, ema, model",
    )
    torch.save({"conv_first.weight": torch.zeros(64, 3, 3, 3), "RRDB_trunk.0.w": torch.zeros(1)}, folder / "rrdb.pth")
    yield "rrdb.pth", "holds another network, not GRL: it has no layers.0.blocks.0.attn.qkv.body.weight"
    torch.save({k: v for k, v in state.items() if "mlp.fc1" not in k}, folder / "partial.pth")
    yield "partial.pth", "holds another network, not GRL: it has no layers.0.blocks.0.mlp.fc1.weight"
    torch.save({**state, "conv_first.weight": torch.tensor(1.0)}, folder / "scalar.pth")
    yield "scalar.pth", "holds another network, not GRL: it has no conv_first.weight"
    torch.save({k: v for k, v in state.items() if "conv_up2" not in k}, folder / "twice.pth")
    yield "twice.pth", "holds a GRL of another scale; only four times is supported"
    torch.save({k: v for k, v in state.items() if k != "layers.1.conv.weight"}, folder / "lacking.pth")
    yield "lacking.pth", 'does not fit GRL: Missing key(s) in state_dict: "layers.1.conv.weight"'
    torch.save({**state, "conv_hr.weight": torch.zeros(1, 32, 3, 3)}, folder / "shape.pth")
    yield "shape.pth", "does not fit GRL: size mismatch for conv_hr.weight"
    torch.save({**state, "conv_hr.bias": torch.full((32,), float("nan"))}, folder / "nan.pth")
    yield "nan.pth", "has values that are not finite in conv_hr.bias"


def test_each_bad_file_has_its_own_error(small, tmp_path):
    for name, message in bad_files(small, tmp_path):
        with pytest.raises(WeightsError) as caught:
            weights.load(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name} {message}"), str(caught.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("defualt", r"unknown model 'defualt'; known are .*, or give a path; did you mean default\?"),
        ("no/such/file.pth", "model file 'no/such/file.pth' does not exist"),
        ("mine.safetensors", "model file 'mine.safetensors' does not exist"),
        ("~nobody-of-that-name/mine.pth", "model file '~nobody-of-that-name/mine.pth' does not exist"),
        (os.curdir, "model '.' is a folder, not a weight file"),
    ],
)
def test_names_that_lead_nowhere(model, message):
    with pytest.raises(WeightsError) as caught:
        weights.find(model)
    assert re.fullmatch(message, str(caught.value))


def test_the_folder_of_a_run_leads_to_its_checkpoint(tmp_path):
    (tmp_path / "best.pth").touch()
    with pytest.raises(WeightsError, match=re.escape(f"; the weights in it are {str(tmp_path / 'best.pth')!r}")):
        weights.find(str(tmp_path))


def test_what_is_no_weight_file_is_called_by_its_name(small, tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Conv2d(3, 3, 1), torch.ones(1, 3, 8, 8)), tmp_path / "script.pth")
    torch.save(small.state_dict(), tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.write(tmp_path / "w.pth", "4x/w.pth")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07" + bytes(20))
    (tmp_path / "page.pth").write_bytes(b"\n<!DOCTYPE html><html>")
    (tmp_path / "lfs.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:")
    for name, words in (
        ("script.pth", "TorchScript program"),
        ("packed.zip", "unpack it, and give '4x/w.pth'"),
        ("net.onnx", "vs-mlrt"),
        ("page.pth", "the download went wrong"),
        ("lfs.safetensors", "git lfs pull"),
    ):
        with pytest.raises(WeightsError, match=re.escape(words)) as caught:
            weights.load(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_any_damage_has_an_error(small, tmp_path):
    """Bytes of checkpoints in both of torch's forms, and of safetensors, changed or cut off."""
    rng, path = np.random.default_rng(5), tmp_path / "damaged.pth"
    state = derived(small) | small.state_dict()
    torch.save(state, tmp_path / "zip.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    write(small, tmp_path / "a.safetensors")
    for source in ("zip.pth", "old.pth", "a.safetensors"):
        whole, refused = (tmp_path / source).read_bytes(), 0
        for number in range(40):
            data = bytearray(whole[: rng.integers(9, len(whole))] if number % 2 else whole)
            data[rng.integers(0, 400)] ^= int(rng.integers(1, 256))
            path.write_bytes(data)
            try:
                weights.load(path)
            except WeightsError:
                refused += 1
        assert refused >= 20, source


def test_the_shipped_models_load():
    assert set(weights.shipped()) == {"default", "fidelity", "restore"}
    for name, path in weights.shipped().items():
        assert weights.load(weights.find(name)).config == GRLConfig(drop_path=0.1)
        assert path.with_suffix(".md").is_file() and path.stat().st_size < 4.2e6


WIDE = GRLConfig(dim=16, depths=(1,), mlp_dim=16, bias_dim=16, window=16, anchor_down=4)


def said_by(net: GRL, how: str, path: Path) -> Path:
    """The weights of ``net`` in a file that says its window in one way."""
    sizes = {"network": {"window": net.config.window, "anchor_down": net.config.anchor_down}}
    if how == "metadata":
        return write(net, path.with_suffix(".safetensors"))
    if how == "a run's configuration":
        save_file(net.state_dict(), path.with_suffix(".safetensors"), metadata={"config": json.dumps(sizes)})
        return path.with_suffix(".safetensors")
    if how == "a checkpoint":
        torch.save({"ema": net.state_dict(), "config": json.dumps(sizes)}, path)
    elif how == "opt":
        torch.save({"model_state_dict": net.state_dict(), "opt": {"config": json.dumps(sizes)}}, path)
    else:
        torch.save({f"module.{name}": value for name, value in (derived(net) | net.state_dict()).items()}, path)
    return path


@pytest.mark.parametrize("how", ["metadata", "a run's configuration", "a checkpoint", "opt", "buffers"])
def test_a_window_that_no_shape_shows_is_what_the_file_says(tmp_path, how):
    net = perturbed(WIDE)
    loaded = weights.load(said_by(net, how, tmp_path / "wide.pth"))
    assert loaded.config == WIDE
    picture = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(picture), net(picture))


def test_a_window_that_nothing_says_is_refused(tmp_path):
    net = perturbed(WIDE)
    bare, wrong = tmp_path / "bare.safetensors", tmp_path / "wrong.pth"
    save_file(net.state_dict(), bare)
    with pytest.raises(WeightsError, match=r"bare.safetensors does not say the window .* --window 8 --anchor-down 2"):
        weights.load(bare)
    assert weights.load(bare, (16, 4)).config == WIDE
    sizes = json.dumps({"window": 8, "anchor_down": 2})
    torch.save({"params": derived(net) | net.state_dict(), "opt": {"network": sizes}}, wrong)
    with pytest.raises(WeightsError, match=r"contradictory: \(8, 2\) by metadata, \(16, 4\) by buffers"):
        weights.load(wrong)


@pytest.mark.parametrize(("window", "down"), [(10**9, 1), (7, 1), (8, 3), (8, 0), (-8, 2), (0, 0)])
def test_a_window_that_cannot_be_is_refused(small, tmp_path, window, down):
    path = write(small, tmp_path / "w.safetensors", network=json.dumps({"window": window, "anchor_down": down}))
    with pytest.raises(WeightsError, match=f"window {window} and anchor_down {down} are not accepted"):
        weights.load(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"window": "8", "anchor_down": 2}', '{"window": 8}', "[" * 9999]
)
def test_words_that_say_nothing_are_no_window(small, tmp_path, text):
    with pytest.raises(WeightsError, match="does not say the window"):
        weights.load(write(small, tmp_path / "w.safetensors", network=text, config=text))
