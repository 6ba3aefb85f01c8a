"""What a part of the stress test is: cases that follow from a seed and a number, so that each can be repeated."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = float(os.environ.get("STRESS_PATIENCE", "1"))
"""Factor of all times after which something counts as hanging, for a machine that has other work."""


@dataclass
class Outcome:
    """What one case tried and how it ended."""

    what: str
    """One line for a person."""
    failure: str = ""
    """Empty: it held."""
    script: str = ""
    """A program that shows the failure by itself, where there is one shorter than the case."""
    kind: str = ""
    """A word to count by, such as "frame" or "refused"."""
    figures: dict[str, float] = field(default_factory=dict)
    """Of these the worst of all cases is told."""
    counts: dict[str, int] = field(default_factory=dict)
    """Of these the sum, such as {"kills": 3}."""


@dataclass(frozen=True)
class Part:
    """Cases of one kind. ``case`` gets a random generator of its own and an empty folder."""

    name: str
    words: str
    case: Callable[[random.Random, Path], Outcome]
    count: int
    """Cases of a whole run."""
    short: int
    """Cases of the run that is part of the test suite."""
    seconds: float = 120.0
    """After which a case counts as hanging."""


def generator(part: str, seed: int, index: int) -> random.Random:
    """The generator of a case: the same one wherever and however often the case is run."""
    return random.Random(f"{part} {seed} {index}")
