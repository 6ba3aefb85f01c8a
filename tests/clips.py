"""Small videos with known contents, encoded with real codecs."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import PictureType

QUIET = {
    "libx264": {"x264-params": "log-level=none"},
    "libx265": {"x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12"},
}


def drawing(seed: int, width: int = 320, height: int = 180, shapes: int = 12) -> np.ndarray:
    """(H, W, 3) uint8 RGB: flat cels with dark outlines; ``shapes`` decides how complex it is."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(90, 200, 3), np.uint8)
    for _ in range(shapes):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        axes = tuple(int(v) for v in rng.integers(5, max(6, height // 5), 2))
        angle = int(rng.integers(0, 180))
        colour = tuple(int(v) for v in rng.integers(60, 256, 3))
        cv2.ellipse(image, centre, axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(image, centre, axes, angle, 0, 360, (20, 20, 30), 2, cv2.LINE_AA)
    return image


def letterboxed(image: np.ndarray, bar: int) -> np.ndarray:
    """``image`` with black bars of ``bar`` lines laid over its top and bottom."""
    image = image.copy()
    image[:bar] = image[len(image) - bar :] = 0
    return image


def lettering(lines: int = 8, width: int = 320, height: int = 180) -> np.ndarray:
    """A page of credits: white on black."""
    image = np.zeros((height, width, 3), np.uint8)
    for n in range(lines):
        cv2.putText(
            image,
            f"Key Animation {n}x{n}",
            (70, 20 + n * (height - 20) // lines),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5,
            (235, 235, 235),
            1,
            cv2.LINE_AA,
        )
    return image


def write_clip(
    path: Path,
    images: Iterable[np.ndarray],
    codec: str = "libx264",
    *,
    intra: Iterable[int] | None = (),
    rate: int = 24,
    gop: int = 250,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    pts: list[int] | None = None,
    rotation: int = 0,
    **context: object,
) -> Path:
    """Encode ``images``; those whose number is in ``intra`` are forced to be I-frames.

    Args:
        pts: in milliseconds, for a variable frame rate.
        rotation: degrees, counter-clockwise, of the display matrix.
        context: attributes of the codec context, such as ``sample_aspect_ratio``.
    """
    intra = set(intra or ())
    settings = {**QUIET.get(codec, {}), **(options or {})}
    for key in ("x264-params", "x265-params"):
        if codec == "lib" + key.split("-")[0]:
            extra = (options or {}).get(key, "")
            settings[key] = f"log-level=none:scenecut=0:keyint={gop}:min-keyint=1" + (":" + extra if extra else "")
    settings.setdefault("g", str(gop))
    # bitexact: no random identifier of the file in it, so that what follows from its bytes is the same in every run
    with av.open(str(path), "w", options={"fflags": "bitexact"}) as container:
        stream = container.add_stream(codec, rate=rate if pts is None else 1000)
        stream.pix_fmt, stream.options = pix_fmt, settings
        stream.codec_context.thread_count = 1
        if pts is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for key, value in context.items():
            setattr(stream.codec_context, key, value)
        for number, image in enumerate(images):
            if number == 0:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = number if pts is None else pts[number]
            frame.time_base = Fraction(1, rate) if pts is None else Fraction(1, 1000)
            if number in intra:
                frame.pict_type = PictureType.I
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def truncated(source: Path, target: Path, share: float = 0.6) -> Path:
    """The first ``share`` of ``source``: a broken tail."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def damaged(source: Path, target: Path, packet: int) -> Path:
    """``source`` with the middle of its ``packet``-th packet overwritten."""
    with av.open(str(source)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[packet]
    data = bytearray(source.read_bytes())
    length = min(64, size // 3)
    data[position + size // 2 : position + size // 2 + length] = np.random.default_rng(0).bytes(length)
    target.write_bytes(data)
    return target
