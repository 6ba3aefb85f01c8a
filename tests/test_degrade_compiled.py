"""The compiled steps of the degradation give what OpenCV and NumPy give, in every instruction set this processor
has.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.degradation import blur, compiled, noise, pipeline, resize
from train.degradation.compiled import Compiled
from train.degradation.config import BlurConfig, preset
from train.degradation.draws import draw, draw_blur, generator
from vsapisr import libraries

SIZES = [(1, 1), (2, 7), (33, 50), (128, 5), (97, 131)]
"""Smaller than a kernel's reach, than a tile of the library, and odd everywhere."""


@pytest.fixture(params=[1, 2], ids=["avx2", "avx512"])
def library(request: pytest.FixtureRequest) -> Compiled:
    found = compiled.steps(request.param)
    if found is None:
        pytest.skip("not compiled, or not for this processor")
    return found


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """Calls a function as where there is no library."""

    def call(function, *arguments):
        with monkeypatch.context() as patch:
            for module in (blur, noise, resize):
                patch.setattr(module, "steps", lambda: None)
            return function(*arguments)

    return call


def pictures(height: int, width: int) -> list[np.ndarray]:
    """Bytes, and floats that go a little beyond 0..1."""
    rng = np.random.default_rng(height * width)
    levels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return [levels, rng.random((height, width, 3), dtype=np.float32) * 1.2 - 0.1]


def test_it_was_compiled_here():
    """Else the tests below would all be skipped where the library is wanted."""
    file = libraries.path(compiled.__file__, "degrade", "")
    assert file.exists() or sys.platform != "linux"
    if platform.machine() == "x86_64" and "avx2" in Path("/proc/cpuinfo").read_text():
        assert ctypes.CDLL(str(file)).vsapisr_degrade_level() >= 1
        assert compiled.steps.__wrapped__() is not None


@pytest.mark.parametrize("size", SIZES)
def test_blur(library, size):
    for image in pictures(*size):
        plain = resize.to_float(image) if image.dtype == np.uint8 else image
        for seed in range(12):
            sparse, box = blur.trim(draw_blur(generator("test", seed), BlurConfig())[0].kernel())
            pairs = blur.factors(box)
            want = blur.blur_reference(plain, sum(np.outer(*pair) for pair in pairs))
            columns, rows = (np.array(vectors, np.float32) for vectors in zip(*pairs))
            assert np.abs(library.passes(image, columns, rows) - want).max() < 5e-6
            taps = library.taps(image, np.ascontiguousarray(sparse, np.float32))
            assert np.abs(taps - blur.blur_reference(plain, sparse)).max() < 5e-6


def test_a_kernel_that_is_not_symmetric_is_not_turned(library):
    image = pictures(20, 30)[1]
    kernel = np.zeros((5, 7), np.float32)
    kernel[1, 5], kernel[4, 0] = 0.75, 0.25
    assert np.abs(library.taps(image, kernel) - blur.blur_reference(image, kernel)).max() < 1e-6


def test_random_numbers_are_splitmix64s():
    """The first of seed 1234567, as its authors' programme prints them."""
    want = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert noise.random_words(1234567, 0, 5).tolist() == want
    assert noise.random_words(1234567, 3, 2).tolist() == want[3:]
    assert noise.random_words(2**64 - 1, 2**40, 3).dtype == np.uint64


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_noise_is_the_same_noise(library, monkeypatch, without, size, grey):
    monkeypatch.setattr(noise, "steps", lambda: library)
    for image in pictures(*size):
        for add, amount in ((noise.gaussian, 12.0), (noise.poisson, 1.5)):
            got = add(image, np.random.default_rng(3), amount, grey)
            want = without(add, image, np.random.default_rng(3), amount, grey)
            assert got.dtype == np.float32 and np.abs(got - want).max() < 1e-6


