"""What each shot of a clip is like, for reuse: its noise, what of it holds still, what keeps the rest from it, and
which ``reuse`` is worth its price."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..config import UpscaleConfig
from ..reuse.stretches import analysed
from .report import ReuseReport, Shown

__all__ = ["Shot", "lines", "shots"]

BLOCK = 8
GRAIN, WEAVE, WORTH, FREE = 1.5, 0.1, 0.95, 0.98
"""Levels from which noise is called grain; pixels from which a frame's shift is called weave; ``reuse=2`` is worth its
look at the frames when the network sees at most such a share of what it sees with ``reuse=1``; nothing is gained from
such a share of whole frames on."""
WORDS = {
    "nothing": "hardly anything changes",
    "drawings": "drawings that change",
    "grain": "grain",
    "weave": "weave of the film",
    "pan": "the camera moves",
    "motion": "motion or fades",
}


@dataclass(frozen=True)
class Shot:
    """Frames ``first`` to ``last``. Shares are of its pixels in all of them."""

    shot: int
    first: int
    last: int
    noise: float
    """Levels of 255 by which means of 4x4 pixels of one drawing differ (98% of them, the worst of four)."""
    equal: float
    """Blocks of 8x8 whose luma is bit for bit that of the frame before."""
    held: float
    """Blocks that show one drawing in several frames of a segment, noise aside."""
    limit: str
    """Of ``WORDS``: what most of the others are about."""
    network_1: float
    """Pixels that the network sees with ``reuse=1``, of whole frames."""
    network_2: float
    """The same with ``reuse=2``."""
    reuse: int
    """The one to take; ``threshold`` with it."""
    threshold: float


@dataclass(frozen=True)
class Look:
    """One frame, as :class:`Shot` has it."""

    noise: float
    equal: float
    held: float
    moving: float
    """Blocks in the midst of motion, or all of a frame that pans."""
    camera: bool
    weave: float


def shots(path: Path, config: UpscaleConfig, frames: int | None, tick: Callable[[], object]) -> list[Shot]:
    """Of the first ``frames`` of a video; ``tick`` is called for each of them three times.

    Raises:
        ClipError: see :class:`~vsapisr.cli.report.ReuseReport`.
    """
    found: list[list[Shown]] = []
    looks: list[Look] = []
    for reuse in (1, 2):
        report = ReuseReport(path, replace(config, reuse=reuse), frames)
        try:
            found.append([])
            for shown in report.frames():
                found[-1].append(shown)
                tick()
            if reuse == 2:
                for look in seen(report, config):
                    looks.append(look)
                    tick()
            pixels = report.clip.width * report.clip.height
        finally:
            report.close()
    return divided(found[0], found[1], looks, pixels, config.threshold)


def seen(report: ReuseReport, config: UpscaleConfig) -> Iterator[Look]:
    """Every frame, looked at in the segments of the filter."""
    count, clip = report.clip.num_frames, report.clip
    before: np.ndarray | None = None
    for start in range(0, count, config.interval):
        segment = [clip.get_frame(n) for n in range(start, min(start + config.interval, count))]
        planes = [[np.array(plane) for plane in frame] for frame in segment]
        cuts = [bool(frame.props.get("_SceneChangePrev")) for frame in segment]
        with np.errstate(invalid="ignore", over="ignore"):
            found = analysed(planes, report.format, config.threshold or 1.0, cuts)
        for n, frame in enumerate(planes):
            many = (found.stretches == found.stretches[n]).sum(0) > 1
            moving = float(found.moving[n].mean())
            yield Look(
                max(found.noise), same(before, frame[0]), float(many.mean()), moving, moving == 1.0,
                float(np.hypot(*found.wander[n, :2])),
            )  # fmt: skip
            before = frame[0]


def same(before: np.ndarray | None, luma: np.ndarray) -> float:
    """Share of whole blocks that are equal."""
    if before is None:
        return 0.0
    rows, columns = max(luma.shape[0] // BLOCK, 1), max(luma.shape[1] // BLOCK, 1)
    differs = (before != luma)[: rows * BLOCK, : columns * BLOCK]
    parts = np.add.reduceat(
        np.add.reduceat(differs, range(0, rows * BLOCK, BLOCK), 0), range(0, columns * BLOCK, BLOCK), 1
    )
    return float((parts == 0).mean())


def divided(
    first: Sequence[Shown], second: Sequence[Shown], looks: Sequence[Look], pixels: int, threshold: float
) -> list[Shot]:
    """By shots: what the two ways of reuse found in each frame of ``pixels``, and its look."""
    begins = [n for n, shown in enumerate(second) if shown.cut or n == 0]
    found = []
    for number, (begin, end) in enumerate(pairwise([*begins, len(second)]), 1):
        part = looks[begin:end]
        one, two = (sum(s.network for s in each[begin:end]) / ((end - begin) * pixels) for each in (first, second))
        steps = part[1:] or part
        found.append(
            Shot(
                number, begin, end - 1, mean(look.noise for look in part), mean(look.equal for look in steps),
                mean(look.held for look in part), limit(part), one, two,
                2 if two <= WORTH * one else 1, threshold,
            )
        )  # fmt: skip
    return found


def limit(looks: Sequence[Look]) -> str:
    """What keeps most of what is not held from it."""
    rest = mean(1 - look.held for look in looks)
    if rest < 0.02:
        return "nothing"
    pan = mean(float(look.camera) for look in looks)
    motion = mean(look.moving * (not look.camera) for look in looks)
    causes = {"pan": pan, "motion": motion, "drawings": max(rest - pan - motion, 0.0)}
    cause = max(causes, key=lambda name: causes[name])
    if cause != "drawings":
        return cause
    if mean(look.noise for look in looks) >= GRAIN:
        return "grain"
    return "weave" if max(look.weave for look in looks) >= WEAVE else cause


def mean(values: Any) -> float:
    return float(np.mean(list(values)))


def lines(found: Sequence[Shot]) -> list[str]:
    """Words for each shot, and for all."""
    told = []
    for shot in found:
        told.append(
            f"  shot {shot.shot}, frames {shot.first} to {shot.last}: noise of {shot.noise:.1f} levels; "
            f"{shot.equal:.0%} equal to the frame before, {shot.held:.0%} held; what changes: {WORDS[shot.limit]}"
        )
        told.append(
            f"    the network sees {shot.network_1:.0%} with reuse=1, {shot.network_2:.0%} with reuse=2: {advice(shot)}"
        )
    frames = [shot.last - shot.first + 1 for shot in found]
    one, two = (np.average([getattr(s, name) for s in found], weights=frames) for name in ("network_1", "network_2"))
    best = f"reuse=2, threshold={found[0].threshold:g}" if two <= WORTH * one else "reuse=1"
    told.append(f"in all the network sees {one:.0%} with reuse=1, {two:.0%} with reuse=2; take {best}")
    return told


def advice(shot: Shot) -> str:
    if shot.reuse == 2:
        return f"reuse=2, threshold={shot.threshold:g}"
    return "reuse=1" if shot.network_1 < FREE else "no reuse helps here"
