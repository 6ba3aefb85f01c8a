"""What ``vsapisr upscale`` is given: files by their content, folders with what is in them, and where results go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ArgumentError, VideoError
from ..video.settings import CONTAINERS
from .outputs import png

__all__ = ["Job", "jobs"]

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff")
VIDEOS: tuple[str, ...] = (*CONTAINERS, ".webm", ".avi", ".ts", ".m2ts", ".m4v", ".y4m")
FILES = (*PICTURES, *VIDEOS)
"""An output that ends so is a file; a folder may have a point in its name."""
VIDEOS += (".mts", ".mpg", ".mpeg", ".vob", ".wmv", ".asf", ".flv", ".ogm", ".ogv", ".qt", ".3gp", ".rm", ".rmvb")
AUTO = "auto"
PARTS = ".work"  # end of the name of a folder with a video's parts


@dataclass(frozen=True)
class Job:
    """A file and where its result goes."""

    source: Path | None
    """None: a script without a video."""
    target: Path
    video: bool


def is_picture(path: Path) -> bool | None:
    """Is it an image for Pillow (True), a media file for libav (False), or neither (None)? One that is damaged beyond
    that counts by its name, so that what reads it says why it cannot be."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.format != "MPEG":  # Pillow knows the beginning of such videos, and nothing more
                return True
    except Exception:  # whatever its plugins raise
        pass
    from ..video.probe import probe

    try:
        probe(path)
    except VideoError:
        end = path.suffix.lower()
        return True if end in PICTURES else False if end in VIDEOS else None
    return False


def within(folder: Path, recursive: bool, without: Path | None = None) -> Iterator[Path]:
    """Files of a folder by name, also of those below it but ``without``; none of ours that are being made."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif recursive and path.is_dir() and not path.name.endswith(PARTS) and path.resolve() != without:
            yield from within(path, recursive, without)


def jobs(
    inputs: list[Path], output: Path | None, recursive: bool, ending: str, container: str, script: bool = False
) -> tuple[list[Job], list[str], list[str]]:
    """(what is to be done, notes, faults of inputs); ``ending`` is added to names, as ``_4x``. Files that were named
    and cannot be read are among the jobs, as what reads them says why. The folder ``output`` is made.

    Raises:
        ArgumentError: ``output`` does not fit.
    """
    found: list[tuple[Path, Path, bool]] = []  # (file, folder that it was found in, is it a video)
    faults: list[str] = []
    strange = 0
    for given in inputs:
        if not given.is_dir():
            found.append((given, given.parent, is_picture(given) is False))
            continue
        place = None if output is None else output.resolve()
        inside = [(path, is_picture(path)) for path in within(given, recursive, place)]
        named = [path for path, kind in inside if kind is not None]
        stems = {path.with_name(name + ending) for path in named for name in (path.stem, path.name)}
        kept = [(path, kind) for path, kind in inside if kind is not None and path.with_suffix("") not in stems]
        strange += sum(kind is None for _, kind in inside)
        found += [(path, given, not kind) for path, kind in kept]
        if not kept:
            more = "" if recursive else "; --recursive looks into its folders too"
            faults.append(f"{given} is a folder without pictures or videos{more}")
    notes = [f"{strange} files in the folders are neither pictures nor videos"] if strange else []
    if script and not inputs:
        return [Job(None, single(output), True)], notes, faults
    alone = len(found) == 1 and not inputs[0].is_dir()
    if output is not None and alone and not output.is_dir() and output.suffix.lower() in FILES:
        path, _, video = found[0]
        return [Job(path, single(output) if video else png(output), video)], notes, faults
    made = []
    for path, root, video in found:
        folder = path.parent if output is None else output / path.parent.relative_to(root)
        suffix = (suited(path) if container == AUTO else container) if video else ".png"
        made.append(Job(path, folder / f"{path.stem}{ending}{suffix}", video))
    made = apart(made)
    if output is not None:
        if (output.exists() and not output.is_dir()) or output.suffix.lower() in FILES:
            raise ArgumentError(f"output must be a folder for {len(found)} files, got {output}")
        for job in made:
            make(job.target.parent)
    return made, notes, faults


def apart(made: list[Job]) -> list[Job]:
    """Files that differ by their endings alone, such as a.jpg and a.png, keep them: a.jpg_4x.png, a.png_4x.png."""
    counts = Counter(job.target for job in made)
    return [
        replace(job, target=job.target.with_name(job.source.name + job.target.name[len(job.source.stem) :]))
        if job.source and counts[job.target] > 1
        else job
        for job in made
    ]


def suited(path: Path) -> str:
    """The container that holds what the one of ``path`` does: its own kind, or Matroska."""
    from ..video.probe import probe

    try:
        if "mp4" not in probe(path).format.split(","):
            return ".mkv"
    except VideoError:
        pass  # it will be refused, under the name that it would have had
    return ".mov" if path.suffix.lower() in (".mov", ".qt") else ".mp4"


def single(output: Path | None) -> Path:
    """A file for one video.

    Raises:
        ArgumentError: it cannot be one.
    """
    if output is None:
        raise ArgumentError("output is needed for a script without a video")
    if output.suffix.lower() not in CONTAINERS:
        raise ArgumentError(f"output of a video must end in {', '.join(CONTAINERS)}, got {output}")
    if not output.parent.is_dir():
        raise ArgumentError(f"the folder of output {output} does not exist")
    return output


def make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"output {folder} cannot be made ({error.strerror})") from None
