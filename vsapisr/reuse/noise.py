"""How noisy a stretch of a clip is, and how far two frames of one drawing may be apart because of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .grids import blockwise, box, gradients
from .motion import SIDE

__all__ = ["Limits", "noise"]

SHARE = 98
"""Percentile of the noise that is measured: a codec renews few blocks of a frame, and those tell."""
CHANGED = (3.0, 4.0, 12.0)
"""Above what a mean of 4x4 samples has changed for another reason than noise: so many times what half of all differ by,
but not below the first and above the last, in levels."""
STEEP, AROUND = 6.0, 3
"""From so many levels per 4 pixels on a block has lines in it; how many blocks away from what moves it has to be."""
FEW, UNKNOWN, MOST = 150, 0.3, 2.25
"""With so few blocks nothing can be said, and this is assumed; and never more than the last."""


def noise(pictures: Sequence[np.ndarray], moves: Sequence[np.ndarray], cuts: Sequence[bool]) -> tuple[float, float]:
    """Levels that the worst of four means of 4x4 samples differs by between two frames of one drawing, in the noisier
    blocks: of those without lines, and of those with. Pictures are such means; ``moves`` says which blocks seem to move
    in each step.

    Frames are compared with the mean of their two neighbours, which a fade or a slow pan over a gradient leaves equal.
    """
    found: tuple[list[np.ndarray], list[np.ndarray]] = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for n in range(1, len(pictures) - 1):
        if cuts[n] or cuts[n + 1]:
            continue
        difference = (pictures[n - 1] + pictures[n + 1]) * np.float32(0.5) - pictures[n]
        size = blockwise(np.abs(difference), SIDE, SIDE, np.maximum) * np.float32((4 / 3) ** 0.5)
        least, times, most = CHANGED
        bar = min(max(least, times * float(np.median(size))), most)
        changed = (size > bar) | moves[n - 1] | moves[n]
        still = box(changed.astype(np.float32), AROUND) == 0
        lines = lined(pictures[n])
        for sizes, where in zip(found, (~lines, lines)):
            sizes.append(size[still & where])
    flat, line = (np.concatenate(sizes) for sizes in found)
    plain = min(float(np.percentile(flat, SHARE)), MOST) if len(flat) >= FEW else UNKNOWN
    # What moved unnoticed is where lines are.
    return plain, min(float(np.percentile(line, SHARE)), 1.5 * plain + UNKNOWN, MOST) if len(line) >= FEW else plain


def lined(picture: np.ndarray) -> np.ndarray:
    """The blocks that have lines in them."""
    right, down = gradients(picture)
    return blockwise(np.abs(right) + np.abs(down), SIDE, SIDE, np.maximum) >= STEEP


MOST_WEAVE = 0.15
"""Pixels: what moves by half of one, moves."""
CONSTANT = (3.0, 1.0, 0.5, 0.2, 0.03)
GROWING = (8.0, 3.6, 2.1, 0.5, 0.2)
"""What :class:`Limits` begin with, and grow by with the root of the noise."""


@dataclass(frozen=True)
class Limits:
    """In levels of 8 bit. A drawing that changed exceeds one of them; noise none.

    Noise is less in the mean of more samples, and so are the limits. They grow with the root of the measured noise:
    what a codec seldom renews differs by more in relation to it than film grain does.
    """

    values: np.ndarray
    """(5, rows, columns) of blocks: what follows."""

    @property
    def sample(self) -> np.ndarray:
        """Of a mean of 2x2 samples."""
        return self.values[0]

    @property
    def part(self) -> np.ndarray:
        """Of a mean of 4x4 samples."""
        return self.values[1]

    @property
    def block(self) -> np.ndarray:
        """Of the mean of a block."""
        return self.values[2]

    @property
    def region(self) -> np.ndarray:
        """Of the mean of the blocks of a region that hold otherwise: a slow fade."""
        return self.values[3]

    @property
    def weave(self) -> np.ndarray:
        """Of a shift, in pixels: differences up to the gradient times that are allowed."""
        return self.values[4]

    @classmethod
    def of(cls, noise: tuple[float, float], lines: np.ndarray, threshold: float) -> Limits:
        """Each (rows, columns) of blocks; ``lines`` says which have lines in them."""
        root = np.where(lines, np.float32(noise[1]), np.float32(noise[0])) ** np.float32(0.5)
        sample, part, block, region, weave = (
            np.float32(threshold * a) + np.float32(threshold * b) * root for a, b in zip(CONSTANT, GROWING)
        )
        return cls(np.stack([sample, part, block, region, np.minimum(weave, np.float32(MOST_WEAVE))]))
