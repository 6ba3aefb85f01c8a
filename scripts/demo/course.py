"""How far a demo goes: counts frames, and on a slow machine decides how many there will be."""

from __future__ import annotations

import time
from collections.abc import Callable

import av

from train.media.progress import Progress

__all__ = ["Course"]

PROBE_SECONDS, BUDGET_SECONDS, FEWEST = 10.0, 120.0, 8


class Course:
    """Counts frames, decides on a slow machine how many to take, shows progress, keeps the frame to compare."""

    def __init__(self, total: int, chosen: bool, keep: int, say: Callable[[str], None]) -> None:
        self.total, self.chosen, self.keep, self.say = total, chosen, min(keep, total - 1), say
        self.kept: av.VideoFrame | None = None
        self.kept_index = 0
        self.first = self.last = 0.0
        self.progress: Progress | None = None
        self.done = 0

    def more(self, count: int, frame: av.VideoFrame) -> bool:
        """After frame ``count``; False when the demo has enough."""
        now = time.monotonic()
        self.done, self.last = count, now
        if count == 1:
            self.first = now
            self.progress = Progress("upscaling", self.total if self.chosen else 0, "frames")
        if count <= self.keep + 1:
            self.kept, self.kept_index = frame, count - 1
        spent = now - self.first
        if not self.chosen and count > 2 and spent > PROBE_SECONDS:
            self.chosen = True
            rate = (count - 1) / spent
            total = min(self.total, max(FEWEST, count + round(rate * (BUDGET_SECONDS - spent))))
            self.progress.total = total
            if total < self.total:
                self.say(
                    f"{rate:.2g} frames/s on this machine: taking the first {total} of {self.total} frames "
                    "(--frames N chooses)"
                )
                self.total = total
        self.progress.to(count)
        return count < self.total

    @property
    def fps(self) -> float:
        """Rate after the first frame, without the start-up."""
        return (self.done - 1) / (self.last - self.first) if self.last > self.first else 0.0
