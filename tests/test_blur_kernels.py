"""Kernels against the reference's numbers, and the cheap ways of applying them against the plain one."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.degradation import blur, kernels
from train.degradation.batch import blur_batch
from train.degradation.config import Blur2Config, BlurConfig
from train.degradation.draws import Blur, draw_blur, generator


def named(name: str) -> np.ndarray:
    """The kernel a name of the fixture file stands for."""
    size = int(re.search(r"_k(\d+)", name)[1])
    if name.startswith("sinc"):
        return Blur("sinc", size, cutoff=float(re.search(r"_w([\d.]+)", name)[1])).kernel()
    sigmas = [float(v) for v in re.search(r"_s([\d._]+?)(?:_t|_b|$)", name)[1].split("_")]
    angle = float(m[1]) if (m := re.search(r"_t(-?[\d.]+)", name)) else 0.0
    beta = float(m[1]) if (m := re.search(r"_b([\d.]+)", name)) else 0.0
    return Blur(name.split("_k")[0], size, sigmas[0], sigmas[-1], angle, beta).kernel()


def test_kernels_match_the_reference(fixtures_dir):
    with np.load(fixtures_dir / "blur_kernels_expected.npz") as file:
        assert len(file.files) >= 5
        for name in file.files:
            assert np.abs(named(name) - file[name]).max() < 1e-6, name


def test_bessel_function():
    special = pytest.importorskip("scipy.special")
    x = np.linspace(0, 100, 3001)
    assert np.abs(kernels.bessel_j1(x) - special.j1(x)).max() < 1e-12


drawn = st.integers(0, 10**9).map(lambda seed: draw_blur(generator("test", seed), BlurConfig())[0])


@settings(max_examples=40, deadline=None)
@given(step=drawn)
def test_every_drawn_kernel_sums_to_one_and_is_point_symmetric(step):
    kernel = step.kernel()
    assert kernel.shape == (step.size, step.size)
    assert math.isclose(kernel.sum(), 1, abs_tol=1e-12)
    assert np.abs(kernel - kernel[::-1, ::-1]).max() < 1e-15
    assert step.kind == "sinc" or kernel.min() >= 0


@settings(max_examples=15, deadline=None)
@given(step=drawn, seed=st.integers(0, 1000), height=st.integers(1, 60), width=st.integers(1, 60))
def test_cheap_blur_and_batch_blur_equal_the_plain_one(step, seed, height, width):
    """On noise, the worst case for dropped taps; the bound is that of the docstring."""
    image = np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)
    plain = blur.blur_reference(image, step.kernel())
    assert np.abs(blur.blur(image, step.kernel()) - plain).max() < 0.5 / 255
    batch = blur_batch(torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(step.kernel())[None])
    assert np.abs(batch[0].permute(1, 2, 0).numpy() - plain).max() < 1e-5


@settings(max_examples=25, deadline=None)
@given(step=drawn)
def test_every_way_of_blurring_equals_the_plain_one(step):
    """Whichever of them ``blur`` would take; bytes are taken as 0..1."""
    levels = np.random.default_rng(step.size).integers(0, 256, (41, 60, 3), dtype=np.uint8)
    image, kernel = levels.astype(np.float32) / 255, step.kernel()
    plain, (sparse, box) = blur.blur_reference(image, kernel), blur.trim(kernel)
    assert np.abs(blur.blur_direct(image, sparse) - plain).max() < 0.5 / 255
    assert np.abs(blur.blur_passes(image, blur.factors(box)) - plain).max() < 0.5 / 255
    assert np.abs(blur.blur_passes(levels, blur.factors(box)) - plain).max() < 0.5 / 255
    for column, row in blur.factors(box):
        assert any(
            np.array_equal(column, sign * column[::-1]) and np.array_equal(row, sign * row[::-1]) for sign in (1, -1)
        )
    assert all(kernel[piece].size < blur.DIRECT for piece in blur.bands(sparse))


def test_padding_to_a_common_size_changes_nothing():
    image = np.random.default_rng(0).random((40, 50, 3), dtype=np.float32)
    kernel = kernels.gaussian_kernel(7, 1.2, 2.0, 0.5)
    wide = kernels.pad_kernel(kernel, 21)
    assert wide.shape == (21, 21)
    assert np.abs(blur.blur_reference(image, kernel) - blur.blur_reference(image, wide)).max() < 1e-5


def test_an_elongated_kernel_points_along_its_angle():
    """Quarter turns swap the axes: angle 0 spreads along x."""
    along_x = kernels.gaussian_kernel(21, 3.0, 0.5, 0.0)
    assert along_x[10].sum() > 0.5 > along_x[:, 10].sum()
    assert np.allclose(kernels.gaussian_kernel(21, 3.0, 0.5, math.pi / 2), along_x.T)


def test_second_stage_blurs_less_often_and_less():
    steps = [draw_blur(generator("second", n), Blur2Config()) for n in range(2000)]
    share = sum(map(bool, steps)) / len(steps)
    assert abs(share - 0.8) < 5 * math.sqrt(0.8 * 0.2 / len(steps))
    assert max(step[0].sigma_x for step in steps if step) <= 1.5


def test_constant_image_stays_constant():
    flat = np.full((32, 32, 3), 0.37, np.float32)
    for n in range(50):
        step = draw_blur(generator("flat", n), BlurConfig())[0]
        assert np.abs(blur.blur(flat, step.kernel()) - 0.37).max() < 5e-4
