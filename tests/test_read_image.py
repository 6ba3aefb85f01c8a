"""Reading drawings: kinds of files, orientation, and what is damaged."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.pictures import coordinates
from train.media.images import ImageError, read_image


def test_grey_palette_and_transparency(tmp_path):
    grey = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (8, 1))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, axis=2))
    Image.fromarray(coordinates(16, 16)).quantize(64).save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").shape == (16, 16, 3)
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 200, [[0, 255], [51, 128]]
    for name in ("rgba.png", "rgba.webp"):
        Image.fromarray(rgba).save(tmp_path / name, lossless=True, exact=True)
        image = read_image(tmp_path / name)
        assert image[0, 0].tolist() == [255, 255, 255] and image[0, 1].tolist() == [200, 0, 0]
        assert image[1, 0].tolist() == [244, 204, 204]
    Image.fromarray(rgba).convert("LA").save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png")[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_png_is_rounded(tmp_path, channels):
    values = np.array([0, 128, 129, 257, 30000, 65406, 65407, 65535], np.uint16)
    image = np.repeat(values[None, :, None], channels, axis=2)
    if channels > 1:
        image[..., 0] = 0  # blue, in OpenCV's order
    if channels == 4:
        image[..., 3] = 65535
    cv2.imwrite(str(tmp_path / "deep.png"), image)
    got = read_image(tmp_path / "deep.png")
    assert got.dtype == np.uint8 and got.shape == (1, 8, 3)
    assert got[0, :, 0].tolist() == np.rint(values / 257).astype(int).tolist()
    assert got[0, :, 2].tolist() == ([0] * 8 if channels > 1 else got[0, :, 0].tolist())


def test_cmyk_jpeg_has_the_colours_of_its_rgb(tmp_path):
    image = np.zeros((16, 48, 3), np.uint8)
    image[:, :16], image[:, 16:32], image[:, 32:] = (230, 30, 30), (250, 250, 250), (20, 20, 20)
    Image.fromarray(image).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "cmyk.jpg").astype(int) - image)[:, [8, 24, 40]].max() < 12


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(coordinates(16, 32)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (32, 16, 3)


@pytest.mark.parametrize(
    ("good", "bad", "shape"),
    [(b"\x01\x1a\0\x05", b"\x01\x1a\0\x02", (32, 16, 3)), (b"\x01\x12\0\x03", b"\x01\x12\0\x02", (16, 32, 3))],
)
def test_malformed_exif_does_not_cost_the_picture(tmp_path, good, bad, shape):
    """Tags of a wrong type: resolution, beside which the orientation holds, and the orientation itself."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.5
    Image.fromarray(coordinates(16, 32)).save(tmp_path / "odd.jpg", exif=exif)
    data = (tmp_path / "odd.jpg").read_bytes()
    assert data.count(good) == 1
    (tmp_path / "odd.jpg").write_bytes(data.replace(good, bad))
    assert read_image(tmp_path / "odd.jpg").shape == shape


def test_a_damaged_avif_under_another_name_is_refused(tmp_path):
    """Pillow's decoder raises RuntimeError on it."""
    data = io.BytesIO()
    Image.fromarray(coordinates(64, 64)).save(data, "AVIF")
    path = tmp_path / "a.png"
    path.write_bytes(data.getvalue()[:-40] + bytes(40))
    with pytest.raises(ImageError, match="a.png"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6])
def test_truncated_files_are_refused_by_name(tmp_path, suffix, share):
    rng = np.random.default_rng(0)
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match="cut"):
        read_image(cut)


def test_truncated_16_bit_png_and_text_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), np.random.default_rng(0).integers(0, 65536, (64, 64, 3), dtype=np.uint16))
    data = (tmp_path / "deep.png").read_bytes()
    (tmp_path / "deep.png").write_bytes(data[:40])
    (tmp_path / "text.png").write_text("not a picture")
    for name in ("deep.png", "text.png"):
        with pytest.raises(ImageError, match=name):
            read_image(tmp_path / name)
