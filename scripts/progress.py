"""One line of progress: how many, how fast, how long still."""

from __future__ import annotations

import sys
import time
from typing import TextIO

__all__ = ["Progress", "duration"]


def duration(seconds: float) -> str:
    """75.2 -> "1:15"."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class Progress:
    """Shows ``label: 12/60 frames, 0.41 frames/s, 1:57 left`` once two seconds have passed.

    On a terminal the line is rewritten twice a second; elsewhere a new line comes every ten seconds.
    """

    def __init__(self, label: str, total: int | None, unit: str = "frames", stream: TextIO | None = None) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty()
        self.start = time.monotonic()
        self.shown = self.start + 2.0 - (0.5 if self.live else 10.0)
        self.drawn = False

    def update(self, done: int) -> None:
        """``done`` items are finished."""
        now = time.monotonic()
        if now - self.shown < (0.5 if self.live else 10.0):
            return
        self.shown, spent = now, now - self.start
        rate = done / spent if spent > 0 else 0.0
        total = "?" if self.total is None else self.total
        text = f"{self.label}: {done}/{total} {self.unit}, {rate:.3g} {self.unit}/s"
        if self.total is not None and rate > 0:
            text += f", {duration((self.total - done) / rate)} left"
        self.stream.write(f"\r{text:<78}" if self.live else text + "\n")
        self.stream.flush()
        self.drawn = True

    def close(self) -> None:
        """End the line."""
        if self.drawn and self.live:
            self.stream.write("\n")
            self.stream.flush()
