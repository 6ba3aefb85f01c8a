"""Image files through the network: read, enlarge four times, write as PNG. Needs OpenCV and Pillow."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from .. import writing
from ..api import FORMATS
from ..config import UpscaleConfig
from ..engine.frame import Conversion, Frame
from ..engine.upscaler import Upscaler
from ..errors import VsapisrError
from ..needs import lacks_memory
from ..picture.colour import Colour
from ..picture.files import GREYS, apart, samples
from .comparison import enlarge
from .cutout import spread
from .metadata import carried, chunk, inserted

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
COLOURS = ("RGB", "RGBA", "RGBX", "RGBa", "P", "PA")  # modes whose ICC profile is still right after conversion to RGB

MOST = 200_000_000
"""Pixels that are read unasked: some 2 GB of memory, and 40 with the result."""

Told = Callable[[float], None]
"""Called with the share of an image that is done, 0 to 1."""


class PictureError(VsapisrError, ValueError):
    """An image file cannot be read or written."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image as it is enlarged."""

    rgb: np.ndarray
    """(h, w, 3) uint8 or uint16."""
    alpha: np.ndarray | None = None
    """(h, w) of the same type, not multiplied into ``rgb``."""
    grey: bool = False
    """The three channels are one, and are written as one."""
    profile: bytes | None = None
    """ICC."""
    more: bytes = b""
    """What else the file says, as chunks of PNG (:mod:`.metadata`)."""
    frames: int = 1
    """Of the file; this is the first."""


def size(path: Path) -> tuple[int, int]:
    """(width, height) from the header; (0, 0) if that cannot be read, since :func:`read` will say why."""
    try:
        with quiet(), Image.open(path) as image:
            return image.size
    except Exception:
        return 0, 0


def read(path: Path, most: int = MOST) -> Picture:
    """Any still image that Pillow knows, upright, in 16 bit if it is a PNG, TIFF or PNM of 16 bit.

    Raises:
        PictureError: missing, damaged, no image, or one of more than ``most`` pixels.
        MemoryError: memory does not suffice, in OpenCV another type (:func:`vsapisr.needs.lacks_memory`).
    """
    with legible(path, most) as image:
        image.load()  # whole, or an error; OpenCV would be content with half a PNG
        if image.format == "PNG":
            check_sums(path)
        profile = image.info.get("icc_profile") if image.mode in (*COLOURS, *GREYS, "I;16") else None
        more = carried(path, image, profile)
        found, frames = samples(path, image), getattr(image, "n_frames", 1)
        rgb, alpha = apart(found)
        return Picture(rgb=rgb, alpha=alpha, grey=found.shape[2] < 3, profile=profile, more=more, frames=frames)


@contextmanager
def legible(path: Path, most: int) -> Iterator[Image.Image]:
    """An image file of at most ``most`` pixels, opened; what goes wrong with it in here is one line.

    Raises:
        PictureError: missing, damaged, no image, or larger.
        MemoryError: memory does not suffice, in OpenCV another type (:func:`vsapisr.needs.lacks_memory`).
    """
    if path.is_dir():
        raise PictureError(f"{path} is a folder; image files are needed")
    try:
        with quiet(), Image.open(path) as image:
            width, height = image.size
            if width * height > most:
                raise PictureError(
                    f"{path} has {width}x{height} pixels, more than the {most:,} that are read; "
                    "--megapixels N takes more, if memory does"
                )
            yield image
    except FileNotFoundError:
        raise PictureError(f"{path} does not exist") from None
    except UnidentifiedImageError:
        raise PictureError(f"{path} is no image that can be read") from None
    except VsapisrError:
        raise
    except Exception as error:
        if lacks_memory(error):
            raise
        raise PictureError(f"{path} cannot be read ({error})") from None


def check_sums(path: Path) -> None:
    """An exception where a PNG's chunks do not fit their checksums, which Pillow's ``load`` does not look at."""
    with Image.open(path) as image:
        image.verify()


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow warns of damaged tags, and refuses large images, which are wanted here; :func:`read` has a limit."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def upscaled(picture: Picture, config: UpscaleConfig, told: Told = lambda share: None) -> Picture:
    """Four times larger: colours by the network, alpha by Lanczos. What is transparent takes the colours around it.

    Raises:
        VsapisrError: the weights or the device cannot be used, or memory does not suffice.
    """
    format, colour = FORMATS[picture.rgb.dtype.name], Colour(0, True)
    height, width = picture.rgb.shape[:2]
    rgb = picture.rgb if picture.alpha is None else spread(picture.rgb, picture.alpha)
    upscaler = Upscaler(config, width, height, format, format)
    try:
        out = np.empty((height * upscaler.scale, width * upscaler.scale, 3), picture.rgb.dtype)
        frame = Frame([rgb[..., c] for c in range(3)], Conversion(format, colour, format, colour))
        upscaler.render(frame, [out[..., c] for c in range(3)], told)
    finally:
        upscaler.close()
    alpha = None if picture.alpha is None else enlarge(picture.alpha, out.shape[1], out.shape[0])
    return replace(picture, rgb=out, alpha=alpha, frames=1)


def opaque(picture: Picture) -> np.ndarray:
    """(h, w, 3) uint8, what is transparent lying on a middle grey, for pictures that are only looked at."""
    full = np.iinfo(picture.rgb.dtype).max
    rgb = picture.rgb.astype(np.float32) / full
    if picture.alpha is not None:
        alpha = picture.alpha[..., None].astype(np.float32) / full
        rgb = rgb * alpha + 0.5 * (1 - alpha)
    return np.rint(rgb * 255).astype(np.uint8)


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """:func:`writing.finished` with errors for users.

    Raises:
        PictureError: it cannot be written.
    """
    try:
        with writing.finished(path) as part:
            yield part
    except OSError as error:
        raise PictureError(f"{path} cannot be written ({error.strerror or error})") from None


def together(picture: Picture) -> np.ndarray:
    """(h, w, 1 to 4), as files have it: grey, grey and alpha, RGB, or RGB and alpha."""
    found = picture.rgb
    if picture.grey:
        found = np.rint(found @ LUMA).astype(found.dtype)[..., None]
    return found if picture.alpha is None else np.concatenate([found, picture.alpha[..., None]], axis=2)


def write(picture: Picture, path: Path) -> None:
    """As PNG, with 8 or 16 bit, grey, alpha, profile and what else was said as they are."""
    samples = together(picture)
    with finished(path) as part:
        if samples.dtype == np.uint8:
            image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
            made = io.BytesIO()
            image.save(made, "PNG", icc_profile=picture.profile)
            part.write_bytes(inserted(made.getvalue(), picture.more))
        else:
            part.write_bytes(inserted(deep_png(samples, picture.profile), picture.more))


def deep_png(samples: np.ndarray, profile: bytes | None) -> bytes:
    """(h, w, 1 to 4) uint16 as PNG, which Pillow cannot write; OpenCV has no grey with alpha and no profiles."""
    if samples.shape[2] == 2:
        samples = samples[..., [0, 0, 0, 1]]
    order = [2, 1, 0, 3][: samples.shape[2]] if samples.shape[2] >= 3 else [0]
    done, made = cv2.imencode(".png", samples[..., order])
    if not done:
        raise PictureError(f"OpenCV cannot write a PNG of {samples.shape[1]}x{samples.shape[0]}")
    data = made.tobytes()
    if profile is None:
        return data
    return inserted(data, iccp(profile))


def iccp(profile: bytes) -> bytes:
    """An ICC profile as a chunk."""
    return chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
