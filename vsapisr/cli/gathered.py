"""The pictures of a comparison: of image files, and of chosen frames of videos, by every column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, ClipError
from ..picture.accepted import check_clip
from ..picture.colour import Format, resolve
from ..video.clip import arguments, brief
from ..video.clip import core as with_plugins
from . import images
from .chosen import Wanted, chosen
from .columns import Column
from .comparison import enlarge
from .report import opened

__all__ = ["Row", "of_picture", "of_video"]

Box = tuple[int, int, int, int]
"""Left, top, width, height in pixels of the source."""
Told = Callable[[str, float], None]
"""Called with what is at work and the share of a row's work that is done."""


@dataclass
class Row:
    """One picture or frame in all columns."""

    label: str
    size: tuple[int, int]
    """Width and height of the source, or of the part that is shown."""
    pictures: list[np.ndarray] = field(default_factory=list)
    """(h, w, 3) uint8 RGB each, all in the size of the largest."""
    detail: Box | None = None
    """In their pixels, where one was asked for and they are not cut to it."""


def check(crop: Box | None, width: int, height: int, what: str) -> None:
    """
    Raises:
        ArgumentError: there is no such part.
    """
    if crop and (crop[0] + crop[2] > width or crop[1] + crop[3] > height):
        raise ArgumentError(f"crop {','.join(map(str, crop))} reaches beyond the {what} of {width}x{height}")


def finished(label: str, source: np.ndarray, large: Sequence[np.ndarray | None], crop: Box | None, cut: bool) -> Row:
    """``source`` where a picture of ``large`` is None, all in the size of the largest, with ``crop`` as the detail or
    cut to it."""
    high, wide = max((one.shape[:2] for one in large if one is not None), default=source.shape[:2])
    height, width = source.shape[:2]
    x, y, w, h = crop or (0, 0, width, height)
    left, right = (round(n * wide / width) for n in (x, x + w))
    top, bottom = (round(n * high / height) for n in (y, y + h))
    detail = (left, top, right - left, bottom - top) if crop and not cut else None
    row = Row(label, (w, h) if cut else (width, height), detail=detail)
    for one in large:
        whole = source if one is None else one
        whole = whole if whole.shape[:2] == (high, wide) else enlarge(whole, wide, high)
        row.pictures.append(np.ascontiguousarray(whole[top:bottom, left:right]) if cut else whole)
    return row


def of_picture(path: Path, columns: Sequence[Column], crop: Box | None, cut: bool, told: Told) -> Row:
    """An image file.

    Raises:
        VsapisrError: it cannot be read, or not be enlarged.
    """
    source = images.read(path)
    height, width = source.rgb.shape[:2]
    check(crop, width, height, "image")
    large: list[np.ndarray | None] = []
    filters = sum(column.config is not None for column in columns)
    for column in columns:
        if column.config is None:
            large.append(None)
            continue
        before = sum(one is not None for one in large)

        def at(share: float, before: int = before, label: str = column.label) -> None:
            told(f"{path.name}: {label}", (before + share) / filters)

        at(0.0)
        large.append(images.opaque(images.upscaled(source, column.config, at)))
    return finished(path.name, images.opaque(source), large, crop, cut)


def of_video(
    path: Path, columns: Sequence[Column], wish: Wanted, crop: Box | None, cut: bool, told: Told
) -> Iterator[Row]:
    """Chosen frames of a video, each as it is in the middle of its neighbours.

    Raises:
        VsapisrError: it cannot be read, or not be enlarged.
    """
    clip = opened(path)
    check_clip(clip.width, clip.height, int(clip.format.color_family) if clip.format else 0)
    check(crop, clip.width, clip.height, "video")
    frames = chosen(clip, wish, lambda done, every: told(f"{path.name}: choosing frames", 0.0))
    filters = [column for column in columns if column.config is not None]
    large: dict[tuple[str, int], np.ndarray] = {}
    for number, column in enumerate(filters):
        node = filtered(clip, column)
        for count, frame in enumerate(frames):
            share = (number * len(frames) + count) / (len(filters) * len(frames))
            told(f"{path.name}: {column.label}, frame {frame}", share)
            large[column.label, frame] = rgb_of(node, frame)
        del node  # its network and cache, before the next one's
    for frame, why in frames.items():
        seconds = frame * clip.fps.denominator / clip.fps.numerator if clip.fps else 0.0
        time = f"{int(seconds) // 60}:{seconds % 60:05.2f}"
        label = f"{path.name}, frame {frame} ({', '.join(filter(None, (time, why)))})"
        yield finished(label, plain(clip, frame), [large.get((one.label, frame)) for one in columns], crop, cut)


def filtered(clip: Any, column: Column) -> Any:
    """``clip`` through the filter, as RGB.

    Raises:
        ClipError: the filter refuses it.
    """
    import vapoursynth as vs

    with_plugins()
    assert column.config is not None
    try:
        return clip.apisr.Upscale(**{**arguments(column.config), "format": int(vs.RGB24)})
    except vs.Error as error:
        raise ClipError(brief(error)) from None


def rgb_of(clip: Any, number: int) -> np.ndarray:
    """(h, w, 3) uint8 of a frame of an RGB24 clip.

    Raises:
        ClipError: it cannot be had.
    """
    import vapoursynth as vs

    try:
        with clip.get_frame(number) as frame:
            return np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=2)
    except vs.Error as error:
        raise ClipError(f"frame {number} cannot be had ({brief(error)})") from None


def plain(clip: Any, number: int) -> np.ndarray:
    """A frame of the source as the filter understands its colours, (h, w, 3) uint8 RGB."""
    import vapoursynth as vs

    one, video = clip[number], clip.format
    if video.color_family == vs.RGB:
        return rgb_of(one.resize.Bicubic(format=vs.RGB24), 0)
    try:
        with one.get_frame(0) as frame:
            said = {key: frame.props[key] for key in ("_Matrix", "_Range", "_ChromaLocation") if key in frame.props}
    except vs.Error as error:
        raise ClipError(f"frame {number} cannot be had ({brief(error)})") from None
    kind = Format(int(video.color_family), int(video.sample_type), video.bits_per_sample)
    colour = resolve(kind, said, clip.width, clip.height)
    if video.color_family == vs.GRAY:
        one = one.resize.Point(format=vs.GRAY8, range_in=int(colour.full_range), range=1)
        return rgb_of(one.std.ShufflePlanes([0, 0, 0], vs.RGB), 0)
    given = {"matrix_in": colour.matrix, "range_in": int(colour.full_range), "chromaloc_in": colour.chroma_location}
    return rgb_of(one.resize.Bicubic(format=vs.RGB24, **given), 0)
