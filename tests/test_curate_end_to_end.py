"""From videos made here, with known I-frames and planted drawings, to pictures: taken, refused, cropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.__main__ import main
from train.curation.curate import curate
from vsapisr.errors import ArgumentError, ClipError
from vsapisr.writing import LEFTOVERS

from .clips import drawing
from .curation import SHOT, configured, curated, reasons, table, videos


def test_the_planted_drawings_are_taken_and_the_others_say_why(curated):
    out, _ = curated
    a = reasons(out, "a.mkv")
    assert a.pop(0).startswith("blank") and a.pop(6).startswith("credits")
    assert a == {
        1: "not among the best",
        2: "selected",
        3: "not among the best",
        4: "selected",
        5: "not among the best",
    }
    b = reasons(out, "b.mkv")
    assert [n for n, reason in b.items() if reason == "selected"] in ([0, 2], [0, 3], [2, 3]) and b[
        1
    ] == "not among the best"
    assert max(b) < 4, "the tail is gone"
    c = reasons(out, "c.webm")
    assert sorted(c[n].split(" of ")[0] for n in (1, 4)) == ["near-duplicate", "selected"]
    assert c[3] == "selected" and c[0] == "not among the best"


def test_every_i_frame_is_in_the_manifest_once_with_its_gop(curated):
    out, _ = curated
    rows = table(
        out,
        "SELECT v.path, f.time, f.bytes, f.gop, f.width, f.height FROM frames f JOIN videos v ON v.id = f.video"
        " ORDER BY v.path, f.time",
    )
    of_a = [r for r in rows if r[0].endswith("a.mkv")]
    assert [round(r[1] * 24) for r in of_a] == [SHOT * n for n in range(7)]
    assert sum(r[3] for r in of_a) == 7 * SHOT and all(r[2] > 0 and r[4:] == (320, 180) for r in rows)
    assert len(table(out, "SELECT frame FROM scores")) == len(rows)


def test_refusals_and_damage_are_reported(curated, videos):
    out, report = curated
    found = {Path(path).name: reason for path, reason in report.refused.items()}
    assert found.keys() == {"interlaced.mkv", "hdr.mp4", "tiny.mkv", "text.mkv"}
    assert "interlaced" in found["interlaced.mkv"] and "HDR: PQ" in found["hdr.mp4"] and "broken" in found["text.mkv"]
    assert found["tiny.mkv"] == "too small: 64x48 as shown, 180 lines are needed"
    assert [Path(p).name for p in report.notes] == ["b.mkv"] and "ends at" in next(iter(report.notes.values()))
    assert dict(table(out, "SELECT path, reason FROM videos WHERE status = 'refused'")) == {
        str((videos / name).resolve()): reason for name, reason in found.items()
    }
    assert "refused" in str(report) and report.selected == 6 and report.written == 6


def test_pictures_are_the_i_frames_without_their_bars(curated):
    out, _ = curated
    pictures = {p.name: np.asarray(Image.open(p)) for p in out.glob("*.png")}
    assert len(pictures) == 6 and not [path for path in out.rglob("*") if LEFTOVERS.fullmatch(path.name)]
    boxed = [image for name, image in pictures.items() if name.startswith("a.")]
    assert [image.shape for image in boxed] == [(180 - 2 * 26, 320, 3)] * 2
    truths = [drawing(100 + n, shapes=60)[26:-26] for n in (0, 1)]
    for truth in truths:
        assert min(np.abs(image.astype(int) - truth).mean() for image in boxed) < 8
    assert {image.shape for name, image in pictures.items() if not name.startswith("a.")} == {(180, 320, 3)}


def test_contact_sheets_show_every_video(curated):
    out, _ = curated
    sheets = sorted(p.name.split(".")[0] for p in (out / "sheets").glob("*.png"))
    assert sheets == ["a", "b", "c"]
    image = Image.open(next((out / "sheets").glob("a.*.png")))
    assert image.size[0] > 1000 and image.size[1] > 300


def test_commands_report_and_fail_with_words(videos, tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text(
        f'videos = "{videos}"\nout = "{tmp_path / "out"}"\nheight = 180\n[selection]\nminimum_side = 64\n'
    )
    assert main(["curate", "--config", str(config), "--selection.topk", "1"]) == 0
    assert "7 videos, 3 read now, 4 refused" in capsys.readouterr().out
    assert main(["curate", "--config", str(config), "--scorer", "icnet"]) == 2
    assert "train curate: scorer: 'icnet' needs icnet_weights" in capsys.readouterr().err
    assert main(["frametypes", str(videos / "a.mkv"), "--out", str(tmp_path / "chart.png")]) == 0
    assert "times P and B" in capsys.readouterr().out and Image.open(tmp_path / "chart.png").size[0] > 600
    with pytest.raises(ClipError, match="no videos below"):
        curate(configured(tmp_path / "out" / "sheets", tmp_path / "x"))
    with pytest.raises(ClipError, match="vidoes' does not exist$"):
        curate(configured(tmp_path / "vidoes", tmp_path / "x"))
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "manifest.sqlite").write_text("this is not a database, and long enough to say so " * 10)
    with pytest.raises(ArgumentError, match="cannot be used"):
        curate(configured(videos, tmp_path / "y"))
