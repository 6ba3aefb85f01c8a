"""Scorers: ICNet against the reference's numbers, the others against what they promise."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

from tests.reference import fill
from train.curation.icnet import ICNet, load_icnet
from train.curation.scoring import ICNetScorer, make_scorer
from vsapisr.errors import ArgumentError, DeviceError, VsapisrError, WeightsError

from .clips import drawing


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint in the published layout, with small random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("icnet") / "ck.pth"
    torch.save(ICNet().state_dict(), path)
    return path


def test_icnet_matches_the_reference(fixtures_dir):
    expected = torch.load(fixtures_dir / "train_nets_expected.pt", weights_only=True)["icnet"]
    model = ICNet().eval()
    assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == {
        k: tuple(v) for k, v in expected["keys"].items()
    }
    model.load_state_dict(fill(model.state_dict(), 2**0.5))
    with torch.inference_mode():
        score, complexity = model(expected["input"])
    torch.testing.assert_close(score[0], expected["score"], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(complexity, expected["map"], rtol=1e-3, atol=1e-5)


def test_icnet_scores_do_not_depend_on_the_batch(weights):
    scorer = ICNetScorer(weights, "cpu")
    images = [drawing(1, 300, 200), drawing(2, 640, 360, 60)]
    together = scorer(images, ["a", "b"])
    assert together == pytest.approx([scorer([one], ["x"])[0] for one in images], rel=1e-4)
    assert all(0 < s < 1 for s in together)
    assert scorer.name.startswith("icnet-") and len(scorer.name) == 18


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_icnet_in_half_precision_on_cuda(weights):
    images = [drawing(n, 640, 360, 5 + 10 * n) for n in range(4)]
    scorer = ICNetScorer(weights, "cuda")
    assert next(scorer.model.parameters()).dtype is torch.half
    assert scorer(images, [""] * 4) == pytest.approx(ICNetScorer(weights, "cpu")(images, [""] * 4), abs=5e-3)


def test_broken_or_foreign_weights_are_refused_by_what_does_not_fit(weights, tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        load_icnet(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(WeightsError, match="not a checkpoint"):
        load_icnet(tmp_path / "text.pth")
    (tmp_path / "cut.pth").write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="not a checkpoint"):
        load_icnet(tmp_path / "cut.pth")
    state = torch.load(weights, weights_only=True)
    torch.save({"state_dict": state}, tmp_path / "nested.pth")
    with pytest.raises(WeightsError, match="flat state dict"):
        load_icnet(tmp_path / "nested.pth")
    torch.save({k: v for k, v in state.items() if not k.startswith("head")}, tmp_path / "headless.pth")
    with pytest.raises(WeightsError, match="4 entries missing .head.0.bias"):
        load_icnet(tmp_path / "headless.pth")
    torch.save(state | {"head.2.bias": torch.zeros(2)}, tmp_path / "shape.pth")
    with pytest.raises(WeightsError, match=r"head.2.bias has shape \(2,\), \(1,\) is needed"):
        load_icnet(tmp_path / "shape.pth")


class Evil:
    def __reduce__(self):
        return (open, ("pwned", "w"))


def test_no_code_in_a_weight_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError):
        load_icnet(tmp_path / "evil.pth")
    assert not (tmp_path / "pwned").exists()


def test_compress_follows_complexity_and_not_the_size_of_the_picture():
    scorer = make_scorer("compress")
    simple, middling, busy = scorer([drawing(1, 640, 360, n) for n in (0, 12, 150)], ["", "", ""])
    assert 0 < simple < 0.6 * middling < 0.6 * busy
    (large,) = scorer([drawing(1, 640, 360, 150).repeat(2, 0).repeat(2, 1)], [""])
    assert large == pytest.approx(busy, rel=0.15)
    tiny, grain = np.zeros((1, 1, 3), np.uint8), np.random.default_rng(0).integers(0, 256, (4, 3000, 3), np.uint8)
    assert all(np.isfinite(scorer([tiny, grain], ["", ""])))


def test_random_is_a_uniform_function_of_seed_and_key():
    keys = [f"{n}" for n in range(4000)]
    one = make_scorer("random", seed=1)
    scores = one([None] * len(keys), keys)
    assert one([None] * 3, keys[5:8]) == scores[5:8]
    assert make_scorer("random", seed=2)([None], keys[:1]) != scores[:1]
    counts = np.histogram(scores, 20, (0, 1))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 43.8  # chi-square, 19 degrees of freedom, p = 0.001


def test_unknown_scorers_and_devices_name_what_is_accepted(weights, monkeypatch):
    with pytest.raises(ArgumentError, match="'best' is not known; accepted: compress, icnet, random, iqa:"):
        make_scorer("best")
    with pytest.raises(ArgumentError, match="icnet_weights"):
        make_scorer("icnet")
    with pytest.raises(DeviceError, match="'gpu' is not known"):
        make_scorer("icnet", weights=str(weights), device="gpu")
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(VsapisrError, match="pip install"):
        make_scorer("iqa:hyperiqa")


def test_iqa_negates_metrics_of_which_less_is_better(monkeypatch):
    """pyiqa itself is heavy and fetches weights; this stands in for its three calls that are used."""

    def create_metric(name, device):
        mode = "FR" if name == "psnr" else "NR"
        values = {"lower_better": name == "niqe", "metric_mode": mode, "__call__": lambda self, x: x.mean()}
        return type("Metric", (), values)()

    fake = types.SimpleNamespace(list_models=lambda: ["niqe", "hyperiqa", "psnr"], create_metric=create_metric)
    monkeypatch.setitem(sys.modules, "pyiqa", fake)
    white = np.full((8, 8, 3), 255, np.uint8)
    assert make_scorer("iqa:hyperiqa", device="cpu")([white], [""]) == pytest.approx([1.0])
    assert make_scorer("iqa:niqe", device="cpu")([white], [""]) == pytest.approx([-1.0])
    with pytest.raises(ArgumentError, match="'iqa:psnr' compares with an original"):
        make_scorer("iqa:psnr", device="cpu")
    with pytest.raises(ArgumentError, match="'best' is no metric of pyiqa"):
        make_scorer("iqa:best", device="cpu")
