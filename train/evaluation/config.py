"""What the step ``evaluate`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..degradation.config import DegradationConfig
from ..settings import check
from .levels import LEVELS, check_levels

__all__ = ["AUTO", "BASELINES", "EvaluateConfig"]

BASELINES = ("lanczos", "bicubic")
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Weights and interpolations side by side, on pictures or clips.

    Three ways: ``gt`` alone, small pictures are made from the originals at every level; ``source`` and ``gt``, small
    pictures that exist with their originals, of the same names; ``source`` alone, without originals.
    """

    source: str = ""
    """Small pictures: a folder of images, a folder of videos, or one video."""
    gt: str = ""
    """Originals, four times as large: the same kinds. They must not have been trained on."""
    out: str = "runs/evaluation"
    """Folder for table.md, table.csv, results.json and sheet.png."""
    models: tuple[str, ...] = ("default",)
    """Names of shipped or fetched models, and paths of weights."""
    baselines: tuple[str, ...] = BASELINES
    """Interpolations to compare with: "lanczos", "bicubic"."""
    levels: tuple[str, ...] = ()
    """With ``gt`` alone: "light", "medium", "heavy", "crf26", "crf20-30" (docs/evaluation.md); empty: the first three.
    """
    metrics: tuple[str, ...] = (AUTO,)
    """Besides those that are always measured: niqe, brisque, piqe; ssimulacra2 and xpsnr by the plugin vszip; features
    (after ``python -m train features``); names of pyiqa. "auto" stands for all of the project's own that can be had,
    and lpips, niqe, maniqa and clipiqa of pyiqa where that is installed."""
    images: int = 0
    """Pictures or clips, evenly spread over the folder; 0: all."""
    frames: int = 100
    """Of each clip, from its start; 0: all."""
    sheet: int = 6
    """Rows of the contact sheet for each level."""
    seed: int = 0
    """Of the degradation."""
    guard: bool = True
    """As the filter's argument: spots and tints whose colour does not occur nearby in the source are removed,
    and flat areas keep its values."""
    device: str = "auto"
    precision: str = "auto"
    threads: int = 2
    """Of PyTorch on the CPU."""
    force: bool = False
    """Replace files that are in the way and that this step did not write."""
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    """Of the level "heavy"."""

    def __post_init__(self) -> None:
        check(bool(self.source or self.gt), "source", self.source, "a folder or a video, unless gt is one")
        check(
            not (self.source and self.levels), "levels", self.levels, "none with source: its pictures are small already"
        )
        if self.levels:
            check_levels(self.levels)
        check(set(self.baselines) <= set(BASELINES), "baselines", self.baselines, " and ".join(BASELINES))
        check(bool(self.models or self.baselines), "models", self.models, "one or more, or a baseline")
        for name in ("models", "baselines", "levels", "metrics"):
            value = getattr(self, name)
            check(len(set(value)) == len(value), name, value, "each once")
        for name, least in (("images", 0), ("frames", 0), ("sheet", 0), ("seed", 0), ("threads", 1)):
            check(getattr(self, name) >= least, name, getattr(self, name), f"{least} or more")

    @property
    def measured(self) -> tuple[str, ...]:
        """Levels of damage; "given" for small pictures that exist."""
        return ("given",) if self.source else self.levels or LEVELS
