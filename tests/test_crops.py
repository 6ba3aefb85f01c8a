"""What is cut out of a drawing, in which colours and which way round."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from train.data.crops import DatasetConfig, ImageStream, augment, part, recolour, reduced
from vsapisr.errors import ArgumentError

from .clips import drawing


def test_colours_change_as_often_as_asked():
    image, rng = np.array([[[10, 90, 200]]], np.uint8), np.random.default_rng(0)
    seen = Counter(tuple(recolour(image, rng, 0.6)[0, 0].tolist()) for _ in range(6000))
    assert seen.pop((10, 90, 200)) / 6000 == pytest.approx(0.4, abs=0.03)
    assert seen.pop((79, 79, 79)) / 6000 == pytest.approx(0.2, abs=0.03), (
        "BT.601: 0.299 * 10 + 0.587 * 90 + 0.114 * 200"
    )
    assert set(seen) == set(itertools.permutations((10, 90, 200))) - {(10, 90, 200)}
    assert min(seen.values()) / 6000 == pytest.approx(0.08, abs=0.02)


def test_augmentation_is_half_of_the_time_and_the_same_for_all():
    rng, image = np.random.default_rng(0), np.arange(48).reshape(4, 4, 3)
    seen = Counter()
    for _ in range(4000):
        one, two = augment([image, image + 100], rng, 0.5)
        assert np.array_equal(one + 100, two)
        seen[one.tobytes()] += 1
    assert len(seen) == 8
    share = seen[image.tobytes()] / 4000  # not augmented, or augmented by nothing
    assert abs(share - (0.5 + 0.5 / 8)) < 5 * math.sqrt(0.25 / 4000)
    others = [count for key, count in seen.items() if key != image.tobytes()]
    assert max(others) < 1.4 * min(others)


@settings(max_examples=100, deadline=None)
@given(height=st.integers(64, 9000), width=st.integers(64, 9000), seed=st.integers(0, 99))
def test_part_of_large_drawings(height, width, seed):
    image = np.broadcast_to(np.uint8(0), (height, width, 3))
    cut, (top, left, rows, columns) = part(image, 20_000, 64, np.random.default_rng(seed))
    assert cut.shape == (rows, columns, 3) and rows % 8 == columns % 8 == 0 and min(rows, columns) >= 64
    assert rows * columns <= 20_000 and top + rows <= height and left + columns <= width
    if height // 8 * 8 * (width // 8 * 8) > 20_000:
        assert rows * columns > 8_000


def test_sizes_are_spread_over_all_that_are_allowed():
    image = np.zeros((90, 120, 3), np.uint8)
    rng = np.random.default_rng(0)
    shapes = Counter(reduced(image, 80, rng).shape[:2] for _ in range(600))
    assert {height for height, _ in shapes} == set(range(80, 91))
    assert all(abs(width - height * 4 / 3) <= 0.5 for height, width in shapes)
    assert max(shapes.values()) < 2 * 600 / 11
    assert reduced(image, 91, rng) is image, "nothing is enlarged"


def test_a_drawing_has_another_size_in_each_variant(tmp_path):
    """The same numbers give the same size, the small picture belongs to it, and a cache keeps them apart."""
    image = drawing(0, 144, 200, shapes=12)
    Image.fromarray(image).save(tmp_path / "one.png")
    common = {"folder": str(tmp_path), "patch": 16, "shortest": 72, "pool": 1, "base": "plain"}
    plain, cached = (
        ImageStream([tmp_path / "one.png"], DatasetConfig(**common, variants=variants, cache=cache))
        for variants, cache in ((0, ""), (3, str(tmp_path / "cache")))
    )
    seen = set()
    for epoch in range(3):
        lr, gt, pseudo = plain.degraded(epoch, 0)
        seen.add(gt.shape)
        assert gt.shape == pseudo.shape and (4 * lr.shape[0], 4 * lr.shape[1]) == gt.shape[:2]
        assert 64 <= min(gt.shape[:2]) <= 144
        for _ in range(2):  # made, then from the cache
            for one, other in zip((lr, gt, pseudo), cached.degraded(epoch, 0)):
                assert np.array_equal(one, other)
        for one, other in zip(cached.degraded(epoch, 0), cached.degraded(epoch + 3, 0)):
            assert np.array_equal(one, other)
    assert len(seen) == 3


@pytest.mark.parametrize("more", [{"shortest": 255}, {"shortest": 540, "pseudo_gt": "ready"}])
def test_sizes_that_cannot_be(more):
    with pytest.raises(ArgumentError, match="shortest: .* is not accepted"):
        DatasetConfig(folder="x", **more)
