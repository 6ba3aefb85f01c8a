"""Pictures that are measured on are known again by what they show, so that none of them is trained on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from vsapisr.errors import VsapisrError

from ..evaluation.footage import files_of, frames
from .config import SelectionConfig
from .traits import dct_hash, distance, luma


def hashes(places: Iterable[str]) -> np.ndarray:
    """(N,) uint64, sorted: of the pictures, or all frames of the videos, in ``places``.

    Raises:
        VsapisrError: one of the places is not there or holds neither.
    """
    found: set[int] = set()
    for place in places:
        for path in files_of(place):
            with suppress(VsapisrError):  # what cannot be read cannot be measured on either
                found.update(dct_hash(luma(image)) for image in frames(path, 0))
    return np.array(sorted(found), np.uint64)


def is_among(image: np.ndarray, known: np.ndarray) -> bool:
    """Whether (H, W, 3) uint8 shows, in any size, what one of ``known`` shows, as curate tells duplicates."""
    return bool(len(known)) and int(distance(dct_hash(luma(image)), known).min()) <= SelectionConfig().duplicate_bits
