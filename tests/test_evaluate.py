"""The step evaluate on real files: pictures and clips, with and without originals, the shipped weights, a stand-in
pyiqa.
"""

from __future__ import annotations

import csv
import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from train.__main__ import main
from train.evaluation import iqa
from train.evaluation.config import EvaluateConfig
from train.evaluation.evaluate import evaluate
from train.evaluation.footage import length
from train.evaluation.full_reference import psnr_y, ssim_y
from train.evaluation.levels import bicubic, check_levels, lanczos, quarter, small_picture
from train.evaluation.own import vszip_there
from train.evaluation.tables import Row, means, method_table
from train.media.places import MARK
from train.settings import build
from vsapisr import upscale_image
from vsapisr.errors import ArgumentError, VsapisrError, WeightsError
from vsapisr.weights.files import shipped

from .clips import drawing, write_clip


@pytest.fixture(scope="module")
def gt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gt")
    for n in range(3):
        Image.fromarray(drawing(n, 132, 100, shapes=15)).save(folder / f"{n}.png")
    return folder


def run(**options: object) -> tuple[object, dict]:
    report = evaluate(build(EvaluateConfig, {"metrics": [], "threads": 1, **options}))
    return report, json.loads((Path(options["out"]) / "results.json").read_text())


def test_originals_alone(gt: Path, tmp_path: Path) -> None:
    """The figures are those of the functions, on the pictures that the level stands for; the table says so."""
    report, results = run(gt=str(gt), out=str(tmp_path), levels=["medium"], images=1)
    image = drawing(0, 132, 100, shapes=15)[:96, :128]
    small = small_picture(image, "medium", 0, 0, report.config.degradation)
    table = results["means"]["medium"]
    for name, result in {"lanczos": lanczos(small), "bicubic": bicubic(small), "default": upscale_image(small)}.items():
        assert table[name]["psnr_y"] == pytest.approx(psnr_y(result, image)), name
        assert table[name]["ssim_y"] == pytest.approx(ssim_y(result, image))
    assert table["original"]["edge_width"] < table["lanczos"]["edge_width"] and "psnr_y" not in table["original"]
    assert table["original"]["colour_error"] == table["original"]["spots"] == 0 < table["lanczos"]["colour_error"]
    text = (tmp_path / "table.md").read_text()
    assert f"{table['default']['psnr_y']:.3f}" in text and "PSNR-Y dB ↑" in text and "medium: 1 pictures" in text
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [row["method"] for row in rows] == ["lanczos", "bicubic", "default", "original"]
    assert float(rows[2]["psnr_y"]) == pytest.approx(table["default"]["psnr_y"]) and rows[3]["psnr_y"] == ""
    assert Image.open(tmp_path / "sheet-medium.png").width == 5 * (288 + 8) + 8
    names = {"table.md", "table.csv", "results.json", "sheet-medium.png", MARK}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_levels(gt: Path) -> None:
    config = EvaluateConfig(gt="x").degradation
    image = drawing(1, 128, 96, shapes=20)
    made = [small_picture(image, level, 0, 0, config) for level in ("light", "medium", "heavy")]
    errors = [np.abs(one.astype(int) - quarter(image)).mean() for one in made]
    assert errors == sorted(errors) and errors[0] < 0.7 * errors[1] < 0.7 * errors[2]
    assert np.array_equal(made[1], small_picture(image, "crf26", 9, 9, config))
    draws = np.random.default_rng(3)
    crfs = [int(draws.integers(20, 30, endpoint=True)) for _ in range(4)]
    assert np.array_equal(
        small_picture(image, "crf20-30", 3, 3, config), small_picture(image, f"crf{crfs[3]}", 0, 0, config)
    )
    assert not np.array_equal(made[2], small_picture(image, "heavy", 0, 1, config))
    for wrong in ("dark", "crf", "crf30-20", "crf52", "crf5-", "xcrf5"):
        with pytest.raises(ArgumentError, match="crfN"):
            check_levels((wrong,))


def test_clips_with_originals_and_flicker(tmp_path: Path) -> None:
    """A held drawing: the source repeats it bit for bit, so nothing that depends on it alone flickers; then it
    changes.
    """
    pictures = [drawing(n, 64, 48, shapes=10) for n in (0, 0, 1, 1)]
    options = {"crf": "0", "preset": "ultrafast"}
    for name, scale in (("small", 1), ("large", 4)):
        (tmp_path / name).mkdir()
        frames = [image.repeat(scale, 0).repeat(scale, 1) for image in pictures]
        write_clip(tmp_path / name / "clip.mkv", frames, options=options, pix_fmt="yuv444p")
    _report, results = run(
        source=str(tmp_path / "small"), gt=str(tmp_path / "large"), out=str(tmp_path / "out"), models=[]
    )
    assert length(tmp_path / "large/clip.mkv", 0) == 4 and length(tmp_path / "large/clip.mkv", 3) == 3
    frames = [row for row in results["pictures"] if row["method"] == "lanczos"]
    assert [row["frame"] for row in frames] == [0, 1, 2, 3] and all(row["level"] == "given" for row in frames)
    assert "flicker" not in frames[0]["values"]
    assert frames[1]["values"]["flicker"] == frames[3]["values"]["flicker"] == 0
    assert frames[2]["values"]["flicker"] is None, "nothing is held there"
    assert results["means"]["given"]["bicubic"]["flicker"] == 0
    assert 15 < frames[0]["values"]["psnr_y"] < 40


