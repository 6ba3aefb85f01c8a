"""A video from plan to finished file, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import VideoError
from .chunk import Place, Worker
from .claim import claimed
from .damage import watching
from .join import Joined, join
from .places import Folder
from .plan import Told, Work, prepare, silent
from .room import check_room
from .settings import VideoSettings
from .stamp import made_by
from .trial import trial

__all__ = ["Render", "render", "upscale_video"]

Render = Callable[[Work, list[int], Place, Told], None]


def render(work: Work, missing: list[int], place: Place, told: Told) -> None:
    """The chunks that are missing, one after the other in this process.

    Raises:
        VideoError: see :class:`.chunk.Worker`.
    """

    def frame(index: int, reused: float) -> None:
        told({"event": "frame", "chunk": index, "reused": reused})

    worker = Worker(work.folder.plan, place, frame)
    try:
        for done in worker.run_many(missing):
            told({"event": "chunk", "chunk": done.index, "frames": done.frames, "bytes": done.bytes})
    finally:
        worker.close()


def upscale_video(
    source: Path | None,
    target: Path,
    settings: VideoSettings,
    *,
    force: bool = False,
    place: Place = Place(),
    told: Told = silent,
    render: Render = render,
) -> Joined:
    """Do all of it, or what is still to be done. ``told`` gets events: look, note, plan, frame, chunk, join, done.
    ``render`` makes the missing chunks of a plan: in this process, or wherever else.

    Raises:
        VideoError: it cannot be done, or the result is there already.
        ArgumentError: the settings do not fit the source.
    """
    if target.exists() and not force:
        if not made_by(target, source, settings):
            raise VideoError(f"{target} is there already and not what this call makes; --force replaces it")
        told({"event": "done", "path": str(target), "already": True, "bytes": target.stat().st_size})
        return Joined(target, 0, target.stat().st_size, already=True)
    folder = Folder.of(target)
    with claimed(folder):
        try:
            joined = made(prepare(source, target, settings, force, told), place, told, render)
        except OSError as error:
            raise VideoError(f"{error.filename or target} cannot be written ({error.strerror or error})") from None
        folder.remove()
    told({"event": "done", "path": str(joined.path), "frames": joined.frames, "bytes": joined.bytes})
    return joined


def made(work: Work, place: Place, told: Told, render: Render) -> Joined:
    """Try encoder and container, make the chunks that are missing, and join all."""
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
    if missing:
        with watching(plan.source, plan.track) as damage:
            render(work, missing, place, told)
            times = work.times()
            part = times.seconds(plan.chunks[0][0]), times.seconds(plan.chunks[-1][1])
            if damage and (words := damage.report(*part)):
                told({"event": "note", "text": words})
    told({"event": "join"})
    return join(work)
