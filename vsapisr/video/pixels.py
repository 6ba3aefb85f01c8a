"""VapourSynth's formats and PyAV's, and a frame of the one as a frame of the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import av
import numpy as np

from ..errors import ArgumentError
from .clip import properties

__all__ = ["Tags", "choose", "format_of", "name_of", "picture", "tags_of"]

GRAY, RGB, YUV = 1, 2, 3
SAME = {  # what hardware takes -> what it is made from without loss
    "nv12": "yuv420p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "yuv444p10msble": "yuv444p10le",
    "gbrp10msble": "gbrp10le",
}

Tags = dict[str, int]
"""Colour of a whole video, as ITU-T H.273 counts: matrix, primaries, transfer; range (0 limited, 1 full), chroma."""


def name_of(format: Any) -> str:
    """The pixel format of libav with the planes of a VapourSynth format of integers."""
    bits = "" if format.bits_per_sample == 8 else f"{format.bits_per_sample}le"
    if format.color_family == GRAY:
        return f"gray{bits}"
    if format.color_family == RGB:
        return f"gbrp{bits}"
    sampling = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (2, 0): "411", (2, 2): "410", (0, 1): "440"}
    return f"yuv{sampling[format.subsampling_w, format.subsampling_h]}p{bits}"


def format_of(name: str) -> int:
    """VapourSynth's number of a pixel format of libav.

    Raises:
        ArgumentError: it has none.
    """
    import vapoursynth as vs

    plain = SAME.get(name, name)
    for number in vs.PresetVideoFormat:
        if number == vs.NONE:
            continue
        format = vs.core.get_video_format(number)
        if format.sample_type == vs.INTEGER and name_of(format) == plain:
            return int(number)
    raise ArgumentError(f"pixel-format {name!r} is none that VapourSynth has planes for; such as yuv420p10le is")


def choose(encoder: str, wanted: str | None, source: Any) -> str:
    """The pixel format to encode: ``wanted``, or 10 bit in the source's subsampling, or what comes next to it.

    Raises:
        ArgumentError: the encoder is not there, or does not take what is wanted.
    """
    try:
        found = av.codec.Codec(encoder, "w")
    except ValueError:
        raise ArgumentError(f"this PyAV has no encoder named {encoder!r}") from None
    if found.type != "video":
        raise ArgumentError(f"{encoder} is no encoder of video")
    known = [format.name for format in found.video_formats or ()]
    if wanted is not None:
        if known and wanted not in known:
            raise ArgumentError(f"{encoder} does not take pixel-format {wanted!r}; it takes {', '.join(known)}")
        return wanted
    family: tuple[str, ...] = {GRAY: ("gray", "yuv420p"), RGB: ("yuv444p", "yuv420p")}.get(source.color_family, ())
    if not family:
        own = name_of(source.replace(sample_type=0, bits_per_sample=8))
        finer = ("yuv422p", "yuv444p", "yuv420p") if own == "yuv420p" else ("yuv444p", "yuv422p", "yuv420p")
        family = own, *finer
    deep = 12 if source.bits_per_sample == 12 else 10
    back = {plain: hardware for hardware, plain in SAME.items()}
    for plain in family:
        for name in (f"{plain}{deep}le", f"{plain}10le", plain):
            for one in (name, back.get(name, name)):
                if one in known:
                    return one
    raise ArgumentError(f"{encoder} takes none of 8 or 10 bit; choose with --pixel-format: {', '.join(known)}")


def picture(frame: Any, name: str, tags: Mapping[str, int]) -> av.VideoFrame:
    """``frame`` of VapourSynth as pixel format ``name``; its samples are copied."""
    plain = SAME.get(name, name)
    result = av.VideoFrame(frame.width, frame.height, plain)
    order = (1, 2, 0) if frame.format.color_family == RGB else range(frame.format.num_planes)  # gbrp: G, B, R
    for number, plane in zip(order, result.planes):
        source = np.asarray(frame[number])
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: source.shape[0]]
        rows[:, : source.shape[1] * source.itemsize] = np.ascontiguousarray(source).view(np.uint8)
    result.colorspace, result.color_primaries, result.color_trc = (
        tags["matrix"],
        tags["primaries"],
        tags["transfer"],
    )
    result.color_range, result.chroma_location = 1 + tags["range"], tags["chroma"]
    return result if name == plain else result.reformat(format=name)


def tags_of(clip: Any) -> Tags:
    """What the filter will say of the colour of the first frame.

    Raises:
        VideoError: it cannot be read.
    """
    from ..picture.colour import Format, resolve

    video = clip.format
    said = properties(clip, 0)
    known = {name: int(said[name]) for name in ("_Matrix", "_Range", "_ChromaLocation") if name in said}
    kind = Format(int(video.color_family), int(video.sample_type), video.bits_per_sample)
    colour = resolve(kind, known, clip.width, clip.height)
    matrix, full = colour.matrix, colour.full_range
    if video.color_family == RGB:  # what is encoded is YUV, as the filter makes it
        matrix, full = 6 if 4 * clip.width <= 1024 and 4 * clip.height <= 576 else 1, False
    return {
        "matrix": matrix,
        "primaries": int(said.get("_Primaries", 2)),
        "transfer": int(said.get("_Transfer", 2)),
        "range": int(full),
        "chroma": colour.chroma_location + 1,
    }
