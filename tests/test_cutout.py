"""Cut-outs: whatever colour lies hidden under opacity 0, their edges look the same."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vsapisr.cli import images
from vsapisr.cli.cutout import spread
from vsapisr.config import UpscaleConfig

OWN = (200, 60, 40)
HIDDEN = {"black": (0, 0, 0), "white": (255, 255, 255), "green": (0, 255, 0), "own": OWN}
SIDE = 40


def disk(hidden: tuple[int, int, int], soft: bool = False) -> np.ndarray:
    """(40, 40, 4) uint8: a disk of one colour, sharply cut or with an edge of several opacities."""
    alpha = np.zeros((SIDE * 8, SIDE * 8), np.uint8)
    cv2.circle(alpha, (SIDE * 4, SIDE * 4), SIDE * 3, 255, -1)
    alpha = cv2.resize(alpha, (SIDE, SIDE), interpolation=cv2.INTER_AREA if soft else cv2.INTER_NEAREST)
    rgb = np.where(alpha[..., None] > 0, OWN, hidden).astype(np.uint8)
    return np.dstack([rgb, alpha])


def save(kind: str, hidden: tuple[int, int, int], folder: Path) -> Path:
    """The sharp disk as one of the kinds of files with transparency."""
    samples, path = disk(hidden), folder / f"{kind}.png"
    image = Image.fromarray(samples)
    if kind == "16 bit":
        cv2.imwrite(str(path), samples[..., [2, 1, 0, 3]].astype(np.uint16) * 257)
    elif kind == "webp":
        image.save(path := path.with_suffix(".webp"), lossless=True, exact=True)
    elif kind == "key":
        Image.fromarray(np.ascontiguousarray(samples[..., :3])).save(path, transparency=hidden)
    elif kind == "palette":
        palette = Image.new("P", (SIDE, SIDE), 0)
        palette.putpalette([*hidden, *OWN])
        palette.putdata([int(a > 0) for a in samples[..., 3].ravel()])
        palette.save(path, transparency=0)
    elif kind == "grey":
        Image.merge("LA", [image.getchannel(1), image.getchannel(3)]).save(path)
    elif kind == "premultiplied":
        shown = (samples[..., :3] * (samples[..., 3:] / 255)).astype(np.uint8)
        Image.fromarray(np.dstack([shown, samples[..., 3]])).save(path := path.with_suffix(".tif"))
        extra_samples = b"\x52\x01\x03\x00\x01\x00\x00\x00"  # of which Pillow writes 2: not multiplied
        path.write_bytes(path.read_bytes().replace(extra_samples + b"\x02", extra_samples + b"\x01"))
        with Image.open(path) as again:
            assert again.tag_v2[338] == (1,)
    else:
        image.save(path)
    return path


KINDS = ("rgba", "16 bit", "webp", "key", "palette", "grey", "premultiplied")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_hidden_changes_nothing(kind, tmp_path):
    """By the shipped network: of the disk with its own colour hidden, to the bit."""
    found = {}
    for name, hidden in HIDDEN.items():
        if kind == "key" and name == "own":  # the disk itself would be transparent
            continue
        picture = images.read(save(kind, hidden, tmp_path))
        assert picture.alpha is not None and set(np.unique(picture.alpha)) == {0, np.iinfo(picture.alpha.dtype).max}
        big = images.upscaled(picture, UpscaleConfig(device="cpu"))
        found[name] = np.dstack([big.rgb, big.alpha]) // (257 if big.rgb.dtype == np.uint16 else 1)
    colour = np.array(OWN if kind != "grey" else [OWN[1]] * 3)
    for name, samples in found.items():
        assert np.array_equal(samples, found["white"]), name
        shown = samples[..., 3] > 0
        assert np.abs(samples[shown][:, :3].astype(int) - colour).max() <= 4, name


def test_faint_pixels_take_most_of_their_colour_from_clear_ones():
    """Of colours stored multiplied by opacity 1 of 255, one bit is left."""
    samples = disk(HIDDEN["black"], soft=True)
    faint = (samples[..., 3] > 0) & (samples[..., 3] < 32)
    assert faint.sum() > 8
    samples[faint, :3] = 255
    got = spread(samples[..., :3], samples[..., 3])
    clear = samples[..., 3] >= 32
    assert np.array_equal(got[clear], samples[clear, :3])
    share = samples[faint, 3, None] / 32
    wanted = 255 * share + np.array(OWN) * (1 - share)
    assert np.abs(got[faint] - wanted).max() < 25 and np.abs(got[faint] - wanted).mean() < 8


def test_colours_go_on_and_mean_what_is_around():
    alpha = np.zeros((9, 64), np.uint8)
    rgb = np.zeros((9, 64, 3), np.uint8)
    alpha[:, 0], alpha[:, -1] = 255, 255
    rgb[:, 0], rgb[:, -1] = (240, 0, 0), (0, 0, 240)
    got = spread(rgb, alpha)
    assert np.array_equal(got[:, 0], rgb[:, 0]) and np.array_equal(got[:, -1], rgb[:, -1])
    assert got[:, 4, 0].min() > 180 and got[:, -5, 2].min() > 180 and got[..., 1].max() == 0
    assert 60 < got[4, 32, 0] < 180 and 60 < got[4, 32, 2] < 180


@pytest.mark.parametrize("alpha", [0, 255])
def test_nothing_to_spread_changes_nothing(alpha):
    rgb = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(spread(rgb, np.full((5, 7), alpha, np.uint8)), rgb)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 1), (33, 7)])
def test_sides_of_every_length(size):
    rgb = np.random.default_rng(2).integers(0, 256, (*size, 3), dtype=np.uint16)
    alpha = np.random.default_rng(3).choice([0, 65535], size).astype(np.uint16)
    got = spread(rgb, alpha)
    assert got.dtype == np.uint16 and np.array_equal(got[alpha > 0], rgb[alpha > 0])
