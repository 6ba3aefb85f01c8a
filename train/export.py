"""The averaged weights of a checkpoint as a safetensors file that the filter loads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from . import checkpoint

PLACES = ("data", "val", "out")


def export(source: Path, target: Path, metadata: dict[str, str], dtype: torch.dtype = torch.float32) -> None:
    """Write the EMA weights of ``source`` to ``target``; ``metadata`` is stored as text beside the configuration, which
    loses the places on the disk of whoever trained."""
    state = checkpoint.load(source)
    config = {key: value for key, value in json.loads(state["config"]).items() if key not in PLACES}
    weights = {name: value.to(dtype).contiguous() for name, value in state["ema"].items()}
    temporary = target.with_name(target.name + ".part")
    save_file(weights, temporary, {"iterations": str(state["iteration"]), "config": json.dumps(config), **metadata})
    temporary.chmod(0o644)
    os.replace(temporary, target)
