"""Easy images in the degradation: how many there are, what they suffer, and that leaving them out changes no draw."""

from __future__ import annotations

import numpy as np
import pytest

from train.degradation.config import DegradationConfig
from train.degradation.draws import Codec, Resize, draw, generator
from train.degradation.resize import resize
from train.evaluation.levels import quarter
from train.settings import build
from vsapisr.errors import ArgumentError

from .pictures import shapes

stats = pytest.importorskip("scipy.stats")


def draws(config: DegradationConfig, count: int) -> list:
    return [draw(generator("easy", number), config, 720, 1280) for number in range(count)]


def test_share_and_steps():
    config = build(DegradationConfig, {"easy": {"probability": 0.4, "codec": {"h264_crf": [15, 20]}}})
    records = draws(config, 2000)
    easy = [record for record in records if len(record.steps) == 2]
    assert stats.binomtest(len(easy), len(records), 0.4).pvalue > 1e-5
    for record in easy:
        resize, codec = record.steps
        assert isinstance(resize, Resize) and (resize.height, resize.width) == (180, 320) and isinstance(codec, Codec)
    crfs = {record.steps[1].quality for record in easy if record.steps[1].name == "h264"}
    assert crfs == set(range(15, 21))
    ways = [record.steps[0].interpolation for record in easy]
    assert set(ways) == {"area", "antialiased"} and stats.binomtest(ways.count("area"), len(ways), 0.5).pvalue > 1e-5


def test_antialiased_is_how_the_levels_of_evaluation_are_made():
    image = shapes(5, 96, 160) // 2 + 64  # away from black and white, where Pillow clips bytes between its two passes
    small = resize(image.astype(np.float32), 24, 40, "antialiased")
    assert np.abs(small - quarter(image)).max() < 1
    grey = resize(image[..., 0].astype(np.float32), 24, 40, "antialiased")
    assert np.array_equal(grey, small[..., 0])


def test_no_fine_pattern_comes_through_as_a_coarse_one():
    """Lines every three pixels, where a quarter can hold one every eight."""
    stripes = np.tile((np.arange(96) % 3 == 0).astype(np.float32)[None, :, None], (96, 1, 3))
    inner = np.s_[4:20, 4:20]  # away from the borders, which break the pattern
    assert (
        np.ptp(resize(stripes, 24, 24, "antialiased")[inner])
        < 0.05
        < 0.4
        < np.ptp(resize(stripes, 24, 24, "bilinear")[inner])
    )


def test_none_by_default():
    with_table = build(
        DegradationConfig, {"easy": {"probability": 0.0, "codec": {"names": ["jpeg"], "weights": [1.0]}}}
    )
    assert draws(DegradationConfig(), 50) == draws(with_table, 50)
    assert all(len(record.steps) > 2 for record in draws(DegradationConfig(), 200))


def test_refused_by_name():
    with pytest.raises(ArgumentError, match=r"easy\.probability"):
        build(DegradationConfig, {"easy": {"probability": 1.5}})
    with pytest.raises(ArgumentError, match=r"easy\.interpolations.*'nearest'.*antialiased"):
        build(DegradationConfig, {"easy": {"interpolations": ["nearest"]}})
