"""A disk that is full: every step ends with one line that names the file, and nothing is half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from .clips import drawing
from .conftest import ROOT
from .curation import video
from .fitting import drawings, settings, toml

pytest.importorskip("resource", reason="Windows has no resource module")

LIMITED = """
import contextlib, io, json, resource, sys
from train.__main__ import main

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
    for command in json.loads(sys.argv[2]):
        with contextlib.redirect_stdout(io.StringIO()):
            print(f"{command[0]} ended with {main(command)}", file=sys.stderr)
"""


def limited(size: int, *commands: list[str]) -> str:
    """What the steps say in a process whose files may have ``size`` bytes, which ends a write as a full disk does."""
    command = [sys.executable, "-c", LIMITED, str(size), json.dumps(commands)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_every_step_names_the_file_that_cannot_be_written(tmp_path):
    pictures, videos = tmp_path / "pictures", tmp_path / "videos"
    for folder in (pictures, videos):
        folder.mkdir()
    for number in range(2):
        cv2.imwrite(str(pictures / f"{number}.png"), drawing(number, 320, 192, 60))
    clip = video(videos / "a.mkv", [drawing(100 + number, shapes=60) for number in range(4)], "libx264")
    # SQLite's empty file has 90 kB; what follows in it, or the first picture, is too large
    said = limited(
        110_000,
        ["curate", "--videos", str(videos), "--out", str(tmp_path / "curate"), "--height", "180"],
    ) + limited(
        2_000,
        ["prepare", "--source", str(pictures), "--out", str(tmp_path / "prepare"), "--height", "180"],
        ["degrade", "--source", str(pictures), "--out", str(tmp_path / "degrade"), "--workers", "1"],
        ["preview", "--source", str(pictures), "--out", str(tmp_path / "preview"), "--what", "lines"],
        ["evaluate", "--gt", str(pictures), "--out", str(tmp_path / "evaluate"), "--models", "", "--levels", "light"],
        ["frametypes", str(clip), "--out", str(tmp_path / "frametypes" / "chart.png")],
        ["export", "--source", "default", "--target", str(tmp_path / "export" / "w.safetensors")],
    )
    assert "Traceback" not in said and "Errno" not in said
    for step in ("curate", "prepare", "degrade", "preview", "evaluate", "frametypes", "export"):
        words = next(line for line in said.splitlines() if line.startswith(f"train {step}: "))
        assert f"{tmp_path / step}" in words and f"{step} ended with 2" in said, words
    for path in tmp_path.rglob("*.png"):
        assert cv2.imread(str(path)) is not None, path  # whole
    assert not [path for path in tmp_path.rglob(".*") if path.name != ".train.json"]


def test_tensorboard_on_a_full_disk_is_a_warning(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    values = settings(drawings(tmp_path / "d", 1), tmp_path / "run", iterations=3, tensorboard=True, save_every=100)
    (tmp_path / "c.toml").write_text(toml(values), encoding="utf-8")
    said = limited(2_000, ["fit", "--config", str(tmp_path / "c.toml")])
    assert "Traceback" not in said and "TensorBoard's files cannot be written" in said
    assert said.rstrip().endswith("last.pth could not be written at the end of the run\nfit ended with 2")
