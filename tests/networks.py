"""Networks with random weights for tests."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from vsapisr.networks.grl import GRL, GRLConfig
from vsapisr.weights.hidden import described


def perturbed(config: GRLConfig = GRLConfig(), seed: int = 0, amount: float = 0.05) -> GRL:
    """A network none of whose parameters is 0 or 1, the same for the same seed."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        net = GRL(config).eval()
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * amount)
    return net


def write(net: GRL, path: Path, **metadata: str) -> Path:
    """The weights of ``net`` as a file: .safetensors, or as PyTorch saves them; both say what no shape shows."""
    if path.suffix == ".safetensors":
        save_file(net.state_dict(), path, metadata=described(net.config) | metadata)
    else:
        torch.save({"model_state_dict": net.state_dict(), "opt": described(net.config) | metadata}, path)
    return path
