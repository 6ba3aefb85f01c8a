"""Progress of what runs long: share done, rate, remaining time, on one line of a terminal or few lines of a log."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO


def clock(seconds: float) -> str:
    """3725 -> "1:02:05", 65 -> "1:05"; from two days on in days."""
    whole = max(0, round(seconds))
    if whole >= 2 * 86400:
        return f"{whole / 86400:.1f} days" if whole < 10 * 86400 else f"{round(whole / 86400)} days"
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class Progress:
    """``with Progress("scan", total=3600, unit="s") as p: p.to(12.5, "ep01.mkv")``.

    Nothing is written in the first two seconds; after that at most ten times a second on a terminal and every
    ``log_seconds`` elsewhere. ``total`` may be 0 when it is not known: then there is no remaining time.
    """

    def __init__(self, title: str, total: float, unit: str, stream: TextIO | None = None, log_seconds: float = 15.0):
        self.title, self.total, self.unit = title, total, unit
        self.stream = stream or sys.stderr
        self.pause = 0.1 if self.stream.isatty() else log_seconds
        self.start = time.monotonic()
        self.shown = self.start + 2.0 - self.pause
        self.done, self.skipped = 0.0, 0.0

    def skip(self, amount: float) -> None:
        """``amount`` was done in an earlier run: it counts as done but not into the rate."""
        self.done += amount
        self.skipped += amount

    def to(self, done: float, note: str = "") -> None:
        """``done`` units of ``total`` are behind us."""
        self.done = done
        now = time.monotonic()
        if now - self.shown >= self.pause:
            self.shown = now
            self._write(now, note)

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.to(self.done + amount, note)

    def _write(self, now: float, note: str) -> None:
        rate = (self.done - self.skipped) / max(now - self.start, 1e-9)
        text = f"{self.title}: {self.done:.0f}"
        if self.total:
            text += f"/{self.total:.0f}"
        text += f" {self.unit}, {rate:.2f} {self.unit}/s"
        if self.total and rate > 0:
            text += f", {clock((self.total - self.done) / rate)} left"
        if note:
            text += f"  {note}"
        if self.stream.isatty():
            width = min(150, shutil.get_terminal_size().columns - 1)  # a wrapped line could not be written over
            text = f"\r{text[:width]:<{width}}"
        else:
            text += "\n"
        self.stream.write(text)
        self.stream.flush()

    def say(self, text: str) -> None:
        """A line that stays, above what is written over."""
        width = min(150, shutil.get_terminal_size().columns - 1)
        self.stream.write(f"\r{text:<{width}}\n" if self.stream.isatty() else text + "\n")
        self.stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the line."""
        if self.stream.isatty() and self.shown > self.start + 2.0:
            self.stream.write("\n")
