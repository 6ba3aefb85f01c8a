"""Good files to damage, made once in each child process."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import av
import numpy as np

from vsapisr.libav import url

from .networks import small_network

__all__ = ["CODECS", "drawn", "place", "small", "video"]

CODECS = {
    "h264.mkv": ("libx264", "yuv420p"),
    "h264.mp4": ("libx264", "yuv420p"),
    "hevc.mp4": ("libx265", "yuv420p10le"),
    "vp9.webm": ("libvpx-vp9", "yuv420p"),
    "mpeg2.ts": ("mpeg2video", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "ffv1.mkv": ("ffv1", "yuv444p"),
}
"""Name of a file -> encoder and format of its pixels."""


@cache
def place() -> Path:
    return Path(tempfile.mkdtemp(prefix="stress-fixtures-"))


@cache
def small() -> Path:
    """Weights of a small network."""
    return Path(small_network(place()))


def drawn(number: int, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8: flat areas with soft borders."""
    noise = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width] / 20
    waves = [np.sin(x * a + y * b + c) for a, b, c in noise.uniform(0.3, 1.5, (3, 3))]
    return np.stack([(127 + 90 * np.tanh(4 * wave)).astype(np.uint8) for wave in waves], axis=2)


@cache
def video(name: str, frames: int = 16, width: int = 96, height: int = 64) -> Path:
    """One of ``CODECS``: a drawing on twos, a new one every eighth frame."""
    encoder, pixels = CODECS[name]
    path = place() / name
    quiet = {"libx264": {"x264-params": "log-level=none"}, "libx265": {"x265-params": "log-level=none"}}
    with av.open(url(path), "w", options={"fflags": "bitexact"}) as file:
        stream = file.add_stream(encoder, rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.options = {"g": "8"} | quiet.get(encoder, {})
        stream.codec_context.thread_count = 1
        for number in range(frames):
            image = drawn(number // 8, width, height)
            image[10:20, number // 2 * 4 : number // 2 * 4 + 10] = 255
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    return path
