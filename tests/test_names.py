"""Names that a console does not have, or that are not text at all: nothing is lost to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsapisr.writing import write_words

ROOT = Path(__file__).parents[1]
UPSCALE = "import sys; from vsapisr.cli import main; sys.argv[0] = 'vsapisr'; main()"


def picture(path: bytes, share: float = 1.0) -> None:
    """A picture of 64x64 under a name of any bytes, or the beginning of one."""
    data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    with open(path, "wb") as file:
        file.write(data[: int(share * len(data))])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = os.fsencode(tmp_path / "pictures")
    os.mkdir(folder)
    try:
        picture(folder + b"/\xff\xfe.png")
    except OSError:
        pytest.skip("no file names on this system that are not text")
    picture(folder + b"/broken\xff.png", 0.5)
    picture(folder + "/フ.png".encode())
    return tmp_path / "pictures"


def run(encoding: str, *command: str | Path) -> subprocess.CompletedProcess:
    environ = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    made = subprocess.run([sys.executable, *map(str, command)], capture_output=True, env=environ)
    assert b"Traceback" not in made.stderr, made.stderr.decode(errors="replace")
    return made


def test_evaluate_keeps_its_results(pictures: Path, tmp_path: Path):
    command = ("--gt", pictures, "--out", tmp_path / "out", "--models", "default", "--levels", "light")
    made = run("ascii", "-m", "train", "evaluate", *command)
    assert made.returncode == 0, made.stderr
    assert b"broken\\udcff.png" in made.stdout
    report = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert [name for name in report["refused"] if "broken" in name]
    assert "broken\\udcff.png" in (tmp_path / "out/table.md").read_text(encoding="utf-8")


def test_degrade_names_them(pictures: Path, tmp_path: Path):
    out = tmp_path / "out"
    made = run("cp1252:strict", "-m", "train", "degrade", "--source", pictures, "--out", out, "--workers", "1")
    assert made.returncode == 0, made.stderr
    assert (os.fsencode(out) + b"/\xff\xfe.png") in [os.fsencode(path) for path in out.iterdir()]
    assert b"broken\\udcff.png" in made.stdout + made.stderr


def test_the_command_line_prints_any_name(pictures: Path, tmp_path: Path):
    made = run("cp1252", "-c", UPSCALE, "upscale", pictures, "--output", tmp_path / "out")
    assert made.returncode == 1, made.stderr
    assert {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()} == {
        b"\xff\xfe_4x.png",
        "フ_4x.png".encode(),
    }
    model = tmp_path / "重み.safetensors"
    model.write_bytes((ROOT / "vsapisr/weights/models/default.safetensors").read_bytes())
    shown = run("cp1252", "-c", UPSCALE, "info", model)
    assert shown.returncode == 0 and b"\\u91cd" in shown.stdout


def test_reports_are_written_with_any_name(tmp_path: Path):
    write_words(tmp_path / "a.md", "b\udcff – フ")
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == "b\\udcff – フ"
