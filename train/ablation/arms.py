"""The arms of the paper's ablations (Tables 2 to 4): each is the whole method with one switch turned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ARMS", "TABLES", "WHOLE", "Arm", "chosen"]

WHOLE = "paper"
TABLES = {
    "dataset": "Table 2, selection of the pictures",
    "degradation": "Table 3, degradation model",
    "enhancement": "Table 4, line enhancement",
    "perceptual": "Table 4, perceptual loss",
}


@dataclass(frozen=True)
class Arm:
    """One switch: keys of the configurations of curate and fit, with dots, and what they are set to."""

    name: str
    table: str
    label: str
    """In its table."""
    curate: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    """Of both stages."""
    loss: Mapping[str, Any] = field(default_factory=dict)
    """Of stage 2."""

    @property
    def whole(self) -> bool:
        """The method as it is configured, which is in every table and trained once."""
        return not (self.curate or self.data or self.loss)


ARMS = (
    Arm("dataset-random", "dataset", "random I-frames", curate={"scorer": "random"}),
    Arm("dataset-iqa", "dataset", "I-frames by quality (HyperIQA)", curate={"scorer": "iqa:hyperiqa"}),
    Arm(WHOLE, "dataset", "I-frames by complexity"),
    Arm("degradation-bsrgan", "degradation", "BSRGAN", data={"data.degradation": {"preset": "bsrgan"}}),
    Arm("degradation-realesrgan", "degradation", "Real-ESRGAN", data={"data.degradation": {"preset": "realesrgan"}}),
    Arm(WHOLE, "degradation", "prediction-oriented"),
    Arm("enhancement-off", "enhancement", "plain GT", data={"data.enhance": False}),
    Arm(WHOLE, "enhancement", "pseudo-GT"),
    Arm("perceptual-none", "perceptual", "none", loss={"loss.perceptual": 0.0}),
    Arm("perceptual-vgg", "perceptual", "VGG", loss={"loss.resnet": 0.0}),
    Arm("perceptual-resnet", "perceptual", "ResNet", loss={"loss.vgg": 0.0}),
    Arm(WHOLE, "perceptual", "ResNet and VGG"),
)


def chosen(tables: tuple[str, ...], names: tuple[str, ...] = ()) -> list[Arm]:
    """The arms of ``tables``, each once, the whole method first; only those called ``names`` if any are given."""
    arms = {arm.name: arm for arm in sorted(ARMS, key=lambda arm: not arm.whole) if arm.table in tables}
    return [arm for name, arm in arms.items() if not names or name in names]
