"""Losses and gradients that are no finite numbers: the update is left out, the batch kept for study, the run not
endless.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

from vsapisr.errors import VsapisrError

from ..data.feed import Batch
from . import checkpoint
from .distributed import Processes

__all__ = ["Guard", "NonFiniteError"]

log = logging.getLogger(__name__)


class NonFiniteError(VsapisrError, FloatingPointError):
    """Too many updates had a loss or gradient that is no finite number."""


class Guard:
    """Counts the updates left out, by term; ``out/nonfinite/ITERATION_TERM.pth`` are their batches."""

    def __init__(self, out: Path, limit: int, processes: Processes):
        self.out, self.limit, self.processes = out, limit, processes
        self.skipped: dict[str, int] = {}

    @staticmethod
    def find(values: dict[str, float]) -> str | None:
        """Name of the first value that is not finite."""
        return next((name for name, value in values.items() if not math.isfinite(value)), None)

    def skip(self, iteration: int, term: str, values: dict[str, float], batch: Batch) -> None:
        """Take note of an update left out because of ``term``; every process calls it."""
        self.skipped[term] = self.skipped.get(term, 0) + 1
        batches = self.processes.gather(tuple(part.cpu() for part in batch))
        if not self.processes.first:
            return
        path = self.out / "nonfinite" / f"{iteration:08}_{term.replace('/', '_')}.pth"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            names = ("lr", "gt", "pseudo_gt")
            content = {name: [one[n] for one in batches] for n, name in enumerate(names)}
            checkpoint.save(path, {"iteration": iteration, "term": term, "values": values, **content})
            place = f"its batch is in {path}"
        except OSError as error:
            place = f"its batch cannot be written: {error}"
        log.warning("iteration %d: %s is %s; the update is left out, %s", iteration, term, values[term], place)

    @property
    def reached(self) -> bool:
        """Whether the run must stop."""
        return sum(self.skipped.values()) >= self.limit

    def check_limit(self, iteration: int) -> None:
        """``NonFiniteError`` when the limit is reached."""
        if self.reached:
            total = sum(self.skipped.values())
            terms = ", ".join(f"{term} {count} times" for term, count in self.skipped.items())
            raise NonFiniteError(
                f"stopped at iteration {iteration}: {total} updates were not finite ({terms}); their batches are in "
                f"{self.out / 'nonfinite'}. A lower learning rate, a clip_norm or another precision may help; "
                f"to go on all the same, raise nonfinite_limit above {total}"
            )
