"""From videos made here, with known I-frames and planted drawings, to pictures: taken, refused, cropped, resumed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from .clips import drawing, letterboxed, lettering, truncated, write_clip
from PIL import Image

from train.__main__ import main
from train.config import build
from train.curation.config import CurateConfig, PrepareConfig
from train.curation.curate import curate
from train.curation.rescale import prepare, to_production
from vsapisr.errors import ArgumentError, ClipError

ROOT = Path(__file__).parents[1]
SHOT = 12  # frames per shot; each begins with a forced I-frame


def shots(*images: np.ndarray) -> list[np.ndarray]:
    """Each drawing held for ``SHOT`` frames."""
    return [image for image in images for _ in range(SHOT)]


def video(path: Path, images: list[np.ndarray], codec: str, **settings) -> Path:
    return write_clip(path, shots(*images), codec, intra=range(0, SHOT * len(images), SHOT), **settings)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Three good videos (H.264 with letterbox, HEVC with a broken tail, VP9) and what must be refused."""
    folder = tmp_path_factory.mktemp("videos")
    busy = [drawing(100 + n, shapes=60) for n in range(7)]
    plain = [drawing(200 + n, shapes=3) for n in range(7)]
    black = np.zeros_like(plain[0])
    boxed = [letterboxed(image, 24) for image in (plain[0], busy[0], plain[1], busy[1], plain[2])]
    video(folder / "a.mkv", [black, *boxed, lettering()], "libx264")  # I-frames 1 and 3 of the boxed are complex
    whole = video(folder / "whole.mkv", [busy[2], plain[3], busy[3], busy[4], plain[4]], "libx265")
    truncated(whole, folder / "b.mkv", 0.75)
    whole.unlink()
    (folder / "season 2").mkdir()
    video(folder / "season 2" / "c.webm", [plain[5], busy[5], plain[6], busy[6], busy[5]], "libvpx-vp9")
    write_clip(folder / "interlaced.mkv", shots(busy[0]), options={"x264-params": "tff=1"})
    write_clip(folder / "hdr.mp4", shots(busy[0]), "libx265", color_trc=16, color_primaries=9)
    write_clip(folder / "tiny.mkv", [drawing(1, 64, 48)] * 3)
    (folder / "text.mkv").write_text("no video")
    (folder / "notes.txt").write_text("ignored")
    return folder


def configured(videos: Path, out: Path, **selection) -> CurateConfig:
    return build(
        CurateConfig,
        {
            "videos": str(videos),
            "out": str(out),
            "height": 180,
            "threads": 1,
            "selection": {"topk": 2, "minimum_side": 64, **selection},
        },
    )


def table(out: Path, query: str) -> list[tuple]:
    with sqlite3.connect(out / "manifest.sqlite") as db:
        return db.execute(query).fetchall()


CHOSEN = (
    "SELECT v.path, round(f.time * 24), d.reason, f.gop FROM decisions d JOIN frames f ON f.id = d.frame"
    " JOIN videos v ON v.id = f.video ORDER BY v.path, f.time"
)


def reasons(out: Path, name: str) -> dict[int, str]:
    """Shot number -> decision, of one video."""
    return {int(t) // SHOT: reason for path, t, reason, _ in table(out, CHOSEN) if path.endswith(name)}


@pytest.fixture(scope="module")
def curated(videos, tmp_path_factory) -> tuple[Path, object]:
    out = tmp_path_factory.mktemp("curated")
    return out, curate(configured(videos, out))


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
    assert len(pictures) == 6 and not list(out.glob("**/*.part"))
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
    strike.write_text(header + name.name.split(".")[1] + "  # a face half out of the picture\ndeadbeef-00001\n")
    report = curate(configured(videos, out))
    assert (report.selected, report.removed, report.scanned) == (5, 1, 0) and not name.exists()
    assert report.unknown_strikes == ["deadbeef-00001 (line 4)"]
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


KILLER = """
import os, signal, sys
from train.curation import curate, manifest, scan, sheet
def killing(function, call):
    count = [0]
    def wrapped(*arguments, **options):
        count[0] += 1
        if count[0] == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return wrapped
module, name, call = sys.argv[1].split(":")
place = {"curate": curate, "scan": scan, "manifest": manifest.Manifest, "sheet": sheet, "path": sheet.Path}[module]
setattr(place, name, killing(getattr(place, name), int(call)))
from train.__main__ import main
main(sys.argv[2:])
"""

POINTS = {
    # where, and how many videos are whole in the manifest when the process dies there
    "scan:frame_row:10": 1,  # in the middle of the second video
    "manifest:put:12": 0,  # within the first video's transaction
    "curate:decision_row:9": 3,  # within the selection's transaction
    "curate:write_atomically:4": 3,  # between two pictures
    "path:replace:3": 3,  # a picture written under its temporary name
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
        "files": {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.glob("**/*.png"))},
        "rows": table(out, "SELECT name, crop, full_height FROM files ORDER BY name"),
        "left": list(out.glob("**/*.part")),
    }


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


