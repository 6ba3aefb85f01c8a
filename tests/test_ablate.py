"""The ablations: which arms there are, that each turns one switch, and a run of some of them that is interrupted."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image

from train.__main__ import main
from train.ablation import ablate as module
from train.ablation.ablate import ablate, plan
from train.ablation.arms import ARMS, TABLES, WHOLE, chosen
from train.ablation.config import AblateConfig
from train.curation.config import CurateConfig, PrepareConfig
from train.curation.curate import curate
from train.curation.prepare import held_out, prepare
from train.fit.loop import Interrupted
from train.settings import build, load
from vsapisr.errors import ArgumentError, VsapisrError

from .clips import drawing, write_clip

FIT = """
stage = {stage}
out = "unused"
{init}
iterations = 2
device = "cpu"
threads = 1
tensorboard = false
[network]
dim = 8
depths = [1]
heads_window = 1
heads_stripe = 1
mlp_dim = 8
bias_dim = 8
[data]
folder = "{folder}"
batch = 2
patch = 24
per_image = 2
pool = 2
workers = 0
{loss}
"""
FAST = '[loss]\nadversarial = 0.0\nfeatures = "none"'


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    for n in range(2):
        Image.fromarray(drawing(n, 128, 128, shapes=8)).save(folder / f"{n}.png")
    return folder


@pytest.fixture
def settings(drawings: Path, tmp_path: Path) -> dict:
    """Stage configurations on disk and the table of ``ablate``, for tiny networks."""
    for stage, loss in ((1, ""), (2, FAST)):
        text = FIT.format(stage=stage, init='init = "random"', folder=drawings, loss=loss)
        (tmp_path / f"stage{stage}.toml").write_text(text)
    return {
        "out": str(tmp_path / "out"),
        "stage1": str(tmp_path / "stage1.toml"),
        "stage2": str(tmp_path / "stage2.toml"),
        "evaluate": {"gt": str(drawings), "levels": ["light"], "metrics": [], "threads": 1, "images": 1, "sheet": 0},
    }


def make(settings: dict, **more: object) -> AblateConfig:
    return build(AblateConfig, {**settings, **more})


def flat(values: dict, before: str = "") -> dict:
    return {
        k: v
        for key, value in values.items()
        for k, v in (flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}).items()
    }


def test_every_table_has_the_whole_method_and_the_papers_alternatives() -> None:
    names = {table: [arm.name for arm in ARMS if arm.table == table] for table in TABLES}
    assert names == {
        "dataset": ["dataset-random", "dataset-iqa", WHOLE],
        "degradation": ["degradation-bsrgan", "degradation-realesrgan", WHOLE],
        "enhancement": ["enhancement-off", WHOLE],
        "perceptual": ["perceptual-none", "perceptual-vgg", "perceptual-resnet", WHOLE],
    }
    assert next(arm.name for arm in chosen(("perceptual", "enhancement"))) == WHOLE


def test_an_arm_is_the_whole_method_but_for_its_switch(settings: dict) -> None:
    plans = {one.arm.name: one for one in plan(make(settings))}
    assert len(plans) == 7
    for stage in ("stage1", "stage2"):
        whole = flat(asdict(getattr(plans[WHOLE], stage)))
        for name, one in plans.items():
            mine = flat(asdict(getattr(one, stage)))
            changed = {key for key in whole if whole[key] != mine.get(key)} - {"out", "init"}
            expected = {
                "enhancement-off": {"data.enhance"},
                "perceptual-none": {"loss.perceptual"},
                "perceptual-vgg": {"loss.resnet"},
                "perceptual-resnet": {"loss.vgg"},
                WHOLE: set(),
            }
            if stage == "stage1" and name.startswith("perceptual"):
                assert not changed and one.stage1.out == plans[WHOLE].stage1.out, "stage 1 is the same, trained once"
            elif name.startswith("degradation"):
                assert changed and all(key.startswith("data.degradation.") for key in changed)
            else:
                assert changed == expected[name]
    assert plans["degradation-bsrgan"].stage2.data.degradation.order == "shuffled"
    assert plans["enhancement-off"].stage2.init.endswith("stage1/enhancement-off/last.pth")
    assert plans["enhancement-off"].evaluate.baselines == () != plans[WHOLE].evaluate.baselines


def test_details_of_the_base_degradation_do_not_leak_into_other_presets(settings: dict) -> None:
    for stage in (1, 2):
        with open(settings[f"stage{stage}"], "a") as file:
            file.write("\n[data.degradation.stage2.codec]\nnames = ['h264']\nweights = [1.0]\n")
    plans = {one.arm.name: one for one in plan(make(settings))}
    assert plans[WHOLE].stage1.data.degradation.stage2.codec.names == ("h264",)
    assert plans["degradation-bsrgan"].stage1.data.degradation.stage2.codec.names == ("jpeg",)


def test_run_interrupt_resume(settings: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stopped between the stages of the second arm: the first is not done again, the shared stage 1 is trained once."""
    runs: list[str] = []
    real = module.fit

    def fit(config: object) -> Path:
        runs.append(Path(config.out).relative_to(settings["out"]).as_posix())
        if len(runs) == 3 and "again" not in settings:
            raise Interrupted("asked to stop")
        return real(config)

    monkeypatch.setattr(module, "fit", fit)
    config = make(settings, tables=["perceptual"], arms=[WHOLE, "perceptual-none"])
    with pytest.raises(Interrupted):
        ablate(config)
    assert runs == ["stage1/paper", "arms/paper", "arms/perceptual-none"]
    assert "not finished: perceptual-none" in (Path(config.out) / "table.md").read_text()
    listing = ablate(make(settings, tables=["perceptual"], arms=list(config.arms), dry_run=True)).splitlines()
    assert listing[0].startswith("paper  [dataset, degradation, enhancement, perceptual]") and listing[0].endswith(
        "finished"
    )
    assert "loss.perceptual = 0.0" in listing[1] and listing[1].endswith("stage 1 2/2")
    settings["again"] = True
    threads = torch.get_num_threads()
    report = ablate(config)
    assert runs[3:] == ["arms/perceptual-none"] and torch.get_num_threads() == threads
    text = (Path(config.out) / "table.md").read_text()
    assert "Table 4, perceptual loss; light" in text and "| none" in text and "| ResNet and VGG" in text
    assert "failed" not in text and "not finished" not in text
    for name in (WHOLE, "perceptual-none"):
        done = json.loads((Path(config.out) / "arms" / name / "arm.json").read_text())
        assert 3 < done["means"]["light"][name]["psnr_y"] < 60
        assert f"{done['means']['light'][name]['psnr_y']:.3f}" in text
    assert set(report.tables()["light"]["perceptual"]) == {"none", "ResNet and VGG"}
    with open(settings["stage2"], "a") as file:
        file.write("l1 = 2.0\n")
    with pytest.raises(ArgumentError, match="arm.json was made with other settings"):
        ablate(config)


