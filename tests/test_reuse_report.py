"""``vsapisr reuse``: what it says is what the filter does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import vapoursynth as vs
from PIL import Image
from typer.testing import CliRunner

from scripts.cel import Painter
from scripts.clips import encode
from scripts.worn import Wear, film
from vsapisr.cli.commands_reuse import app
from vsapisr.cli.report import ReuseReport, summary
from vsapisr.cli.shots import Shot, lines
from vsapisr.config import UpscaleConfig
from vsapisr.errors import ClipError
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
    assert lines[0] == f"10 frames, {np.mean(shares):.1%} taken over" and lines[1].startswith("  I-frames: ")
    assert sum(frame.network for frame in shown) == report.counter.pixels >= moving.sum()


def test_command(clip, tmp_path):
    target = tmp_path / "heat.png"
    arguments = ["reuse", str(clip), "--frames", "3", "--map", str(target)]
    done = CliRunner().invoke(app, [*arguments, "--mode", "1"])
    assert done.exit_code == 0, done.output
    assert "3 frames, " in done.output and "I-frames: 1, " in done.output and "shot" not in done.output
    with Image.open(target) as picture:
        assert picture.size == (512, 288)
    assert CliRunner().invoke(app, arguments).exit_code != 0, "nothing is overwritten"
    refused = CliRunner().invoke(app, ["reuse", str(clip), "--json", "--mode", "2"])
    assert refused.exit_code == 2 and "--json" in refused.output


@pytest.fixture(scope="module")
def grainy(tmp_path_factory):
    """A talking head that is clean, one under grain, a camera that moves, and frames of nothing but noise."""
    painter, path = Painter(144), tmp_path_factory.mktemp("shots") / "shots.mkv"
    rng = np.random.default_rng(0)
    talk = [painter.frame("talk", n) for n in range(16)]
    worn = list(film(talk, Wear(grain=1.5, coarse=1.0), 3))
    pan = [painter.frame("pan", n) for n in range(16)]
    noise = [rng.integers(0, 256, talk[0].shape, dtype=np.uint8) for _ in range(16)]
    encode(path, [*talk, *[255 - frame for frame in worn], *pan, *noise], crf=8, audio=False)
    return path


def test_what_shots_are_like(grainy):
    done = CliRunner().invoke(app, ["reuse", str(grainy), "--json"])
    assert done.exit_code == 0, done.output
    talk, worn, pan, noise = map(json.loads, done.stdout.splitlines())
    assert [(shot["first"], shot["last"]) for shot in (talk, worn, pan, noise)] == [
        (0, 15),
        (16, 31),
        (32, 47),
        (48, 63),
    ]
    assert talk["noise"] < 0.8 < worn["noise"]
    assert talk["equal"] > 0.5 and worn["equal"] < 0.1 and talk["held"] > 0.8 and worn["held"] > 0.6
    assert worn["network_1"] > 0.9 > worn["network_2"] and worn["reuse"] == 2 and worn["threshold"] == 1
    assert pan["limit"] == "pan" and pan["held"] < 0.1 and (pan["reuse"], noise["reuse"]) == (1, 1)
    assert noise["equal"] < 0.01 and noise["held"] < 0.1 and noise["network_2"] >= 0.99
    said = lines([Shot(**shot) for shot in (talk, worn, pan, noise)])
    assert said[2].startswith("  shot 2, frames 16 to 31: noise of ") and "reuse=2, threshold=1" in said[3]
    assert said[4].endswith("the camera moves") and "no reuse helps here" in said[7] and "take reuse=" in said[8]


@pytest.mark.parametrize(
    ("name", "words"), [("none.mkv", "there is no file"), ("text.mkv", "is no video that can be read")]
)
def test_what_is_no_video(tmp_path, name, words):
    (tmp_path / "text.mkv").write_text("not a video")
    done = CliRunner().invoke(app, ["reuse", str(tmp_path / name)])
    assert done.exit_code == 1 and words in done.output


def coded(path: Path, size: int, field: str) -> bytes:
    """MPEG-2 as an elementary stream, so that two of them may be put one behind the other."""
    with av.open(str(path), "w", format="mpeg2video") as out:
        stream = out.add_stream("mpeg2video", rate=25, options={"flags": "+ildct+ilme"} if field else {})
        stream.width = stream.height = size
        for n in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((size, size, 3), 20 * n, np.uint8))
            out.mux(stream.encode(frame.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    return path.read_bytes()


def test_what_the_filter_refuses_is_refused_in_the_same_words(tmp_path):
    """Sizes that change within a stream, interlaced frames."""
    (tmp_path / "two.m2v").write_bytes(coded(tmp_path / "a.m2v", 64, "") + coded(tmp_path / "b.m2v", 96, ""))
    coded(tmp_path / "fields.m2v", 64, "tff")
    for name, text in (("two", "clip must have a constant size"), ("fields", "frame 0 is interlaced (_FieldBased=")):
        result = CliRunner().invoke(app, ["reuse", str(tmp_path / f"{name}.m2v")])
        assert result.exit_code == 1 and isinstance(result.exception, ClipError | SystemExit), result.exception
        assert text in result.output + str(result.exception)
        with pytest.raises(ClipError, match=re.escape(text)):
            for _ in ReuseReport(tmp_path / f"{name}.m2v", UpscaleConfig(device="cpu")).frames():
                pass
