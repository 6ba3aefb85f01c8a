"""Networks with random weights for tests."""

from __future__ import annotations

import torch

from vsapisr.networks.grl import GRL, GRLConfig


def perturbed(config: GRLConfig = GRLConfig(), seed: int = 0, amount: float = 0.05) -> GRL:
    """A network none of whose parameters is 0 or 1, the same for the same seed."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        net = GRL(config).eval()
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * amount)
    return net
