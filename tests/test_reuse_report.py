"""``vsapisr reuse``: what it says is what the filter does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import vapoursynth as vs
from PIL import Image
from typer.testing import CliRunner

from scripts.cel import Painter
from scripts.clips import encode
from vsapisr.cli.commands_reuse import app
from vsapisr.cli.report import ReuseReport, summary
from vsapisr.config import UpscaleConfig
from vsapisr.networks.grl import GRL, GRLConfig

from .networks import write


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Five frames of each of two shots."""
    painter, path = Painter(144), tmp_path_factory.mktemp("clip") / "two.mkv"
    encode(path, [painter.frame(shot, n) for shot in ("talk", "title") for n in range(5)], crf=12, audio=False)
    return path


@pytest.mark.parametrize("reuse", [1, 2])
def test_shares_are_those_of_the_filter(clip, tmp_path, reuse):
    torch.manual_seed(3)
    write(GRL(GRLConfig(dim=16, depths=(1,), mlp_dim=16, bias_dim=16)), tmp_path / "tiny.safetensors")
    node = vs.core.bs.VideoSource(str(clip)).apisr.Upscale(
        model=str(tmp_path / "tiny.safetensors"), device="cpu", reuse=reuse
    )
    shares = [frame.props["ApisrReused"] for frame in node.frames(prefetch=1)]
    report = ReuseReport(clip, UpscaleConfig(device="cpu", reuse=reuse))
    shown = list(report.frames())
    report.close()
    assert [frame.reused for frame in shown] == pytest.approx(shares)
    assert 0 < sum(shares) < 10
    assert [n for n, frame in enumerate(shown) if frame.cut] == [0, 5]
    assert shown[0].kind == "I" and {frame.kind for frame in shown} <= {"I", "P", "B"}
    moving = report.counter.work
    assert moving.max() <= 10 and moving.min() >= 1 and report.picture().shape == (288, 512, 3)
    lines = summary(shown)
    assert lines[0] == f"10 frames, {np.mean(shares):.1%} taken over" and lines[-1].startswith(
        "  shot 2, frames 5 to 9: "
    )


def test_command(clip, tmp_path):
    target = tmp_path / "heat.png"
    arguments = ["reuse", str(clip), "--frames", "3", "--map", str(target)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "3 frames, " in done.output and "shot 1, frames 0 to 2" in done.output
    with Image.open(target) as picture:
        assert picture.size == (512, 288)
    assert CliRunner().invoke(app, arguments).exit_code != 0, "nothing is overwritten"


@pytest.mark.parametrize(
    ("name", "words"), [("none.mkv", "there is no file"), ("text.mkv", "is no video that can be read")]
)
def test_what_is_no_video(tmp_path, name, words):
    (tmp_path / "text.mkv").write_text("not a video")
    done = CliRunner().invoke(app, ["reuse", str(tmp_path / name)])
    assert done.exit_code == 1 and words in done.output
