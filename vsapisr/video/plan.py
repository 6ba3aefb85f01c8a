"""The plan of a video: what is done to which source, and the chunks it is done in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import VideoError
from .clip import enlarged, from_script, from_source, properties, size_of
from .identity import identities, versions
from .pixels import Tags, choose, format_of, tags_of
from .places import Folder, clear_leftovers, write_json
from .probe import Packets, Source, packets_of, probe
from .scan import Scan, frozen, hdr_of, scan
from .settings import VideoSettings
from .times import Times, range_of, rate_of, times_of

__all__ = ["Plan", "Work", "divide", "prepare"]

Told = Callable[[dict[str, Any]], None]
"""Called with events: {"event": name, ...}."""


def silent(event: dict[str, Any]) -> None:
    """For nobody."""


LAYOUT = 1  # of the files in a work folder
MOST_THREADS = 16  # of an encoder, which holds a frame or more for each
CUT_OFF = 1.0  # seconds that are missing at the end of a source
LONGEST = 3  # times the chunk's length: then it ends without an I-frame


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
    holes: tuple[tuple[int, int, int], ...] = ()
    """(first, last, the one to show instead) of frames that cannot be decoded."""
    decoder: int = 0
    """Threads of the decoder; 0: its own choice."""
    hdr: dict[str, str] = field(default_factory=dict)
    """Of the mastering display and the content's light, as encoders take them."""
    notes: tuple[str, ...] = ()
    """On what of the source is damaged or left out."""

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
        if path.exists() and not path.is_file():  # a pipe would keep us waiting, a device has no end
            raise VideoError(f"{path} is no file; --force starts anew")
        try:
            values = json.loads(path.read_text(encoding="ascii"))
            if values["layout"] != LAYOUT:
                raise VideoError(f"{path} was written by another version of vsapisr; --force starts anew")
            values["settings"] = VideoSettings.from_dict(values["settings"])
            values |= {name: tuple(map(tuple, values[name])) for name in ("chunks", "holes")}
            values |= {name: tuple(values[name]) for name in ("size", "sar", "rate", "notes")}
            return cls(**values)
        except OSError as error:
            raise VideoError(f"{path} cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise VideoError(f"{path} is no plan of vsapisr ({error}); --force starts anew") from None

    def differs(self, asked: Asked) -> list[str]:
        """What makes its chunks unfit for what is asked now, a few words each."""
        then, now = flat(self.settings), flat(asked.settings)
        pairs = [(key.replace("_", "-"), then.get(key), value) for key, value in now.items()]
        pairs += [(f"version of {key}", self.versions.get(key), value) for key, value in asked.versions.items()]
        pairs += [("device", self.device, asked.device)]
        found = [f"{key} was {was}, is {now}" for key, was, now in pairs if was != now]
        return found + ([] if self.identity == asked.identity else ["the source is another one"])


def flat(settings: VideoSettings) -> dict[str, Any]:
    """Those of the filter among the others, as JSON has them."""
    values = json.loads(json.dumps(settings.as_dict()))
    return values | {f"upscale.{k}": v for k, v in values.pop("upscale").items()}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a plan answers; all of it is known without looking through the source."""

    settings: VideoSettings
    identity: dict[str, Any]
    versions: dict[str, str]
    device: str


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
        """Is this chunk there, as long as its note says? What a failing disk has cut since is made anew."""
        try:
            path = self.folder.note(index)
            note = json.loads(path.read_text(encoding="ascii") if path.is_file() else "")
            size = note["bytes"] if {"frames", "seconds"} <= note.keys() else None
            return self.folder.chunk(index).stat().st_size == size
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return False

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


def asked_of(source: Path | None, settings: VideoSettings) -> Asked:
    """What is asked of a source.

    Raises:
        VideoError: it, or the model, cannot be read.
    """
    from ..engine.devices import choose_device

    return Asked(
        settings=settings,
        identity=identities(source, settings),
        versions=versions(settings.upscale.model),
        device=choose_device(settings.upscale.device).type,
    )


def make(source: Source | None, target: Path, asked: Asked, folder: Folder, told: Told = silent) -> tuple[Plan, Times]:
    """Look at the source from end to end, and divide it.

    Raises:
        VideoError: it cannot be read, or the filter refuses it.
        ArgumentError: the settings do not fit it.
    """
    settings = asked.settings
    seen = look(source, settings, folder, told)
    clip = seen.clip
    said = properties(clip, 0)
    if said.get("_FieldBased", 0):
        raise VideoError(f"{settings.script} gives interlaced frames; deinterlace in it, or std.SetFieldBased(0)")
    times = times_of(clip, seen.pts, seen.unit)
    first, stop = range_of(times, settings)
    sar = (1, 1) if source is None else source.sar
    size, shape = size_of(clip.width, clip.height, Fraction(*sar), settings)
    pixel_format = choose(settings.encoder, settings.pixel_format, clip.format)
    enlarged(clip, settings, size, format_of(pixel_format), settings.upscale)
    hdr, left = hdr_of(said)
    rate = rate_of(times)
    shortest = max(1, round(settings.chunk * rate))
    plan = Plan(
        layout=LAYOUT,
        source=None if source is None else os.path.abspath(source.path),
        target=os.path.abspath(target),
        identity=asked.identity,
        versions=asked.versions,
        settings=settings,
        device=asked.device,
        track=0 if source is None else source.track,
        size=size,
        sar=(shape.numerator, shape.denominator),
        pixel_format=pixel_format,
        tags=tags_of(clip),
        rate=(rate.numerator, rate.denominator),
        threads=min(cores(), MOST_THREADS),
        total=clip.num_frames,
        chunks=tuple(divide(first, stop, seen.packets.cuts, shortest, LONGEST * shortest)),
        holes=tuple(seen.scan.holes),
        decoder=seen.threads,
        hdr=hdr,
        notes=(*left, *damage(seen, source)),
    )
    return plan, times


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What there is to upscale, looked through."""

    clip: Any
    pts: list[int]
    """Times of its frames, as far as the source has them."""
    unit: Fraction
    """Of these, in seconds."""
    scan: Scan = Scan([], None)
    packets: Packets = Packets([], [], 0.0)
    threads: int = 0


def look(source: Source | None, settings: VideoSettings, folder: Folder, told: Told = silent) -> Seen:
    """Decode the source once from end to end; what is damaged on one thread, as with several it is never the same.

    Raises:
        VideoError: it cannot be read, or is interlaced.
    """
    if source is None:
        return Seen(clip=from_script(str(settings.script), None), pts=[], unit=Fraction(0))
    for threads in (0, 1):
        clip, pts, unit = from_source(source.path, source.track, folder.index, threads)
        packets = packets_of(source, pts)
        if settings.script is not None:
            clip = from_script(settings.script, source.path)
            same = clip.num_frames == len(pts)
            packets = packets if same else Packets([], [], packets.end)
            return Seen(clip=clip, pts=pts if same else [], unit=unit, packets=packets)
        found = scan(clip, partial(looked, told, clip.num_frames))
        if not found.holes and not packets.lost:
            break
    if found.interlaced is not None:
        raise VideoError(
            f"{source.path} is interlaced (frame {found.interlaced}); deinterlace it by --script, or clear the mark "
            "with std.SetFieldBased(0) there if it is wrong"
        )
    clip = frozen(clip, found.holes)
    return Seen(clip=clip, pts=pts, unit=unit, scan=found, packets=packets, threads=threads)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def looked(told: Told, total: int, done: int) -> None:
    """Say how far the look is."""
    told({"event": "look", "done": done, "frames": total})


def damage(seen: Seen, source: Source | None) -> Iterator[str]:
    """Lines on it."""
    if source is not None and source.seconds - seen.packets.end > CUT_OFF:
        yield (
            f"the source is cut off: it says that it lasts {source.seconds:.1f} s and ends after "
            f"{seen.packets.end:.1f} s; the result has what is there"
        )
    for first, last, instead in seen.scan.holes:
        which = f"frame {first}" if first == last else f"frames {first} to {last}"
        yield f"{which} of the source cannot be decoded: frame {instead} is shown instead"
    if lost := seen.packets.lost:
        places = ", ".join(f"{float(one):.2f} s" for one in lost[:8]) + (", ..." if len(lost) > 8 else "")
        yield f"{len(lost)} frames of the source are lost (at {places}): those before them are shown longer"


def prepare(
    source: Path | None, target: Path, settings: VideoSettings, force: bool = False, told: Told = silent
) -> Work:
    """The plan of a video, made or taken up; its folder is there afterwards.

    Raises:
        VideoError: the source cannot be read or the plan that is there is another one's.
        ArgumentError: the settings do not fit the source.
    """
    folder = Folder.of(target)
    found = None if source is None else probe(source)
    asked = asked_of(source, settings)
    if folder.plan.exists() and not force:
        before = Plan.read(folder.plan)
        if unlike := before.differs(asked):
            raise VideoError(
                f"{folder.path} holds work of other settings ({'; '.join(unlike)}); repeat them to go on, "
                "or --force to start anew"
            )
        moved = None if source is None else os.path.abspath(source)
        plan = replace(before, source=moved, target=os.path.abspath(target))
    else:
        folder.remove()
        folder.path.mkdir(parents=True, exist_ok=True)
        try:
            plan, times = make(found, target, asked, folder, told)
            times.write(folder.times)
        except BaseException:
            folder.remove()
            raise
    clear_leftovers(folder.path)
    write_json(folder.plan, plan.as_dict())
    return Work(folder, plan)
