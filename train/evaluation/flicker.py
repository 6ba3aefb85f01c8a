"""Flicker of held drawings: what moves in an enlarged clip where its source stands still."""

from __future__ import annotations

import cv2
import numpy as np

from vsapisr.config import SCALE

from .full_reference import luma

__all__ = ["flicker", "held"]

BLOCK = 16  # source pixels
MEAN, LARGEST = (
    1.0,
    10.0,
)  # levels of luma by which a block that is held may differ: a codec's doing, not a line that moves


def held(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(H/16, W/16) bool: blocks of two successive (H, W, 3) uint8 source pictures that show the same drawing."""
    change = np.abs(luma(after) - luma(before)).astype(np.float32)
    rows, columns = change.shape[0] // BLOCK, change.shape[1] // BLOCK
    blocks = change[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    return (blocks.mean((2, 3)) <= MEAN) & (blocks.max((2, 3)) <= LARGEST)


def flicker(before: np.ndarray, after: np.ndarray, still: np.ndarray) -> float:
    """Mean change of luma in levels of 255 between two enlarged pictures, where ``held`` says that nothing moves.

    NaN where everything moves. A source that is repeated bit for bit gives 0 with any method that does not change its
    mind.
    """
    if not still.any():
        return float("nan")
    side = BLOCK * SCALE
    mask = cv2.resize(
        still.astype(np.uint8), (still.shape[1] * side, still.shape[0] * side), interpolation=cv2.INTER_NEAREST
    )
    change = np.abs(luma(after) - luma(before))[: mask.shape[0], : mask.shape[1]]
    return float(change[mask.astype(bool)].mean())
