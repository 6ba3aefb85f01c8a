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

import io
import json
import os
from pathlib import Path
from typing import Any

import torch

from vsapisr.errors import VsapisrError
from vsapisr.needs import lacks_memory, without_memory
from vsapisr.weights.files import plain_content, shown

__all__ = ["LIGHT", "CheckpointError", "damaged", "load", "save"]

LIGHT = ("ema", "iteration", "config", "metadata", "validation", "best", "history")
"""What ``best.pth`` holds."""
KINDS = {
    "ema": dict, "iteration": int, "config": str, "metadata": dict, "validation": dict, "best": dict, "history": str,
    "generator": dict, "optimizers": dict, "scalers": dict, "data": dict, "random": list, "skipped": dict,
}  # fmt: skip


class CheckpointError(VsapisrError, OSError):
    """A checkpoint cannot be written, or is missing or damaged."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` under ``path`` in one step.

    Raises:
        CheckpointError: it cannot be written (a full disk); what was under ``path`` is still there.
    """
    data = io.BytesIO()  # PyTorch's own writer ends the process in a destructor when the disk is full
    torch.save(state, data)
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            file.write(data.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"{path} cannot be written: {reason}; what was saved before is unharmed") from None
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """What :func:`save` wrote; no code in the file is run.

    Raises:
        CheckpointError: missing, damaged, or no checkpoint of this project.
    """
    if path.exists() and not path.is_file():  # a pipe would keep us waiting, a device has no end
        raise CheckpointError(f"{path} is no file")
    try:
        state = plain_content(path)
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except Exception as error:  # whatever damage leads PyTorch to
        if lacks_memory(error):
            raise CheckpointError(without_memory(error, f"to read {path}")) from None
        raise damaged(path, error) from None
    if not isinstance(state, dict) or ("ema" not in state and "term" not in state):
        raise CheckpointError(f"{path} is no checkpoint of a training run: it has no averaged weights under 'ema'")
    for key, kind in KINDS.items():
        if key in state and not isinstance(state[key], kind):
            raise CheckpointError(f"{path} is damaged: {key!r} in it is {type(state[key]).__name__}")
    try:
        for key in ("config", "history"):
            json.loads(state.get(key) or "{}")
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from None
    return state


def damaged(path: Path, error: Exception) -> CheckpointError:
    """What to say of a checkpoint that raises ``error`` when it is read or its parts are put to use."""
    reason = str(error).splitlines() or [type(error).__name__]
    words = f"lacks {reason[0]}" if isinstance(error, KeyError) else shown(reason[0], 120)
    return CheckpointError(f"{path} is damaged or no checkpoint ({words})")
