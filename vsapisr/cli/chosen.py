"""Frames of a video to look at: by number, or the busiest, the darkest and the most damaged. Needs OpenCV."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..errors import ArgumentError, ClipError
from ..video.clip import brief

__all__ = ["Wanted", "blocks", "chosen", "noise", "wanted"]

KINDS = ("busiest", "darkest", "damaged")
WORDS = {"busiest": "busiest", "darkest": "darkest", "damaged": "most damaged"}
MOST = 240  # frames that are looked at, spread over the video
BLACK = 3.0  # levels of 255: what varies by less shows nothing
FLAT, BLOCK = 3.0, 24.0  # levels: steps that are none; steps that no codec leaves at the border of a block
MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True)
class Wanted:
    """What ``--frames`` asks for."""

    numbers: tuple[int, ...]
    kinds: tuple[tuple[str, int], ...]
    """(one of ``KINDS``, how many)."""


def wanted(words: str) -> Wanted:
    """``100,2000,busiest:2,darkest``.

    Raises:
        ArgumentError: it is something else.
    """
    numbers, kinds = [], Counter[str]()
    for word in words.split(","):
        if match := re.fullmatch(rf"({'|'.join(KINDS)})(?::([1-9]\d?))?", word.strip()):
            kinds[match[1]] += int(match[2] or 1)
        elif re.fullmatch(r"\d+", word.strip()):
            numbers.append(int(word))
        else:
            raise ArgumentError(
                f"frames must be numbers, {', '.join(KINDS)} or such as busiest:3, separated by commas, got {words!r}"
            )
    return Wanted(tuple(numbers), tuple(kinds.items()))


def chosen(clip: Any, wish: Wanted, tick: Callable[[int, int], object]) -> dict[int, str]:
    """Frame: why it is shown, "" where it was named; ascending. ``tick(done, all)`` is called for every look.

    Raises:
        ArgumentError: the clip has no such frame.
        ClipError: a frame cannot be read.
    """
    for number in wish.numbers:
        if number >= clip.num_frames:
            raise ArgumentError(f"frames has {number}; the video has frames 0 to {clip.num_frames - 1}")
    reasons: dict[int, list[str]] = {number: [] for number in wish.numbers}
    if wish.kinds:
        places = spread(clip.num_frames)
        looks = np.array([look(luma) for luma in told(lumas(clip, places), len(places), tick)])
        for kind, count in wish.kinds:
            for place in best(looks[:, KINDS.index(kind)], count):
                reasons.setdefault(places[place], []).append(WORDS[kind])
    return {number: ", ".join(reasons[number]) for number in sorted(reasons)}


def spread(frames: int) -> list[int]:
    """Numbers of at most ``MOST`` frames, all over the video."""
    return [n * frames // min(frames, MOST) for n in range(min(frames, MOST))]


def told(found: Iterator[np.ndarray], count: int, tick: Callable[[int, int], object]) -> Iterator[np.ndarray]:
    for number, one in enumerate(found, 1):
        yield one
        tick(number, count)


def lumas(clip: Any, places: list[int]) -> Iterator[np.ndarray]:
    """(h, w) uint8 of these frames.

    Raises:
        ClipError: one cannot be read.
    """
    import vapoursynth as vs

    rgb = clip.format.color_family == vs.RGB
    grey = clip if rgb else clip.std.ShufflePlanes(0, vs.GRAY)
    grey = grey.resize.Point(format=vs.GRAY8, **({"matrix": 1} if rgb else {}))
    for number in places:
        try:
            with grey.get_frame(number) as frame:
                yield np.array(frame[0])
        except vs.Error as error:
            raise ClipError(f"frame {number} cannot be had ({brief(error)})") from None


def look(luma: np.ndarray) -> tuple[float, float, float]:
    """How much it is of each of ``KINDS``; the more, the higher. A frame of one colour is none of them."""
    if luma.std() < BLACK:
        return (-np.inf, -np.inf, -np.inf)
    lines = np.abs(cv2.Laplacian(cv2.GaussianBlur(luma, (0, 0), 1.0), cv2.CV_32F))
    return float(np.minimum(lines, 30.0).mean()), -float(luma.mean()), blocks(luma) + noise(luma)


def blocks(luma: np.ndarray) -> float:
    """Levels by which steps at the borders of 8x8 blocks are larger than those inside them; (h, w) uint8. Steps beside
    other steps are lines, and do not count."""
    found = []
    for picture in (luma, luma.T):
        steps = np.abs(np.diff(picture.astype(np.float32), axis=1))
        middle = steps[:, 1:-1]
        alone = (steps[:, :-2] <= FLAT) & (steps[:, 2:] <= FLAT) & (middle <= BLOCK)
        border = np.broadcast_to(np.arange(2, middle.shape[1] + 2) % 8 == 0, middle.shape)
        at, inside = middle[alone & border], middle[alone & ~border]
        if at.size and inside.size:
            found.append(float(at.mean() - inside.mean()))
    return max(0.0, *found) if found else 0.0


def noise(luma: np.ndarray) -> float:
    """Standard deviation in levels where nothing is drawn (Immerkaer's mask, by its lower quarter against lines)."""
    return float(np.quantile(np.abs(cv2.filter2D(luma.astype(np.float32), -1, MASK)), 0.25)) / (6 * 0.3186)


def best(values: np.ndarray, count: int) -> list[int]:
    """Places of the highest ``values``, no two of them near to one another while there are others."""
    apart = max(1, len(values) // (4 * count))
    taken: list[int] = []
    for distance in (apart, 1):
        for place in np.argsort(-values, kind="stable"):
            if len(taken) < count and all(abs(int(place) - other) >= distance for other in taken):
                taken.append(int(place))
    return taken
