"""Arguments of Upscale: what is accepted, and the exact words when it is not."""

from __future__ import annotations

import pytest

from vsapisr.config import UpscaleConfig
from vsapisr.errors import ArgumentError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tilesize": [100, 64]}, "tilesize must be multiples of 8, got 100x64"),
        ({"tilesize": 100}, "tilesize must be multiples of 8, got 100"),
        ({"tilesize": [-8]}, "tilesize must not be negative, got -8"),
        ({"tilesize": [64, 64, 64]}, "tilesize takes one or two numbers, got 3"),
        ({"tilesize": [16, 64], "overlap": 8}, "tilesize must be more than twice the overlap of 8, got 16x64"),
        ({"overlap": -8}, "overlap must not be negative, got -8"),
        ({"overlap": 12}, "overlap must be a multiple of 8, got 12"),
        ({"precision": "half"}, "precision must be one of auto, fp32, fp16, bf16, got 'half'"),
        ({"batch": -1}, "batch must be 0 (automatic) to 64, got -1"),
        ({"model": ""}, "model must be a name or a path, got an empty string"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ArgumentError) as caught:
        UpscaleConfig.from_arguments(arguments)
    assert str(caught.value) == message


def test_unknown_names_are_listed():
    with pytest.raises(
        ArgumentError, match="unknown argument 'tile'; known are batch, cache, device, format, guard, interval, model"
    ):
        UpscaleConfig.from_arguments({"tile": 64})


@pytest.mark.parametrize(
    ("tilesize", "tile"), [((), (0, 0)), (128, (128, 128)), ([256, 128], (256, 128)), ([0, 64], (0, 64))]
)
def test_one_number_stands_for_both_sides(tilesize, tile):
    assert UpscaleConfig.from_arguments({"tilesize": tilesize}).tile == tile


def test_frozen():
    with pytest.raises(AttributeError):
        UpscaleConfig().overlap = 8
