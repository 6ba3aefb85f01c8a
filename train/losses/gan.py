"""LSGAN (Mao et al. 2017): squared distance of the scores to 1 for real and 0 for fake pictures.

The mean over each map first, then over the scales, so that the small maps weigh as much as the large one. All in fp32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["discriminator_terms", "generator_gan"]


def distance(scores: Sequence[Tensor], aim: float) -> Tensor:
    """Scalar: mean squared distance of maps (B, 1, h, w) to ``aim``."""
    return torch.stack([(score.float() - aim).square().mean() for score in scores]).mean()


def generator_gan(fake_scores: Sequence[Tensor]) -> Tensor:
    """What the generator lowers: its pictures' scores should be 1. Unweighted scalar."""
    return distance(fake_scores, 1.0)


def discriminator_terms(real_scores: Sequence[Tensor], fake_scores: Sequence[Tensor]) -> dict[str, Tensor]:
    """What the discriminator lowers is the sum of ``"real"`` and ``"fake"``, two scalars. The fake pictures must be
    detached from the generator by the caller.
    """
    return {"real": distance(real_scores, 1.0), "fake": distance(fake_scores, 0.0)}
