"""Codecs as degradation, in memory: an RGB image goes through one still or one intra-coded video frame and comes back."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

av.logging.set_level(av.logging.ERROR)  # encoders are chatty and every image makes a new one


def still(image: np.ndarray, codec: str, quality: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same through "JPEG" or "WEBP" at ``quality`` (0..100)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, codec, quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def video(image: np.ndarray, encoder: str, decoder: str, options: dict[str, str]) -> np.ndarray:
    """(H, W, 3) uint8 RGB, even sides -> the same through a single intra frame, yuv420p, BT.709 limited.

    A single frame can only be predicted from itself: the paper's prediction-oriented compression.
    """
    height, width = image.shape[:2]
    coder = av.CodecContext.create(encoder, "w")
    coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
    coder.time_base, coder.framerate, coder.thread_count = Fraction(1, 24), Fraction(24), 1
    coder.options = options
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    frame.pts = 0
    packets = [*coder.encode(frame), *coder.encode(None)]
    reader = av.CodecContext.create(decoder, "r")
    reader.thread_count = 1
    frames = [f for packet in packets for f in reader.decode(packet)] + reader.decode(None)
    result = frames[0].reformat(
        format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange.MPEG, dst_color_range=ColorRange.JPEG
    )
    return result.to_ndarray()


def h264(image: np.ndarray, crf: int, preset: str = "medium") -> np.ndarray:
    """Through one x264 intra frame at ``crf``."""
    return video(image, "libx264", "h264", {"crf": str(crf), "preset": preset, "x264-params": "log-level=error"})