def test_small_pictures_without_originals(gt: Path, tmp_path: Path) -> None:
    _report, results = run(source=str(gt), out=str(tmp_path), models=[], images=2)
    table = results["means"]["given"]
    assert set(table) == {"lanczos", "bicubic"} and "psnr_y" not in table["lanczos"]
    assert table["lanczos"]["edge_width"] > 1 and table["lanczos"]["colour_error"] < 1
    assert [row["clip"] for row in results["pictures"][::2]] == ["0.png", "2.png"], "spread over the folder"


def test_two_weights_of_one_name(gt: Path, tmp_path: Path) -> None:
    copy = tmp_path / "default.safetensors"
    copy.write_bytes(shipped()["default"].read_bytes())
    _report, results = run(
        gt=str(gt),
        out=str(tmp_path / "o"),
        levels=["light"],
        images=1,
        models=["default", str(copy)],
        baselines=[],
        sheet=0,
    )
    table = results["means"]["light"]
    assert list(table) == ["default", str(copy), "original"]
    assert table["default"]["psnr_y"] == pytest.approx(table[str(copy)]["psnr_y"])
    assert not list((tmp_path / "o").glob("*.png"))


def test_a_broken_file_does_not_stop_the_others(gt: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gt"
    folder.mkdir()
    (folder / "a.png").write_bytes((gt / "0.png").read_bytes()[:300])
    (folder / "b.png").write_bytes((gt / "1.png").read_bytes())
    Image.fromarray(drawing(0, 60, 7)).save(folder / "thin.png")
    _report, results = run(gt=str(folder), out=str(tmp_path / "o"), levels=["light"], models=[])
    assert ["a.png" in text for text in results["refused"].values()] == [True, False]
    assert "thin.png: 60x7 is not accepted; accepted: 8 or more" in results["refused"]["light thin.png"]
    assert {row["clip"] for row in results["pictures"]} == {"b.png"} and "left out: " in (
        tmp_path / "o/table.md"
    ).read_text()
    (folder / "b.png").unlink()
    with pytest.raises(ArgumentError, match="nothing could be measured.*a.png"):
        run(gt=str(folder), out=str(tmp_path / "p"), levels=["light"], models=[])
    assert [path.name for path in (tmp_path / "p").iterdir()] == [MARK]


def test_what_does_not_fit_is_named(gt: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for wrong, word in (
        ({}, "source"),
        ({"gt": "x", "levels": ["dark"]}, "levels"),
        ({"source": "x", "levels": ["light"]}, "levels"),
        ({"gt": "x", "baselines": ["nearest"]}, "baselines"),
        ({"gt": "x", "models": ["a", "a"]}, "models"),
        ({"gt": "x", "threads": 0}, "threads"),
        ({"gt": "x", "models": [], "baselines": []}, "models"),
    ):
        with pytest.raises(ArgumentError, match=word):
            build(EvaluateConfig, wrong)
    with pytest.raises(ArgumentError, match="does not exist"):
        run(gt=str(tmp_path / "no"), out=str(tmp_path))
    with pytest.raises(WeightsError, match="no.pth"):
        run(gt=str(gt), out=str(tmp_path), models=["no.pth"])
    (tmp_path / "lr").mkdir()
    Image.fromarray(drawing(0, 33, 25)).save(tmp_path / "lr/9.png")
    Image.fromarray(drawing(0, 33, 25)).save(tmp_path / "lr/8.png")
    with pytest.raises(ArgumentError, match="no original for 8.png, 9.png"):
        run(source=str(tmp_path / "lr"), gt=str(gt), out=str(tmp_path))
    (tmp_path / "lr/8.png").rename(tmp_path / "lr/0.png")
    (tmp_path / "lr/9.png").rename(tmp_path / "lr/1.png")
    Image.fromarray(drawing(0, 40, 25)).save(tmp_path / "lr/1.png")
    report, _ = run(source=str(tmp_path / "lr"), gt=str(gt), out=str(tmp_path / "o"), models=[])
    assert "four times 40x25" in next(iter(report.refused.values())) and len(report.rows) == 3
    assert main(["evaluate", "--gt", str(tmp_path / "no"), "--out", str(tmp_path / "q")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_means_compare_the_same_pictures() -> None:
    """A measure that a method lacks on a picture counts for none there; the originals need no full reference."""
    rows = [
        Row("l", "a", 0, "x", {"m": 1.0, "psnr_y": 20.0}),
        Row("l", "a", 0, "y", {"m": 2.0, "psnr_y": 21.0}),
        Row("l", "b", 0, "x", {"m": 9.0, "psnr_y": 22.0}),
        Row("l", "b", 0, "y", {"m": math.nan, "psnr_y": 25.0}),
        Row("l", "a", 0, "original", {"m": 0.5}),
        Row("l", "b", 0, "original", {"m": 0.5}),
    ]
    table = means(rows)
    assert table["x"] == {"m": 1.0, "psnr_y": 21.0} and table["y"] == {"m": 2.0, "psnr_y": 23.0}
    assert table["original"] == {"m": 0.5}
    shown = method_table(
        {"x": {"psnr_y": 21.0, "niqe": 4.0}, "y": {"psnr_y": 23.0, "niqe": 5.0}, "original": {"niqe": 3.0}}
    )
    assert "**23.000**" in shown and "**4.000**" in shown and "| 3.000" in shown and "–" in shown


class Stand:
    """What pyiqa.create_metric returns, as far as it is used: NIQE is the mean here, LPIPS the mean difference."""

    def __init__(self, name: str, device: torch.device):
        torch.rand(1), np.random.rand(1)  # networks are made with random weights first
        self.name, self.lower_better = name, name in ("niqe", "lpips")
        self.metric_mode = "FR" if name == "lpips" else "NR"

    def __call__(self, image: torch.Tensor, gt: torch.Tensor | None = None) -> torch.Tensor:
        assert image.shape[:2] == (1, 3) and image.dtype == torch.float32 and image.min() >= 0 and image.max() <= 1
        if self.name == "musiq" and image[0, 0, 0, 0] > 0.9:
            raise ValueError("too bright")
        return (image - gt).abs().mean() if self.metric_mode == "FR" else image.mean()[None, None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module for the thin layer alone: the real package and its weights are not needed for what is tested here."""

    def create_metric(name: str, device: torch.device) -> Stand:
        if name == "maniqa":
            raise OSError("no network")
        return Stand(name, device)

    package = types.ModuleType("pyiqa")
    package.__spec__ = types.SimpleNamespace(name="pyiqa")
    package.list_models = lambda: ["clipiqa", "lpips", "maniqa", "musiq", "niqe"]
    package.create_metric = create_metric
    monkeypatch.setitem(sys.modules, "pyiqa", package)


def test_pyiqa(stand_in: None, gt: Path, tmp_path: Path) -> None:
    report, results = run(
        gt=str(gt), out=str(tmp_path), levels=["light"], models=[], metrics=["niqe", "lpips", "musiq"]
    )
    image, small = drawing(0, 132, 100, shapes=15)[:96, :128], None
    small = small_picture(image, "light", 0, 0, report.config.degradation)
    first = results["pictures"][0]["values"]
    assert first["niqe"] == pytest.approx(lanczos(small).mean() / 255, abs=1e-5)
    assert first["lpips"] == pytest.approx(np.abs(lanczos(small) / 255 - image / 255).mean(), abs=1e-5)
    original = results["means"]["light"]["original"]
    assert "lpips" not in original and original["niqe"] > 0
    text = (tmp_path / "table.md").read_text()
    assert "NIQE ↓" in text and "MUSIQ ↑" in text and "PolyForm Noncommercial" in text


def test_pyiqa_fails_on_a_picture(stand_in: None, tmp_path: Path) -> None:
    (tmp_path / "lr").mkdir()
    for n, value in enumerate((250, 100)):
        Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(tmp_path / f"lr/{n}.png")
    _report, results = run(source=str(tmp_path / "lr"), out=str(tmp_path / "o"), models=[], metrics=["musiq"])
    assert results["pictures"][0]["values"]["musiq"] is None
    assert results["means"]["given"]["lanczos"]["musiq"] == pytest.approx(100 / 255)
    assert "too bright" in results["failures"]["musiq"] and "musiq failed" in (tmp_path / "o/table.md").read_text()


def test_pyiqa_errors_and_random_state(stand_in: None) -> None:
    torch.manual_seed(1), np.random.seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    measure = iqa.Measure("lpips")
    assert torch.equal(torch.get_rng_state(), states[0]) and np.array_equal(np.random.get_state()[1], states[1])
    assert measure.lower_is_better and measure.full_reference
    with pytest.raises(ArgumentError, match="compares with an original"):
        measure(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ArgumentError, match="'nope'.*musiq"):
        iqa.Measure("nope")
    with pytest.raises(iqa.IqaError, match="maniqa.*no network"):
        iqa.Measure("maniqa")


def test_without_pyiqa(gt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    assert not iqa.installed()
    with pytest.raises(VsapisrError, match=r"pip install 'vsapisr\[metrics\]'"):
        run(gt=str(gt), out=str(tmp_path), models=[], metrics=["lpips"])
    report, _ = run(gt=str(gt), out=str(tmp_path), models=[], metrics=["auto"], levels=["light"], images=1)
    assert "BRISQUE" in str(report) and not report.licence
    assert ("SSIMULACRA2" in str(report)) == vszip_there()
