"""What is cut out of a drawing, in which colours and which way round."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.data.crops import augment, part, recolour


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
