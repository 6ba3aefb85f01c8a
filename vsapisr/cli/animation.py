"""Animated GIF, WebP, PNG and AVIF: every frame enlarged, with its own time, in an animated PNG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ..api import FORMATS
from ..config import UpscaleConfig
from ..libav import url
from ..picture.colour import Colour
from ..picture.files import GREYS, apart
from ..reuse.clip import ClipUpscaler
from .comparison import enlarge
from .cutout import spread
from .images import MOST, Picture, PictureError, Told, finished, iccp, legible, quiet, together
from .metadata import carried, chunks, inserted
from .resizing import resized

__all__ = ["Animation", "animated", "animation", "frames", "upscale"]

KINDS = ("GIF", "WEBP", "PNG", "AVIF")
"""Others with several pictures in a file have pages, or a preview."""
UNSAID = 100
"""Milliseconds that a frame of 0 stands for, as browsers show it."""
MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True, kw_only=True)
class Animation:
    """What is known before anything is enlarged."""

    path: Path
    width: int
    height: int
    times: tuple[int, ...]
    """Milliseconds that each frame is shown."""
    first: int
    """Number of the first frame in the file: an animated PNG may have a picture before it that is no part of it."""
    loops: int
    """So often it is shown; 0: for ever."""
    clear: bool
    """Some pixel of some frame is not opaque."""
    grey: bool
    profile: bytes | None
    more: bytes
    """See :class:`.images.Picture`."""


def animated(path: Path) -> int:
    """How many frames a file has, 1 for one that is no animation, or cannot be read."""
    try:
        with quiet(), Image.open(path) as image:
            return count(image)
    except Exception:  # whatever Pillow's plugins raise; the reader of pictures will say it
        return 1


def count(image: Image.Image) -> int:
    if image.format not in KINDS:
        return 1
    return max(getattr(image, "n_frames", 1) - bool(image.info.get("default_image")), 1)


def animation(path: Path, most: int = MOST, limit: int | None = None) -> Animation:
    """Look through the first ``limit`` frames, or all.

    Raises:
        PictureError: one cannot be read, or is of more than ``most`` pixels.
    """
    with legible(path, most) as image:
        first = int(bool(image.info.get("default_image")))
        number = min(count(image), limit or 1 << 30)
        grey, clear, times = True, False, []
        said = image.info.get("icc_profile"), image.info.get("loop")
        for n in range(first, first + number):
            image.seek(n)
            image.load()
            grey &= image.mode in GREYS
            clear |= bool(np.asarray(image.convert("RGBA"))[..., 3].min() < 255)
            times.append(round(image.info.get("duration") or UNSAID) or UNSAID)
        image.seek(0)
        return Animation(
            path=path,
            width=image.width,
            height=image.height,
            times=tuple(times),
            first=first,
            loops=plays(image.format, said[1]),
            clear=clear,
            grey=grey,
            profile=said[0],
            more=carried(path, image, said[0]),
        )


def plays(kind: str | None, loop: int | None) -> int:
    """How often all is shown, 0 for ever. GIF says how often again, and nothing where it is once."""
    if kind == "GIF":
        return 1 if loop is None else loop and loop + 1
    return loop or 0


def frames(film: Animation) -> Iterator[np.ndarray]:
    """(h, w, 4) uint8, alpha last and not multiplied in."""
    with legible(film.path, 1 << 60) as image:
        for n in range(film.first, film.first + len(film.times)):
            image.seek(n)
            image.load()
            yield np.asarray(image.convert("RGBA"))


def enlarged(film: Animation, config: UpscaleConfig) -> Iterator[Picture]:
    """The frames; what does not change from one to the next is computed once."""
    config = replace(config, reuse=min(config.reuse, 1))  # whole frames of no noise; nothing to hold
    format, colour = FORMATS["uint8"], Colour(0, True)
    upscaler = ClipUpscaler(config, film.width, film.height, format, format, len(film.times))
    source, seen = frames(film), dict[int, np.ndarray]()
    try:
        for n in range(len(film.times)):
            for m in upscaler.needs(n):
                if m not in seen:
                    seen[m] = next(source)
            lent = {m: planes(seen[m], film) for m in upscaler.needs(n)}
            rgb = np.empty((film.height * upscaler.scale, film.width * upscaler.scale, 3), np.uint8)
            upscaler.frame(n, lent, colour, [rgb[..., c] for c in range(3)], colour)
            alpha = enlarge(seen[n][..., 3], rgb.shape[1], rgb.shape[0]) if film.clear else None
            yield Picture(rgb=rgb, alpha=alpha, grey=film.grey)
            seen.pop(n - 1, None)
    finally:
        upscaler.close()


def planes(frame: np.ndarray, film: Animation) -> list[np.ndarray]:
    """Three of (h, w), with the colours around in what is transparent."""
    rgb, alpha = apart(frame)
    if film.clear and alpha is not None:
        rgb = spread(rgb, alpha)
    return [np.ascontiguousarray(rgb[..., c]) for c in range(3)]


def upscale(
    film: Animation, target: Path, config: UpscaleConfig, size: tuple[int, int] | None, kernel: str, told: Told
) -> tuple[int, int]:
    """Write ``film`` enlarged, and resized to ``size`` where that is given; the (width, height) of what was written.

    Raises:
        VsapisrError: it cannot be read, enlarged or written.
    """
    with finished(target) as part:
        writer: Writer | None = None
        try:
            for n, large in enumerate(enlarged(film, config), 1):
                picture = resized(large, size, kernel)
                writer = writer or Writer(part, film, picture)
                writer.write(picture)
                told(n / len(film.times))
        finally:
            if writer:
                writer.close()
        data = part.read_bytes()
        part.write_bytes(with_words(data, (iccp(film.profile) if film.profile else b"") + film.more))
    height, width = picture.rgb.shape[:2]
    return width, height


def with_words(data: bytes, more: bytes) -> bytes:
    """An animated PNG with ``more`` chunks; libav's own of the shape of pixels, if there is one, makes place."""
    plain = inserted(data, b"")
    name, body = next(c for c in chunks(data) if c[0] != b"IHDR")
    if name == b"pHYs":
        at = data.index(b"pHYs") - 4
        plain = data[:at] + data[at + 12 + len(body) :]
    return inserted(plain, more)


