"""Reading and writing pictures of all kinds, sound and damaged."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from train.media.images import read_image
from vsapisr.cli import images

from .pictures import ramp

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_a_profile_in_a_png_of_sixteen_bit(tmp_path):
    picture = images.Picture(rgb=ramp(dtype=np.uint16), profile=PROFILE)
    images.write(picture, tmp_path / "p.png")
    again = images.read(tmp_path / "p.png")
    assert again.profile == PROFILE and np.array_equal(again.rgb, picture.rgb)


def save_all_modes(folder: Path) -> dict[str, tuple[bool, bool]]:
    """Files of unusual kinds -> (grey, with alpha)."""
    image = Image.fromarray(ramp())
    image.convert("L").save(folder / "l.png")
    Image.merge("LA", [image.convert("L"), image.getchannel(0)]).save(folder / "la.png")
    image.convert("1").save(folder / "1.png")
    image.quantize(8).save(folder / "p.png")
    image.quantize(8).save(folder / "pt.png", transparency=1)
    image.convert("L").save(folder / "lt.png", transparency=100)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(ramp(channels=1, dtype=np.uint16)[..., 0]).save(folder / "deep.png", transparency=12)
    return {
        "l.png": (True, False),
        "la.png": (True, True),
        "1.png": (True, False),
        "p.png": (False, False),
        "pt.png": (False, True),
        "lt.png": (True, True),
        "cmyk.jpg": (False, False),
        "deep.png": (True, True),
    }


def test_grey_palettes_and_the_rest(tmp_path):
    for name, (grey, clear) in save_all_modes(tmp_path).items():
        picture = images.read(tmp_path / name)
        assert (picture.grey, picture.alpha is not None) == (grey, clear), name
        assert picture.rgb.shape == (12, 16, 3)
        assert not clear or picture.alpha.shape == (12, 16)
        images.write(picture, tmp_path / "again.png")
        again = images.read(tmp_path / "again.png")
        assert np.array_equal(again.rgb, picture.rgb), name
        assert not clear or np.array_equal(again.alpha, picture.alpha), name


@pytest.mark.parametrize(("place", "value"), [(6, 0), (17, 0), (17, 30), (25, 255)])
def test_damaged_tags_do_not_keep_an_image_from_being_read(tmp_path, place, value):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 1, "maker"
    data = bytearray(exif.tobytes())
    data[place] = value
    Image.fromarray(ramp()).save(tmp_path / "odd.webp", exif=bytes(data), lossless=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(images.read(tmp_path / "odd.webp").rgb, ramp())


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(tmp_path, depth, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    whole = io.BytesIO()
    images.write(images.Picture(rgb=ramp(dtype=depth)), tmp_path / "plain.png")
    data = (tmp_path / "plain.png").read_bytes()
    body = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "turned.png").write_bytes(data[:33] + chunk + data[33:])
    Image.fromarray(ramp()).save(whole, "PNG", exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(whole)))
    found = images.read(tmp_path / "turned.png").rgb
    assert found.dtype == depth and found.shape == wanted.shape
    assert np.array_equal(found if depth == np.uint8 else np.rint(found / 257).astype(np.uint8), wanted)
    assert np.array_equal(read_image(tmp_path / "turned.png"), wanted)  # training sees it the same way


@pytest.mark.parametrize("format", ["AVIF", "TIFF", "PNG", "GIF"])
def test_any_damage_has_an_error(tmp_path, format):
    """Whatever the decoders raise: plain RuntimeErrors and TypeErrors are among it. A PNG, with its checksums, is right
    or refused.
    """
    file, path, refused = io.BytesIO(), tmp_path / "damaged", 0
    image = (np.add.outer(np.arange(160), np.arange(240))[..., None] * [1, 2, 1] // 3).astype(np.uint8)
    Image.fromarray(image).save(file, format)
    whole = file.getvalue()
    for place in np.linspace(8, len(whole) - 1, 60).astype(int):
        for data in (whole[:place].ljust(len(whole), b"\0"), whole[:place] + b"\xaa" + whole[place + 1 :]):
            path.write_bytes(data)
            try:
                found = images.read(path).rgb
                assert format != "PNG" or np.array_equal(found, image)
            except images.PictureError:
                refused += 1
    assert refused
