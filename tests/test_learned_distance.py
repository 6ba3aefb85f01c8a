"""The distance of pictures in a network's features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from train.evaluation import learned
from train.evaluation.judge import perceptual
from train.evaluation.learned import FeatureDistance, feature_distance
from train.losses.features import LAYERS, FeatureNetwork, empty
from vsapisr.errors import WeightsError

from .clips import drawing


class Directions(nn.Module):
    """Two layers: the colours themselves, and every second pixel of red and green."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"colours": x, "less": x[:, :2, ::2, ::2]}


def network() -> FeatureNetwork:
    return FeatureNetwork(Directions(), ("colours", "less"), normalisation=((0.0,) * 3, (1.0,) * 3))


def test_by_hand() -> None:
    """Red against green is a right angle everywhere, 2; a darker red is red; red against yellow is 45 degrees."""
    red, green, yellow = (torch.tensor(c).view(1, 3, 1, 1).expand(1, 3, 40, 48) for c in
                          ((1.0, 0, 0), (0, 1.0, 0), (1.0, 1.0, 0)))  # fmt: skip
    net = network()
    assert feature_distance(net, red, green).item() == pytest.approx(2)
    assert feature_distance(net, red / 3, red).item() == pytest.approx(0, abs=1e-6)
    assert feature_distance(net, red, yellow).item() == pytest.approx(2 - 2 * 0.5**0.5)
    half = red.clone()
    half[..., :24] = green[..., :24]
    assert feature_distance(net, torch.cat([half, red]), torch.cat([red, red])).tolist() == pytest.approx([1, 0])


def random_network() -> FeatureNetwork:
    torch.manual_seed(0)
    body = empty("photographs", LAYERS["photographs"])
    for part in body.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)
    return FeatureNetwork(body, LAYERS["photographs"])


def test_pictures() -> None:
    measure = FeatureDistance(random_network())
    image = drawing(1, 64, 80)
    noisy, noisier = (
        np.clip(image + np.random.default_rng(0).normal(0, size, image.shape), 0, 255).astype(np.uint8)
        for size in (5, 30)
    )
    assert measure(image, image) == pytest.approx(0, abs=1e-6)
    assert 0 < measure(noisy, image) < measure(noisier, image) < 2
    assert measure(noisy, image) == pytest.approx(measure(image, noisy), rel=1e-4)
    assert measure(noisy[:5, :7], image[:5, :7]) > 0  # repeated at its edges


def test_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not learned.network_there()
    assert "features" not in [measure.name for measure in perceptual(("auto",), "cpu", references=True)]
    with pytest.raises(WeightsError, match="python -m train features"):
        perceptual(("features",), "cpu", references=True)