class Writer:
    """An animated PNG, written frame by frame."""

    def __init__(self, path: Path, film: Animation, like: Picture):
        self.times, self.n, self.at = film.times, 0, 0
        self.format = "ya8" if like.grey and film.clear else "gray" if like.grey else "rgba" if film.clear else "rgb24"
        options = {"plays": str(film.loops), "final_delay": f"{film.times[-1]}/1000"}
        try:
            self.file = av.open(url(path), "w", format="apng", options=options)
        except OSError as error:
            raise PictureError(f"{path} cannot be written ({error.strerror or error})") from None
        self.stream = self.file.add_stream("apng", rate=1000)
        self.stream.height, self.stream.width = like.rgb.shape[:2]
        self.stream.pix_fmt = self.format
        self.stream.codec_context.time_base = self.stream.time_base = MILLISECOND

    def write(self, picture: Picture) -> None:
        samples = together(picture)
        height, width = samples.shape[:2]
        frame = av.VideoFrame(width, height, self.format)
        plane = frame.planes[0]
        rows = np.zeros((height, plane.line_size), np.uint8)  # libav's lines are longer than the picture's
        rows[:, : width * samples.shape[2]] = samples.reshape(height, -1)
        plane.update(rows.tobytes())
        frame.pts, frame.time_base = self.at, MILLISECOND
        self.at, self.n = self.at + self.times[self.n], self.n + 1
        self.file.mux(self.stream.encode(frame))

    def close(self) -> None:
        self.file.mux(self.stream.encode())
        self.file.close()
