"""Pictures of another size than four times theirs, resized after the network as videos are."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..networks.forms import result_scale
from ..video.clip import size_of
from ..video.settings import VideoSettings
from .images import Picture

__all__ = ["resized", "wanted"]


def wanted(width: int, height: int, wish: VideoSettings) -> tuple[int, int] | None:
    """(width, height) of the result of a picture; None: as it comes out of the network.

    Raises:
        ArgumentError: the size cannot be had.
    """
    return None if wish.size == f"{result_scale(wish.upscale)}x" else size_of(width, height, Fraction(1), wish)[0]


def resized(large: Picture, size: tuple[int, int] | None, kernel: str) -> Picture:
    """``large`` in the size that :func:`wanted` gives."""
    if size is None:
        return large
    rgb = np.stack(scaled([large.rgb[..., c] for c in range(3)], *size, kernel), axis=2)
    alpha = None if large.alpha is None else scaled([large.alpha], *size, kernel)[0]
    return replace(large, rgb=rgb, alpha=alpha)


def scaled(planes: list[np.ndarray], width: int, height: int, kernel: str) -> list[np.ndarray]:
    """Planes (h, w) uint8 or uint16, three of a colour or one of grey, by VapourSynth's ``resize``."""
    import vapoursynth as vs

    deep = planes[0].dtype == np.uint16
    grey, rgb = (vs.GRAY16, vs.RGB48) if deep else (vs.GRAY8, vs.RGB24)
    high, wide = planes[0].shape

    def filled(n: int, f: Any) -> Any:
        frame = f.copy()
        for number, plane in enumerate(planes):
            np.copyto(np.asarray(frame[number]), plane)
        return frame

    blank = vs.core.std.BlankClip(width=wide, height=high, format=rgb if len(planes) == 3 else grey, length=1)
    # full range on both sides: samples of grey are taken as they are
    clip = blank.std.ModifyFrame(blank, filled).std.SetFrameProps(_Range=1)
    with getattr(clip.resize, kernel.capitalize())(width, height).get_frame(0) as frame:
        return [np.array(frame[number]) for number in range(len(planes))]
