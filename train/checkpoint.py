"""Checkpoints: written to a temporary name first, so that a killed process or a full disk costs nothing already saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


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
