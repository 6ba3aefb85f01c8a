"""What image files say besides their samples, carried into the PNGs that are made of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import ExifTags, Image

__all__ = ["carried", "chunk", "inserted"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
IHDR_END = 33
"""Where the chunk after IHDR starts."""
COPIED = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI", b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"tIME")
"""Of PNG: colours, density, words."""
SIZES = (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength, ExifTags.Base.Orientation)
INNER_SIZES = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
"""Of EXIF, which would no longer be right: an enlarged picture is upright."""
METRE = 39.37007874
"""Inches."""


def carried(path: Path, image: Image.Image, profile: bytes | None) -> bytes:
    """Chunks of PNG for what ``image`` says: colours, density, words, EXIF. With a ``profile`` sRGB is left out."""
    found = b""
    if image.format == "PNG":
        for name, body in chunks(path.read_bytes()):
            if name in COPIED and not (name == b"sRGB" and profile):
                found += chunk(name, body)
    elif dpi := density(image):
        found += chunk(b"pHYs", struct.pack(">IIB", *(round(value * METRE) for value in dpi), 1))
    return found + exif(image)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and bodies of a sound PNG's chunks."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        yield name, data[place + 8 : place + 8 + size]
        place += 12 + size


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def inserted(png: bytes, more: bytes) -> bytes:
    """``more`` chunks after the header of a PNG."""
    return png[:IHDR_END] + more + png[IHDR_END:]


def density(image: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch, where they are said and may be true."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 <= across < 1e6 and 1 <= down < 1e6 else None


def exif(image: Image.Image) -> bytes:
    """As a chunk, without sizes and orientation; nothing where it is damaged."""
    try:
        tags = Image.Exif()
        tags.load(image.getexif().tobytes())  # a copy: others ask the image for its orientation
        for tag in SIZES:
            tags.pop(tag, None)
        for tag in INNER_SIZES:
            tags.get_ifd(ExifTags.IFD.Exif).pop(tag, None)
        if not len(tags) and not tags.get_ifd(ExifTags.IFD.Exif):
            return b""
        return chunk(b"eXIf", tags.tobytes().removeprefix(b"Exif\0\0"))
    except Exception:  # Pillow raises anything on damaged tags, and they are not worth a picture
        return b""