def test_an_arm_that_fails_does_not_stop_the_others(settings: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(one: object) -> dict:
        if one.arm.name == "perceptual-vgg":
            raise VsapisrError("no luck")
        return {
            "arm": one.arm.name,
            "mark": one.mark,
            "means": {"light": {one.arm.name: {"psnr_y": 25.0, "ssim_y": None}}},
        }

    monkeypatch.setattr(module, "finish_arm", finish)
    report = ablate(make(settings, tables=["perceptual"]))
    assert report.failed == {"perceptual-vgg": "no luck"} and len(report.results) == 3
    assert "perceptual-vgg failed: no luck" in str(report) and "25.000" in str(report)


def test_pictures_of_the_dataset_arms_are_curated(settings: dict, tmp_path: Path) -> None:
    """Two arms choose from the same video by their own scorers; what the others train on is what the base scorer
    chose.
    """
    write_clip(tmp_path / "a.mkv", [drawing(n, 160, 144, shapes=10) for n in range(6)], intra=range(6))
    (tmp_path / "curate.toml").write_text(
        f"videos = '{tmp_path / 'a.mkv'}'\nout = 'x'\nheight = 144\nscorer = 'compress'\n"
        "[selection]\ntopk = 2\nminimum_side = 96\n"
    )
    (tmp_path / "prepare.toml").write_text("source = 'x'\nout = 'x'\nheight = 144\nminimum_side = 96\n")
    files = {name: str(tmp_path / f"{name}.toml") for name in ("curate", "prepare")}
    config = make(settings, tables=["dataset", "enhancement"], **files)
    plans = {one.arm.name: one for one in plan(config)}
    scorers = {name: one.curation[0].scorer for name, one in plans.items()}
    assert scorers == {
        WHOLE: "compress",
        "dataset-random": "random",
        "dataset-iqa": "iqa:hyperiqa",
        "enhancement-off": "compress",
    }
    assert (
        plans["enhancement-off"].stage1.data.folder
        == plans[WHOLE].stage1.data.folder
        == f"{config.out}/pictures/paper/gt"
    )
    one = plans["dataset-random"]
    assert one.stage2.data.folder == f"{config.out}/pictures/dataset-random/gt"
    module.train_arm(one)
    assert len(list(Path(one.stage2.data.folder).glob("*.png"))) == 2
    assert (one.folder / "dataset-random.safetensors").exists()


def test_no_arm_is_trained_on_what_it_is_measured_on(
    settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation and evaluation have pictures of the videos that the arms choose theirs from, held out by prepare."""
    monkeypatch.setattr(module, "fit", lambda config: None)
    monkeypatch.setattr(module, "export", lambda *_, **__: None)
    write_clip(tmp_path / "a.mkv", [drawing(n, 160, 144, shapes=10) for n in range(8)], intra=range(8))
    (tmp_path / "curate.toml").write_text(
        f"videos = '{tmp_path / 'a.mkv'}'\nout = '{tmp_path / 'c'}'\nheight = 144\n"
        "[selection]\ntopk = 8\nminimum_side = 96\n"
    )
    files = {name: str(tmp_path / f"{name}.toml") for name in ("curate", "prepare")}
    curate(load(CurateConfig, files["curate"]))
    text = f"source = '{tmp_path / 'c'}'\nout = '{tmp_path / 'p'}'\nheight = 144\nminimum_side = 96\nvalidation = 0.5\n"
    for seed in range(100):  # the names have a hash of the video in them: another split with another encoder
        (tmp_path / "prepare.toml").write_text(f"{text}seed = {seed}\n")
        config = load(PrepareConfig, files["prepare"])
        if 2 <= sum(held_out(path.name, config) for path in (tmp_path / "c").glob("*.png")) <= 6:
            break
    prepare(config)
    held = sorted((tmp_path / "p" / "val").iterdir())
    (tmp_path / "valid").mkdir()
    held[0].rename(tmp_path / "valid" / "renamed.png")
    assert 2 <= len(held) <= 6
    with open(settings["stage2"], "a") as file:
        file.write(f"[validation]\nfolder = '{tmp_path / 'valid'}'\n")
    settings["evaluate"]["gt"] = str(tmp_path / "p" / "val")
    for one in plan(make(settings, tables=["dataset"], arms=[WHOLE, "dataset-random"], **files)):
        module.train_arm(one)
        trained = {path.name for path in Path(one.stage1.data.folder).iterdir()}
        assert trained == {path.name for path in (tmp_path / "p" / "gt").iterdir()}, "the videos' other pictures"


def test_what_cannot_be_run_is_said_before_anything_is(
    settings: dict, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for wrong, word in (
        ({"tables": ["dataset"]}, "curate"),
        ({"tables": ["speed"]}, "tables"),
        ({"arms": ["x"]}, "degradation-bsrgan"),
        ({"curate": "c.toml"}, "prepare"),
    ):
        with pytest.raises(ArgumentError, match=word):
            make(settings, **wrong)
    with pytest.raises(ArgumentError, match="stage1: stage = 2"):
        ablate(make(settings, stage1=settings["stage2"]))
    off = tmp_path / "off.toml"
    off.write_text(Path(settings["stage2"]).read_text() + "resnet = 0.0\n")
    with pytest.raises(ArgumentError, match="perceptual-vgg and paper are the same training"):
        ablate(make(settings, stage2=str(off)))
    needs = tmp_path / "needs.toml"
    needs.write_text(
        Path(settings["stage2"]).read_text().replace('"none"', f'"pretrained"\nvgg_weights = "{tmp_path}/no.pth"')
    )
    with pytest.raises(VsapisrError, match="no.pth"):
        ablate(make(settings, stage2=str(needs)))
    capsys.readouterr()
    with pytest.raises(ArgumentError, match="^not ready: .*no.pth.* as loss.vgg_weights"):
        ablate(make(settings, stage2=str(needs), dry_run=True))
    assert capsys.readouterr().out.startswith("paper  [")
    assert not Path(settings["out"]).exists()
    text = "".join(f'{key} = "{settings[key]}"\n' for key in ("out", "stage1", "stage2"))
    (tmp_path / "ablate.toml").write_text(f'{text}[evaluate]\ngt = "{settings["evaluate"]["gt"]}"\n')
    assert main(["ablate", "--config", str(tmp_path / "ablate.toml"), "--dry-run"]) == 0
    assert "enhancement-off  [enhancement]  data.enhance = False" in capsys.readouterr().out