@pytest.mark.parametrize("size", SIZES)
def test_area_averages(library, monkeypatch, size):
    monkeypatch.setattr(resize, "steps", lambda: library)
    height, width = size
    for image in pictures(height, width):
        plain = resize.to_float(image) if image.dtype == np.uint8 else image
        for down, across in ((0.5, 0.25), (0.61, 0.87), (1, 0.4), (0.1, 1), (0, 0)):
            small = max(int(height * down), 1), max(int(width * across), 1)
            got = resize.resize(image, *small, "area")
            want = cv2.resize(plain, small[::-1], interpolation=cv2.INTER_AREA)
            assert got.shape == (*small, 3) and np.abs(got - want).max() < 1e-5


def test_bytes_are_clamped_and_rounded_to_even(library):
    values = np.concatenate([(np.arange(-3, 260) + 0.5) / 255, [-1e9, -0.0, 1.0, 1e9, np.inf, -np.inf]]).astype(
        np.float32
    )
    got = library.to_bytes(values)
    assert np.array_equal(got, np.round(np.clip(values * np.float32(255), 0, 255)))
    many = np.random.default_rng(0).random((67, 31, 3), dtype=np.float32) * 1.4 - 0.2
    assert np.array_equal(library.to_bytes(many), cv2.addWeighted(many, 255, many, 0, 0, dtype=cv2.CV_8U))


def test_whole_degradations_are_the_same_without_it(library, monkeypatch, without):
    """Up to what a rounding that falls the other way does to a codec."""
    for module in (blur, noise, resize):
        monkeypatch.setattr(module, "steps", lambda: library)
    image, near = np.kron(pictures(12, 16)[0], np.ones((12, 12, 1), np.uint8)), 0
    for number in range(8):
        record = draw(generator("test", number), preset("paper"), *image.shape[:2])
        got, want = pipeline.apply(image, record), without(pipeline.apply, image, record)
        near += np.abs(got.astype(int) - want).mean() < 1
    assert near >= 7


def test_wrong_arguments_never_reach_it(library):
    image = pictures(10, 12)[1]
    kernel = np.ones((3, 3), np.float32)
    with pytest.raises(TypeError, match="cannot go to the library"):
        library.taps(image[:, ::2], kernel)
    with pytest.raises(TypeError, match="float64"):
        library.taps(image, kernel.astype(float))
    with pytest.raises(ValueError, match="H, W, 3"):
        library.taps(image[..., :1].copy(), kernel)
    with pytest.raises(ValueError, match="3 columns and 2 rows"):
        library.passes(image, kernel, kernel[:2])
    tables, order = np.zeros((1, 65536), np.float32), np.zeros(1, np.int32)
    short = np.zeros((9, 12, 3), np.uint8)
    for strip, levels, chosen in ((8, None, order), (17, None, order), (16, None, order + 1), (16, short, order)):
        with pytest.raises(ValueError, match="than the picture needs"):
            library.noise(image, levels, 0, tables, chosen, strip, 1.0, False)
    good = resize.area_axis(10, 5), resize.area_axis(12, 6)
    with pytest.raises(ValueError, match="does not have"):
        library.reduce(image, (good[0][0] + 8, good[0][1]), good[1])


def test_a_library_that_cannot_be_used_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    broken = tmp_path / "libbroken.so"
    broken.write_bytes(b"no library")
    for value in ("0", str(broken), str(tmp_path / "missing")):
        monkeypatch.setenv(compiled.VARIABLE, value)
        assert compiled.steps.__wrapped__() is None


def test_a_library_of_another_version_is_not_used(
    library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    class Longer(compiled._Noise):
        _fields_ = [("more", ctypes.c_long)]

    for name, value in (("ABI", compiled.ABI + 1), ("_Noise", Longer)):
        with monkeypatch.context() as patch:
            patch.setattr(compiled, name, value)
            assert compiled.steps.__wrapped__() is None
        assert (
            caplog.records.pop()
            .getMessage()
            .startswith(str(libraries.path(compiled.__file__, "degrade", compiled.VARIABLE)))
        )
    assert compiled.steps.__wrapped__() is not None and not caplog.records
