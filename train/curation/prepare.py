"""The step ``prepare``: pictures at production resolution (section 3.1 of the paper), GT and pseudo-GT."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from vsapisr.errors import ClipError
from vsapisr.picture.files import samples
from vsapisr.writing import remove_leftovers, write_atomically

from ..media.cache import key_of
from ..media.images import MOST_PIXELS, SUFFIXES, eight_bit_rgb, existing
from ..media.places import alone, apart, below, refuse
from ..media.progress import Progress
from .apart import hashes, is_among
from .config import PrepareConfig
from .manifest import Manifest, identify, shown

FOLDERS = ("gt", "pseudo_gt", "val")


class Rejected(ClipError):
    """A picture cannot be used; the text is the reason."""


@dataclass(kw_only=True)
class Prepared:
    """What a run did."""

    pictures: int = 0
    written: int = 0
    known: int = 0
    """Written by an earlier run."""
    removed: int = 0
    rejected: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"{self.pictures} pictures: {self.written} written, {self.known} there already, "
            f"{len(self.rejected)} rejected; {self.removed} removed"
        ]
        return "\n".join(lines + [f"rejected  {name}: {reason}" for name, reason in self.rejected.items()])


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB from any mode, turned as EXIF says: grey, palette and CMYK are converted, 16 bits rounded to
    8.

    Raises:
        Rejected: not a picture, truncated or otherwise damaged, absurdly large, or with transparent parts.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Rejected(f"{image.width}x{image.height} is larger than {MOST_PIXELS} pixels")
            colours, alpha = eight_bit_rgb(samples(path, image))
            if alpha is not None and alpha.min() < 255:
                raise Rejected("has transparent parts; put it on a background first")
            return np.ascontiguousarray(colours)
    except Rejected:
        raise
    except UnidentifiedImageError:
        raise Rejected("cannot be read: not an image that Pillow knows") from None
    except Exception as error:  # Pillow's plugins raise whatever damage leads them to
        raise Rejected(f"cannot be read: {error or type(error).__name__}") from None


def to_production(image: np.ndarray, full_height: int, height: int, multiple: int, minimum_side: int) -> np.ndarray:
    """(H, W, 3) uint8 -> the same at ``height`` lines, cropped right and bottom to multiples of ``multiple``.

    Bicubic with antialiasing (Pillow widens the kernel by the factor). ``full_height`` are the lines of the frame
    before its black bars were cut off: a 2.35:1 picture is as sharp as a 16:9 one of the same video and shrinks by the
    same factor.

    Raises:
        Rejected: fewer lines than ``height``, or a side shorter than ``minimum_side`` after all.
    """
    lines, width = image.shape[:2]
    if full_height < height:
        raise Rejected(f"too small: a frame of {full_height} lines, {height} are needed")
    if full_height != height:
        scale = height / full_height
        size = (max(1, round(width * scale)), max(1, round(lines * scale)))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    lines, width = (side // multiple * multiple for side in image.shape[:2])
    if min(lines, width) < max(1, minimum_side):
        raise Rejected(f"too small: {width}x{lines} at production resolution, sides of {minimum_side} are needed")
    return np.ascontiguousarray(image[:lines, :width])


def gamma_of(name: str, config: PrepareConfig) -> float:
    """The XDoG's gamma for one picture: a function of the seed and its name alone."""
    return float(np.random.default_rng([config.seed, zlib.crc32(os.fsencode(name))]).uniform(*config.gamma))


def held_out(name: str, config: PrepareConfig) -> bool:
    """Whether a picture is for validation: a function of the seed and its name alone."""
    return float(np.random.default_rng([config.seed, zlib.crc32(os.fsencode(name)), 1]).random()) < config.validation


def folders(name: str, config: PrepareConfig) -> tuple[str, ...]:
    """Where the files of one picture go; of ``FOLDERS``."""
    if held_out(name, config):
        return ("val",)
    return ("gt", "pseudo_gt") if config.pseudo_gt else ("gt",)


def write_png(path: Path, image: np.ndarray) -> None:
    """(H, W, 3) uint8 RGB under ``path``, in one step."""
    write_atomically(path, cv2.imencode(".png", image[..., ::-1])[1].tobytes())


