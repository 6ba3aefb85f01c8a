"""The losses: numbers of the reference, gradients that arrive, scores that move them as they must, errors by key."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.reference import fill
from train.evaluation.colour_error import lab
from train.losses import LossConfig
from train.losses.colour_loss import chroma, colour
from train.losses.features import LAYERS, FeatureNetwork, empty
from train.losses.gan import discriminator_terms, generator_gan
from train.losses.generator import GeneratorLoss
from train.losses.perceptual import PerceptualLoss
from train.losses.pixel import l1, lines, mse, overshoot
from train.losses.random_features import deviation, pictures
from train.model.discriminator import Discriminator
from train.settings import build
from vsapisr.errors import ArgumentError


@pytest.fixture(scope="module")
def loss() -> GeneratorLoss:
    return GeneratorLoss(LossConfig(features="random"))


@pytest.fixture(scope="module")
def expected(fixtures_dir):
    return torch.load(fixtures_dir / "train_nets_expected.pt", weights_only=True)


def drawings(seed: int, count: int = 1, side: int = 64) -> Tensor:
    return pictures(torch.Generator().manual_seed(seed), count)[..., :side, :side].contiguous()


@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_perceptual_losses_match_the_reference(expected, name):
    body = empty(name, LAYERS[name])
    state = body.state_dict()
    if name == "resnet":  # filled under the names of the children by number
        numbers = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
        names = {k: ".".join([numbers[k.split(".")[0]], *k.split(".")[1:]]) for k in state}
        assert set(names.values()) <= set(expected[name]["keys"])
    else:
        names = {k: k for k in state}
    filled = fill({names[k]: v for k, v in state.items()}, 2**0.5)
    body.load_state_dict({k: filled[names[k]] for k in state})
    network = FeatureNetwork(body, LAYERS[name])
    fake, real = expected["disc"]["fake"], expected["disc"]["real"]
    with torch.inference_mode():
        for a, b, wanted, shape in zip(
            network(fake),
            network(real),
            expected[name]["per_layer"].values(),
            expected[name]["shapes"].values(),
            strict=True,
        ):
            assert tuple(a.shape) == tuple(shape)
            assert l1(a, b).item() == pytest.approx(wanted.item(), rel=1e-3)
        whole = PerceptualLoss(network, LossConfig().layers(name))(fake, real)
    assert whole.item() == pytest.approx(expected[name]["loss"].item(), rel=1e-3)


def test_every_term_reaches_the_generator(loss):
    torch.manual_seed(0)
    generator, judge = nn.Conv2d(3, 3, 3, padding=1), Discriminator(channels=4)
    target = drawings(0, side=96)
    output = generator(drawings(1, side=96))
    terms = loss(output, target, judge(output))
    assert set(terms) == {"l1", "vgg", "resnet", "adversarial"}
    for name, term in terms.items():
        assert term.ndim == 0 and term.dtype is torch.float32
        gradients = torch.autograd.grad(term, list(generator.parameters()), retain_graph=True)
        assert all(torch.isfinite(g).all() and g.abs().max() > 1e-6 for g in gradients), name


def test_descending_the_perceptual_gradient_brings_the_features_closer(loss):
    """Detached features would leave the picture as it is."""
    target = drawings(0)
    for name, part in loss.perceptual.items():
        picture = drawings(1).requires_grad_()
        rule = torch.optim.Adam([picture], lr=0.02)
        losses = []
        for _ in range(4):
            rule.zero_grad()
            losses.append(part(picture, target))
            losses[-1].backward()
            rule.step()
        assert losses[3] < 0.95 * losses[0], name


def test_the_target_gets_no_graph_and_the_features_do_not_learn(loss):
    target = drawings(0).requires_grad_()
    output = drawings(1).requires_grad_()
    terms = loss(output, target)
    (terms["vgg"] + terms["resnet"]).backward()
    assert target.grad is None and output.grad is not None
    assert not any(p.requires_grad for p in loss.perceptual.parameters())


def test_training_mode_leaves_the_features_as_they_are(loss):
    output, target = drawings(1, 2), drawings(0, 2)
    with torch.no_grad():
        before = loss.eval()(output, target)
        state = {k: v.clone() for k, v in loss.state_dict().items()}
        after = loss.train()(output, target)
        alone = [loss(output[n : n + 1], target[n : n + 1]) for n in range(2)]
    assert not any(part.training for part in loss.perceptual["resnet"].network.modules())
    assert all(torch.equal(v, state[k]) for k, v in loss.state_dict().items())
    for name in before:
        assert before[name] == after[name]
        assert before[name].item() == pytest.approx(sum(a[name].item() for a in alone) / 2, rel=1e-4)


def test_equal_pictures_have_no_loss_and_layers_are_taken_before_their_relu(loss):
    x = drawings(0)
    with torch.no_grad():
        assert all(term == 0 for term in loss(x, x.clone()).values())
        for part in loss.perceptual.values():
            assert all((f < 0).any() for f in part.network(x))


def test_random_features_are_the_seeds_and_all_layers_count(loss):
    a, b = drawings(5, 2, 128), drawings(6, 2, 128)
    with torch.no_grad():
        for name, part in loss.perceptual.items():
            shares = [w * l1(x, y).item() for w, x, y in zip(part.weights, part.network(a), part.network(b))]
            assert max(shares) < 6 * min(shares), (name, shares)
            noise = part(a + torch.randn(a.shape, generator=torch.Generator().manual_seed(0)) / 255, a)
            assert 0 < noise < 0.1 * part(a, b)  # no chaos either
    config = LossConfig(features="random", resnet=0, vgg_layers=(0.1, 1, 0, 0, 0))
    same, other = GeneratorLoss(config), GeneratorLoss(LossConfig(**{**vars(config), "features_seed": 1}))
    weight = {
        k: m.perceptual["vgg"].network.body.state_dict()["features.2.weight"] for k, m in (("a", same), ("b", other))
    }
    assert torch.equal(weight["a"], loss.perceptual["vgg"].network.body.state_dict()["features.2.weight"])
    assert not torch.equal(weight["a"], weight["b"])
    assert other.metadata() == {"features": "random", "vgg": "random weights, seed 1"}
    assert same.perceptual["vgg"].network.layers == LAYERS["vgg"][:2]
    assert not any("features.10." in key for key in same.state_dict())  # layers that are not compared are not there


def test_stage_1_builds_no_network(monkeypatch):
    monkeypatch.setattr("train.losses.generator.empty", lambda *_: pytest.fail("a feature network was built"))
    for config in (
        LossConfig(perceptual=0, adversarial=0),
        LossConfig(features="none", adversarial=0),
        LossConfig(vgg=0, resnet=0, adversarial=0),
    ):
        stage1 = GeneratorLoss(config)
        assert not list(stage1.parameters()) and stage1.metadata() == {"features": "none"}
        a, b = drawings(0), drawings(1)
        assert stage1(a, b, [torch.zeros(1)]) == {"l1": l1(a, b)}


def test_terms_are_weighted(loss):
    a, b, scores = drawings(0), drawings(1), [torch.full((1, 1, 2, 2), 0.25)]
    half = GeneratorLoss(LossConfig(features="none", l1=0.5, adversarial=0.4))
    assert half(a, b, scores)["l1"].item() == pytest.approx(0.5 * l1(a, b).item())
    assert half(a, b, scores)["adversarial"].item() == pytest.approx(0.4 * 0.75**2)
    assert "adversarial" not in half(a, b)
    config = LossConfig(perceptual=0.25, vgg=2, resnet=0, vgg_layers=(1, 0, 0, 0, 3))
    assert config.layers("vgg") == (0.5, 0, 0, 0, 1.5) and not any(config.layers("resnet"))


def test_mse_is_a_term_of_its_own():
    a, b = drawings(0), drawings(1)
    wanted = float(np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2))
    terms = GeneratorLoss(LossConfig(features="none", adversarial=0, l1=0, mse=10))(a, b)
    assert list(terms) == ["mse"] and terms["mse"].item() == pytest.approx(10 * wanted, rel=1e-5)
    both = GeneratorLoss(LossConfig(features="none", adversarial=0, mse=2))(a.half(), b.half())
    assert list(both) == ["l1", "mse"] and both["mse"].dtype == torch.float32


def test_overshoot_is_what_lies_beyond_the_range_near_by():
    """An edge of 0.2 to 0.8: blurred or moved by a pixel it costs nothing, a halo of 0.1 on either side does."""
    edge = torch.full((1, 3, 24, 24), 0.2)
    edge[..., 12:] = 0.8
    halo, flat = edge.clone(), torch.full_like(edge, 0.5)
    halo[..., 10], halo[..., 13] = 0.1, 0.9
    assert overshoot(edge, edge) == overshoot(edge.roll(1, 3)[..., 1:], edge[..., 1:]) == 0
    assert overshoot((edge + edge.roll(1, 3))[..., 1:] / 2, edge[..., 1:]) == 0
    torch.testing.assert_close(overshoot(halo, edge), torch.tensor(0.2 / 24))
    torch.testing.assert_close(overshoot(flat + 0.25, flat), torch.tensor(0.25))
    fake = halo.requires_grad_()
    terms = GeneratorLoss(LossConfig(l1=0, perceptual=0, adversarial=0, overshoot=3))(fake, edge)
    assert terms.keys() == {"overshoot"}
    terms["overshoot"].backward()
    columns = fake.grad.sum((0, 1, 2))
    assert columns[10] < 0 < columns[13] and not columns[[5, 11, 12, 20]].any(), "halos shrink, the edge is left alone"


def test_lines_count_by_their_depth_and_not_by_their_place():
    """A dark line of two pixels: moved by a pixel it costs little, faint or blurred much more; light ones as dark."""
    line = torch.full((1, 3, 45, 45), 0.8)
    line[..., 20:22] = 0.2
    faint, blurred = line.clone(), (line.roll(1, 3) + line + line.roll(-1, 3)) / 3
    faint[..., 20:22] = 0.5
    assert lines(line, line) == 0 and lines(line, torch.full_like(line, 0.8)) > 0
    assert lines(line, line.roll(1, 3)) < 0.5 * lines(line, faint)
    assert lines(line.roll(1, 3), line) < lines(blurred, line) < lines(torch.full_like(line, 0.8), line)
    torch.testing.assert_close(lines(1 - line, 1 - faint), lines(line, faint))
    half = lines(line.half(), faint.half())
    assert half.dtype == torch.float32
    fake = faint.requires_grad_()
    terms = GeneratorLoss(LossConfig(l1=0, perceptual=0, adversarial=0, lines=3))(fake, line)
    assert terms.keys() == {"lines"}
    torch.testing.assert_close(terms["lines"], 3 * lines(fake, line))
    terms["lines"].backward()
    columns = fake.grad.sum((0, 1, 2))
    assert (columns[20:22] > 0).all() and not columns[[10, 19, 22, 30]].any(), "the line gets darker, nothing lighter"
    with pytest.raises(ValueError, match="shapes differ"):
        lines(line, line[..., 1:])


def test_chroma_is_that_of_cielab():
    primaries = torch.eye(3)[:, :, None, None]
    published = torch.tensor([[80.09, 67.20], [-86.18, 83.18], [79.19, -107.86]])
    assert chroma(primaries)[..., 0, 0] * 100 == pytest.approx(published, abs=0.05)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image[:16] //= 12  # near black, where CIELAB is a line
    with torch.autocast("cpu", torch.bfloat16):
        found = chroma(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0)
    assert found.numpy() * 100 == pytest.approx(lab(image)[..., 1:], abs=0.5)  # OpenCV's own is 0.3 off


def test_colour_counts_tints_and_neither_light_nor_sharpness():
    grey = torch.full((1, 3, 32, 32), 25 / 255)
    tinted = grey + torch.tensor([0, 0, 13 / 255])[:, None, None]
    assert colour(grey, grey) == pytest.approx(0, abs=2e-3)
    wanted = float(np.hypot(*lab(np.array([[[25, 25, 38]]], np.uint8))[0, 0, 1:])) / 100
    assert colour(tinted, grey) == pytest.approx(wanted, rel=0.05) and wanted > 0.05
    assert colour(grey * 5, grey) == pytest.approx(0, abs=2e-3)
    lines = torch.zeros(1, 3, 32, 32)
    lines[..., ::4] = tinted[..., :1]
    assert colour(lines, lines.roll(1, -1)) == pytest.approx(0, abs=2e-3)  # the same within each block of 4x4
    terms = GeneratorLoss(LossConfig(features="none", adversarial=0, colour=0.5))(tinted.half(), grey.half())
    assert list(terms) == ["l1", "colour"] and terms["colour"].item() == pytest.approx(wanted / 2, rel=0.06)


@pytest.mark.parametrize("image", [drawings(0), torch.zeros(1, 3, 64, 64), torch.full((1, 3, 64, 64), 1.5)])
def test_colours_gradient_is_finite_where_pictures_are_equal_black_or_out_of_range(image):
    output = image.clone().requires_grad_()
    colour(output, image).backward()
    assert torch.isfinite(output.grad).all()


@pytest.mark.parametrize("distance", [l1, mse, colour])
def test_shapes_that_would_broadcast_are_refused(distance):
    with pytest.raises(ValueError, match=r"\(1, 3, 8, 8\) and \(1, 1, 8, 8\)"):
        distance(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))


def test_losses_are_fp32_under_autocast(loss):
    output, target = drawings(1).requires_grad_(), drawings(0)
    plain = loss(output, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(output, target, [torch.zeros(1, dtype=torch.bfloat16)])
        assert loss.perceptual["vgg"].network(target)[0].dtype is torch.bfloat16
    for name, value in plain.items():
        assert half[name].dtype is torch.float32
        assert half[name].item() == pytest.approx(value.item(), rel=0.05)
    sum(half.values()).backward()
    assert torch.isfinite(output.grad).all()


def maps(*values: float) -> list[Tensor]:
    """Score maps of the three scales, of different sizes."""
    return [torch.full((2, 1, side, side), value) for side, value in zip((14, 6, 2), values)]


def test_lsgan_on_constructed_scores():
    perfect, inverted = (maps(1, 1, 1), maps(0, 0, 0)), (maps(0, 0, 0), maps(1, 1, 1))
    assert {k: v.item() for k, v in discriminator_terms(*perfect).items()} == {"real": 0, "fake": 0}
    assert {k: v.item() for k, v in discriminator_terms(*inverted).items()} == {"real": 1, "fake": 1}
    assert generator_gan(perfect[1]) == 1 and generator_gan(inverted[1]) == 0
    only = discriminator_terms(maps(1, 1, 1), maps(0, 0, 3))  # a map counts as much as another, however small
    assert only["fake"].item() == pytest.approx(3) and only["real"] == 0
    assert generator_gan(maps(0.9, 1, 1)) < generator_gan(maps(0.5, 1, 1)) < generator_gan(maps(1.6, 1, 1))


def test_the_discriminator_learns_and_the_generator_follows():
    torch.manual_seed(0)
    judge = Discriminator(channels=8)
    rule = torch.optim.Adam(judge.parameters(), lr=2e-3, betas=(0.9, 0.99))
    sharp, soft = drawings(0, 2, 96), nn.functional.avg_pool2d(drawings(1, 2, 96), 5, 1, 2)
    losses = []
    for _ in range(12):
        rule.zero_grad()
        losses.append(sum(discriminator_terms(judge(sharp), judge(soft)).values()))
        losses[-1].backward()
        rule.step()
    assert losses[-1] < 0.7 * losses[0]
    judge.eval().requires_grad_(False)
    with torch.no_grad():
        real, fake = (torch.stack([m.mean() for m in judge(x)]).mean() for x in (sharp, soft))
    assert real > fake + 0.1
    picture = soft.clone().requires_grad_()
    generator_gan(judge(picture)).backward()
    with torch.no_grad():
        better = judge(picture - 0.01 * picture.grad.sign())
        assert torch.stack([m.mean() for m in better]).mean() > fake + 0.01
        assert generator_gan(better) < generator_gan(judge(picture))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"perceptual": -1}, "losses.perceptual: -1.0 is not accepted; accepted: a number, not negative"),
        ({"l1": float("nan")}, "losses.l1: nan is not accepted; accepted: a number, not negative"),
        ({"vgg_layers": [1, 1]}, "losses.vgg_layers: (1.0, 1.0) is not accepted; accepted: 5 numbers, none negative"),
        (
            {"resnet_layers": [0] * 5},
            "losses.resnet_layers: (0.0, 0.0, 0.0, 0.0, 0.0) is not accepted; accepted: 5 numbers",
        ),
        ({"features": "vgg"}, "losses.features: 'vgg' is not accepted; accepted: 'pretrained' or 'drawings' or"),
        ({"features_seed": -3}, "losses.features_seed: -3 is not accepted"),
        ({"vgg_weights": ""}, "losses.vgg_weights: '' is not accepted"),
        ({"gan": 1.0}, "unknown key 'losses.gan'; known are losses.l1"),
    ],
)
def test_wrong_values_are_named_by_their_key(values, message):
    with pytest.raises(ArgumentError) as caught:
        build(LossConfig, values, "losses.")
    assert str(caught.value).startswith(message)


def test_defaults_are_the_papers():
    config = build(LossConfig, {})
    assert (config.l1, config.perceptual, config.resnet, config.vgg, config.adversarial) == (1, 0.5, 1, 1, 0.2)
    assert config.vgg_layers == (0.1, 1, 1, 1, 1) and config.resnet_layers == (0.1, 20, 25, 1, 1)
    assert config.features == "pretrained" and not config.download


def test_deviation_is_about_the_channels_means():
    features = torch.zeros(1, 2, 1, 2)
    features[0, 0, 0], features[0, 1, 0] = torch.tensor([9.0, 11.0]), torch.tensor([-3.0, -3.0])
    assert deviation(features) == 0.5
