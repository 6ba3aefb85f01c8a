"""Which files a run takes for drawings, and reads."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from train.data.batches import Batches
from train.data.crops import ImageStream
from train.media.cache import DiskCache
from train.media.images import NoImagesError, list_drawings, list_images, read_image
from train.media.places import MARK

from .pictures import coordinates
from .test_dataset import config, folder, take

__all__ = ["folder"]


def test_drawings_in_folders_below_are_read_where_none_are_in_it(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("seasons")
    for season in ("s1/ep 1", "s2"):
        (place / season).mkdir(parents=True)
        for path in list_images(folder)[:3]:  # the same names in both
            (place / season / path.name).write_bytes(path.read_bytes())
    (place / "s2" / "again").symlink_to(place)
    for made in ("gt", "pseudo_gt", "val"):  # by prepare: the GT alone
        (place / "s3" / made).mkdir(parents=True)
        (place / "s3" / made / "9.png").write_bytes((folder / "1.png").read_bytes())
    names = [str(path.relative_to(place)) for path in list_drawings(place)]
    assert names == [*(f"{s}/{n}" for s in ("s1/ep 1", "s2") for n in ("0.webp", "1.png", "2.webp")), "s3/gt/9.png"]
    DiskCache(place / "s2" / "cache", 10**6).put("ab" + 38 * "0", np.zeros((8, 8, 3), np.uint8))
    evaluated, degraded = place / "evaluated", place / "degraded"
    for made, record in ((evaluated, MARK), (degraded, "draws.jsonl"), (place / "s5" / "sheets", "x")):
        made.mkdir(parents=True)
        (made / record).write_text("{}")
        (made / "sheet.png").write_bytes((folder / "1.png").read_bytes())
    (place / "s5" / "manifest.sqlite").touch()  # of curate
    assert [str(path.relative_to(place)) for path in list_drawings(place)] == names
    assert len({Batches(config(place))._fingerprint(), Batches(config(place / "s2"))._fingerprint()}) == 2
    (place / "s4").mkdir()
    (place / "s4" / "0.webp").write_bytes(b"not read: there are drawings beside its folder")
    (place / "1.png").write_bytes((folder / "1.png").read_bytes())
    assert list_drawings(place) == [place / "1.png"]
    with pytest.raises(NoImagesError, match=r"no images in .*; the drawings that prepare made are in .*s3.gt$"):
        list_drawings(place / "s3")
    with pytest.raises(NoImagesError, match="gone' does not exist"):
        list_drawings(place / "gone")
    with pytest.raises(NoImagesError, match="1.png' is not a folder"):
        list_drawings(place / "1.png")


def test_ready_pseudo_gts_lie_as_their_drawings_do(folder, tmp_path_factory):
    place, ready = tmp_path_factory.mktemp("drawings"), tmp_path_factory.mktemp("ready")
    for number, season in enumerate(("s1", "s2")):
        for where in (place, ready):
            (where / season).mkdir()
        Image.fromarray(coordinates(96, 128, 40)).save(place / season / "0.png")
        Image.new("RGB", (128, 96), (number, number, number)).save(ready / season / "0.png")
    made = config(place, pseudo_gt=str(ready))
    stream = ImageStream(list_drawings(place), made)
    assert [stream.degraded(0, index)[2].max() for index in (0, 1)] == [0, 1]


@pytest.mark.parametrize("suffix", ["avif", "bmp", "tif", "tiff", "png", "jpg", "webp"])
def test_a_run_reads_what_prepare_reads(tmp_path, suffix):
    path = tmp_path / f"0.{suffix.upper()}"
    Image.fromarray(coordinates(96, 128, 40)).save(path, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix))
    assert list_drawings(tmp_path) == [path]
    assert np.abs(read_image(path).astype(int) - coordinates(96, 128, 40)).mean() < 20
    assert take(Batches(config(tmp_path)), 1)[0][0].shape == (4, 3, 16, 16)


def test_grey_of_16_bits_is_rounded_in_a_tiff_too(tmp_path):
    deep = np.arange(0, 65536, 13, dtype=np.uint16)[:5000].reshape(50, 100)
    for name in ("a.tif", "a.png"):
        Image.fromarray(deep).save(tmp_path / name)
    assert np.array_equal(read_image(tmp_path / "a.tif"), read_image(tmp_path / "a.png"))
    assert read_image(tmp_path / "a.tif")[49, 99, 0] == round(int(deep[49, 99]) / 257)