@dataclass(frozen=True, kw_only=True)
class Job:
    source: Path
    target: str
    mark: str
    full_height: int | None
    """None: the picture's own."""


def work(job: Job, config: PrepareConfig, measured: np.ndarray) -> tuple[int, int]:
    """Make one picture and its pseudo-GT, unless it is one of those ``measured`` on (hashes); returns (width, height).

    Raises:
        Rejected: with the reason.
    """
    image = read_picture(job.source)
    gt = to_production(image, job.full_height or image.shape[0], config.height, config.multiple, config.minimum_side)
    out, wanted = Path(config.out), folders(job.target, config)
    if "gt" in wanted and is_among(gt, measured):
        raise Rejected("shows what will be measured on (apart)")
    if "pseudo_gt" in wanted:
        from ..data.pseudo_gt import enhance

        write_png(out / "pseudo_gt" / job.target, enhance(gt, gamma_of(job.target, config), config.base).pseudo_gt)
    write_png(out / wanted[0] / job.target, gt)
    for folder in set(FOLDERS) - set(wanted):  # of other settings: above all, what validates must not be trained on
        (out / folder / job.target).unlink(missing_ok=True)
    return gt.shape[1], gt.shape[0]


def attempt(job: Job, config: PrepareConfig, measured: np.ndarray) -> tuple[int, int] | Rejected:
    """:func:`work`, with the reason where it cannot be done."""
    try:
        return work(job, config, measured)
    except Rejected as error:
        return error
    except (cv2.error, MemoryError) as error:  # of one picture's size or content
        return Rejected(f"cannot be made: {error or type(error).__name__}")


Results = Iterator[tuple[Job, tuple[int, int] | Rejected]]


def here(todo: list[Job], config: PrepareConfig, measured: np.ndarray) -> Results:
    """(job, result) by threads of this process."""
    with ThreadPoolExecutor(config.threads or os.cpu_count() or 1) as pool:
        yield from zip(todo, pool.map(lambda job: attempt(job, config, measured), todo))


def on_nodes(todo: list[Job], config: PrepareConfig, measured: np.ndarray) -> Results:
    """(job, result) by the nodes of a cluster, as they are done."""
    from ..cluster import crew_for, spread

    back = {replace(job, source=job.source.absolute()): job for job in todo}
    if back:
        elsewhere = replace(config, source=os.path.abspath(config.source), out=os.path.abspath(config.out))
        with crew_for(config.cluster, attempt, (elsewhere, measured)) as crew:
            for item, result in spread(crew, list(back), Path(config.out), [config.source]):
                yield back[item], result


def jobs(config: PrepareConfig, manifest: Manifest, report: Prepared) -> Iterator[Job]:
    """One per picture of the source folder, or the one picture, in the order of names; ``report`` is told of what is
    none.
    """
    source = Path(config.source)
    files = [source]
    if not source.is_file():
        files = sorted(p for p in existing(source).iterdir() if p.suffix.lower() in SUFFIXES and p.name[0] != ".")
    if not files:
        raise ClipError(f"source: no pictures in {config.source!r}; looked for {' '.join(sorted(SUFFIXES))}")
    used: set[str] = set()
    report.pictures = len(files)
    for path in files:
        target = path.stem + ".png" if path.stem not in used else path.name + ".png"
        used.add(path.stem)
        try:
            mark = identify(path, path.name)
        except ClipError as error:
            report.rejected[shown(path.name)] = str(error)
            continue
        row = manifest.one("SELECT full_height FROM files WHERE name = ?", path.name)
        yield Job(source=path, target=target, mark=mark, full_height=row["full_height"] if row else None)


def is_done(job: Job, row: sqlite3.Row | None, settings: str, config: PrepareConfig) -> bool:
    """Whether an earlier run made this very picture with these settings."""
    if row is None or row["source"] != job.mark or row["settings"] != settings or row["status"] != "written":
        return False
    wanted = folders(job.target, config)
    return all((Path(config.out) / folder / job.target).exists() == (folder in wanted) for folder in FOLDERS)


