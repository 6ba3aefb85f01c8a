"""Codecs as degradation, in memory: an RGB image goes through one still or one intra-coded video frame and comes back.

A single frame can only be predicted from itself: the paper's prediction-oriented compression. Nothing is written to
disk and no process is started.
"""

from __future__ import annotations

import io
import os
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from PIL import Image

from vsapisr.errors import VsapisrError
from vsapisr.libav import same_priority

__all__ = [
    "CODECS",
    "PRESETS",
    "CodecError",
    "avif",
    "compress",
    "decode",
    "encode",
    "h264",
    "h265",
    "mpeg2",
    "mpeg4",
    "still",
]

CODECS = ("jpeg", "webp", "avif", "mpeg2", "mpeg4", "h264", "h265")
SHORTEST = 32
"""Least side given to a video encoder (x265 refuses less than 16)."""
PRESETS = ("superfast", "faster", "fast", "medium", "slow")

EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
"""Without these flags swscale darkens what it converts from YUV to RGB by more than one level of 255."""

av.logging.set_level(
    None
)  # encoders are chatty and every image makes a new one; a Python callback can deadlock with the GIL
os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 goes past PyAV's log, straight to the terminal; 1: errors alone


class CodecError(VsapisrError, RuntimeError):
    """An encoder or decoder is not there, or did not give back the one intra picture it was asked for."""


def still(image: np.ndarray, codec: str, quality: int, **options: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same through "JPEG" or "WEBP" at ``quality`` (0..100), with Pillow's further
    ``options``.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, codec, quality=quality, **options)
    # OpenCV gives the same bytes as Pillow, whose way for WebP leads through RGBA and an animation decoder
    return np.asarray(cv2.imdecode(np.frombuffer(buffer.getbuffer(), np.uint8), cv2.IMREAD_COLOR_RGB))


def encode(image: np.ndarray, encoder: str, options: dict[str, str], *, full_range: bool = False) -> list[av.Packet]:
    """(H, W, 3) uint8 RGB, even sides -> the packets of one yuv420p picture.

    The matrix is BT.709 with limited range, or BT.601 with full range as in still pictures. One thread: images are
    spread over workers, not slices.
    """
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        raise CodecError(f"{encoder}: the image is {width}x{height}; yuv420p needs even sides")
    try:
        coder = cast(av.VideoCodecContext, av.CodecContext.create(encoder, "w"))
    except av.codec.codec.UnknownCodecError:
        raise CodecError(f"this build of PyAV ({av.__version__}) has no encoder {encoder!r}") from None
    coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
    coder.time_base, coder.framerate, coder.thread_count = Fraction(1, 24), Fraction(24), 1
    coder.options = options
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601 if full_range else Colorspace.ITU709,
        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        interpolation=EXACT,
    )
    frame.pts = 0
    with same_priority():
        coder.open()
    return [*coder.encode(frame), *coder.encode(None)]


def decode(packets: list[av.Packet], decoder: str) -> av.VideoFrame:
    """The one picture in ``packets``; ``CodecError`` unless it is exactly one and intra-coded."""
    reader = cast(av.VideoCodecContext, av.CodecContext.create(decoder, "r"))
    reader.thread_count = 1
    frames = [frame for packet in packets for frame in reader.decode(packet)] + reader.decode(None)
    if len(frames) != 1 or frames[0].pict_type != PictureType.I:
        raise CodecError(
            f"{decoder}: expected one intra picture, got {[PictureType(f.pict_type).name for f in frames]}"
        )
    return frames[0]


def video(
    image: np.ndarray, encoder: str, decoder: str, options: dict[str, str], *, full_range: bool = False
) -> np.ndarray:
    """(H, W, 3) uint8 RGB, even sides -> the same through ``encode`` and ``decode``; short sides are extended on the
    way.
    """
    height, width = image.shape[:2]
    if min(height, width) < SHORTEST and not (height % 2 or width % 2):
        more = ((0, max(0, SHORTEST - height)), (0, max(0, SHORTEST - width)), (0, 0))
        image = np.pad(image, more, mode="edge")
    frame = decode(encode(image, encoder, options, full_range=full_range), decoder)
    return frame.reformat(
        format="rgb24",
        src_colorspace=Colorspace.ITU601 if full_range else Colorspace.ITU709,
        src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=EXACT,
    ).to_ndarray()[:height, :width]


def mpeg_options(qscale: int) -> dict[str, str]:
    """A fixed quantiser. FFmpeg's ``-qscale`` sets every frame's ``quality``, which PyAV does not offer: pin the rate
    control.

    ``i_qfactor`` would otherwise scale the bounds by 0.8 for intra pictures.
    """
    return {"qmin": str(qscale), "qmax": str(qscale), "i_qfactor": "1"}


def mpeg2(image: np.ndarray, qscale: int) -> np.ndarray:
    """Through one MPEG-2 intra frame at the quantiser ``qscale`` (2..31)."""
    return video(image, "mpeg2video", "mpeg2video", mpeg_options(qscale))


def mpeg4(image: np.ndarray, qscale: int) -> np.ndarray:
    """Through one MPEG-4 part 2 intra frame at the quantiser ``qscale`` (2..31)."""
    return video(image, "mpeg4", "mpeg4", mpeg_options(qscale))


def h264_options(crf: int, preset: str) -> dict[str, str]:
    return {"crf": str(crf), "preset": preset, "x264-params": "log-level=error"}


def h264(image: np.ndarray, crf: int, preset: str = "medium") -> np.ndarray:
    """Through one x264 intra frame at ``crf``."""
    return video(image, "libx264", "h264", h264_options(crf, preset))


def h265_options(crf: int, preset: str) -> dict[str, str]:
    return {"crf": str(crf), "preset": preset, "x265-params": "log-level=error:pools=none:frame-threads=1:wpp=0"}


def h265(image: np.ndarray, crf: int, preset: str = "medium") -> np.ndarray:
    """Through one x265 intra frame at ``crf``."""
    return video(image, "libx265", "hevc", h265_options(crf, preset))


def avif_options(quality: int, preset: int) -> dict[str, str]:
    """libavif's quantiser for ``quality``; ``preset`` is SVT-AV1's (0 slow .. 13 fast), with its mode for still
    pictures.
    """
    quantiser = round((100 - quality) * 63 / 100)
    return {"crf": str(quantiser), "preset": str(preset), "svtav1-params": "avif=1:lp=1"}


def avif(image: np.ndarray, quality: int, preset: int = 10) -> np.ndarray:
    """Through the picture inside an AVIF file: one AV1 key frame, BT.601 full range, at ``quality`` (0..100)."""
    return video(image, "libsvtav1", "libdav1d", avif_options(quality, preset), full_range=True)


def compress(image: np.ndarray, name: str, quality: int, effort: int | str) -> np.ndarray:
    """(H, W, 3) uint8 RGB through the codec ``name`` of ``CODECS``.

    ``quality`` is its quality, qscale or CRF; ``effort`` WebP's method, SVT-AV1's or x264's and x265's preset, unused
    by the rest.
    """
    if name == "jpeg":
        return still(image, "JPEG", quality)
    if name == "webp":
        return still(image, "WEBP", quality, method=int(effort))
    if name == "avif":
        return avif(image, quality, int(effort))
    if name in ("mpeg2", "mpeg4"):
        return {"mpeg2": mpeg2, "mpeg4": mpeg4}[name](image, quality)
    if name in ("h264", "h265"):
        return {"h264": h264, "h265": h265}[name](image, quality, str(effort))
    raise CodecError(f"codec {name!r} is not known; known are {', '.join(CODECS)}")
