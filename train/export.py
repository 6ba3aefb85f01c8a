"""The averaged weights of a checkpoint as a safetensors file that the filter loads."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from . import checkpoint


def export(source: Path, target: Path, metadata: dict[str, str], dtype: torch.dtype = torch.float32) -> None:
    """Write the EMA weights of ``source`` to ``target``; ``metadata`` is stored as text beside the configuration."""
    state = checkpoint.load(source)
    weights = {name: value.to(dtype).contiguous() for name, value in state["ema"].items()}
    temporary = target.with_name(target.name + ".part")
    save_file(weights, temporary, {"iterations": str(state["iteration"]), "config": state["config"], **metadata})
    os.replace(temporary, target)
