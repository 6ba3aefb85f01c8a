"""Names of files that libav takes for something else: ``Re:Zero - 01.mkv`` is no protocol."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import cv2
import pytest

from scripts import clips
from train.__main__ import main
from vsapisr.video.probe import probe

from .clips import drawing
from .conftest import ROOT
from .curation import video

NAME = "Re:Zero - 01.mkv"


def calls(tree: ast.AST) -> list[ast.Call]:
    """Those of ``av.open`` and of BestSource."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        one for one in found if ast.unparse(one.func) in ("av.open", "vs.core.bs.VideoSource", "core().bs.VideoSource")
    ]


def test_every_open_of_libav_has_its_name_from_the_one_function():
    """Or opens no path: what it is given is a stream."""
    streams = {"self.process.stdout", "io.BytesIO()", "coded", "file"}
    seen = 0
    for folder in ("vsapisr", "train", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            for call in calls(ast.parse(path.read_text(encoding="utf-8"))):
                given = ast.unparse(call.args[0])
                assert given.startswith("url(") or given in streams, f"{path}: {ast.unparse(call)}"
                seen += given.startswith("url(")
    assert seen > 10


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with a colon in it, that and its video to be named from above."""
    (tmp_path / "Re:Zero").mkdir()
    monkeypatch.chdir(tmp_path)
    images = [drawing(100 + number, shapes=60) for number in range(3)]
    video(tmp_path / "whole.mkv", images, "libx264")
    for place in (NAME, f"Re:Zero/{NAME}"):
        (tmp_path / place).write_bytes((tmp_path / "whole.mkv").read_bytes())
    (tmp_path / "whole.mkv").unlink()
    return tmp_path


@pytest.mark.parametrize("videos", [NAME, "Re:Zero"])
def test_curate_and_frametypes(here, videos, capsys):
    more = ["--height", "180", "--selection.minimum-side", "64"]
    assert main(["curate", "--videos", videos, "--out", "out:put", *more]) == 0
    said = capsys.readouterr().out
    assert "1 videos, 1 read now, 0 refused" in said and len(list((here / "out:put").glob("*.png"))) == 3
    assert main(["frametypes", NAME, f"Re:Zero/{NAME}", "--out", "a:chart.png"]) == 0
    assert cv2.imread(str(here / "a:chart.png")) is not None


def test_evaluate(here):
    for source in (NAME, "Re:Zero"):
        assert main(["evaluate", "--source", source, "--out", "re:port", "--models", "", "--frames", "2"]) == 0
        results = json.loads((here / "re:port" / "results.json").read_text(encoding="utf-8"))
        assert len(results["pictures"]) == 4 and not results["refused"]


def test_clips_are_written_and_probed(here):
    clips.encode(Path("a:b.mkv"), [drawing(1, 64, 48)] * 3)
    assert (here / "a:b.mkv").exists() and probe(Path("a:b.mkv")).width == 64
    assert probe(Path(NAME)).width == 320
