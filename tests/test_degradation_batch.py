"""The batch path against the one for single images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from train.degradation.batch import apply_batch, noise_batch, resize_batch
from train.degradation.config import DegradationConfig
from train.degradation.draws import Blur, Draw, Noise, Resize, draw, generator
from train.degradation.pipeline import apply
from train.degradation.resize import METHODS, resize

from .pictures import residual, shapes


def test_batch_blur_and_resize_equal_the_image_path():
    """Draws without noise and with a lossless-like end: the tensors' pictures are those of OpenCV within one level."""
    images = np.stack([shapes(n, 64, 96) for n in range(4)])
    blurs = [Blur("aniso", 11, 1.0 + 0.3 * n, 0.7, 0.4) for n in range(4)]
    draws = [
        Draw(64, 96, (blur, Resize(40 + n, 60, name), Resize(16, 24, "area")))
        for n, (blur, name) in enumerate(zip(blurs, ["area", "bilinear", "bicubic", "area"]))
    ]
    batch = apply_batch(torch.from_numpy(images).permute(0, 3, 1, 2), draws)
    for image, record, got in zip(images, draws, batch):
        assert np.abs(apply(image, record).astype(int) - got.permute(1, 2, 0).numpy()).max() <= 1


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("size", [(20, 31), (64, 96), (90, 150)])
def test_resize_as_matrices_equals_that_of_images(name, size):
    x = np.random.default_rng(0).random((64, 96, 3), dtype=np.float32)
    got = resize_batch(torch.from_numpy(x).permute(2, 0, 1)[None], *size, name)[0].permute(1, 2, 0).numpy()
    assert np.abs(got - resize(x, *size, name)).max() < 1e-5


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(("kind", "amount"), [("gaussian", 15.0), ("poisson", 1.5)])
def test_batch_noise_has_the_distribution_of_the_image_path(kind, amount, grey):
    ramp = np.tile(np.linspace(0.1, 0.9, 256, dtype=np.float32)[None, :, None], (160, 1, 3))
    one = residual(ramp, kind, amount, grey)
    x = torch.from_numpy(ramp).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    two = noise_batch(x, [Noise(kind, amount, grey, 3), Noise(kind, amount, grey, 4)]) - x
    assert not torch.equal(two[0], two[1])
    assert torch.equal(two[0], noise_batch(x[:1], [Noise(kind, amount, grey, 3)])[0] - x[0])
    field = two[0].permute(1, 2, 0).numpy()
    assert np.allclose(
        field.std((0, 2))[:, None].reshape(8, -1).mean(1), one.std((0, 2)).reshape(8, -1).mean(1), rtol=0.05
    )
    if grey:
        assert np.abs(field[..., 0] - field[..., 1]).max() < 1e-6


def test_batch_runs_whole_draws_and_is_repeatable():
    images = np.stack([shapes(n, 64, 64) for n in range(6)])
    draws = [draw(generator("batch", n), DegradationConfig(), 64, 64) for n in range(6)]
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    first = apply_batch(x, draws)
    assert first.shape == (6, 3, 16, 16) and first.dtype == torch.uint8
    assert torch.equal(first, apply_batch(x, draws))
    assert not first.requires_grad
    # an image's picture does not depend on its company, but for the last bit of sums in another order
    alone = apply_batch(x[2:3], draws[2:3])[0].int()
    assert (alone - first[2].int()).abs().float().mean() < 0.5