def test_prepare_rescales_crops_and_rejects(curated, tmp_path):
    out, _ = curated
    config = build(
        PrepareConfig,
        {"source": str(out), "out": str(tmp_path / "p"), "height": 120, "minimum_side": 64, "pseudo_gt": False},
    )
    report = prepare(config)
    assert (report.written, report.rejected) == (6, {})
    sizes = {p.name.split(".")[0]: Image.open(p).size for p in (tmp_path / "p" / "gt").glob("*.png")}
    assert sizes == {"a": (208, 80), "b": (208, 120), "c": (208, 120)}, (
        "bars count as lines: 128 of 180 become 85 of 120"
    )
    assert prepare(config).known == 6
    tall = build(PrepareConfig, {"source": str(out), "out": str(tmp_path / "q"), "height": 181, "pseudo_gt": False})
    report = prepare(tall)
    assert len(report.rejected) == 6 and report.written == 0 and not list((tmp_path / "q" / "gt").iterdir())
    assert set(report.rejected.values()) == {"too small: a frame of 180 lines, 181 are needed"}
    rows = table(out, f"SELECT status, reason FROM prepared WHERE target = '{tmp_path / 'q'}'")
    assert rows == [("rejected", "too small: a frame of 180 lines, 181 are needed")] * 6


def test_prepare_follows_its_source_and_settings(tmp_path):
    source, out = tmp_path / "s", tmp_path / "o"
    source.mkdir()
    for n in range(3):
        Image.fromarray(drawing(n, 100, 64)).save(source / f"{n}.png")
    values = {"source": str(source), "out": str(out), "height": 64, "minimum_side": 32, "pseudo_gt": False}
    assert prepare(build(PrepareConfig, values)).written == 3
    (source / "1.png").unlink()
    Image.fromarray(drawing(9, 100, 64)).save(source / "2.png")
    report = prepare(build(PrepareConfig, values))
    assert (report.written, report.known, report.removed) == (1, 1, 1)
    assert sorted(p.name for p in (out / "gt").iterdir()) == ["0.png", "2.png"]
    assert prepare(build(PrepareConfig, values | {"height": 48})).written == 2
    assert prepare(build(PrepareConfig, values | {"height": 65})).removed == 2, "what is rejected now does not stay"


def test_prepare_survives_pictures_of_every_kind(tmp_path):
    source, out = tmp_path / "s", tmp_path / "o"
    source.mkdir()
    image = drawing(3, 120, 80)
    picture = Image.fromarray(image)
    picture.save(source / "rgb.png")
    picture.convert("L").save(source / "grey.png")
    picture.convert("P").save(source / "palette.png")
    picture.convert("RGBA").save(source / "opaque.png")
    seen = picture.convert("RGBA")
    seen.putalpha(128)
    seen.save(source / "transparent.png")
    picture.convert("CMYK").save(source / "cmyk.jpg", quality=95)
    deep = np.linspace(0, 65535, 120 * 80).reshape(80, 120).astype(np.uint16)
    Image.fromarray(deep).save(source / "sixteen.png")
    Image.fromarray(image[:1, :1]).save(source / "one.png")
    (source / "cut.png").write_bytes((source / "rgb.png").read_bytes()[:900])
    (source / "text.webp").write_text("hello")
    report = prepare(
        build(
            PrepareConfig,
            {"source": str(source), "out": str(out), "height": 40, "minimum_side": 16, "pseudo_gt": False},
        )
    )
    assert report.rejected.keys() == {"transparent.png", "one.png", "cut.png", "text.webp"}
    assert "transparent parts" in report.rejected["transparent.png"] and "cannot be read" in report.rejected["cut.png"]
    assert "a frame of 1 lines" in report.rejected["one.png"]
    made = {p.stem: np.asarray(Image.open(p)) for p in (out / "gt").iterdir()}
    assert made.keys() == {"rgb", "grey", "palette", "opaque", "cmyk", "sixteen"}
    assert all(a.shape == (40, 56, 3) and a.dtype == np.uint8 for a in made.values())
    assert np.array_equal(made["opaque"], made["rgb"])
    assert np.abs(made["sixteen"][20, 28, 0].astype(int) - deep[40:42, 56:58].mean() / 257) <= 1
    with pytest.raises(ClipError, match="no pictures in"):
        prepare(build(PrepareConfig, {"source": str(tmp_path / "none"), "out": str(out)}))


def test_reduction_is_antialiased():
    stripes = np.zeros((720, 1280, 3), np.uint8)
    stripes[::2] = 255
    small = to_production(stripes, 720, 240, 8, 8)
    assert small.shape == (240, 424, 3) and np.abs(small[8:-8].astype(int) - 127).max() < 12


def test_pseudo_gt_is_made_beside_gt_from_the_same_picture(tmp_path):
    from train import lines
    source = tmp_path / "s"
    source.mkdir()
    Image.fromarray(drawing(3, 160, 96)).save(source / "one.png")
    config = build(
        PrepareConfig,
        {"source": str(source), "out": str(tmp_path / "o"), "height": 96, "minimum_side": 64, "gamma": [0.975, 0.975]},
    )
    assert prepare(config).written == 1
    gt = np.asarray(Image.open(tmp_path / "o" / "gt" / "one.png"))
    pseudo = np.asarray(Image.open(tmp_path / "o" / "pseudo_gt" / "one.png"))
    assert np.array_equal(pseudo, lines.enhance(gt, 0.975).pseudo_gt)


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
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "manifest.sqlite").write_text("this is not a database, and long enough to say so " * 10)
    with pytest.raises(ArgumentError, match="cannot be used"):
        curate(configured(videos, tmp_path / "y"))
