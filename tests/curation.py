"""Videos with known I-frames and planted drawings, and what ``curate`` makes of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from train.curation.config import CurateConfig
from train.curation.curate import curate
from train.settings import build

from .clips import drawing, letterboxed, lettering, truncated, write_clip

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
