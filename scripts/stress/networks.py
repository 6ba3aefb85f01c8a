"""A small network, so that thousands of frames take minutes on a CPU; frames and tiles are those of a real one."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from vsapisr.networks.grl import GRL, GRLConfig
from vsapisr.weights.hidden import described

__all__ = ["small_network"]


def small_network(folder: str | Path) -> str:
    """Write random weights of a network of the shipped kind, a twentieth of its size; the file's path."""
    path = Path(folder) / "small.safetensors"
    torch.manual_seed(0)
    network = GRL(GRLConfig(dim=16, depths=(1,), mlp_dim=16, bias_dim=16))
    save_file(network.state_dict(), path, metadata=described(network.config))
    return str(path)
