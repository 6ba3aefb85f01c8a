"""The step ``curate``: scan videos, select, write pictures and contact sheets. Can be killed and started again."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vsapisr.errors import ClipError
from vsapisr.writing import remove_leftovers, write_words

from ..media.places import alone, below
from ..media.progress import Progress
from .config import CurateConfig
from .elsewhere import Nodes, nodes
from .keyframes import list_videos
from .manifest import Manifest, identify, shown
from .pictures import Wanted, make_pictures, record_pictures, wanted_of
from .scan import THUMBNAIL, candidates, frame_name, is_scanned, look, safe_stem, scan
from .scoring import Scorer, make_scorer
from .selection import Decision, Drawings, expand, select, strike_lines
from .sheet import STRIKE_HEADER, Cell, contact_sheet, write_sheet

SHOWN = 40
"""Pictures on a contact sheet that were not taken, at most."""


@dataclass(kw_only=True)
class Curated:
    """What a run did."""

    videos: int = 0
    scanned: int = 0
    """Read in this run; the others were known."""
    refused: dict[str, str] = field(default_factory=dict)
    """Path -> reason."""
    notes: dict[str, str] = field(default_factory=dict)
    """Path -> damage."""
    keyframes: int = 0
    selected: int = 0
    written: int = 0
    removed: int = 0
    unknown_strikes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{self.videos} videos, {self.scanned} read now, {len(self.refused)} refused; {self.keyframes} I-frames, "
            f"{self.selected} selected; {self.written} pictures written, {self.removed} removed"
        ]
        lines += [f"refused  {path}: {reason}" for path, reason in self.refused.items()]
        lines += [f"damaged  {path}: {note}" for path, note in self.notes.items()]
        if self.unknown_strikes:
            lines.append(f"strike.txt: no frame is called {', '.join(self.unknown_strikes)}")
        return "\n".join(lines)


def scan_all(
    config: CurateConfig, scorer: Scorer, manifest: Manifest, there: Nodes | None, report: Curated
) -> list[sqlite3.Row]:
    """Every video into the manifest; the rows of those that are there and usable, in the order of their paths. Nodes of
    a cluster, where there are any, have looked through all of them before."""
    paths = list_videos(config.videos)
    report.videos = len(paths)
    sizes = {path: megabytes(path) for path in paths}
    keys = {path: str(path.resolve()) for path in paths}
    marks: dict[Path, str] = {}
    for path in paths:
        try:
            marks[path] = identify(path, keys[path])
        except ClipError as error:  # what earlier runs took from it stays, as if it were not among these
            report.refused[shown(path)] = str(error)

    def done(path: Path) -> bool:
        row = manifest.one("SELECT * FROM videos WHERE path = ?", keys[path])
        return is_scanned(row, marks[path], scorer.name, config, manifest)

    if there is not None:
        same = "SELECT 1 FROM videos WHERE fingerprint = ? AND status = 'scanned' AND path != ?"  # moved, perhaps
        new = [(path, mark) for path, mark in marks.items() if not manifest.one(same, mark, keys[path])]
        there.look_through([(path, mark) for path, mark in new if not done(path)])
    with Progress("curate", sum(sizes.values()), "MB") as progress:
        for path in paths:
            if path not in marks or done(path):
                progress.skip(sizes[path])
                continue
            before = progress.done

            def read(share: float, path: Path = path, before: float = before) -> None:
                progress.to(before + share * sizes[path], path.name)

            seen = look if there is None else there.look
            reason = scan(path, keys[path], marks[path], config, scorer, manifest, read, seen)
            progress.to(before + sizes[path], path.name)
            report.scanned += reason is None
            if reason:
                report.refused[str(path)] = reason
    if there is not None:
        there.merged()
    known = list(marks)
    rows = []
    for path in known:
        row = manifest.one("SELECT * FROM videos WHERE path = ? AND status = 'scanned'", keys[path])
        if row is not None:
            rows.append(row)
            if row["notes"]:
                report.notes[str(path)] = row["notes"]
    return rows


def megabytes(path: Path) -> float:
    """0 of what cannot be asked."""
    try:
        return path.stat().st_size / 2**20
    except OSError:
        return 0.0


def read_strikes(path: Path, manifest: Manifest, report: Curated) -> set[str]:
    """Frames that a person struck out; the file is made where there is none."""
    if not path.exists():
        write_words(path, STRIKE_HEADER)
    # names are ASCII: other bytes are in a comment, or in a name that will be reported as unknown
    names = strike_lines(path.read_text(encoding="utf-8-sig", errors="backslashreplace"))
    known = [
        frame_name(r["fingerprint"], r["packet"])
        for r in manifest.rows("SELECT v.fingerprint, f.packet FROM frames f JOIN videos v ON v.id = f.video")
    ]
    struck, lost = expand(names, known)
    report.unknown_strikes = [f"{name} (line {names[name]})" for name in sorted(lost, key=names.__getitem__)]
    return struck


def taken_elsewhere(videos: list[sqlite3.Row], config: CurateConfig, manifest: Manifest) -> Drawings:
    """Hashes of what earlier runs took from videos that are not among these."""
    taken = Drawings(config.selection.duplicate_bits)
    present = {v["id"] for v in videos}
    for row in manifest.rows(
        "SELECT v.id, v.fingerprint, f.packet, f.hash FROM decisions d JOIN frames f ON f.id = d.frame"
        " JOIN videos v ON v.id = f.video WHERE d.selected ORDER BY v.path, f.packet"
    ):
        if row["id"] not in present:
            taken.put(frame_name(row["fingerprint"], row["packet"]), int(row["hash"], 16))
    return taken


def select_all(
    videos: list[sqlite3.Row],
    config: CurateConfig,
    scorer: str,
    manifest: Manifest,
    report: Curated,
    struck: set[str],
) -> None:
    """New decisions for ``videos``, in one transaction."""
    taken = taken_elsewhere(videos, config, manifest)
    with manifest.transaction():
        for video in videos:
            frames = candidates(manifest, video, scorer, config.selection.stride)
            across = taken if config.selection.duplicates_across else None
            decisions = select(
                frames, config.selection, duration=video["duration"], height=config.height, struck=struck, taken=across
            )
            for one in decisions:
                manifest.put("decisions", decision_row(one), replace=True)
            report.keyframes += len(frames)
            report.selected += sum(d.selected for d in decisions)


def decision_row(one: Decision) -> dict[str, object]:
    return {
        "frame": one.frame,
        "selected": int(one.selected),
        "reason": one.reason,
        "crop_top": one.crop.top,
        "crop_bottom": one.crop.bottom,
        "crop_left": one.crop.left,
        "crop_right": one.crop.right,
    }


def write_pictures(
    videos: list[sqlite3.Row], out: Path, config: CurateConfig, manifest: Manifest, there: Nodes | None, report: Curated
) -> Iterator[sqlite3.Row]:
    """The selected pictures that are not there yet, here or by the nodes of a cluster; gives each video after it."""

    def record(path: str, made: list[Wanted], note: str | None) -> None:
        record_pictures(made, manifest)
        report.written += len(made)
        if note:
            report.notes[path] = note

    if there is not None:
        for path, made, note in there.make_pictures({v["path"]: wanted_of(v, out, manifest) for v in videos}):
            record(path, made, note)
    for video in videos:
        if there is None and (wanted := wanted_of(video, out, manifest)):
            record(video["path"], *make_pictures(Path(video["path"]), wanted, out, config.threads))
        yield video


def remove_pictures(out: Path, manifest: Manifest, report: Curated) -> None:
    """Pictures that an earlier run wrote and that are no longer selected."""
    for row in manifest.rows(
        "SELECT name FROM files LEFT JOIN decisions d ON d.frame = files.frame WHERE d.selected IS NOT 1"
    ):
        below(out, row["name"]).unlink(missing_ok=True)
        manifest.execute("DELETE FROM files WHERE name = ?", row["name"])
        report.removed += 1


def write_contact_sheet(video: sqlite3.Row, out: Path, scorer: str, manifest: Manifest) -> None:
    """The sheet of ``video``, if it would show anything new."""
    rows = manifest.rows(
        "SELECT f.*, d.*, s.score FROM frames f JOIN decisions d ON d.frame = f.id"
        " LEFT JOIN scores s ON s.frame = f.id AND s.scorer = ? WHERE f.video = ?"
        " ORDER BY d.selected DESC, s.score DESC, f.time",
        scorer,
        video["id"],
    )
    taken = sum(r["selected"] for r in rows)
    rows = rows[: taken + SHOWN]
    cells = [
        Cell(
            name=frame_name(video["fingerprint"], r["packet"]),
            time=r["time"],
            score=r["score"],
            selected=bool(r["selected"]),
            reason=r["reason"],
            thumbnail=r["thumbnail"],
            crop=(
                r["crop_top"] / r["height"],
                r["crop_bottom"] / r["height"],
                r["crop_left"] / r["width"],
                r["crop_right"] / r["width"],
            ),
        )
        for r in rows
    ]
    digest = hashlib.sha256(repr([(c.name, c.score, c.selected, c.reason, c.crop) for c in cells]).encode()).hexdigest()
    path = out / f"{safe_stem(video['path'])}.{video['fingerprint'][:8]}.png"
    if video["sheet"] == digest and path.exists():
        return
    title = f"{Path(video['path']).name}   {taken} taken of {video['packets']} pictures   score: {scorer}"
    write_sheet(path, contact_sheet(title, cells, THUMBNAIL))
    manifest.execute("UPDATE videos SET sheet = ? WHERE id = ?", digest, video["id"])


def curate(config: CurateConfig) -> Curated:
    """Run the step: ``out/manifest.sqlite``, ``out/*.png``, ``out/sheets/*.png`` and ``out/strike.txt``.

    Raises:
        VsapisrError: the configuration cannot be carried out. A bad video is no error: see ``Curated.refused``.
    """
    scorer = make_scorer(config.scorer, weights=config.icnet_weights, device=config.device, seed=config.seed)
    out = Path(config.out)
    report = Curated()
    with (
        alone(out, "curate"),
        Manifest(out / "manifest.sqlite") as manifest,
        nodes(config, scorer) as there,
    ):
        videos = scan_all(config, scorer, manifest, there, report)
        select_all(videos, config, scorer.name, manifest, report, read_strikes(out / "strike.txt", manifest, report))
        (out / "sheets").mkdir(exist_ok=True)
        with Progress("pictures", len(videos), "videos") as progress:
            for video in write_pictures(videos, out, config, manifest, there, report):
                write_contact_sheet(video, out / "sheets", scorer.name, manifest)
                progress.advance(1, Path(video["path"]).name)
        remove_pictures(out, manifest, report)
        for folder in (out, out / "sheets"):
            remove_leftovers(folder)
    return report
