"""The chosen pictures of a video, as PNG without their bars."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vsapisr.writing import write_atomically

from ..media.places import below
from .keyframes import Unsuitable, fetch
from .manifest import Manifest
from .scan import frame_name, safe_stem
from .traits import Bars

__all__ = ["Wanted", "make_pictures", "record_pictures", "wanted_of"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A picture that is not there yet."""

    packet: int
    pts: int | None
    name: str
    crop: Bars
    frame: int
    """Its row of ``frames``."""
    full_height: int


def wanted_of(video: sqlite3.Row, out: Path, manifest: Manifest) -> list[Wanted]:
    """The selected pictures of ``video`` that are not there yet, or were cut otherwise."""
    wanted = []
    for row in manifest.rows(
        "SELECT f.id, f.packet, f.pts, f.height, d.*, p.name, p.crop FROM decisions d"
        " JOIN frames f ON f.id = d.frame LEFT JOIN files p ON p.frame = f.id"
        " WHERE f.video = ? AND d.selected",
        video["id"],
    ):
        crop = Bars(top=row["crop_top"], bottom=row["crop_bottom"], left=row["crop_left"], right=row["crop_right"])
        if row["name"] is None or row["crop"] != repr(crop) or not below(out, row["name"]).exists():
            name = row["name"] or f"{safe_stem(video['path'])}.{frame_name(video['fingerprint'], row['packet'])}.png"
            wanted.append(
                Wanted(
                    packet=row["packet"],
                    pts=row["pts"],
                    name=name,
                    crop=crop,
                    frame=row["id"],
                    full_height=row["height"],
                )
            )
    return wanted


def make_pictures(path: Path, wanted: Sequence[Wanted], out: Path, threads: int) -> tuple[list[Wanted], str | None]:
    """Decode and write them; (those that are written, what was wrong with the video if anything)."""
    note, made = None, []
    try:
        pictures = fetch(path, {one.packet: one.pts for one in wanted}, threads)
    except Unsuitable as error:
        pictures, note = {}, str(error)
    for one in wanted:
        image = pictures.get(one.packet)
        if image is None:
            note = f"packet {one.packet} could not be read again"
            continue
        pixels = np.ascontiguousarray(one.crop.cut(image)[..., ::-1])
        write_atomically(out / one.name, cv2.imencode(".png", pixels)[1].tobytes())
        made.append(one)
    return made, note


def record_pictures(made: Sequence[Wanted], manifest: Manifest) -> None:
    """Their rows, after the files are there."""
    for one in made:
        row = {"name": one.name, "frame": one.frame, "crop": repr(one.crop), "full_height": one.full_height}
        manifest.put("files", row, replace=True)
