"""How far the videos in a folder are, by what lies on the disk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from ..errors import VideoError
from .places import HOST, LEFTOVER
from .plan import Work

__all__ = ["State", "clock", "states", "summary"]

RECENT = 8  # chunks that the rate is taken over


@dataclass(frozen=True, kw_only=True)
class State:
    """Of one video that is being made."""

    name: str
    frames: int
    done: int
    """Frames in chunks that are whole."""
    chunks: int
    left: int
    """Chunks that are not."""
    running: int
    """Chunks that somebody is writing."""
    rate: float
    """Frames per second of the last chunks, 0 while there is none."""
    bytes: int
    error: str | None = None

    @property
    def seconds(self) -> float:
        """That remain at this rate, if somebody works on it."""
        return (self.frames - self.done) / self.rate if self.rate else 0.0


def states(folder: Path) -> Iterator[State]:
    """Of all videos below ``folder`` that are not finished, by name."""
    for plan in sorted(folder.rglob("*.work/plan.json")):
        try:
            yield state(Work.at(plan))
        except VideoError as error:
            name = str(plan.parent.relative_to(folder))
            yield State(name=name, frames=0, done=0, chunks=0, left=0, running=0, rate=0.0, bytes=0, error=str(error))


def state(work: Work) -> State:
    """Of one."""
    plan, missing = work.plan, work.missing()
    whole = [index for index in range(len(plan.chunks)) if index not in set(missing)]
    made = sorted((work.folder.note(index) for index in whole), key=lambda path: path.stat().st_mtime)[-RECENT:]
    notes = [json.loads(path.read_text(encoding="ascii")) for path in made]
    seconds = sum(note["seconds"] for note in notes)
    if len(made) > 1:  # chunks overlap, and several may be made at once: by when they were done
        seconds = made[-1].stat().st_mtime - made[0].stat().st_mtime
        notes = notes[1:]
    return State(
        name=Path(plan.target).name,
        frames=plan.frames,
        done=sum(plan.length(index) for index in whole),
        chunks=len(plan.chunks),
        left=len(missing),
        running=sum(map(alive, work.folder.path.glob(".[0-9]*.part.*"))),
        rate=sum(note["frames"] for note in notes) / seconds if seconds else 0.0,
        bytes=sum(work.folder.chunk(index).stat().st_size for index in whole),
    )


def alive(part: Path) -> bool:
    """Is somebody writing it? Of other machines: it has changed within a minute."""
    named = LEFTOVER.fullmatch(part.name)
    if named and named["host"] == HOST:
        return psutil.pid_exists(int(named["pid"]))
    try:
        return time.time() - part.stat().st_mtime < 60
    except OSError:
        return False


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def summary(found: list[State]) -> list[str]:
    """Lines: one for each video, then all."""
    lines = []
    for one in found:
        if one.error:
            lines.append(f"{one.name}: {one.error}")
            continue
        words = f"{one.done}/{one.frames} frames, {one.chunks - one.left}/{one.chunks} chunks, {one.running} in work"
        rate = f", {one.rate:.3g} frames/s, {clock(one.seconds)} left" if one.rate and one.running else ""
        lines.append(f"{one.name}: {words}, {one.bytes / 1e6:.1f} MB{rate}")
    if len(found) > 1:
        done, frames = sum(one.done for one in found), sum(one.frames for one in found)
        lines.append(f"{len(found)} videos: {done}/{frames} frames")
    return lines
