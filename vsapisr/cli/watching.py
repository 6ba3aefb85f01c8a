"""How far videos are: a bar on a terminal, lines elsewhere, or one JSON object for each event."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ..video.status import clock

__all__ = ["Watch"]

EVERY = 10.0  # seconds between two lines where there is no terminal
LOOKS = 50  # frames between two words on the look through a source
WINDOW = 300  # frames that the rate is taken over


class Watch:
    """Takes the events of :func:`vsapisr.video.run.upscale_video`, of one video after the other."""

    def __init__(self, console: Console, as_json: bool, seconds: list[float]):
        """``seconds``: how long each video is, as far as that is known, for the time that remains in all."""
        self.console, self.as_json, self.seconds = console, as_json, seconds
        self.number = 0
        self.name, self.file = "", ""
        self.frames = self.done = self.bytes = 0
        self.reused = 0.0
        self.made = 0
        self.rates: deque[float] = deque(maxlen=WINDOW)
        self.shown = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=console,
            transient=True,
            disable=as_json or not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=None, words="")

    def __enter__(self) -> Watch:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, number: int, name: str) -> None:
        """Video ``number``, from 0, is next."""
        self.number, self.file = number, name
        self.name = name if len(self.seconds) == 1 else f"{number + 1}/{len(self.seconds)} {name}"
        self.frames = self.done = self.bytes = self.made = 0
        self.reused = 0.0
        self.rates.clear()
        self.bar.update(self.task, description=self.name, completed=0, total=None, words="looking at it")

    def say(self, text: str) -> None:
        """A line of its own, as it is: names of files are no markup."""
        if self.as_json:
            self.emit({"event": "message", "text": text})
        else:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def failed(self, text: str) -> None:
        """This video is not done, and why."""
        if self.as_json:
            self.emit({"event": "failed", "text": text})
        else:
            self.say(f"vsapisr: {text}")

    def end(self, lost: list[str]) -> None:
        """All videos have been gone through; ``lost`` are the names of those that failed."""
        done = len(self.seconds) - len(lost)
        if self.as_json:
            self.file = ""
            self.emit({"event": "end", "done": done, "failed": lost})
        else:
            words = f", {len(lost)} failed: {', '.join(lost)}" if lost else ""
            self.say(f"{len(self.seconds)} videos: {done} done{words}")

    def emit(self, event: dict[str, Any]) -> None:
        print(json.dumps({"file": self.file, **event}), file=sys.stdout, flush=True)

    def told(self, event: dict[str, Any]) -> None:
        """What has happened."""
        kind = event["event"]
        if kind == "look":
            if event["done"] % LOOKS == 0:
                self.bar.update(self.task, completed=event["done"], total=event["frames"], words="looking through it")
            return
        if kind == "note":
            self.say(f"{self.name}: {event['text']}")
            return
        if kind == "plan":
            self.frames, self.done = event["frames"], event["done"]
            if event["done"]:
                self.say(f"{self.name}: {event['done']} of {event['frames']} frames were done before")
        elif kind == "frame":
            self.done += 1
            self.made += 1
            self.reused += event["reused"]
            self.rates.append(time.monotonic())
        elif kind == "chunk":
            self.bytes += event["bytes"]
        if self.as_json and kind != "frame":
            self.emit(event)
        self.show(kind)

    @property
    def rate(self) -> float:
        """Frames per second of late."""
        if len(self.rates) < 2 or self.rates[-1] == self.rates[0]:
            return 0.0
        return (len(self.rates) - 1) / (self.rates[-1] - self.rates[0])

    def left(self) -> tuple[float, float]:
        """Seconds until this video, and all, are done; 0 where nothing is known yet."""
        rate = self.rate
        if not rate:
            return 0.0, 0.0
        here = (self.frames - self.done) / rate
        length = self.seconds[self.number]
        rest = sum(self.seconds[self.number + 1 :]) * self.frames / length / rate if length else 0.0
        return here, here + rest

    def show(self, kind: str) -> None:
        """On the terminal, or now and then in a line or an object."""
        here, every = self.left()
        words = f"{self.done}/{self.frames} frames, {self.rate:.3g} frames/s"
        if self.made:
            words += f", {self.reused / self.made:.0%} taken over"
        if self.bytes:
            words += f", {self.bytes / 1e6:.1f} MB"
        if here:
            words += f", {clock(here)} left" + (f" ({clock(every)} for all)" if every > here else "")
        if kind == "join":
            words = "joining"
        self.bar.update(self.task, completed=self.done, total=self.frames or None, words=words)
        now = time.monotonic()
        if now - self.shown >= EVERY:
            self.shown = now
            if self.as_json:
                figures = {"done": self.done, "frames": self.frames, "rate": round(self.rate, 3), "bytes": self.bytes}
                self.emit({"event": "progress", **figures, "left": round(here), "left_all": round(every)})
            elif self.bar.disable:
                self.say(f"{self.name}: {words}")
