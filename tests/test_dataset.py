"""From files to batches: determinism over workers and resumes, mixing, the cache, broken input."""

from __future__ import annotations

import itertools
import logging
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.pictures import coordinates
from train.data.batches import Batches
from train.data.crops import DatasetConfig, ImageStream, augment, part, recolour
from train.degradation import compression
from train.degradation.config import DegradationConfig, preset
from train.media.cache import DiskCache, key_of
from train.media.images import ImageError, list_images, read_image
from train.settings import build
from vsapisr.errors import ArgumentError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six drawings of different sizes in PNG and WebP, blue telling them apart."""
    for number in range(6):
        image = Image.fromarray(coordinates(96 + 8 * number, 128, 40 * number))
        image.save(tmp_path / f"{number}.{'png' if number % 2 else 'webp'}", lossless=True)
    return tmp_path


def config(folder: Path, **changes: object) -> DatasetConfig:
    values = {
        "folder": str(folder),
        "batch": 4,
        "patch": 16,
        "per_image": 3,
        "pool": 4,
        "workers": 0,
        "seed": 5,
        "degradation": preset("bsrgan"),
    }
    return DatasetConfig(**(values | changes))


def take(batches: Batches, count: int) -> list[tuple[torch.Tensor, ...]]:
    return list(itertools.islice(batches, count))


def same(one: list, two: list) -> bool:
    return len(one) == len(two) and all(torch.equal(a, b) for x, y in zip(one, two) for a, b in zip(x, y))


def test_shapes_types_and_alignment(folder):
    """The clean quarter of a GT crop is where the LR crop is: degraded mildly, they stay close in all augmentations."""
    mild = preset("bsrgan")
    lr, gt, pseudo = take(Batches(config(folder, degradation=mild)), 1)[0]
    assert lr.shape == (4, 3, 16, 16) and gt.shape == pseudo.shape == (4, 3, 64, 64)
    assert lr.dtype == gt.dtype == pseudo.dtype == torch.uint8
    differences = []
    for a, b, _ in take(Batches(config(folder, seed=9)), 10):
        quarter = torch.nn.functional.avg_pool2d(b.float(), 4)
        differences += (a.float() - quarter).abs().mean((2, 3))[:, :2].mean(1).tolist()
    assert np.median(differences) < 6  # a shift of one LR pixel is 1, of a flip about 16


def test_gt_crops_are_pieces_of_the_drawings_at_any_lr_position(folder):
    """Red and green of the untouched GT give the crop's corner: whole steps of four, many different ones, inside the
    image.
    """
    corners = set()
    for _, gt, _ in take(Batches(config(folder, augment=0.0)), 20):
        for image in gt:
            x, y, number = int(image[0, 0, 0]), int(image[1, 0, 0]), int(image[2, 0, 0]) // 40
            height = 96 + 8 * number
            assert torch.equal(
                image.permute(1, 2, 0),
                torch.from_numpy(coordinates(height, 128, 40 * number)[4 * y : 4 * y + 64, 4 * x : 4 * x + 64]),
            )
            corners.add((x, y))
    assert len(corners) > 40 and len({x for x, _ in corners}) > 10


def test_same_batches_for_any_number_of_workers(folder):
    results = [take(Batches(config(folder, workers=n)), 5) for n in (0, 1, 2)]
    assert same(results[0], results[1]) and same(results[0], results[2])
    assert not same(results[0], take(Batches(config(folder, seed=6)), 5))


@pytest.mark.parametrize(("done", "workers"), [(1, 0), (3, 2), (6, 0), (7, 0)])
def test_a_resumed_run_sees_the_batches_of_an_uninterrupted_one(folder, done, workers):
    """Blocks are 12 samples, batches 4: positions within, at the end of and beyond the first block and epoch."""
    whole = take(Batches(config(folder)), done + 3)
    first = Batches(config(folder))
    take(first, done)
    second = Batches(config(folder, workers=workers))
    second.load_state_dict(first.state_dict())
    assert same(take(second, 3), whole[done:])
    assert second.position == 4 * (done + 3)


def test_resume_refuses_other_settings(folder):
    state = Batches(config(folder)).state_dict()
    with pytest.raises(ArgumentError, match="other files or settings"):
        Batches(config(folder, patch=12)).load_state_dict(state)
    Batches(config(folder, workers=2, cache=str(folder / "cache"))).load_state_dict(state)


def test_an_epoch_has_every_drawing_once_and_a_window_at_most_two_crops_of_one(folder):
    stream = ImageStream(list_images(folder), config(folder))
    seen = [int(stream.crops(number).gt[0, 2, 0, 0]) // 40 for number in range(18)]
    assert [sorted(seen[n : n + 6]) for n in (0, 6, 12)] == [list(range(6))] * 3
    assert seen[:6] != seen[6:12] or seen[6:12] != seen[12:]
    order = Batches(config(folder, pool=8, per_image=5))._order(3)
    assert len({tuple(pair) for pair in order.tolist()}) == 40
    assert max(Counter(order[n : n + 8, 0].tolist()).most_common(1)[0][1] for n in range(32)) <= 2


def test_ranks_share_out_the_drawings(folder):
    files = list_images(folder)
    streams = [ImageStream(files, config(folder), rank=rank, world=2) for rank in (0, 1)]
    seen = [int(stream.crops(number).gt[0, 2, 0, 0]) // 40 for number in range(3) for stream in streams]
    assert sorted(seen) == list(range(6))


def test_degradation_changes_from_epoch_to_epoch_unless_variants_are_fixed(folder):
    files = list_images(folder)
    new = ImageStream(files, config(folder))
    assert not np.array_equal(new.degraded(0, 1)[0], new.degraded(1, 1)[0])
    kept = ImageStream(files, config(folder, variants=2))
    assert np.array_equal(kept.degraded(0, 1)[0], kept.degraded(2, 1)[0])
    assert not np.array_equal(kept.degraded(0, 1)[0], kept.degraded(1, 1)[0])


def test_pseudo_gt_can_be_switched_off_and_differs_at_lines(tmp_path):
    image = np.full((96, 96, 3), 180, np.uint8)
    cv2.line(image, (0, 0), (95, 90), (20, 20, 20), 3)
    cv2.circle(image, (48, 48), 30, (60, 30, 30), 2)
    Image.fromarray(image).save(tmp_path / "a.png")
    _, gt, pseudo = ImageStream(list_images(tmp_path), config(tmp_path)).degraded(0, 0)
    assert np.array_equal(gt, image) and not np.array_equal(pseudo, gt)
    _, gt, pseudo = ImageStream(list_images(tmp_path), config(tmp_path, enhance=False)).degraded(0, 0)
    assert np.array_equal(pseudo, gt)


def test_ready_pseudo_gts_are_read_and_checked(folder, tmp_path):
    ready = tmp_path / "ready"
    ready.mkdir()
    for path in list_images(folder):
        Image.fromarray(255 - read_image(path)).save(ready / path.name, lossless=True)
    for _, gt, pseudo in take(Batches(config(folder, pseudo_gt=str(ready), augment=1.0)), 4):
        assert torch.equal(pseudo, 255 - gt)
    Image.fromarray(coordinates(64, 64)).save(ready / "1.png")
    (ready / "3.png").unlink()
    batches = Batches(config(folder, pseudo_gt=str(ready)))
    take(batches, 8)
    assert {Path(path).name for path in batches.refused} == {"1.png", "3.png"}
    assert "its pseudo-GT is 64x64, not 128x104" in batches.refused[str(folder / "1.png")]


@pytest.mark.parametrize("ready", [False, True])
def test_other_colours_are_those_of_the_drawing_before_it_is_degraded(folder, tmp_path_factory, ready):
    """Small crop, GT and pseudo-GT agree, with a pseudo-GT made here or before, and a cache does not mix colours up."""
    changes = {"variants": 3, "enhance": ready, "recolour": 1.0, "cache": str(tmp_path_factory.mktemp("cache"))}
    if ready:
        changes["pseudo_gt"] = str(folder)  # the drawings themselves
    one = take(Batches(config(folder, **changes)), 12)
    for lr, gt, pseudo in one:
        assert torch.equal(gt, pseudo)
        quarter = torch.nn.functional.avg_pool2d(gt.float(), 4)
        assert (lr.float() - quarter).abs().mean() < 12, "an order of its own would be about 30 off"
    plain = take(Batches(config(folder, **changes | {"recolour": 0.0, "cache": ""})), 12)
    assert not same(one, plain)
    assert same(one, take(Batches(config(folder, **changes)), 12)), "from the cache now"
    assert same(plain, take(Batches(config(folder, **changes | {"recolour": 0.0})), 12)), "whose others are not taken"
    assert same(one, take(Batches(config(folder, **changes | {"workers": 2, "cache": ""})), 12))


# Reading


def test_a_folder_full_of_trouble_still_gives_batches(tmp_path, caplog):
    """One good drawing among 1-pixel, tiny, truncated, empty, grey, deep and CMYK ones: the unusable are named,
    once.
    """
    good = coordinates(80, 96, 7)
    Image.fromarray(good).save(tmp_path / "good.png")
    Image.fromarray(good[..., 0]).save(tmp_path / "grey.png")
    cv2.imwrite(str(tmp_path / "deep.png"), good.astype(np.uint16) * 257)
    Image.fromarray(good).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(good[:1, :1]).save(tmp_path / "pixel.png")
    Image.fromarray(good[:20]).save(tmp_path / "small.webp")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:100])
    (tmp_path / "empty.jpg").write_bytes(b"")
    batches = Batches(config(tmp_path))
    with caplog.at_level(logging.WARNING):
        for lr, gt, _ in take(batches, 8):
            assert lr.shape == (4, 3, 16, 16) and gt.shape == (4, 3, 64, 64)
    assert {Path(path).name for path in batches.refused} == {"pixel.png", "small.webp", "cut.png", "empty.jpg"}
    assert "1x1 is smaller than a crop of 64x64" in batches.refused[str(tmp_path / "pixel.png")]
    assert len(caplog.records) == 4
    assert same(take(Batches(config(tmp_path)), 4), take(Batches(config(tmp_path, workers=2)), 4))


def test_only_trouble_is_an_error_that_says_so(tmp_path):
    Image.fromarray(coordinates(8, 8)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match="100 files in a row.*8x8 is smaller"):
        take(Batches(config(tmp_path)), 1)
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="no .*png"):
        Batches(config(tmp_path / "none"))


def test_8k_drawing(tmp_path):
    image = np.zeros((4320, 7680, 3), np.uint8)
    image[::7] = 90
    cv2.imwrite(str(tmp_path / "8k.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    lr, gt, _ = take(Batches(config(tmp_path, per_image=4, pool=1, max_pixels=160_000)), 1)[0]
    assert lr.shape == (4, 3, 16, 16) and gt.shape == (4, 3, 64, 64)


# The cache


def test_cache_gives_the_same_batches_and_is_used(folder, monkeypatch):
    plain = config(folder, variants=1)
    cached = config(folder, variants=1, cache=str(folder / "cache"))
    expected = take(Batches(plain), 9)
    assert same(take(Batches(cached), 9), expected)
    import train.data.crops as stream

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made again although it is in the cache")

    monkeypatch.setattr(stream, "apply", refuse)
    monkeypatch.setattr(stream.lines, "enhance", refuse)
    assert same(take(Batches(cached), 9), expected)


def test_cache_keeps_within_its_limit_and_drops_the_longest_unused(tmp_path):
    rng = np.random.default_rng(0)
    images = {key_of(n): rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for n in range(12)}
    size = cv2.imencode(".png", images[key_of(0)])[1].nbytes
    cache = DiskCache(tmp_path, int(8.5 * size), recount=1)
    kept = key_of(0)
    for number, (key, image) in enumerate(images.items()):
        cache.put(key, image)
        assert np.array_equal(cache.get(kept), images[kept])  # used again and again: it stays
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.png")) <= 8.5 * size, number
    assert cache.get(key_of(1)) is None and cache.get(key_of(11)) is not None
    assert not list(tmp_path.rglob("*.tmp"))


def test_damaged_cache_entries_are_made_again(tmp_path):
    cache, key = DiskCache(tmp_path, 10**6), key_of("a")
    cache.put(key, coordinates(16, 16))
    next(tmp_path.rglob("*.png")).write_bytes(b"\x89PNG broken")
    assert cache.get(key) is None
    cache.put(key, coordinates(16, 16))
    assert np.array_equal(cache.get(key), coordinates(16, 16))


@pytest.mark.parametrize("trouble", ["full disk", "no folder", "no file"])
def test_a_cache_that_cannot_be_used_changes_no_sample(folder, caplog, small_files, trouble):
    plain, place = config(folder, variants=2), folder / "cache"
    expected = take(Batches(plain), 9)
    if trouble == "no folder":
        place.write_bytes(b"")
    else:
        DiskCache(place, 10**6)
    if trouble == "no file":  # a folder lies where each entry should be
        take(Batches(replace(plain, cache=str(place))), 9)
        for entry in list(place.rglob("*.png")):
            entry.unlink()
            entry.mkdir()
    if trouble == "full disk":
        small_files(1000)
    batches = Batches(replace(plain, cache=str(place)))
    got = take(batches, 9)
    small_files(10**8)
    assert same(got, expected) and not batches.refused
    reason = {"full disk": "File too large", "no folder": "File exists", "no file": "Is a directory"}[trouble]
    assert [record.getMessage() for record in caplog.records] == [
        f"the cache {place} cannot be used ({reason}); the run goes on without"
    ]
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"batch": 0}, "batch"),
        ({"patch": 0}, "patch"),
        ({"workers": -1}, "workers"),
        ({"augment": 2.0}, "augment"),
        ({"recolour": -0.1}, "recolour"),
        ({"base": "best"}, "base"),
        ({"gamma": (0.9, 1.2)}, "gamma"),
        ({"max_pixels": 100}, "max_pixels"),
    ],
)
def test_wrong_settings_are_named(tmp_path, values, word):
    with pytest.raises(ArgumentError, match=word):
        config(tmp_path, **values)


def test_workers_after_the_process_has_encoded_video(tmp_path):
    """swscale keeps a context with threads; a worker that inherits it by fork waits for them for ever."""
    folder = tmp_path / "gt"
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)).save(folder / "a.png")
    compression.mpeg2(np.full((720, 1280, 3), 90, np.uint8), 8)
    degradation = build(DegradationConfig, {"stage2": {"codec": {"names": ["mpeg2"], "weights": [1.0]}}})
    config = DatasetConfig(
        folder=str(folder), batch=2, patch=16, per_image=1, pool=1, workers=1, degradation=degradation
    )
    lr, gt, _ = next(iter(Batches(config)))
    assert lr.shape == (2, 3, 16, 16) and gt.shape == (2, 3, 64, 64)
