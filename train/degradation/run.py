"""The step ``degrade``: a folder of drawings -> a folder of what a viewer would get, with a record of every draw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from vsapisr.errors import ArgumentError, VsapisrError
from vsapisr.writing import no_room, write_atomically, write_words

from ..data.workers import processes
from ..media.images import list_images, read_image
from ..media.places import alone, apart, refuse
from ..media.progress import Progress
from .config import DegradationConfig
from .pipeline import degrade

__all__ = ["DegradeConfig", "DegradeReport", "run_degrade"]


@dataclass(frozen=True, kw_only=True)
class DegradeConfig:
    """A test set, or training data with fixed degradations."""

    source: str
    """Folder of drawings (PNG, WebP, JPEG, AVIF, BMP, TIFF)."""
    out: str
    """Folder for the results, lossless PNG of a quarter of the size, each with its draw in a .json, and draws.jsonl.
    What is there already is kept. Not the folder of the drawings."""
    variants: int = 1
    """Degradations of each drawing; from the second on their names end in _1, _2..."""
    workers: int = 2
    seed: int = 0
    cluster: str = ""
    """"auto", "local" or HOST:PORT of its head: by the nodes of a Ray cluster instead of workers here."""
    force: bool = False
    """Replace files that are in the way and that this step did not write."""
    degradation: DegradationConfig = field(default_factory=DegradationConfig)

    def __post_init__(self) -> None:
        for name, least in (("variants", 1), ("workers", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ArgumentError(f"{name}: {getattr(self, name)!r} is not accepted; accepted: {least} or more")


@dataclass(kw_only=True)
class DegradeReport:
    written: int = 0
    known: int = 0
    """Written by an earlier run."""
    refused: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.written} written, {self.known} there already, {len(self.refused)} refused"]
        return "\n".join(lines + [f"refused  {reason}" for reason in self.refused.values()])


def _work(source: Path, target: Path, config: DegradationConfig, numbers: tuple[int, ...]) -> str:
    """Degrade one drawing; returns its line of draws.jsonl."""
    image = read_image(source)
    height, width = (side // 8 * 8 for side in image.shape[:2])
    small, record = degrade(np.ascontiguousarray(image[:height, :width]), config, *numbers)
    data = cv2.imencode(".png", small[..., ::-1])[1].tobytes()
    line = json.dumps({"name": target.name, "source": source.name, "numbers": numbers, "steps": record.trace()})
    write_words(target.with_suffix(".json"), line)
    write_atomically(target, data)
    return line


def _targets(config: DegradeConfig) -> Iterator[tuple[Path, Path, tuple[int, ...]]]:
    """(source, target, the numbers that name its draw); two drawings that differ in their suffix alone keep it."""
    used: set[str] = set()
    for index, path in enumerate(list_images(config.source)):
        stem = path.stem if path.stem not in used else path.name
        used.add(stem)
        for variant in range(config.variants):
            name = f"{stem}_{variant}" if variant else stem
            yield path, Path(config.out) / f"{name}.png", (config.seed, variant, index)


def _is_whole(path: Path) -> bool:
    """Whether it is there and undamaged, with its draw; whatever Pillow raises of damage, it is not."""
    try:
        with Image.open(path) as image:
            image.verify()
        return path.with_suffix(".json").exists()
    except Exception:
        return False


def _is_ours(record: Path, name: str = "") -> bool:
    """Whether a file of draws was written by this step, for the picture ``name``; one that is empty may be."""
    try:
        lines = record.read_text(encoding="utf-8").splitlines()
        draws = [json.loads(line) for line in lines[:1]]
        return all({"numbers", "steps"} <= one.keys() and (not name or one["name"] == name) for one in draws)
    except (OSError, ValueError, AttributeError, KeyError):
        return False


def _foreign(out: Path, targets: list[Path]) -> list[str]:
    """Files in the way that an earlier run did not write: each picture of one has its draw beside it."""
    found = []
    for target in targets:
        record = target.with_suffix(".json")
        if (target.exists() or record.exists()) and not _is_ours(record, target.name):
            found.append(target.name if target.exists() else record.name)
    draws = out / "draws.jsonl"
    return found + ([draws.name] if draws.exists() and not _is_ours(draws) else [])


def run_degrade(config: DegradeConfig) -> DegradeReport:
    """Degrade every drawing of ``config.source``; unusable files are reported and do not end the run.

    The result depends on drawings, configuration and seed, not on ``workers``; a run that was killed goes on where it
    was.

    Raises:
        ArgumentError: ``out`` is ``source``, has files in the way that this step did not write, or another run in it.
        NoImagesError: no drawings.
    """
    out, todo = Path(config.out), list(_targets(config))
    apart(config.source, out)
    with alone(out, "degrade"):
        if not config.force:
            refuse(out, "degrade", _foreign(out, [target for _, target, _ in todo]))
        return _degrade_all(config, todo)


Wanted = tuple[Path, Path, tuple[int, ...]]


def _attempt(wanted: Wanted, config: DegradationConfig) -> str | None:
    """Degrade one drawing; why it cannot be, or None.

    Raises:
        OSError: the disk is full.
    """
    source, target, numbers = wanted
    try:
        _work(source, target, config, numbers)
    except (VsapisrError, OSError, cv2.error, av.FFmpegError, MemoryError) as error:
        if isinstance(error, OSError) and no_room(error):
            raise
        return str(error) or type(error).__name__
    return None


def _here(config: DegradeConfig, wanted: list[Wanted]) -> Iterator[tuple[Path, str | None]]:
    """(drawing, why it was refused) by worker processes, as they are done."""
    with processes(config.workers) as pool:
        futures = {pool.submit(_attempt, one, config.degradation): one[0] for one in wanted}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except OSError:
            pool.shutdown(cancel_futures=True)
            raise


def _on_nodes(config: DegradeConfig, wanted: list[Wanted]) -> Iterator[tuple[Path, str | None]]:
    """The same by a cluster."""
    from ..cluster import crew_for, spread

    names = {one[0].absolute(): one[0] for one in wanted}
    items = [(source.absolute(), target.absolute(), numbers) for source, target, numbers in wanted]
    if items:
        with crew_for(config.cluster, _attempt, (config.degradation,)) as crew:
            for item, refused in spread(crew, items, Path(config.out), [config.source]):
                yield names[item[0]], refused


def _degrade_all(config: DegradeConfig, todo: list[tuple[Path, Path, tuple[int, ...]]]) -> DegradeReport:
    """What :func:`run_degrade` does, with ``out`` to itself."""
    out, report = Path(config.out), DegradeReport()
    with Progress("degrade", len(todo), "pictures") as progress:
        wanted = [one for one in todo if not _is_whole(one[1])]
        report.known = len(todo) - len(wanted)
        progress.skip(report.known)
        for source, refused in (_on_nodes if config.cluster else _here)(config, wanted):
            if refused is None:
                report.written += 1
            else:
                report.refused[str(source)] = refused
            progress.advance(note=source.name)
    lines = [target.with_suffix(".json").read_text() for _, target, _ in todo if target.with_suffix(".json").exists()]
    write_words(out / "draws.jsonl", "".join(line + "\n" for line in lines))
    return report
