"""A video from plan to finished file, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import VideoError
from .chunk import Place, Worker
from .join import Joined, join
from .plan import prepare
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
        notes = trial(plan, work.times())
    except VideoError:
        if len(missing) == len(plan.chunks):
            work.folder.remove()
        raise
    for note in notes:
        told({"event": "note", "text": note})
    told({"event": "plan", "frames": plan.frames, "chunks": len(plan.chunks), "done": had, "size": plan.size})
    if missing:
        worker = Worker(
            work.folder.plan, place, lambda index, reused: told({"event": "frame", "chunk": index, "reused": reused})
        )
        try:
            for done in worker.run_many(missing):
                told({"event": "chunk", "chunk": done.index, "frames": done.frames, "bytes": done.bytes})
        finally:
            worker.close()
    told({"event": "join"})
    joined = join(work)
    work.folder.remove()
    told({"event": "done", "path": str(joined.path), "frames": joined.frames, "bytes": joined.bytes})
    return joined
