"""The generator's and the discriminator's losses (APISR, section 3.4): ``generator.GeneratorLoss`` holds the former,
``gan`` both halves of LSGAN. Only the configuration is imported here: reading one must not wait for PyTorch.
"""

from __future__ import annotations

from .config import LossConfig

__all__ = ["LossConfig"]
