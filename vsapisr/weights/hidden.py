"""What no tensor's shape says of a network: the sides of its windows and of the squares its anchors average.

A file says it in its metadata (``network``, or the configuration of the run it is from), or by the buffers of the
published layout, which follow from both. A network that is run with other ones gives other pictures, without any error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import WeightsError
from ..networks.grl import GRLConfig

__all__ = ["METADATA", "described", "hidden_sizes"]

METADATA = "network"
"""Key of the metadata that holds a configuration as JSON."""
LARGEST = 128
"""Side of a window; a mask has its fourth power of entries."""


def described(config: GRLConfig) -> dict[str, str]:
    """The metadata to write beside the weights of a network."""
    sizes = {name: value for name, value in asdict(config).items() if name != "drop_path"}  # of training alone
    return {METADATA: json.dumps(sizes)}


def _table(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _in_words(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """(window, anchor_down) by the metadata."""
    tables = _table(metadata.get(METADATA, "")), _table(metadata.get("config", "")).get("network")
    for table in tables:
        if isinstance(table, dict):
            sizes = table.get("window"), table.get("anchor_down")
            if isinstance(sizes[0], int) and isinstance(sizes[1], int):
                return sizes[0], sizes[1]
    return None


def _by_buffers(tensors: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """(window, anchor_down) by the published layout's index from a window's anchors to its pixels."""
    for name, value in tensors.items():
        if name.rpartition(".")[2] == "index_sh_a2w" and value.ndim == 2:
            anchors, window = map(math.isqrt, value.shape)
            if anchors and (anchors**2, window**2) == value.shape and window % anchors == 0:
                return window, window // anchors
    return None


def hidden_sizes(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path, assumed: tuple[int, int] | None = None
) -> tuple[int, int]:
    """(window, anchor_down) of the network whose file ``path`` has these ``tensors`` and ``metadata``; what is
    ``assumed`` of a file that does not say it.

    Raises:
        WeightsError: nothing says so, what says so disagrees, or it is no network that can be.
    """
    words, buffers = _in_words(metadata), _by_buffers(tensors)
    said = {place: sizes for place, sizes in {"metadata": words, "buffers": buffers, "you": assumed}.items() if sizes}
    if len(set(said.values())) > 1:
        different = ", ".join(f"{sizes} by {place}" for place, sizes in said.items())
        raise WeightsError(f"{path}: window and anchor_down of its network are contradictory: {different}")
    if not said:
        raise WeightsError(
            f"{path} does not say the window and the anchor_down of its network, and no tensor's shape shows them; "
            f"if you know them (published GRLs have 8 and 2), write them into a new file: python -m train export "
            f"--source {path} --window 8 --anchor-down 2 --target NEW.safetensors"
        )
    window, down = next(iter(said.values()))
    if not (2 <= window <= LARGEST and window % 2 == 0 and down >= 1 and window % down == 0):
        raise WeightsError(
            f"{path}: window {window} and anchor_down {down} are not accepted; accepted: an even window from 2 to "
            f"{LARGEST}, a multiple of anchor_down"
        )
    return window, down