def record(
    job: Job, result: tuple[int, int] | Rejected, where: str, settings: str, manifest: Manifest, report: Prepared
) -> None:
    """The row of one picture, after its files are there."""
    row: dict[str, object] = {
        "target": where,
        "name": job.target,
        "source": job.mark,
        "settings": settings,
        "status": "written",
    }
    if isinstance(result, Rejected):
        row |= {"status": "rejected", "reason": str(result)}
        report.rejected[job.source.name] = str(result)
    else:
        row |= {"width": result[0], "height": result[1]}
        report.written += 1
    manifest.put("prepared", row, replace=True)


def announce(todo: list[Job], where: str, manifest: Manifest) -> None:
    """Rows of what is about to be written, without settings: what a killed run leaves is known for this step's own."""
    with manifest.transaction():
        for job in todo:
            if manifest.one("SELECT 1 FROM prepared WHERE target = ? AND name = ?", where, job.target) is None:
                row = {"target": where, "name": job.target, "source": job.mark, "settings": "", "status": "written"}
                manifest.put("prepared", row)


def remove_stale(where: str, kept: set[str], config: PrepareConfig, manifest: Manifest, report: Prepared) -> None:
    """Pictures made by an earlier run whose source is gone or is rejected now."""
    for row in manifest.rows("SELECT name, status FROM prepared WHERE target = ?", where):
        if row["name"] in kept and row["status"] == "written":
            continue
        for folder in FOLDERS:
            path = below(Path(config.out) / folder, row["name"])
            report.removed += path.exists() and folder != "pseudo_gt"
            path.unlink(missing_ok=True)
        if row["name"] not in kept:
            manifest.execute("DELETE FROM prepared WHERE target = ? AND name = ?", where, row["name"])


def prepare(config: PrepareConfig) -> Prepared:
    """Run the step: ``out/gt/*.png`` and ``out/pseudo_gt/*.png``, or ``out/val/*.png``. Can be killed and started
    again.

    What was made and what was rejected, with the reason, stands in the table ``prepared`` of
    ``source/manifest.sqlite``, or of ``out/manifest.sqlite`` where the source has none.

    Raises:
        VsapisrError: no pictures, or none in ``apart``. A bad picture is no error: see ``Prepared.rejected``.
    """
    out, source = Path(config.out), Path(config.source)
    if not source.is_file():
        existing(source)
    apart(source.parent if source.is_file() else source, *(out / folder for folder in FOLDERS))
    home = source if (source / "manifest.sqlite").exists() else out
    with ExitStack() as held:
        for folder in {out.resolve(), home.resolve()}:
            held.enter_context(alone(folder, "prepare"))
        with Manifest(home / "manifest.sqlite") as manifest:
            return prepare_all(config, manifest)


def settings_of(config: PrepareConfig, measured: np.ndarray) -> str:
    """Stands for what a picture is made with."""
    # whatever changes a pixel or leaves one out; curate's crops are in the source pictures themselves
    return repr(
        (
            2,  # of the way pictures are read and made
            config.height,
            config.multiple,
            config.minimum_side,
            config.pseudo_gt,
            config.gamma,
            config.base,
            config.seed,
            *([key_of(measured.tolist())] if len(measured) else []),
        )
    )


def prepare_all(config: PrepareConfig, manifest: Manifest) -> Prepared:
    """What :func:`prepare` does, with its folders to itself."""
    out, report = Path(config.out), Prepared()
    for folder in FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
    where, measured = str(out.resolve()), hashes(config.apart)
    settings = settings_of(config, measured)

    todo, kept, foreign = [], set(), []
    for job in jobs(config, manifest, report):
        kept.add(job.target)
        row = manifest.one("SELECT * FROM prepared WHERE target = ? AND name = ?", where, job.target)
        if is_done(job, row, f"{settings} {job.full_height}", config):
            report.known += 1
        else:
            todo.append(job)
            if row is None:
                foreign += [f"{folder}/{job.target}" for folder in FOLDERS if (out / folder / job.target).exists()]
    if not config.force:
        refuse(out, "prepare", foreign)
    announce(todo, where, manifest)
    with Progress("prepare", len(todo), "pictures") as progress:
        for job, result in (on_nodes if config.cluster else here)(todo, config, measured):
            record(job, result, where, f"{settings} {job.full_height}", manifest, report)
            progress.advance(1, job.source.name)
    remove_stale(where, kept, config, manifest, report)
    for folder in FOLDERS:
        remove_leftovers(out / folder)
    return report
