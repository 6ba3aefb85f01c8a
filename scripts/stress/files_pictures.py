"""Pictures that are cut off, changed, or lie about their size, into whatever reads pictures."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from .case import Outcome
from .damage import asked, damaged, special
from .fixtures import drawn, small

__all__ = ["pictures"]

KINDS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "JPEG2000", "PPM", "TGA", "ICO", "PCX", "SGI", "DDS")
MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "I", "F")


@cache
def coded(kind: str, mode: str) -> bytes:
    """A small picture with an ICC profile, a date and an orientation where the format has places for them."""
    rgb, data = Image.fromarray(drawn(1, 48, 40)), io.BytesIO()
    if mode == "I;16":
        image = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    else:
        image = rgb.convert("L" if mode in ("I", "F") else mode).convert(mode)
    more = {} if kind in ("ICO", "DDS") else {"icc_profile": bytes(200), "exif": orientation(6)}
    for options in (more, {}):
        try:
            image.save(data, kind, **options)
            return data.getvalue()
        except (OSError, ValueError, TypeError, KeyError, SystemError):
            data.seek(0)
    return coded(kind, "RGB")


def orientation(number: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif.tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@cache
def zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 1)


def bomb(rng: random.Random) -> bytes:
    """A picture whose size, or whose text or profile, is far larger than its file."""
    huge = rng.choice([20_000, 65_535, 2**31 - 1])
    match rng.randrange(6):
        case 0:
            return png(huge, huge, rng.choice([1, 8, 16]), rng.choice([0, 2, 6]), zeros(10**6))
        case 1:  # 20,000 x 20,000 in 50 kB, and all of it there
            return png(20_000, 20_000, 1, 0, zeros(20_000 * 2501))
        case 2:
            text = chunk(b"zTXt", b"k\0\0" + zeros(30 * 10**6)) * 3
            return png(8, 8, 8, 0, zeros(72), text)
        case 3:
            return png(8, 8, 8, 2, zeros(200), chunk(b"iCCP", b"k\0\0" + zeros(30 * 10**6)))
        case 4:
            data = bytearray(coded("BMP", "RGB"))
            data[18:26] = struct.pack("<ii", huge, rng.choice([1, huge, -huge]))
            return bytes(data)
    data = bytearray(coded("TIFF", "RGB"))
    start = struct.unpack_from("<I", data, 4)[0] + 2
    for entry in range(start, start + 12 * struct.unpack_from("<H", data, start - 2)[0], 12):
        if struct.unpack_from("<H", data, entry)[0] in (256, 257):
            struct.pack_into("<HII", data, entry + 2, 4, 1, huge)
    return bytes(data)


def readers() -> dict[str, Callable[[Path], object]]:
    from train.curation.prepare import Rejected, read_picture
    from train.degradation.run import _is_whole
    from train.media.images import read_image
    from vsapisr.cli import images

    def read(path: Path) -> object:  # ``prepare`` writes the name before the reason
        try:
            return read_picture(path)
        except Rejected as error:
            raise Rejected(f"{path.name}: {error}") from None

    return {
        "prepare": read,
        "evaluate, degrade and fit": read_image,
        "degrade, once more": _is_whole,
        "vsapisr upscale": images.read,
        "its size": images.size,
    }


def steps(path: Path, folder: Path, rng: random.Random) -> tuple[str, Callable[[], object]]:
    """A step on a folder with the picture and a good one: the good one is always in the result."""
    from train.curation.config import PrepareConfig
    from train.curation.prepare import prepare
    from train.degradation.run import DegradeConfig, run_degrade

    source = path.parent
    Image.fromarray(drawn(2, 160, 120)).save(source / "whole.png")

    def preparing() -> None:
        few = {"height": 100, "minimum_side": 8, "validation": 0.0, "multiple": 1, "pseudo_gt": False}
        prepare(PrepareConfig(source=str(source), out=str(folder / "out"), **few))
        assert (folder / "out" / "gt" / "whole.png").stat().st_size, "the good one is lost"

    def degrading() -> None:
        run_degrade(DegradeConfig(source=str(source), out=str(folder / "out"), workers=1))
        assert (folder / "out" / "whole.png").stat().st_size, "the good one is lost"

    return rng.choice([("prepare a folder", preparing), ("degrade a folder", degrading)])


def upscaling(path: Path, folder: Path) -> None:
    """``vsapisr upscale`` of what can be read and is not large."""
    from vsapisr.cli import images
    from vsapisr.config import UpscaleConfig

    picture = images.read(path)
    if picture.rgb.size < 10**5:
        config = UpscaleConfig(model=str(small()), device="cpu")
        images.write(images.upscaled(picture, config), folder / "large.png")
        assert images.read(folder / "large.png").rgb.shape[0] == 4 * picture.rgb.shape[0]


def pictures(rng: random.Random, folder: Path) -> Outcome:
    """One picture, one reader."""
    kind, mode = rng.choice(KINDS), rng.choice(MODES)
    source = folder / "source"
    source.mkdir()
    path = source / f"hostile{rng.choice(['.png', '.jpg', '.tif', '.webp', '.avif', '.bmp'])}"
    drawn_as = rng.random()
    if drawn_as < 0.04:
        words = special(path, rng)
    elif drawn_as < 0.12:
        words = "bomb"
        path.write_bytes(bomb(rng))
    else:
        words = f"{kind} {mode}"
        path.write_bytes(damaged(coded(kind, mode), rng) if drawn_as < 0.97 else coded(kind, mode))
    name, read = rng.choice([*sorted(readers().items()), ("a step", None), ("upscaled", None)])
    if name == "a step":
        name, run = steps(path, folder, rng)
        result, failure = asked(run)
    elif name == "upscaled":
        result, failure = asked(lambda: upscaling(path, folder), path.name)
    else:
        result, failure = asked(lambda: read(path), path.name)
    return Outcome(f"picture, {words}, {path.name}, {name}", failure, kind=f"picture {result}")
