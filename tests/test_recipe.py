"""The printed commands, run by a shell, and what an independent reader finds in their result."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .episodes import episode
from .test_video import CUTS, VFR, model

pytest.importorskip("typer", reason="the extra cli is not installed")

from typer.testing import CliRunner

from vsapisr.cli.commands_recipe import app

TOOLS = ("bash", "ffmpeg", "ffprobe", "mkvmerge")
pytestmark = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="no ffmpeg or mkvmerge here")
COLOURS = ("color_range", "color_space", "color_transfer", "color_primaries", "chroma_location", "sample_aspect_ratio")


def read(path: Path) -> dict:
    wanted = ["-show_streams", "-show_chapters", "-show_packets", "-of", "json"]
    return json.loads(subprocess.check_output(["ffprobe", "-v", "error", *wanted, path]))


def times(found: dict, kind: str) -> list[float]:
    index = next(s["index"] for s in found["streams"] if s["codec_type"] == kind)
    return sorted(float(p["pts_time"]) for p in found["packets"] if p["stream_index"] == index and "pts_time" in p)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("it's 601.mkv", {"tags": (6, 6, 6, 2), "pix_fmt": "yuvj420p", "sar": (32, 27)}),
        ("Re: 709.mkv", {"tags": (1, 1, 1, 1), "pix_fmt": "yuv420p10le"}),
        ("rgb.mkv", {"codec": "libx264rgb", "pix_fmt": "rgb24", "tags": (0, 1, 13, 2)}),
    ],
)
def test_recipes_keep_everything(model, tmp_path, name, given):
    source = episode(tmp_path / name, VFR, intra=CUTS, **given)
    call = ["recipe", str(source), "--model", model, "--encoder", "libx264", "--preset", "ultrafast"]
    printed = CliRunner().invoke(app, call)
    assert printed.exit_code == 0, printed.output
    place = str(Path(sys.executable).parent)
    environ = {**os.environ, "PATH": f"{place}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": sys.prefix}
    lines = "set -eo pipefail\n" + printed.stdout
    done = subprocess.run(["bash", "-c", lines], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    had, got = read(source), read(tmp_path / f"{source.stem}_4x.mkv")
    kinds = [[s["codec_type"] for s in found["streams"]] for found in (had, got)]
    assert kinds[0] == kinds[1] and kinds[0].count("audio") == 2 and "attachment" in kinds[0]
    small, large = (next(s for s in found["streams"] if s["codec_type"] == "video") for found in (had, got))
    assert (large["width"], large["height"]) == (256, 192)
    if name != "rgb.mkv":
        assert {k: large.get(k) for k in COLOURS} == {k: small.get(k) for k in COLOURS}
    else:
        assert large["color_space"] == "smpte170m" and large["color_range"] == "tv" and "RGB becomes" in printed.stdout
    for kind in ("video", "audio", "subtitle"):
        pairs = list(zip(times(had, kind), times(got, kind), strict=True))
        # mkvmerge counts AAC's samples from its first packet on, whose time the source has rounded to a millisecond
        near = 0.0021 if kind == "audio" else 0.0011
        assert pairs and all(abs(a - b) <= near for a, b in pairs)
    assert [c["tags"]["title"] for c in got["chapters"]] == [c["tags"]["title"] for c in had["chapters"]]
