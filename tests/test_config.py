"""Arguments of Upscale: what is accepted, and the exact words when it is not."""

from __future__ import annotations

import pytest

from vsapisr.config import SCALE, WINDOW, UpscaleConfig
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
        ({"tilesize": 12, "overlap": 0}, "tilesize must be multiples of 8, got 12"),
        ({"scale": 3}, "scale must be 2 or 4, got 3"),
        ({"scale": 5}, "scale must be 2 or 4, got 5"),
        ({"reuse": 3}, "reuse must be 0 (off), 1 (equal tiles) or 2 (nearly equal ones too), got 3"),
        ({"reuse": -1}, "reuse must be 0 (off), 1 (equal tiles) or 2 (nearly equal ones too), got -1"),
        ({"threshold": -0.5}, "threshold must be 0 to 16, got -0.5"),
        ({"threshold": 16.5}, "threshold must be 0 to 16, got 16.5"),
        ({"interval": 0}, "interval must be 1 to 64 frames, got 0"),
        ({"interval": 65}, "interval must be 1 to 64 frames, got 65"),
        ({"cache": -1}, "cache must not be negative, got -1"),
        ({"guard": 2}, "guard must be 0 (off) or 1, got 2"),
        ({"batch": -1}, "batch must be 0 (automatic) to 64, got -1"),
        ({"batch": 65}, "batch must be 0 (automatic) to 64, got 65"),
        ({"num_streams": -1}, "num_streams must be 0 (automatic) to 16, got -1"),
        ({"num_streams": 17}, "num_streams must be 0 (automatic) to 16, got 17"),
        ({"model": ""}, "model must be a name or a path, got an empty string"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ArgumentError) as caught:
        UpscaleConfig.from_arguments(arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": 2}, {"scale": 4},
        {"reuse": 0}, {"reuse": 2}, {"threshold": 0.0}, {"threshold": 16.0}, {"interval": 1}, {"interval": 64},
        {"cache": 0}, {"guard": 0}, {"guard": 1}, {"batch": 0}, {"batch": 64}, {"num_streams": 0}, {"num_streams": 16},
        {"tilesize": [24, 0], "overlap": 8}, {"tilesize": [8, 8], "overlap": 0}, {"overlap": 0}, {"tilesize": [0]},
    ],
)  # fmt: skip
def test_the_ends_of_each_range_are_accepted(arguments):
    made = UpscaleConfig.from_arguments(arguments)
    assert all(getattr(made, name) == value for name, value in arguments.items() if name != "tilesize")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, []),
        ({"cache": 64}, []),
        ({"cache": 64, "reuse": 0}, ["cache"]),
        ({"reuse": 0}, []),
        ({"num_streams": 2}, []),
        ({"num_streams": 2, "device": "cpu"}, ["num_streams"]),
        ({"device": "cpu"}, []),
        ({"threshold": 2.0, "interval": 8}, ["threshold", "interval"]),
        ({"threshold": 2.0, "interval": 8, "reuse": 2}, []),
    ],
)
def test_what_has_no_effect_is_said(arguments, named):
    lines = UpscaleConfig.from_arguments(arguments).without_effect()
    assert [line.split()[0] for line in lines] == named and all("no effect" in line for line in lines)


def test_defaults():
    made = UpscaleConfig()
    assert (made.model, made.format, made.tilesize, made.overlap, made.reuse, made.threshold, made.interval) == (
        "default", None, (), None, 1, 1.0, 16)  # fmt: skip
    assert (made.cache, made.guard, made.device, made.precision, made.batch, made.num_streams) == (
        None, 1, "auto", "auto", 0, 0)  # fmt: skip
    assert (SCALE, WINDOW) == (4, 8)


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


def test_what_is_far_too_long_is_not_repeated_whole():
    with pytest.raises(ArgumentError, match=r"got 'x+\.\.\.x+'$") as caught:
        UpscaleConfig(precision="x" * 100000)
    assert len(str(caught.value)) < 500
