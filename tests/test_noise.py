"""Noise has the distributions it is named after."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from train.degradation import noise

from .distributions import LEVEL
from .pictures import residual


def test_gaussian_noise_is_gaussian():
    flat = np.full((200, 200, 3), 0.5, np.float32)
    field = residual(flat, "gaussian", 12.0, False)
    assert stats.kstest(field.reshape(-1) * 255 / 12, "norm").pvalue > LEVEL
    assert abs(np.corrcoef(field[..., 0].ravel(), field[..., 1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1]) < 0.02
    grey = residual(flat, "gaussian", 12.0, True)
    assert np.abs(grey[..., 0] - grey[..., 2]).max() < 1e-6 and abs(grey.std() * 255 - 12) < 0.2


@pytest.mark.parametrize("level", [5, 40, 128, 250])
def test_poisson_noise_has_the_moments_and_values_of_poisson(level):
    """256 different levels: variance level/255/256; counts compared with the distribution's own."""
    ramp = np.tile(np.arange(256, dtype=np.float32)[None, :, None] / 255, (4, 1, 3))
    image = np.concatenate([ramp, np.full((400, 256, 3), level / 255, np.float32)])
    field = residual(image, "poisson", 1.0, False)[4:].reshape(-1)
    counts = np.rint((field + level / 255) * 256).astype(int)
    law = stats.poisson(level / 255 * 256)
    assert abs(counts.mean() - law.mean()) < 5 * law.std() / math.sqrt(counts.size) + 0.01
    assert abs(counts.std() / law.std() - 1) < 0.02
    values, seen = np.unique(counts, return_counts=True)
    likely = law.pmf(values) * counts.size > 500
    assert np.abs(seen[likely] / (law.pmf(values[likely]) * counts.size) - 1).max() < 0.25


@pytest.mark.parametrize("used", [3, 16, 200])
def test_poisson_noise_of_flat_and_of_rich_pictures(used):
    """Variance is level/peak with the peak of that picture; black stays black."""
    steps = (np.arange(used) * 255 // (used - 1)).astype(np.uint8)
    image = np.tile(steps[None, :, None] / np.float32(255), (3000, 1, 3)).astype(np.float32)
    field = residual(image, "poisson", 1.0, False)
    peak = noise.poisson_peak(steps.reshape(1, -1, 1))
    assert np.abs(field[:, 0]).max() < 1e-6
    bright = steps > 40
    assert np.allclose(field.var((0, 2))[bright], (steps / 255 / peak)[bright], rtol=0.15)
    assert np.abs(field.mean((0, 2))).max() < 5 * (1 / peak) ** 0.5 / 9000**0.5


@pytest.mark.parametrize(("used", "peak"), [(1, 2), (2, 2), (3, 4), (4, 4), (5, 8), (255, 256), (256, 256)])
def test_photons_follow_the_number_of_levels(used, peak):
    assert noise.poisson_peak(np.arange(used, dtype=np.uint8).reshape(1, -1, 1)) == peak
