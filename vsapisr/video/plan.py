"""The plan of a video: what is done to which source, and the chunks it is done in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import VideoError
from .clip import enlarged, from_script, from_source, properties, size_of
from .pixels import RGB, Tags, choose, format_of
from .places import Folder, clear_leftovers, write_json
from .probe import Source, keyframes, probe
from .settings import VideoSettings
from .times import Times, range_of, rate_of, times_of

__all__ = ["Plan", "Work", "divide", "prepare", "versions"]

LAYOUT = 1  # of the files in a work folder
LONGEST = 3  # times the chunk's length: then it ends without an I-frame
SAMPLE = 1 << 20  # bytes at the beginning, middle and end of a source that it is known by


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``plan.json``. Frames are counted from 0 in the clip that BestSource or the script gives."""

    layout: int
    source: str | None
    """Absolute path; None for a script alone."""
    target: str
    identity: dict[str, Any]
    """Of the source and the script, by their content."""
    versions: dict[str, str]
    """Of all that has a part in the result's bits."""
    settings: VideoSettings
    device: str
    """cpu or cuda: their results differ in the last bits."""
    track: int
    size: tuple[int, int]
    """Width and height of the result."""
    sar: tuple[int, int]
    pixel_format: str
    tags: Tags
    rate: tuple[int, int]
    """Frames per second on the average, as a fraction."""
    threads: int
    """Of the encoder; some encoders' results depend on it."""
    total: int
    """Frames of the clip."""
    chunks: tuple[tuple[int, int], ...]
    """(first frame, one past the last) each."""

    @property
    def frames(self) -> int:
        """That the result has."""
        return self.chunks[-1][1] - self.chunks[0][0]

    def length(self, index: int) -> int:
        """Frames of a chunk."""
        first, stop = self.chunks[index]
        return stop - first

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "settings": self.settings.as_dict()}

    @classmethod
    def read(cls, path: Path) -> Plan:
        """From ``plan.json``.

        Raises:
            VideoError: it is not there, or not ours.
        """
        try:
            values = json.loads(path.read_text(encoding="ascii"))
            if values["layout"] != LAYOUT:
                raise VideoError(f"{path} was written by another version of vsapisr; --force starts anew")
            values["settings"] = VideoSettings.from_dict(values["settings"])
            values["chunks"] = tuple((first, stop) for first, stop in values["chunks"])
            values |= {name: tuple(values[name]) for name in ("size", "sar", "rate")}
            return cls(**values)
        except OSError as error:
            raise VideoError(f"{path} cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VideoError(f"{path} is no plan of vsapisr ({error}); --force starts anew") from None

    def differs(self, other: Plan) -> list[str]:
        """What makes chunks of the two unfit to be joined, a few words each."""
        mine, theirs = self.settings.as_dict(), other.settings.as_dict()
        mine |= {f"upscale.{k}": v for k, v in mine.pop("upscale").items()}
        theirs |= {f"upscale.{k}": v for k, v in theirs.pop("upscale").items()}
        pairs = [(key.replace("_", "-"), theirs.get(key), value) for key, value in mine.items()]
        pairs += [(f"version of {key}", other.versions.get(key), value) for key, value in self.versions.items()]
        pairs += [("device", other.device, self.device), ("size", other.size, self.size)]
        found = [f"{key} was {was}, is {now}" for key, was, now in pairs if was != now]
        return found + ([] if self.identity == other.identity else ["the source is another one"])


@dataclass(frozen=True)
class Work:
    """A plan and the folder of its parts."""

    folder: Folder
    plan: Plan

    @classmethod
    def at(cls, plan: Path) -> Work:
        """By the path of ``plan.json``."""
        return cls(Folder(plan.parent), Plan.read(plan))

    def done(self, index: int) -> bool:
        """Is this chunk there, whole?"""
        return self.folder.note(index).exists() and self.folder.chunk(index).exists()

    def missing(self) -> list[int]:
        """Chunks still to be done, in order."""
        return [index for index in range(len(self.plan.chunks)) if not self.done(index)]

    def times(self) -> Times:
        return Times.read(self.folder.times)


def divide(first: int, stop: int, cuts: list[int], shortest: int, longest: int) -> Iterator[tuple[int, int]]:
    """Frames ``first`` to ``stop`` in chunks that begin at ``cuts`` (ascending), each ``shortest`` or more frames long;
    where no cut comes within ``longest``, without one. What is left over at the end belongs to the last."""
    begin = first
    for cut in [*cuts, stop]:
        if cut > stop:
            break
        while cut - begin > longest and stop - begin >= 2 * shortest:
            yield begin, begin + longest
            begin += longest
        if cut < stop and cut - begin >= shortest and stop - cut >= shortest:
            yield begin, cut
            begin = cut
    if begin < stop:
        yield begin, stop


def identity(path: Path) -> dict[str, Any]:
    """Size and a hash of parts of a file; it may be moved or copied, but not be changed."""
    size = path.stat().st_size
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        for place in (0, max(size // 2 - SAMPLE // 2, 0), max(size - SAMPLE, 0)):
            file.seek(place)
            digest.update(file.read(SAMPLE))
    return {"bytes": size, "hash": digest.hexdigest()}


def identities(source: Path | None, settings: VideoSettings) -> dict[str, Any]:
    """Of the source and the script.

    Raises:
        VideoError: one cannot be read.
    """
    named = {"source": source, "script": None if settings.script is None else Path(settings.script)}
    try:
        return {name: identity(path) for name, path in named.items() if path is not None}
    except OSError as error:
        raise VideoError(f"{error.filename} cannot be read ({error.strerror})") from None


def versions(model: str) -> dict[str, str]:
    """Of all that has a part in the bits of the result."""
    import av
    import torch
    import vapoursynth as vs

    from ..weights import files

    return {
        "vsapisr": __version__,
        "model": hashlib.blake2b(files.find(model).read_bytes(), digest_size=16).hexdigest(),
        "torch": torch.__version__,
        "VapourSynth": str(vs.__version__.release_major),
        "BestSource": ".".join(map(str, vs.core.bs.version)) if hasattr(vs.core.bs, "version") else "",
        "libav": ".".join(map(str, av.library_versions["libavcodec"])),
    }


def tags_of(clip: Any) -> Tags:
    """What the filter will say of the colour of the first frame.

    Raises:
        VideoError: it cannot be read.
    """
    from ..picture.colour import Format, resolve

    video = clip.format
    said = properties(clip, 0)
    known = {name: int(said[name]) for name in ("_Matrix", "_Range", "_ChromaLocation") if name in said}
    kind = Format(int(video.color_family), int(video.sample_type), video.bits_per_sample)
    colour = resolve(kind, known, clip.width, clip.height)
    matrix, full = colour.matrix, colour.full_range
    if video.color_family == RGB:  # what is encoded is YUV, as the filter makes it
        matrix, full = 6 if 4 * clip.width <= 1024 and 4 * clip.height <= 576 else 1, False
    return {
        "matrix": matrix,
        "primaries": int(said.get("_Primaries", 2)),
        "transfer": int(said.get("_Transfer", 2)),
        "range": int(full),
        "chroma": colour.chroma_location + 1,
    }


def make(source: Source | None, target: Path, settings: VideoSettings, folder: Folder) -> tuple[Plan, Times]:
    """Look at the source from end to end, and divide it.

    Raises:
        VideoError: it cannot be read, or the filter refuses it.
        ArgumentError: the settings do not fit it.
    """
    from ..engine.devices import choose_device

    track, sar, unit = 0, (1, 1), Fraction(0)
    pts: list[int] = []
    clip = None
    if source is not None:
        track, sar = source.track, source.sar
        clip, pts, unit = from_source(source.path, track, folder.index)
    if settings.script is not None:
        clip = from_script(settings.script, None if source is None else source.path)
        pts = pts if clip.num_frames == len(pts) else []
    assert clip is not None
    times = times_of(clip, pts, unit)
    first, stop = range_of(times, settings)
    size, shape = size_of(clip.width, clip.height, Fraction(*sar), settings)
    if settings.size == "4x" and settings.pixels == "keep":
        size = 4 * clip.width, 4 * clip.height
    pixel_format = choose(settings.encoder, settings.pixel_format, clip.format)
    enlarged(clip, settings, size, format_of(pixel_format), settings.upscale)
    rate = rate_of(times)
    cuts = keyframes(source, pts) if source is not None and len(pts) == clip.num_frames else []
    shortest = max(1, round(settings.chunk * rate))
    plan = Plan(
        layout=LAYOUT,
        source=None if source is None else os.path.abspath(source.path),
        target=os.path.abspath(target),
        identity=identities(None if source is None else source.path, settings),
        versions=versions(settings.upscale.model),
        settings=settings,
        device=choose_device(settings.upscale.device).type,
        track=track,
        size=size,
        sar=(shape.numerator, shape.denominator),
        pixel_format=pixel_format,
        tags=tags_of(clip),
        rate=(rate.numerator, rate.denominator),
        threads=os.cpu_count() or 1,
        total=clip.num_frames,
        chunks=tuple(divide(first, stop, cuts, shortest, LONGEST * shortest)),
    )
    return plan, times


def prepare(source: Path | None, target: Path, settings: VideoSettings, force: bool = False) -> Work:
    """The plan of a video, made or taken up; its folder is there afterwards.

    Raises:
        VideoError: the source cannot be read or the plan that is there is another one's.
        ArgumentError: the settings do not fit the source.
    """
    folder = Folder.of(target)
    found = None if source is None else probe(source)
    before = Plan.read(folder.plan) if folder.plan.exists() and not force else None
    if force:
        folder.remove()
    folder.path.mkdir(parents=True, exist_ok=True)
    clear_leftovers(folder.path)
    try:
        plan, times = make(found, target, settings, folder)
    except BaseException:
        if before is None:
            folder.remove()
        raise
    if before is not None:
        if unlike := plan.differs(before):
            raise VideoError(
                f"{folder.path} holds work of other settings ({'; '.join(unlike)}); repeat them to go on, "
                "or --force to start anew"
            )
        plan = replace(before, source=plan.source, target=plan.target)
    times.write(folder.times)
    write_json(folder.plan, plan.as_dict())
    return Work(folder, plan)
