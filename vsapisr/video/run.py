"""A video from plan to finished file, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import VideoError
from .chunk import Place, Worker
from .damage import watching
from .join import Joined, join
from .plan import Work, prepare
from .room import check_room
from .settings import VideoSettings
from .stamp import made_by
from .trial import trial

__all__ = ["upscale_video"]

Told = Callable[[dict[str, Any]], None]


def upscale_video(
    source: Path | None,
    target: Path,
    settings: VideoSettings,
    *,
    force: bool = False,
    place: Place = Place(),
    told: Told = lambda event: None,
) -> Joined:
    """Do all of it, or what is still to be done. ``told`` gets events: plan, frame, chunk, join, done.

    Raises:
        VideoError: it cannot be done, or the result is there already.
        ArgumentError: the settings do not fit the source.
    """
    if target.exists() and not force:
        if not made_by(target, source, settings):
            raise VideoError(f"{target} is there already and not what this call makes; --force replaces it")
        told({"event": "done", "path": str(target), "already": True, "bytes": target.stat().st_size})
        return Joined(target, 0, target.stat().st_size, already=True)
    work = prepare(source, target, settings, force)
    plan, missing = work.plan, work.missing()
    had = plan.frames - sum(plan.length(index) for index in missing)
    try:
        notes = [*plan.notes, *trial(plan, work.times())]
        needed = check_room(plan, work.folder, had) if missing else 0
    except VideoError:
        if len(missing) == len(plan.chunks):
            work.folder.remove()
        raise
    for note in notes:
        told({"event": "note", "text": note})
    figures = {"frames": plan.frames, "chunks": len(plan.chunks), "done": had, "size": plan.size, "needed": needed}
    told({"event": "plan", **figures})
    with watching(plan.source if missing else None, plan.track) as damage:
        render(work, missing, place, told)
        times = work.times()
        if damage and (words := damage.report(times.seconds(plan.chunks[0][0]), times.seconds(plan.chunks[-1][1]))):
            told({"event": "note", "text": words})
    told({"event": "join"})
    joined = join(work)
    work.folder.remove()
    told({"event": "done", "path": str(joined.path), "frames": joined.frames, "bytes": joined.bytes})
    return joined


def render(work: Work, missing: list[int], place: Place, told: Told) -> None:
    """The chunks that are missing, one after the other.

    Raises:
        VideoError: see :class:`.chunk.Worker`.
    """
    if not missing:
        return

    def frame(index: int, reused: float) -> None:
        told({"event": "frame", "chunk": index, "reused": reused})

    worker = Worker(work.folder.plan, place, frame)
    try:
        for done in worker.run_many(missing):
            told({"event": "chunk", "chunk": done.index, "frames": done.frames, "bytes": done.bytes})
    finally:
        worker.close()
