"""The discriminator against the reference's numbers, its spectral norm against PyTorch's, and what training relies
on.
"""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.reference import fill
from train.losses.gan import discriminator_terms, generator_gan
from train.model.discriminator import Discriminator, SpectralConv2d
from vsapisr.errors import ArgumentError


def small(seed: int = 0) -> Discriminator:
    torch.manual_seed(seed)
    return Discriminator(channels=4)


def vectors(model: nn.Module) -> list[Tensor]:
    return [buffer.clone() for name, buffer in model.named_buffers() if name.endswith(("_u", "_v"))]


def settle(model: nn.Module, count: int) -> None:
    """``count`` power iterations of each layer, on the small Gram matrix, which is quicker."""
    for part in model.modules():
        if isinstance(part, SpectralConv2d):
            matrix = part.weight_orig.detach().flatten(1)
            gram, u = matrix @ matrix.T, part.weight_u.clone()
            for _ in range(count):
                u = F.normalize(gram @ u, dim=0)
            part.weight_u.copy_(u)
            part.weight_v.copy_(F.normalize(matrix.T @ u, dim=0))


@pytest.fixture(scope="module")
def reference(fixtures_dir):
    """The discriminator with the reference's weights, and what it should give."""
    expected = torch.load(fixtures_dir / "train_nets_expected.pt", weights_only=True)["disc"]
    model = Discriminator()
    model.load_state_dict(fill(model.state_dict(), 2**0.5))
    settle(model, 300)
    return model.eval(), expected


def test_layout_is_the_published_one(reference):
    model, expected = reference
    assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == {
        k: tuple(v) for k, v in expected["keys"].items()
    }
    assert sum(p.numel() for p in model.parameters()) == 8_294_211


def test_scores_and_losses_match_the_reference(reference):
    model, expected = reference
    with torch.inference_mode():
        fake, real = model(expected["fake"]), model(expected["real"])
    for found, wanted in zip([*fake, *real], [*expected["out_fake"], *expected["out_real"]], strict=True):
        assert (found - wanted).abs().mean() < 1e-2 * wanted.abs().mean()
        torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-3)
    terms = discriminator_terms(real, fake)
    assert terms["real"].item() == pytest.approx(expected["d_real"].item(), rel=1e-2)
    assert terms["fake"].item() == pytest.approx(expected["d_fake"].item(), rel=1e-2)
    assert 0.2 * generator_gan(fake).item() == pytest.approx(expected["g_loss"].item(), rel=1e-2)


def test_spectral_norm_is_pytorchs():
    torch.manual_seed(0)
    ours = SpectralConv2d(3, 8, 4, 2, 1)
    theirs = torch.nn.utils.spectral_norm(nn.Conv2d(3, 8, 4, 2, 1))
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(2, 3, 16, 16)
    for _ in range(3):  # training: the vectors move with each forward
        a, b = ours(x), theirs(x)
        torch.testing.assert_close(a, b)
    a.square().sum().backward()
    b.square().sum().backward()
    torch.testing.assert_close(ours.weight_orig.grad, theirs.weight_orig.grad)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(x))


def test_largest_singular_value_is_one():
    layer = SpectralConv2d(16, 32, 4, 2, 1)
    for _ in range(100):
        layer.iterate()
    assert torch.linalg.matrix_norm(layer.normalised().flatten(1), 2).item() == pytest.approx(1, abs=1e-3)


def test_vectors_move_in_training_alone_and_without_regard_to_the_data():
    one, two = small(), small()
    before = vectors(one)
    one.eval()(torch.rand(1, 3, 96, 96))
    assert all(torch.equal(a, b) for a, b in zip(before, vectors(one), strict=True))
    one.train()(torch.rand(1, 3, 96, 96))
    two.train()(torch.rand(3, 3, 128, 96))  # as another process of the same run would
    assert not all(torch.equal(a, b) for a, b in zip(before, vectors(one)))
    assert all(torch.equal(a, b) for a, b in zip(vectors(two), vectors(one), strict=True))


def train(model: Discriminator, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        pictures = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        sum(discriminator_terms(model(pictures), model(pictures**2)).values()).backward()
        optimizer.step()


def test_a_resumed_run_is_the_run_itself():
    whole = small()
    rule = torch.optim.Adam(whole.parameters(), lr=1e-3)
    train(whole, rule, range(2))
    saved = copy.deepcopy((whole.state_dict(), rule.state_dict()))
    train(whole, rule, range(2, 4))
    resumed = small(seed=1)
    rule = torch.optim.Adam(resumed.parameters(), lr=1e-3)
    resumed.load_state_dict(saved[0])
    rule.load_state_dict(saved[1])
    train(resumed, rule, range(2, 4))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_forward_between_forward_and_backward_does_no_harm():
    model = small()
    x = torch.rand(1, 3, 96, 96)
    for mode in (True, False):
        scores = model.train(mode)(x)
        model.train()(x)
        generator_gan(scores).backward()


def test_it_can_be_copied_after_a_forward():
    model = small()
    model(torch.rand(1, 3, 96, 96))
    x = torch.rand(1, 3, 96, 96)
    assert torch.equal(copy.deepcopy(model).eval()(x)[2], model.eval()(x)[2])


def test_scales_are_halved_and_floored():
    shapes = [tuple(score.shape[2:]) for score in small()(torch.rand(1, 3, 131, 101))]
    assert shapes == [(14, 10), (6, 4), (2, 1)]


def test_pictures_too_small_are_refused_with_their_size():
    assert len(small()(torch.rand(1, 3, 96, 96))) == 3
    with pytest.raises(ArgumentError, match="^the discriminator needs pictures of at least 96x96, got 128x95$"):
        small()(torch.rand(1, 3, 95, 128))


def test_the_singular_value_is_fp32_under_autocast():
    layer = SpectralConv2d(16, 32, 4, 2, 1).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.rand(1, 16, 8, 8)).dtype is torch.bfloat16
        seen = []
        layer._conv_forward = lambda x, weight, bias: seen.append(weight) or x
        layer(torch.rand(1, 16, 8, 8))
    assert torch.equal(seen[0], layer.normalised())
