"""What holding does in C equals what it does in NumPy, bit for bit."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from scripts.cel import Painter
from scripts.worn import Wear, film
from vsapisr.picture.colour import GRAY, RGB, YUV, Format
from vsapisr.reuse import native
from vsapisr.reuse.hold import held
from vsapisr.reuse.means import means
from vsapisr.reuse.stretches import Analysis, analysed

FORMATS = [
    Format(GRAY, 0, 8),
    Format(YUV, 0, 8, 1, 1),
    Format(YUV, 0, 10, 1, 0),
    Format(YUV, 0, 8, 2, 0),  # 4:1:1
    Format(YUV, 0, 8, 2, 2),  # 4:1:0
    Format(RGB, 1, 32),
    Format(YUV, 1, 16, 1, 1),
]
COUNT = 9


@pytest.fixture(autouse=True)
def compiled() -> None:
    if native.library() is None:
        pytest.skip("the library of CPU kernels is not installed, or this processor has no AVX2")


@cache
def talk() -> list[np.ndarray]:
    painter = Painter(360)
    return [painter.frame("talk", n) for n in range(COUNT)]


def clip(format: Format, height: int, width: int) -> list[list[np.ndarray]]:
    """A face whose mouth moves, with grain, weave and flicker; rows lie apart, as VapourSynth's do."""
    clean = [picture[60 : 60 + height, 200 : 200 + width] for picture in talk()]
    dtype = f"f{format.bits_per_sample // 8}" if format.sample_type else f"u{1 + (format.bits_per_sample > 8)}"
    frames = []
    for picture in film(clean, Wear(1.5, 0.5, 0.3, 0.4), 3):
        planes = []
        for number in range(format.planes):
            down, right = format.subsampling(number)
            plane = cv2.resize(picture[..., number], (width >> right, height >> down), interpolation=cv2.INTER_AREA)
            plane = plane / 255 if format.sample_type else plane.astype(np.uint32) << (format.bits_per_sample - 8)
            apart = np.zeros((height >> down, (width >> right) + 5), dtype)
            apart[:, :-5] = plane
            planes.append(apart[:, :-5])
        frames.append(planes)
    return frames


def both(frames: list[list[np.ndarray]], format: Format, cuts: list[bool], patch: pytest.MonkeyPatch):
    """Analysis and held frames in C, then in NumPy."""
    for _ in range(2):
        with np.errstate(invalid="ignore", over="ignore"):
            yield analysed(frames, format, 1.0, cuts), held(frames, format, 1.0, cuts)
        patch.setattr(native, "library", lambda: None)


def assert_equal(a: Analysis, b: Analysis) -> None:
    assert a.noise == b.noise
    for name in ("stretches", "counted", "wander", "moving"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{f.color_family}-{f.bits_per_sample}-{f.subsampling(1)}")
@pytest.mark.parametrize("size", [(136, 200), (44, 52)])
def test_c_equals_numpy(format, size, monkeypatch):
    frames, cuts = clip(format, *size), [n == 5 for n in range(COUNT)]
    if format.sample_type:
        frames[2][0][9, 11] = np.nan
        frames[3][0][30, 40] = np.inf
    (first, planes), (second, wanted) = both(frames, format, cuts, monkeypatch)
    assert_equal(first, second)
    assert len(np.unique(first.stretches)) > 2  # something is held, something changes
    for here, there in zip(planes, wanted):
        for a, b in zip(here, there):
            assert a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_means_of_any_stretches(dtype, monkeypatch):
    """Whatever belongs together. A frame before the one that names its stretch keeps its samples."""
    random = np.random.default_rng(5)
    format = Format(GRAY, int(dtype == np.float32), 8 * np.dtype(dtype).itemsize)
    frames = [[random.integers(0, 250, (45, 83)).astype(dtype)] for _ in range(7)]
    stretches, counted = random.integers(0, 7, (7, 6, 11)).astype(np.int16), random.random((7, 6, 11)) < 0.5
    counted &= stretches <= np.arange(7)[:, None, None]
    made = means(frames, stretches, counted, format)
    monkeypatch.setattr(native, "library", lambda: None)
    wanted = means(frames, stretches, counted, format)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(made, wanted))
    for name in range(7):  # by the definition
        inside = (stretches[:, 2, 3] == name) & (np.arange(7) >= name)
        chosen = [frames[n][0][16:24, 24:32].astype(float) for n in np.flatnonzero(inside & counted[:, 2, 3])]
        chosen = chosen or [frames[n][0][16:24, 24:32].astype(float) for n in np.flatnonzero(inside)]
        for n in np.flatnonzero(inside):
            assert np.abs(made[n][0][16:24, 24:32] - np.mean(chosen, axis=0)).max() <= 0.5


def test_without_the_library_numpy_does_it(monkeypatch):
    """All of it: not one of the functions in C is called."""
    format = FORMATS[1]
    frames = clip(format, 48, 64)
    wanted = held(frames, format, 1.0)
    monkeypatch.setattr(native, "library", lambda: None)
    monkeypatch.setattr(native, "at", None)
    assert all(np.array_equal(a, b) for x, y in zip(held(frames, format, 1.0), wanted) for a, b in zip(x, y))
