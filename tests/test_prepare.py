"""From chosen pictures to 720p GT and pseudo-GT."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from train.curation.config import PrepareConfig
from train.curation.prepare import prepare, read_picture, to_production
from train.media.images import read_image
from train.settings import build
from vsapisr.errors import ClipError, VsapisrError

from .clips import drawing, write_clip
from .curation import curated, table, videos


def test_prepare_rescales_crops_and_rejects(curated, tmp_path):
    out, _ = curated
    config = build(
        PrepareConfig,
        {
            "source": str(out),
            "out": str(tmp_path / "p"),
            "validation": 0.0,
            "height": 120,
            "minimum_side": 64,
            "pseudo_gt": False,
        },
    )
    report = prepare(config)
    assert (report.written, report.rejected) == (6, {})
    sizes = {p.name.split(".")[0]: Image.open(p).size for p in (tmp_path / "p" / "gt").glob("*.png")}
    assert sizes == {"a": (208, 80), "b": (208, 120), "c": (208, 120)}, (
        "bars count as lines: 128 of 180 become 85 of 120"
    )
    assert prepare(config).known == 6
    tall = build(
        PrepareConfig,
        {"source": str(out), "out": str(tmp_path / "q"), "validation": 0.0, "height": 181, "pseudo_gt": False},
    )
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
    values = {
        "source": str(source),
        "out": str(out),
        "validation": 0.0,
        "height": 64,
        "minimum_side": 32,
        "pseudo_gt": False,
    }
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
    (source / "folder.png").mkdir()
    (source / os.fsdecode(b"v\x83e.png")).write_bytes((source / "rgb.png").read_bytes())
    report = prepare(
        build(
            PrepareConfig,
            {
                "source": str(source),
                "out": str(out),
                "validation": 0.0,
                "height": 40,
                "minimum_side": 16,
                "pseudo_gt": False,
            },
        )
    )
    assert report.rejected.keys() == {"transparent.png", "one.png", "cut.png", "text.webp", "folder.png", r"v\x83e.png"}
    assert report.pictures == 12 and str(report).encode()
    assert report.rejected["folder.png"] == "cannot be read: Is a directory"
    assert report.rejected[r"v\x83e.png"] == "its name is not UTF-8; rename it"
    assert "transparent parts" in report.rejected["transparent.png"] and "cannot be read" in report.rejected["cut.png"]
    assert "a frame of 1 lines" in report.rejected["one.png"]
    made = {p.stem: np.asarray(Image.open(p)) for p in (out / "gt").iterdir()}
    assert made.keys() == {"rgb", "grey", "palette", "opaque", "cmyk", "sixteen"}
    assert all(a.shape == (40, 56, 3) and a.dtype == np.uint8 for a in made.values())
    assert np.array_equal(made["opaque"], made["rgb"])
    assert np.abs(made["sixteen"][20, 28, 0].astype(int) - deep[40:42, 56:58].mean() / 257) <= 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipError, match="no pictures in"):
        prepare(build(PrepareConfig, {"source": str(tmp_path / "empty"), "out": str(out)}))
    with pytest.raises(VsapisrError, match="none' does not exist$"):
        prepare(build(PrepareConfig, {"source": str(tmp_path / "none"), "out": str(tmp_path / "new")}))
    assert not (tmp_path / "new").exists()


def test_one_picture_can_be_prepared(tmp_path):
    (tmp_path / "s").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(drawing(1, 64, 48)).save(tmp_path / "s" / name)
    values = {"height": 48, "minimum_side": 8, "pseudo_gt": False, "validation": 0.0, "out": str(tmp_path / "o")}
    report = prepare(build(PrepareConfig, {**values, "source": str(tmp_path / "s" / "b.png")}))
    assert report.written == 1 and [path.name for path in (tmp_path / "o" / "gt").iterdir()] == ["b.png"]


def test_exif_orientation_is_applied_as_in_training(tmp_path):
    (tmp_path / "s").mkdir()
    exif = Image.Exif()
    for way in range(1, 9):
        exif[0x0112] = way
        Image.fromarray(drawing(way, 64, 48)).save(tmp_path / "s" / f"{way}.jpg", exif=exif)
    sizes = {"height": 48, "minimum_side": 8, "pseudo_gt": False, "validation": 0.0}
    config = build(PrepareConfig, {"source": str(tmp_path / "s"), "out": str(tmp_path / "o"), **sizes})
    for way in range(1, 9):
        assert np.array_equal(read_picture(tmp_path / "s" / f"{way}.jpg"), read_image(tmp_path / "s" / f"{way}.jpg"))
    assert prepare(config).written == 8
    assert Image.open(tmp_path / "o" / "gt" / "6.png").size == (32, 48), (
        "the height is that of the picture as it is seen"
    )


def test_reduction_is_antialiased():
    stripes = np.zeros((720, 1280, 3), np.uint8)
    stripes[::2] = 255
    small = to_production(stripes, 720, 240, 8, 8)
    assert small.shape == (240, 424, 3) and np.abs(small[8:-8].astype(int) - 127).max() < 12


def test_pseudo_gt_is_made_beside_gt_from_the_same_picture(tmp_path):
    from train.data import pseudo_gt as lines

    source = tmp_path / "s"
    source.mkdir()
    Image.fromarray(drawing(3, 160, 96)).save(source / "one.png")
    config = build(
        PrepareConfig,
        {
            "source": str(source),
            "out": str(tmp_path / "o"),
            "validation": 0.0,
            "height": 96,
            "minimum_side": 64,
            "gamma": [0.975, 0.975],
        },
    )
    assert prepare(config).written == 1
    gt = np.asarray(Image.open(tmp_path / "o" / "gt" / "one.png"))
    pseudo = np.asarray(Image.open(tmp_path / "o" / "pseudo_gt" / "one.png"))
    assert np.array_equal(pseudo, lines.enhance(gt, 0.975).pseudo_gt)


def test_a_share_is_held_out_and_never_trained_on(tmp_path):
    source, out = tmp_path / "s", tmp_path / "o"
    source.mkdir()
    for n in range(40):
        Image.fromarray(drawing(n % 3, 64, 64)).save(source / f"{n}.png")
    values = {"source": str(source), "out": str(out), "height": 64, "minimum_side": 32}

    def files(share: float) -> dict[str, set[str]]:
        report = prepare(build(PrepareConfig, values | {"validation": share}))
        assert (
            report.written + report.known == 40
            and prepare(build(PrepareConfig, values | {"validation": share})).known == 40
        )
        return {folder: {path.name for path in (out / folder).iterdir()} for folder in ("gt", "pseudo_gt", "val")}

    some, more, none = files(0.2), files(0.5), files(0.0)
    for found in (some, more, none):
        assert (
            found["gt"] == found["pseudo_gt"]
            and not found["gt"] & found["val"]
            and len(found["gt"] | found["val"]) == 40
        )
    assert 0 < len(some["val"]) < 16 < len(more["val"]) < 32 and some["val"] < more["val"] and not none["val"]
    for n in range(40, 60):
        Image.fromarray(drawing(n % 3, 64, 64)).save(source / f"{n}.png")
    prepare(build(PrepareConfig, values | {"validation": 0.2}))
    assert some["val"] <= {path.name for path in (out / "val").iterdir()}, "new pictures move no old one"


def test_what_is_measured_on_is_known_again_and_not_trained_on(tmp_path):
    """As a picture of another size and kind, or as a frame of a video; a damaged one there is no obstacle."""
    source, out, apart = (tmp_path / name for name in ("s", "o", "apart"))
    source.mkdir()
    apart.mkdir()
    for n in range(5):
        Image.fromarray(drawing(n, 160, 96)).save(source / f"{n}.png")
    values = {"source": str(source), "out": str(out), "height": 96, "minimum_side": 32, "validation": 0.0}
    assert prepare(build(PrepareConfig, values)).written == 5
    Image.fromarray(drawing(1, 160, 96)).resize((200, 120)).save(apart / "other name.jpg")
    (apart / "cut.png").write_bytes((source / "2.png").read_bytes()[:200])
    clip = write_clip(tmp_path / "clip.mkv", [drawing(n, 160, 96) for n in (7, 3)])
    measured = values | {"apart": [str(apart), str(clip)]}
    report = prepare(build(PrepareConfig, measured))
    assert report.rejected == dict.fromkeys(("1.png", "3.png"), "shows what will be measured on (apart)")
    for folder in ("gt", "pseudo_gt"):
        assert {path.name for path in (out / folder).iterdir()} == {"0.png", "2.png", "4.png"}, "earlier ones go too"
    assert prepare(build(PrepareConfig, measured)).known == 3
    assert prepare(build(PrepareConfig, measured | {"validation": 0.999})).rejected == {}, (
        "what is held out need not be apart"
    )
    with pytest.raises(VsapisrError, match="nowhere"):
        prepare(build(PrepareConfig, values | {"apart": [str(tmp_path / "nowhere")]}))
