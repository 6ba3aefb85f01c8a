"""NaN and infinity, in a source or in what a network makes: within the reach of their pixel, and defined everywhere."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from vsapisr.config import UpscaleConfig
from vsapisr.networks import forms
from vsapisr.picture.colour import GRAY, RGB, YUV, Colour, Format
from vsapisr.reuse.clip import ClipUpscaler

SIDE, PLACE, REACH = 64, 30, 13
"""Four chroma samples of four pixels, cubic, with rounding up; the guard sees three pixels."""
FLOATS = [
    Format(family, 1, bits, *shifts)
    for bits in (16, 32)
    for family, shifts in ((GRAY, ()), (RGB, ()), (YUV, ()), (YUV, (1, 1)), (YUV, (1, 0)), (YUV, (2, 2)))
]
INTEGERS = [Format(RGB, 0, 8), Format(GRAY, 0, 10), Format(YUV, 0, 16, 1, 1)]


def nearest(x: torch.Tensor) -> torch.Tensor:
    assert x.isfinite().all(), "no network sees what is no number"
    return torch.nn.functional.interpolate(x, scale_factor=4, mode="nearest")


def planes_of(format: Format, side: int, value: float | None = None) -> list[np.ndarray]:
    kind = {torch.uint8: np.uint8, torch.uint16: np.uint16, torch.float16: np.float16, torch.float32: np.float32}
    noise, planes = np.random.default_rng(1), []
    for number in range(format.planes):
        down, right = format.subsampling(number)
        plane = noise.random((side >> down, side >> right)) * 0.5
        planes.append(plane.astype(kind[format.dtype]))
        if value is not None:
            planes[-1][PLACE >> down, PLACE >> right] = value
    return planes


def enlarged(source: Format, target: Format, planes: list[np.ndarray], reuse: int = 1) -> list[np.ndarray]:
    colours = [
        Colour(0 if format.color_family == RGB else 6, format.color_family == RGB) for format in (source, target)
    ]
    clip = ClipUpscaler(UpscaleConfig(device="cpu", reuse=reuse), SIDE, SIDE, source, target, 1)
    out = planes_of(target, 4 * SIDE)
    try:
        clip.frame(0, {0: planes}, colours[0], out, colours[1])
    finally:
        clip.close()
    return out


def far(plane: np.ndarray) -> np.ndarray:
    """Which samples are out of reach of the pixel."""
    rows, columns = (np.abs((np.arange(length) + 0.5) * SIDE / length - PLACE - 0.5) <= REACH for length in plane.shape)
    return ~(rows[:, None] & columns)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("source", FLOATS)
def test_of_a_source_in_every_float_format(monkeypatch, source, value):
    monkeypatch.setattr(forms, "load_form", lambda *_: nearest)
    for target in (source, *INTEGERS):
        clean = enlarged(source, target, planes_of(source, SIDE))
        out = enlarged(source, target, planes_of(source, SIDE, value))
        for plane, wanted in zip(out, clean, strict=True):
            assert np.isfinite(plane).all()
            assert np.array_equal(plane[far(plane)], wanted[far(plane)])


@pytest.mark.parametrize("reuse", [1, 2])
def test_nothing_is_said_of_them_on_the_console(monkeypatch, reuse):
    monkeypatch.setattr(forms, "load_form", lambda *_: nearest)
    source = FLOATS[-1]
    clip = ClipUpscaler(UpscaleConfig(device="cpu", reuse=reuse), SIDE, SIDE, source, source, 3)
    frames = {n: planes_of(source, SIDE, value) for n, value in enumerate((np.nan, np.inf, -np.inf))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip.frame(2, frames, Colour(6, False), planes_of(source, 4 * SIDE), Colour(6, False))
    clip.close()


@pytest.mark.parametrize("target", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_of_a_network_that_overflows(monkeypatch, target, value):
    """As foreign weights do in half precision."""

    def overflowing(x: torch.Tensor) -> torch.Tensor:
        result = nearest(x)
        result[..., 4 * PLACE, 4 * PLACE] = value
        return result

    source = Format(RGB, 1, 32)
    monkeypatch.setattr(forms, "load_form", lambda *_: nearest)
    clean = enlarged(source, target, planes_of(source, SIDE))
    monkeypatch.setattr(forms, "load_form", lambda *_: overflowing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = enlarged(source, target, planes_of(source, SIDE))
    for plane, wanted in zip(out, clean, strict=True):
        assert np.isfinite(plane).all()
        assert np.array_equal(plane[far(plane)], wanted[far(plane)])
