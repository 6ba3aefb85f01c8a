"""Easy images in the degradation: how many there are, what they suffer, and that leaving them out changes no draw."""

from __future__ import annotations

import pytest

from train.config import build
from train.degradation.config import DegradationConfig
from train.degradation.draws import Codec, Resize, draw, generator
from vsapisr.errors import ArgumentError

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


def test_none_by_default():
    with_table = build(DegradationConfig, {"easy": {"probability": 0.0, "codec": {"names": ["jpeg"], "weights": [1.0]}}})
    assert draws(DegradationConfig(), 50) == draws(with_table, 50)
    assert all(len(record.steps) > 2 for record in draws(DegradationConfig(), 200))


def test_refused_by_name():
    with pytest.raises(ArgumentError, match=r"easy\.probability"):
        build(DegradationConfig, {"easy": {"probability": 1.5}})
