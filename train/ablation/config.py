"""What the step ``ablate`` can be told."""

from __future__ import annotations

from dataclasses import dataclass

from ..evaluation.config import EvaluateConfig
from ..settings import check
from .arms import ARMS, TABLES

__all__ = ["AblateConfig"]


@dataclass(frozen=True, kw_only=True)
class AblateConfig:
    """The paper's ablations: every arm is trained in both stages and evaluated, and tables are made of it all."""

    out: str
    """Folder. A run that was stopped goes on; finished arms are not done again."""
    stage1: str
    """Configuration (TOML) of the step fit for stage 1; ``out`` in it is not used."""
    stage2: str
    """The same for stage 2; ``out`` and ``init`` in it are not used."""
    evaluate: EvaluateConfig
    """Pictures, levels and measures; ``models`` and ``out`` are not used."""
    tables: tuple[str, ...] = ("degradation", "enhancement", "perceptual")
    """"dataset", "degradation", "enhancement", "perceptual"; the first needs ``curate``."""
    arms: tuple[str, ...] = ()
    """Only these of them, by name; empty: all."""
    curate: str = ""
    """Configuration (TOML) of the step curate; with it the drawings of every arm are chosen from its videos, by its
    scorer in all arms but those of the table "dataset"."""
    prepare: str = ""
    """Configuration (TOML) of the step prepare, for what curate chose."""
    dry_run: bool = False
    """List the arms and what has been done, and do nothing."""

    def __post_init__(self) -> None:
        check(
            bool(self.tables) and set(self.tables) <= set(TABLES),
            "tables",
            self.tables,
            f"one or more of {', '.join(TABLES)}",
        )
        known = dict.fromkeys(arm.name for arm in ARMS if arm.table in self.tables)
        check(set(self.arms) <= known.keys(), "arms", self.arms, f"those of the tables: {', '.join(known)}")
        check(
            "dataset" not in self.tables or bool(self.curate),
            "tables",
            self.tables,
            '"dataset" only with curate, whose videos the pictures of its arms are chosen from',
        )
        check(
            bool(self.curate) == bool(self.prepare),
            "prepare",
            self.prepare,
            "a configuration when curate is one, else none",
        )
