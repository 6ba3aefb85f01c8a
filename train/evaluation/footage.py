"""Pictures to evaluate on: images of a folder or frames of clips, small ones, originals, or both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import cast

import av
import numpy as np

from vsapisr.config import SCALE
from vsapisr.errors import ArgumentError, ClipError, VsapisrError
from vsapisr.libav import url

from ..curation.keyframes import SUFFIXES, Unsuitable, list_videos, video_stream
from ..media.images import SUFFIXES as IMAGES
from ..media.images import list_images, read_image
from ..media.video import picture
from .config import EvaluateConfig
from .levels import small_picture, whole

__all__ = ["Files", "Shot", "length", "material", "shots"]


@dataclass(frozen=True)
class Shot:
    """One picture."""

    clip: str
    """File name of the video or image."""
    frame: int
    """Its number in the clip; 0 of an image."""
    small: np.ndarray
    """(H, W, 3) uint8."""
    gt: np.ndarray | None
    """(4H, 4W, 3) uint8."""


Files = list[tuple[Path | None, Path | None]]
"""(small, original) of each clip or image, one of them None where there is none."""


def one_of(small: Path | None, gt: Path | None) -> Path:
    """The small picture or clip, or what it will be made from; one of them is there."""
    found = small or gt
    assert found is not None
    return found


def files_of(place: str) -> list[Path]:
    """Images of a folder, else videos below it, or the one video."""
    path = Path(place)
    if not path.exists():
        raise ArgumentError(f"{place!r} does not exist")
    if path.is_dir() and any(p.suffix.lower() in IMAGES for p in path.iterdir() if p.is_file()):
        return list_images(path)
    return list_videos(path)


def material(config: EvaluateConfig) -> Files:
    """What ``config`` is about.

    Raises:
        ArgumentError, ClipError, NoImagesError: nothing there, or small pictures and originals that do not match in
        name.
    """
    first = files_of(config.source or config.gt)
    count = min(config.images or len(first), len(first))
    chosen = [first[n] for n in sorted({round(n) for n in np.linspace(0, len(first) - 1, count)})]
    if not config.source:
        return [(None, path) for path in chosen]
    if not config.gt:
        return [(path, None) for path in chosen]
    originals = {path.stem: path for path in files_of(config.gt)}
    if len(chosen) == len(originals) == 1:
        return [(chosen[0], next(iter(originals.values())))]
    if missing := [path.name for path in chosen if path.stem not in originals]:
        raise ArgumentError(
            f"gt: {config.gt!r} has no original for {', '.join(missing[:5])}; names must agree but for the suffix"
        )
    return [(path, originals[path.stem]) for path in chosen]


BROKEN = (av.FFmpegError, OSError, ValueError, ArithmeticError, MemoryError)
"""What a file that is damaged makes a library raise; this project's own errors of clips are among them."""


def frames(path: Path, most: int) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 RGB of an image, or of the first ``most`` frames of a video (0: all), as a viewer sees them."""
    if path.suffix.lower() not in SUFFIXES:
        yield read_image(path)
        return
    try:
        with av.open(url(path)) as container:
            stream = video_stream(container)
            stream.thread_type = "AUTO"
            for number, frame in enumerate(container.decode(stream)):
                if most and number >= most:
                    return
                yield picture(frame, cast(Fraction | None, stream.sample_aspect_ratio))
    except Unsuitable as error:  # says why, but not of which file
        raise ClipError(f"{path} cannot be read: {error}") from None
    except VsapisrError:
        raise
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise ClipError(f"{path} cannot be read: {reason}") from None


def length(path: Path, most: int) -> int:
    """About how many pictures :func:`frames` gives, by the headers; 1 of what cannot be opened."""
    if path.suffix.lower() not in SUFFIXES:
        return 1
    try:
        with av.open(url(path)) as container:
            stream = video_stream(container)
            seconds = container.duration / av.time_base if container.duration else 0.0
            count = stream.frames or round(seconds * float(stream.average_rate or 24)) or most or 1
    except BROKEN:
        return 1
    return min(count, most) if most else count


def shots(small: Path | None, gt: Path | None, index: int, level: str, config: EvaluateConfig) -> Iterator[Shot]:
    """Every picture of one clip or image, at ``level`` when it has to be made: then ``index`` numbers the draw, and a
    clip has one for all its frames.

    Raises:
        ImageError, ClipError: a file cannot be read.
        ArgumentError: an original is too small to be reduced or not four times as large, or one clip is shorter than
        the other.
    """
    if small is None:
        assert gt is not None
        for number, image in enumerate(frames(gt, config.frames)):
            height, width = image.shape[:2]
            image = whole(image)
            if not image.size:
                raise ArgumentError(f"{gt}: {width}x{height} is not accepted; accepted: 8 or more on both sides")
            made = small_picture(image, level, config.seed, index, config.degradation)
            yield Shot(gt.name, number, made, image)
        return
    smalls = frames(small, config.frames)
    pairs = zip_longest(smalls, frames(gt, config.frames)) if gt else ((image, None) for image in smalls)
    for number, (image, original) in enumerate(pairs):
        if gt and (image is None or original is None):
            raise ArgumentError(f"{small.name} and {gt.name} differ in length: one ends after {number} frames")
        if gt and original is not None and original.shape[:2] != tuple(SCALE * side for side in image.shape[:2]):
            raise ArgumentError(
                f"{gt}: {original.shape[1]}x{original.shape[0]} is not accepted; accepted: four times "
                f"{image.shape[1]}x{image.shape[0]}, the size of {small.name}"
            )
        yield Shot(small.name, number, image, original)
