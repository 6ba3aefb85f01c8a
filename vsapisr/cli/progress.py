"""Progress of the command line: how far, how fast, how long still. Needs rich."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

EVERY = 10.0  # seconds between two lines where there is no terminal
WINDOW = 600.0  # seconds that the rate is taken over; a tile can take a minute on a CPU
MEGA = 1e6


class Rate(ProgressColumn):
    """So much done of so much, and how much in a second, in millions of a unit."""

    def __init__(self, unit: str):
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text(amounts(task.completed, task.total, task.speed, self.unit))


def amounts(done: float, total: float | None, speed: float | None, unit: str) -> str:
    """``1.20/4.00 MB, 0.3 MB/s``."""
    text = f"{done / MEGA:.2f}" + (f"/{total / MEGA:.2f}" if total else "") + f" {unit}"
    return text + (f", {speed / MEGA:.3g} {unit}/s" if speed else "")


class Meter:
    """A bar on a terminal, elsewhere a line every ten seconds: ``with Meter(console, "MB") as meter: ...``."""

    def __init__(self, console: Console, unit: str, total: float | None = None):
        self.console, self.unit, self.total = console, unit, total
        self.label = ""
        self.start = self.shown = time.monotonic()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), Rate(unit), TimeRemainingColumn())
        self.bar = Progress(
            *columns,
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=WINDOW,
        )
        self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> Meter:
        self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()

    def say(self, text: str) -> None:
        """A line of its own, as it is: names of files are no markup."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, done: float, total: float | None = None, label: str | None = None) -> None:
        """``done`` of ``total`` units, not millions, at work on ``label``; what is None stays."""
        self.total = self.total if total is None else total
        self.label = self.label if label is None else label
        self.bar.update(self.task, completed=done, total=self.total, description=self.label)
        now = time.monotonic()
        if self.bar.disable and now - self.shown >= EVERY:
            self.shown, speed = now, done / (now - self.start)
            left = f", {(self.total - done) / speed:.0f} s left" if self.total and speed else ""
            self.say(f"{self.label}: {amounts(done, self.total, speed, self.unit)}{left}")
