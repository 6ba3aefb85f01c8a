"""The layout of the published checkpoint: ``model_state_dict`` with the weights, and buffers that follow from the
sizes.

The buffers are those for inputs of 64x64, as published; whatever loads such a file makes them anew for other sizes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vsapisr.networks.grl import GRL, bias_coordinates, relative_index, shift_mask, to_windows

__all__ = ["derived", "published"]

SIZE = 64
"""Height and width that the published masks are for."""


def _regions(size: int, window: int, shift: int) -> Tensor:
    """(windows, window**2): which side of the wrap each token of a rolled image comes from."""
    axis = torch.zeros(size)
    axis[-window:] = 1
    axis[-shift:] = 2
    return to_windows((axis[:, None] * 3 + axis)[None, :, :, None], window).squeeze(-1)


def derived(network: GRL) -> dict[str, Tensor]:
    """The 13 buffers: coordinate tables, relative indices and masks of windows (w) and of both kinds of stripes (sh,
    sv) between anchors (a) and tokens (w).
    """
    window, anchors = network.config.window, network.config.window // network.config.anchor_down
    attention = network.layers[0].blocks[0].attn
    own, (gather, spread) = (
        attention.window_attn["attn_transform"],
        (attention.stripe_attn[f"attn_transform{n}"] for n in (1, 2)),
    )

    def table(low: int, high: int) -> Tensor:
        return bias_coordinates(low, high).view(1, high - low + 1, high - low + 1, 2)

    def index(part: Any) -> Tensor:
        queries, keys, offset = part.grids
        return relative_index(queries, keys, offset, part.table[1] - part.table[0] + 1)

    tokens = _regions(SIZE, window, window // 2)
    means = _regions(SIZE // network.config.anchor_down, anchors, anchors // 2)
    mask = (means[:, :, None] != tokens[:, None, :]) * -100.0
    buffers = {f"table_{kind}": table(*part.table) for kind, part in (("w", own), ("sh", gather), ("sv", gather))}
    buffers["index_w"] = index(own)
    for stripe in ("sh", "sv"):
        buffers |= {f"index_{stripe}_a2w": index(gather), f"index_{stripe}_w2a": index(spread)}
    buffers["mask_w"] = shift_mask(SIZE, SIZE, window)
    for stripe in ("sh", "sv"):
        buffers |= {f"mask_{stripe}_a2w": mask, f"mask_{stripe}_w2a": mask.transpose(1, 2).contiguous()}
    return {name: value.clone() for name, value in buffers.items()}


def published(network: GRL, dtype: torch.dtype, metadata: dict[str, str]) -> dict[str, Any]:
    """What to ``torch.save``: 455 entries under ``model_state_dict``, and ``metadata`` under ``opt`` beside the
    iteration.
    """
    weights = {name: value.to(dtype).contiguous() for name, value in network.state_dict().items()}
    return {
        "model_state_dict": derived(network) | weights,
        "iteration": int(metadata.get("iterations", 0)),
        "opt": metadata,
    }
