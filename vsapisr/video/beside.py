"""A video in which the same clip is seen in several ways: side by side, or one wiping over the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import UpscaleConfig
from ..errors import ArgumentError, VideoError
from .chunk import Place, Worker
from .claim import claimed
from .clip import enlarged
from .join import Joined
from .pixels import format_of
from .places import Folder, write_json
from .plan import Plan, Told, Work, asked_of, make, silent
from .probe import probe
from .run import made
from .settings import VideoSettings

__all__ = ["View", "beside_video"]

WIDEST = 16384
PERIOD = 6.0  # seconds of a wipe, there and back
LINE = 4  # pixels of its edge


@dataclass(frozen=True)
class View:
    """One way to see the clip."""

    label: str
    config: UpscaleConfig | None
    """None: enlarged by Lanczos."""


class Beside(Worker):
    """Renders all views of a clip into one picture."""

    def __init__(self, plan: Path, views: Sequence[View], wipe: bool, single: tuple[int, int], told: Any):
        self.views, self.wipe, self.single = views, wipe, single
        super().__init__(plan, Place(), told)

    def shown(self, clip: Any, plan: Plan, config: UpscaleConfig) -> Any:
        import vapoursynth as vs

        corners = (7, 9) if self.wipe else (7,) * len(self.views)  # upper left, upper right
        nodes = [labelled(self.view(clip, view, plan), view.label, n) for view, n in zip(self.views, corners)]
        return wiped(nodes[0], nodes[1], plan) if self.wipe else vs.core.std.StackHorizontal(nodes)

    def view(self, clip: Any, view: View, plan: Plan) -> Any:
        format = format_of(plan.pixel_format)
        if view.config is not None:
            return enlarged(clip, plan.settings, self.single, format, view.config)
        return lanczos(clip, self.single, format, plan.tags)


def lanczos(clip: Any, size: tuple[int, int], format: int, tags: dict[str, int]) -> Any:
    """``clip`` in that size and format by VapourSynth's own ``resize``."""
    import vapoursynth as vs

    given: dict[str, int] = {}
    if vs.core.get_video_format(format).color_family != clip.format.color_family:
        given = {"matrix": tags["matrix"], "range": tags["range"]}
    return clip.resize.Lanczos(*size, format=format, **given)


def labelled(clip: Any, words: str, corner: int) -> Any:
    """``words`` in a corner (as on the keys of numbers), in letters that fit the size of the clip."""
    plain = words.encode("ascii", "replace").decode()
    return clip.text.Text(
        plain, alignment=corner, scale=max(1, min(clip.height // 360, clip.width // (9 * len(plain) + 40)))
    )


def wiped(first: Any, second: Any, plan: Plan) -> Any:
    """``first`` on the left of an edge that goes from side to side and back."""
    import vapoursynth as vs

    width, step = first.width, 1 << max(first.format.subsampling_w, 1)
    line = first.std.BlankClip(width=LINE, length=first.num_frames, keep=True, color=white(first.format))
    frames = max(2, round(PERIOD * plan.rate[0] / plan.rate[1]))
    start = plan.chunks[0][0]

    def at(n: int) -> Any:
        part = ((n - start) % frames) / frames
        share = 2 * part if part < 0.5 else 2 - 2 * part
        edge = round((width - LINE) * share / step) * step
        parts = [first.std.CropAbs(edge, first.height)] if edge else []
        parts += [line]
        if (rest := width - LINE - edge) > 0:
            parts += [second.std.CropAbs(rest, second.height, left=edge + LINE)]
        return vs.core.std.StackHorizontal(parts) if len(parts) > 1 else line

    return first.std.FrameEval(at)


def white(format: Any) -> list[float]:
    """Of limited YUV or grey, or of RGB."""
    top = float(1 << format.bits_per_sample)
    if int(format.color_family) == 2:
        return [top - 1] * 3
    return [top * 235 / 256, top / 2, top / 2][: format.num_planes]


def beside_video(
    source: Path,
    target: Path,
    settings: VideoSettings,
    views: Sequence[View],
    *,
    wipe: bool = False,
    force: bool = False,
    told: Told = silent,
) -> Joined:
    """Write ``target``, with all else that ``source`` has, by the encoder of ``settings``; what was begun before is
    begun anew. ``settings.size`` is that of each view.

    Raises:
        VideoError: it cannot be done.
        ArgumentError: the views do not fit, or the settings not the source.
    """
    if wipe and len(views) != 2:
        raise ArgumentError(f"wipe is between two pictures, got {len(views)}: --no-source, or fewer models")
    folder = Folder.of(target)
    with claimed(folder):
        if not force and folder.plan.exists() and "seen" not in Plan.read(folder.plan).identity:
            raise VideoError(f"{folder.path} holds what vsapisr upscale has begun; --force removes it")
        folder.remove()
        folder.path.mkdir(parents=True, exist_ok=True)
        try:
            single, work = planned(source, target, settings, views, wipe, folder, told)
            joined = made(work, Place(), told, lambda *all: render(*all, views=views, wipe=wipe, single=single))
        except OSError as error:
            raise VideoError(f"{error.filename or target} cannot be written ({error.strerror or error})") from None
        finally:
            folder.remove()
    told({"event": "done", "path": str(joined.path), "frames": joined.frames, "bytes": joined.bytes})
    return joined


def planned(
    source: Path,
    target: Path,
    settings: VideoSettings,
    views: Sequence[View],
    wipe: bool,
    folder: Folder,
    told: Told,
) -> tuple[tuple[int, int], Work]:
    """(size of a view, the plan on disk)."""
    plan, times = make(probe(source), target, asked_of(source, settings), folder, told)
    width, height = plan.size
    whole = width if wipe else width * len(views)
    if whole > WIDEST:
        raise ArgumentError(f"{len(views)} pictures of {width}x{height} are {whole} wide, more than {WIDEST}: --size")
    seen = {"views": [view.label for view in views], "wipe": wipe}  # it is not what vsapisr upscale makes
    plan = replace(plan, size=(whole, height), identity={**plan.identity, "seen": seen})
    times.write(folder.times)
    write_json(folder.plan, plan.as_dict())
    return (width, height), Work(folder, plan)


def render(
    work: Work,
    missing: list[int],
    place: Place,
    told: Told,
    *,
    views: Sequence[View],
    wipe: bool,
    single: tuple[int, int],
) -> None:
    """As :func:`.run.render`, of all views."""

    def frame(index: int, reused: float) -> None:
        told({"event": "frame", "chunk": index, "reused": reused})

    worker = Beside(work.folder.plan, views, wipe, single, frame)
    try:
        for done in worker.run_many(missing):
            told({"event": "chunk", "chunk": done.index, "frames": done.frames, "bytes": done.bytes})
    finally:
        worker.close()
