"""The whole way by the command line: encoded videos -> weights of both stages -> the filter on one of the videos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from train.__main__ import main
from vsapisr.weights import files as weights

from .clips import drawing, write_clip

vs = pytest.importorskip("vapoursynth")

FIT = """
stage = {stage}
out = "{out}/stage{stage}"
init = "{init}"
iterations = 3
device = "cpu"
threads = 1
tensorboard = false
[network]
dim = 8
depths = [2]
heads_window = 1
heads_stripe = 1
mlp_dim = 8
bias_dim = 8
[data]
folder = "{out}/prepared/gt"
pseudo_gt = "{out}/prepared/pseudo_gt"
batch = 2
patch = 24
per_image = 2
pool = 2
workers = {workers}
[validation]
folder = "{out}/prepared/gt"
images = 1
size = 24
every = 3
levels = ["light"]
lpips = false
{loss}
"""
LOSS = '[loss]\nfeatures = "random"'


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two encoded videos of three held drawings each, of different codecs."""
    folder = tmp_path_factory.mktemp("videos")
    for number, codec in enumerate(("libx264", "libx265")):
        shots = [drawing(10 * number + n, shapes=40) for n in range(3)]
        frames = [image for image in shots for _ in range(6)]
        write_clip(folder / f"{number}.mkv", frames, codec, intra=range(0, 18, 6))
    return folder


def step(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0, arguments


def test_from_videos_to_the_filter(videos: Path, tmp_path: Path) -> None:
    out = tmp_path
    step(
        "curate",
        "--videos",
        videos,
        "--out",
        out / "curated",
        "--height",
        180,
        "--threads",
        1,
        "--selection.topk",
        2,
        "--selection.minimum-side",
        64,
    )
    step(
        "prepare",
        "--source",
        out / "curated",
        "--out",
        out / "prepared",
        "--height",
        144,
        "--minimum-side",
        96,
        "--validation",
        0,
    )  # chosen by names, which the videos' paths are in: any of four might be held out
    names = {path.name for path in (out / "prepared" / "gt").iterdir()}
    assert len(names) == 4 and names == {path.name for path in (out / "prepared" / "pseudo_gt").iterdir()}

    for stage, init, loss, workers in ((1, "interpolation", "", 0), (2, f"{out}/stage1", LOSS, 1)):
        (out / "fit.toml").write_text(FIT.format(stage=stage, out=out, init=init, loss=loss, workers=workers))
        step("fit", "--config", out / "fit.toml")
    first, second = (torch.load(out / f"stage{n}" / "last.pth", weights_only=True) for n in (1, 2))
    assert (
        (first["iteration"], second["iteration"]) == (3, 3) and second["discriminator"] and not first["discriminator"]
    )
    assert any(not torch.equal(first["ema"][name], second["ema"][name]) for name in first["ema"])

    model = out / "tiny.safetensors"
    step("export", "--source", out / "stage2", "--target", f"{model},{out / 'tiny.pth'}")
    assert all(
        torch.equal(value, second["ema"][name]) for name, value in weights.load(out / "tiny.pth").state_dict().items()
    )
    with safe_open(model, "pt") as file:
        metadata = file.metadata()
    assert metadata["iterations"] == "3" and str(tmp_path) not in json.dumps(metadata)

    step(
        "evaluate",
        "--gt",
        out / "prepared" / "gt",
        "--out",
        out / "evaluation",
        "--models",
        model,
        "--levels",
        "light",
        "--metrics",
        "",
        "--images",
        1,
        "--threads",
        1,
    )
    assert (out / "evaluation" / "table.csv").stat().st_size and Image.open(
        next((out / "evaluation").glob("*.png"))
    ).width > 96

    clip = vs.core.bs.VideoSource(str(videos / "0.mkv"))
    frame = clip.apisr.Upscale(model=str(model), device="cpu").get_frame(6)
    assert (frame.width, frame.height) == (1280, 720)
    luma, small = np.asarray(frame[0]).astype(float), np.asarray(clip.get_frame(6)[0]).astype(float)
    assert np.abs(luma.reshape(180, 4, 320, 4).mean((1, 3)) - small).mean() < 12, (
        "three updates do not lose the picture"
    )
