"""One video into the manifest: its I-frames, what was measured of them and their scores, in one transaction."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from .config import CurateConfig
from .keyframes import Keyframe, Unsuitable, Video, gop_lengths, keyframes, opened
from .manifest import Manifest
from .scoring import Scorer
from .selection import Candidate
from .traits import Bars, measure

THUMBNAIL = 224
"""Width of the pictures on the contact sheet."""


def frame_name(fingerprint: str, packet: int) -> str:
    """What people see of a frame: on contact sheets, in strike.txt, in file names."""
    return f"{fingerprint[:8]}-{packet:05}"


def thumbnail(image: np.ndarray) -> bytes:
    """JPEG of (H, W, 3) uint8 RGB, ``THUMBNAIL`` wide."""
    size = (THUMBNAIL, max(1, round(image.shape[0] * THUMBNAIL / image.shape[1])))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def guarded(source: Iterator[Keyframe]) -> Iterator[Keyframe]:
    """``source``; what a library makes of a broken file becomes ``Unsuitable``, so that the run goes on to the next."""
    while True:
        try:
            one = next(source, None)
        except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
            if isinstance(error, Unsuitable):
                raise
            raise Unsuitable(f"broken: {error}") from error
        if one is None:
            return
        yield one


def frame_row(one: Keyframe) -> dict[str, object]:
    """Its row of the table ``frames``, but for video and GOP length."""
    found = measure(one.image)
    bars = found.bars
    return {
        "packet": one.packet,
        "pts": one.pts,
        "time": one.time,
        "bytes": one.bytes,
        "fault": one.fault,
        "width": one.image.shape[1],
        "height": one.image.shape[0],
        "bar_top": bars.top,
        "bar_bottom": bars.bottom,
        "bar_left": bars.left,
        "bar_right": bars.right,
        "hash": f"{found.hash:016x}",
        "brightness": found.brightness,
        "spread": found.spread,
        "credits": found.credits,
        "thumbnail": thumbnail(one.image),
    }


def notes_of(video: Video) -> str | None:
    """Damage in words; None when there was none."""
    notes = video.errors[:3] + ([f"and {len(video.errors) - 3} more"] if len(video.errors) > 3 else [])
    if video.duration and 0 < video.end < 0.95 * video.duration - 0.5:
        notes.append(f"ends at {video.end:.1f} s of {video.duration:.1f} s")
    return "; ".join(notes) or None


@dataclass(frozen=True)
class Seen:
    """What there is to say of a video that was decoded; plain values, which JSON and SQLite hold."""

    columns: dict[str, Any]
    """Of its row of ``videos``."""
    frames: list[dict[str, Any]]
    """Rows of ``frames``."""
    scores: dict[int, float]
    """By packet."""


def look(path: Path, prefix: str, config: CurateConfig, scorer: Scorer, progress: Callable[[float], None]) -> Seen:
    """Decode ``path``. ``progress`` gets the share done.

    Raises:
        Unsuitable: nothing is to be had from this video; the text says why.
    """
    rows: list[dict] = []
    scores: dict[int, float] = {}
    waiting: list[Keyframe] = []

    def score() -> None:
        if waiting:
            values = scorer([w.image for w in waiting], [frame_name(prefix, w.packet) for w in waiting])
            scores.update(zip((w.packet for w in waiting), values))
            waiting.clear()

    with opened(path, config.threads) as (container, video):
        for count, one in enumerate(guarded(keyframes(container, video, config.height))):
            rows.append(frame_row(one))
            if count % config.selection.stride == 0 and one.fault is None:
                waiting.append(one)
            if len(waiting) >= config.batch:
                score()
            if video.duration:
                progress(min(1.0, one.time / video.duration))
        score()
    for row, gop in zip(rows, gop_lengths([row["packet"] for row in rows], video.packets)):
        row["gop"] = gop
    return Seen(columns_of(video), rows, scores)


def is_scanned(row: sqlite3.Row | None, mark: str, scorer: str, config: CurateConfig, manifest: Manifest) -> bool:
    """Whether the video ``row`` still has the content ``mark``, lines enough for ``config`` and all scores wanted."""
    if row is None or row["fingerprint"] != mark or row["status"] != "scanned" or row["height"] < config.height:
        return False
    seen = manifest.one("SELECT stride FROM scans WHERE video = ? AND scorer = ?", row["id"], scorer)
    return seen is not None and config.selection.stride % seen["stride"] == 0


def columns_of(video: Video) -> dict[str, object]:
    """What the manifest keeps of a video that was read."""
    return {
        "status": "scanned",
        "notes": notes_of(video),
        "codec": video.codec,
        "width": video.width,
        "height": video.height,
        "duration": video.duration or video.end,
        "packets": video.packets,
    }


Look = Callable[[Path, str, CurateConfig, Scorer, Callable[[float], None]], Seen]


def scan(
    path: Path,
    key: str,
    mark: str,
    config: CurateConfig,
    scorer: Scorer,
    manifest: Manifest,
    progress: Callable[[float], None] = lambda share: None,
    look: Look = look,
) -> str | None:
    """Bring the manifest up to date with one video; returns the reason where it was refused.

    Args:
        key: the video's path in the manifest.
        mark: its content's fingerprint.
        progress: called with the share of the video that was read.
        look: what decodes it, or knows what somebody else saw.
    """
    row = manifest.one("SELECT * FROM videos WHERE path = ?", key)
    if is_scanned(row, mark, scorer.name, config, manifest):
        return None
    twin = manifest.one("SELECT * FROM videos WHERE fingerprint = ? AND path != ? AND status = 'scanned'", mark, key)
    if twin is not None and not Path(twin["path"]).exists():  # moved or renamed
        with manifest.transaction():
            manifest.execute("DELETE FROM videos WHERE path = ?", key)
            manifest.execute("UPDATE videos SET path = ? WHERE id = ?", key, twin["id"])
        return scan(path, key, mark, config, scorer, manifest, progress, look)
    try:
        if twin is not None:
            raise Unsuitable(f"same content as {twin['path']}")
        seen = look(path, mark, config, scorer, progress)
    except Unsuitable as error:
        with manifest.transaction():
            manifest.execute("DELETE FROM videos WHERE path = ?", key)
            manifest.put("videos", {"path": key, "fingerprint": mark, "status": "refused", "reason": str(error)})
        return str(error)
    with manifest.transaction():
        if row is None or row["fingerprint"] != mark or row["status"] != "scanned":
            manifest.execute("DELETE FROM videos WHERE path = ?", key)
            number = manifest.put("videos", {"path": key, "fingerprint": mark, **seen.columns})
            manifest.put_all("frames", ({"video": number, **one} for one in seen.frames))
        else:  # seen before by another scorer: its frames stay
            number = row["id"]
        frames = {r["packet"]: r["id"] for r in manifest.rows("SELECT id, packet FROM frames WHERE video = ?", number)}
        for packet, value in seen.scores.items():
            manifest.put("scores", {"frame": frames[packet], "scorer": scorer.name, "score": value}, replace=True)
        manifest.put("scans", {"video": number, "scorer": scorer.name, "stride": config.selection.stride}, replace=True)
    return None


def candidates(manifest: Manifest, video: sqlite3.Row, scorer: str, stride: int) -> list[Candidate]:
    """The I-frames of ``video`` in the order of time; only every ``stride``-th has its score."""
    rows = manifest.rows(
        "SELECT f.*, s.score FROM frames f LEFT JOIN scores s ON s.frame = f.id AND s.scorer = ?"
        " WHERE f.video = ? ORDER BY f.time, f.packet",
        scorer,
        video["id"],
    )
    return [
        Candidate(
            frame=r["id"],
            name=frame_name(video["fingerprint"], r["packet"]),
            time=r["time"],
            score=r["score"] if n % stride == 0 else None,
            fault=r["fault"],
            width=r["width"],
            height=r["height"],
            bars=Bars(top=r["bar_top"], bottom=r["bar_bottom"], left=r["bar_left"], right=r["bar_right"]),
            hash=int(r["hash"], 16),
            brightness=r["brightness"],
            spread=r["spread"],
            credits=r["credits"],
        )
        for n, r in enumerate(rows)
    ]


def safe_stem(path: str) -> str:
    """The name of a video as part of a file name."""
    return re.sub(r"[^\w\-]+", "_", Path(path).stem)[:60].strip("_") or "video"
