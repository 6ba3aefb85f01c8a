"""``curate`` again: nothing twice, after a kill at any point, after changes of folder, strikes and settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from train.curation.config import CurateConfig
from train.curation.curate import curate
from train.settings import build
from vsapisr.writing import LEFTOVERS

from .curation import CHOSEN, configured, curated, table, videos

ROOT = Path(__file__).parents[1]

KILLER = """
import os, signal, sys
from train.curation import curate, manifest, pictures, scan, sheet
def killing(function, call):
    count = [0]
    def wrapped(*arguments, **options):
        count[0] += 1
        if count[0] == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return wrapped
module, name, call = sys.argv[1].split(":")
places = {"curate": curate, "pictures": pictures, "scan": scan}
places |= {"manifest": manifest.Manifest, "sheet": sheet, "os": os}
place = places[module]
setattr(place, name, killing(getattr(place, name), int(call)))
from train.__main__ import main
main(sys.argv[2:])
"""

POINTS = {
    # where, and how many videos are whole in the manifest when the process dies there
    "scan:frame_row:10": 1,  # in the middle of the second video
    "manifest:put:12": 0,  # within the first video's transaction
    "curate:decision_row:9": 3,  # within the selection's transaction
    "pictures:write_atomically:4": 3,  # between two pictures
    "os:replace:3": 3,  # a picture written under its temporary name
    "curate:write_sheet:2": 3,
}


def state(out: Path) -> dict[str, object]:
    """What a run leaves, without what may differ (row numbers)."""
    return {
        "frames": table(
            out,
            "SELECT v.path, f.packet, f.pts, f.time, f.bytes, f.gop, f.hash, f.thumbnail, s.score, d.selected,"
            " d.reason, d.crop_top FROM frames f JOIN videos v ON v.id = f.video JOIN scores s ON"
            " s.frame = f.id JOIN decisions d ON d.frame = f.id ORDER BY v.path, f.packet",
        ),
        "videos": table(out, "SELECT path, fingerprint, status, reason, notes, duration FROM videos ORDER BY path"),
        "files": {
            p.relative_to(out).as_posix(): sha256(p.read_bytes()).hexdigest() for p in sorted(out.glob("**/*.png"))
        },
        "rows": table(out, "SELECT name, crop, full_height FROM files ORDER BY name"),
        "left": [path for path in out.rglob("*") if LEFTOVERS.fullmatch(path.name)],
    }


def test_a_second_run_does_nothing(curated, videos):
    out, _ = curated
    before = {p: p.stat().st_mtime_ns for p in out.glob("**/*.png")}
    report = curate(configured(videos, out))
    assert (report.scanned, report.written, report.removed) == (0, 0, 0)
    assert {p: p.stat().st_mtime_ns for p in out.glob("**/*.png")} == before


def test_struck_frames_go_and_come_back(curated, videos):
    out, _ = curated
    name = next(out.glob("a.*.png"))
    strike, header = out / "strike.txt", (out / "strike.txt").read_text()
    strike.write_text(header + name.name.split(".")[1] + "  # coup\u00e9 en deux\ndeadbeef-0000\u00b9\n", "latin-1")
    report = curate(configured(videos, out))
    assert (report.selected, report.removed, report.scanned) == (5, 1, 0) and not name.exists()
    last = header.count("\n") + 2
    assert report.unknown_strikes == [rf"deadbeef-0000\xb9 (line {last})"], "a comment may be in any encoding"
    strike.write_text(header)
    assert curate(configured(videos, out)).written == 1 and name.exists()


def test_other_scorers_and_methods_share_the_manifest(videos, tmp_path):
    curate(configured(videos, tmp_path))
    frames = table(tmp_path, "SELECT count(*) FROM frames")
    config = build(
        CurateConfig,
        {
            "videos": str(videos),
            "out": str(tmp_path),
            "height": 180,
            "scorer": "random",
            "seed": 3,
            "selection": {"method": "partitions", "every": 2, "partitions": 2, "per_partition": 1, "minimum_side": 64},
        },
    )
    report = curate(config)
    assert report.scanned == 3 and table(tmp_path, "SELECT count(*) FROM frames") == frames
    assert any(reason == "not scored" for *_, reason, _ in table(tmp_path, CHOSEN))
    assert curate(configured(videos, tmp_path)).scanned == 0, "the first scorer's scores are still there"


def test_moved_replaced_and_copied_videos(videos, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    one = folder / "one.mkv"
    one.write_bytes((videos / "a.mkv").read_bytes())
    out = tmp_path / "out"
    assert curate(configured(folder, out)).scanned == 1
    (folder / "copy.mkv").write_bytes(one.read_bytes())
    report = curate(configured(folder, out))
    assert list(report.refused.values()) == [f"same content as {one.resolve()}"]
    (folder / "copy.mkv").unlink()
    one.rename(folder / "moved.mkv")
    report = curate(configured(folder, out))
    assert report.written == 0 and len(table(out, "SELECT * FROM frames")) == 7
    (folder / "moved.mkv").write_bytes((videos / "season 2" / "c.webm").read_bytes())
    report = curate(configured(folder, out))
    assert report.scanned == 1 and len(list(out.glob("*.png"))) == report.selected == 2
    assert len(table(out, "SELECT * FROM frames")) == 5


def test_files_that_cannot_be_read_or_named_are_refused_and_the_others_go_on(videos, tmp_path):
    folder, out = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    names = ["gone.mkv", os.fsdecode(b"v\x83e.mkv"), "w.mkv"]
    for name, source in zip(names, ("a.mkv", "b.mkv", "season 2/c.webm")):
        (folder / name).write_bytes((videos / source).read_bytes())
    reasons = {str(folder / "v\\x83e.mkv"): "its name is not UTF-8; rename it"}
    report = curate(configured(folder, out))
    assert (report.videos, report.scanned, report.written, report.refused) == (3, 2, 4, reasons)
    assert str(report).encode()
    (folder / "gone.mkv").unlink()
    (folder / "gone.mkv").symlink_to("x" * 300)
    reasons = {str(folder / "gone.mkv"): "cannot be read: File name too long", **reasons}
    report = curate(configured(folder, out))
    assert (report.scanned, report.removed, report.refused) == (0, 0, reasons), "and what was taken from it stays"
    assert len(list(out.glob("*.png"))) == 4


def test_a_raised_height_refuses_what_was_taken_before(videos, tmp_path):
    config = configured(videos / "a.mkv", tmp_path)
    assert curate(config).written == 2
    report = curate(replace(config, height=181))
    assert list(report.refused.values()) == ["too small: 320x180 as shown, 181 lines are needed"]
    assert (report.selected, report.removed) == (0, 2) and not list(tmp_path.glob("*.png"))
    assert curate(config).written == 2, "and lowered again it is as before"


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_it_goes_on_without_doubles(curated, videos, tmp_path, point):
    config = configured(videos, tmp_path)
    options = [
        "curate",
        "--videos",
        str(videos),
        "--out",
        str(tmp_path),
        "--height",
        "180",
        "--threads",
        "1",
        "--selection.topk",
        "2",
        "--selection.minimum-side",
        "64",
    ]
    run = subprocess.run([sys.executable, "-c", KILLER, point, *options], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert len(table(tmp_path, "SELECT * FROM videos WHERE status = 'scanned'")) == POINTS[point]
    assert curate(config).scanned == 3 - POINTS[point]
    assert state(tmp_path) == state(curated[0])
