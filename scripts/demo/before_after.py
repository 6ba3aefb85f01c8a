"""The demo's before/after picture, and the frames of videos that it is made of."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from vsapisr.cli.comparison import busiest, comparison
from vsapisr.video.probe import opened
from vsapisr.writing import finished

from ..clips import EXACT

__all__ = ["before_after", "busiest", "frame_of", "rgb"]


def rgb(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 of a YUV or gray frame, by its own matrix, or the one that VapourSynth assumes for its size."""
    matrix = int(frame.colorspace)
    if matrix in (2, 3):
        matrix = 6 if frame.width <= 1024 and frame.height <= 576 else 1
    space = {1: 1, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}.get(matrix, 5)  # swscale's numbers
    frame.colorspace = space
    return frame.reformat(format="rgb24", src_colorspace=space, interpolation=EXACT).to_ndarray()


def frame_of(path: Path, index: int) -> np.ndarray:
    """Frame ``index`` of a video as RGB, counted from the start in display order."""
    with opened(path) as file:
        for n, frame in enumerate(file.decode(video=0)):
            if n == index:
                return rgb(frame)
    raise IndexError(f"{path} has no frame {index}")


def before_after(
    source: np.ndarray, result: np.ndarray, target: Path, focus: tuple[float, float] | None = None
) -> None:
    """Write the comparison as PNG; arguments as for :func:`vsapisr.cli.comparison.comparison`."""
    sheet = comparison(source, result, "core.apisr.Upscale", focus)
    with finished(target) as part:
        sheet.save(part)
