"""Checkpoints: written to a temporary name first, so that a killed process or a full disk costs nothing already saved.

``last.pth`` (and the numbered copies of it) is a dictionary of

================  ====================================================================================================
``ema``           state dict of the averaged generator: the weights to use
``iteration``     updates done, int
``config``        the run's configuration, JSON text of the nested dataclass
``metadata``      dict[str, str] for whoever uses the weights: stage, losses and where their networks came from
``validation``    dict[str, float], the last values measured on ``ema``; empty when there were none
``best``          {"iteration": int, "psnr_y": float} of the best validation so far; empty when there was none
``history``       JSON text: a list of {"iteration", "time", "event", ...}, one for the start and each resume
``generator``     state dict
``discriminator`` state dict, empty in stage 1
``optimizers``    {"g": ..., "d": ...} state dicts
``scalers``       {"g": ..., "d": ...} state dicts of the gradient scalers, empty unless fp16
``ema_steps``     int
``data``          position in the data (``Batches.state_dict``)
``random``        list of one dictionary per process: states of python's, numpy's, torch's and CUDA's generators
``skipped``       {term: count} of the updates left out because of it
================  ====================================================================================================

``best.pth`` has the same keys down to ``history`` and nothing else: what export, evaluation and the next stage read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

LIGHT = ("ema", "iteration", "config", "metadata", "validation", "best", "history")
"""What ``best.pth`` holds."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` under ``path`` in one step."""
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """What :func:`save` wrote; no code in the file is run."""
    return torch.load(path, map_location="cpu", weights_only=True)
