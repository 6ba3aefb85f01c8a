"""Depth and words of picture files: what comes out says what went in."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from vsapisr.cli import images, metadata

from .pictures import ramp

DEEP = ramp(dtype=np.uint16)


def pnm(samples: np.ndarray, most: int) -> bytes:
    """With a comment in the header."""
    kind = b"P6" if samples.ndim == 3 else b"P5"
    values = np.rint(samples * (most / 65535)).astype(">u2")
    height, width = samples.shape[:2]
    return kind + b"\n# made here\n%d %d\n%d\n" % (width, height, most) + values.tobytes()


@pytest.mark.parametrize("kind", ["tif", "grey.tif", "alpha.tif", "ppm", "pgm", "10 bit.ppm"])
def test_sixteen_bit_stay_sixteen(kind, tmp_path):
    path, alpha = tmp_path / f"a.{kind}", np.full((12, 16, 1), 40000, np.uint16)
    wanted = DEEP[..., :1].repeat(3, 2) if kind in ("grey.tif", "pgm") else DEEP
    if kind == "alpha.tif":
        cv2.imwrite(str(path), np.dstack([DEEP[..., ::-1], alpha]))
    elif kind.endswith("tif"):
        cv2.imwrite(str(path), DEEP[..., 0] if kind == "grey.tif" else DEEP[..., ::-1])
    else:
        path.write_bytes(pnm(DEEP[..., 0] if kind == "pgm" else DEEP, 1023 if kind.startswith("10") else 65535))
    picture = images.read(path)
    assert picture.rgb.dtype == np.uint16 and picture.grey == (kind in ("grey.tif", "pgm"))
    assert np.abs(picture.rgb.astype(int) - wanted).max() <= (33 if kind.startswith("10") else 0)
    assert (picture.alpha is not None) == (kind == "alpha.tif")
    images.write(picture, tmp_path / "out.png")
    assert np.array_equal(images.read(tmp_path / "out.png").rgb, picture.rgb)


def tiff(samples: np.ndarray, photometric: int, extra: int | None = None) -> bytes:
    """(h, w, channels) uint16 as one strip, little-endian; every value of a tag that fits lies in it."""
    height, width, channels = samples.shape
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 0), (259, 3, 1, 1), (262, 3, 1, photometric)]
    tags += [(273, 4, 1, 0), (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, samples.nbytes)]
    tags += [(338, 3, 1, extra)] if extra is not None else []
    end = 8 + 2 + 12 * len(tags) + 4
    place = {258: end if channels > 2 else 16 | 16 << 16, 273: end + 2 * channels}
    body = b"".join(struct.pack("<HHII", tag, kind, count, place.get(tag, value)) for tag, kind, count, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4)
    return head + struct.pack("<H", 16) * channels + samples.astype("<u2").tobytes()


def test_opacity_in_the_colours_of_a_tiff_is_taken_out(tmp_path):
    alpha = np.full((12, 16, 1), 32768, np.uint16)
    (tmp_path / "a.tif").write_bytes(tiff(np.dstack([DEEP // 2, alpha]), 2, extra=1))
    (tmp_path / "b.tif").write_bytes(tiff(np.dstack([DEEP // 2, alpha]), 2, extra=2))
    associated, plain = images.read(tmp_path / "a.tif"), images.read(tmp_path / "b.tif")
    assert np.array_equal(plain.rgb, DEEP // 2)
    assert np.abs(associated.rgb.astype(int) - DEEP).max() <= 2 and (associated.alpha == alpha[..., 0]).all()


def test_a_tiff_whose_zero_is_white(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(DEEP[..., :1], 0))
    assert np.array_equal(images.read(tmp_path / "a.tif").rgb[..., 0], 65535 - DEEP[..., 0])


def test_inks_of_sixteen_bit_are_converted_to_eight(tmp_path):
    (tmp_path / "inks.tif").write_bytes(tiff(np.dstack([DEEP, DEEP[..., :1]]), 5))
    assert images.read(tmp_path / "inks.tif").rgb.dtype == np.uint8


def written(folder: Path, source: Path) -> Image.Image:
    images.write(images.read(source), folder / "out.png")
    out = Image.open(folder / "out.png")
    out.load()
    return out


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_words_density_and_colours_of_a_png(depth, tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Ren\xe9e")
    info.add_itxt("Title", "\u7d75", lang="ja")
    info.add_text("Comment", "long " * 400, zip=True)
    Image.fromarray(ramp()).save(tmp_path / "a.png", pnginfo=info, dpi=(300, 300))
    data = (tmp_path / "a.png").read_bytes()
    more = metadata.chunk(b"gAMA", struct.pack(">I", 55555)) + metadata.chunk(b"cHRM", struct.pack(">8I", *range(1, 9)))
    if depth == np.uint16:
        more += b"".join(metadata.chunk(*one) for one in metadata.chunks(data) if one[0] in metadata.COPIED)
        cv2.imwrite(str(tmp_path / "a.png"), DEEP)
        data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(metadata.inserted(data, more))
    out = written(tmp_path, tmp_path / "a.png")
    assert out.text == {"Author": "Ren\xe9e", "Title": "\u7d75", "Comment": "long " * 400}
    assert out.info["dpi"] == pytest.approx((300, 300), abs=0.1) and out.info["gamma"] == 0.55555
    assert b"cHRM" + struct.pack(">8I", *range(1, 9)) in (tmp_path / "out.png").read_bytes()


def test_exif_without_what_is_no_longer_true(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Artist], exif[ExifTags.Base.ImageWidth] = 6, "someone", 16
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = 16
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:11:26 22:00:00"
    Image.fromarray(ramp()).save(tmp_path / "a.jpg", exif=exif, dpi=(240, 120))
    out = written(tmp_path, tmp_path / "a.jpg")
    found, inner = out.getexif(), out.getexif().get_ifd(ExifTags.IFD.Exif)
    assert found[ExifTags.Base.Artist] == "someone" and inner[ExifTags.Base.DateTimeOriginal].startswith("2026")
    assert ExifTags.Base.Orientation not in found and ExifTags.Base.ImageWidth not in found
    assert ExifTags.Base.ExifImageWidth not in inner
    assert out.size == (12, 16) and out.info["dpi"] == pytest.approx((240, 120), abs=0.1)


def test_too_large_a_picture_is_refused_in_words(tmp_path, monkeypatch):
    Image.new("1", (300, 200)).save(tmp_path / "wide.png")
    text = "wide.png has 300x200 pixels, more than the 50,000 that .*--megapixels"
    with pytest.raises(images.PictureError, match=text):
        images.read(tmp_path / "wide.png", most=50_000)
    assert images.read(tmp_path / "wide.png", most=60_000).rgb.shape == (200, 300, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # Pillow's own limit does not count
    assert images.read(tmp_path / "wide.png").rgb.shape == (200, 300, 3)
