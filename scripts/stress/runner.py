"""Hands cases to child processes, watches them, and collects what they say."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from .case import PATIENCE, Outcome, Part

ROOT = Path(__file__).resolve().parents[2]
SHARE = 50  # cases that one child runs, so that what one left behind does not follow all others


@dataclass
class Result:
    """What became of a part: cases, how many of each kind, failures with their numbers."""

    part: str
    seed: int
    cases: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[int, Outcome]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: bool = False
    """By Ctrl-C or SIGTERM; what was found until then is in it."""

    def add(self, index: int, outcome: Outcome) -> None:
        self.cases += 1
        kind = outcome.kind or ("failed" if outcome.failure else "held")
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        for name, value in outcome.figures.items():
            self.figures[name] = max(self.figures.get(name, value), value)
        for name, count in outcome.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        if outcome.failure:
            self.failures.append((index, outcome))


def run_part(
    part: Part, count: int, seed: int = 0, deadline: float | None = None, first: int = 0, seen: Callable = lambda *_: 0
) -> Result:
    """Run ``count`` cases from number ``first`` on; none begins after ``deadline`` (by ``time.monotonic``)."""
    result, began = Result(part.name, seed), time.monotonic()
    index, end = first, first + count
    try:
        while index < end and (deadline is None or time.monotonic() < deadline):
            last = min(index + SHARE, end)
            for number, outcome in share(part, seed, list(range(index, last)), deadline):
                result.add(number, outcome)
                seen(number, outcome)
                index = number + 1
    except KeyboardInterrupt:
        result.stopped = True
    result.seconds = time.monotonic() - began
    return result


def share(part: Part, seed: int, indices: list[int], deadline: float | None) -> Iterator[tuple[int, Outcome]]:
    """The cases of one child, until one of them kills it or hangs."""
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as log:
        command = [sys.executable, "-m", "scripts.stress.child", part.name, str(seed), *map(str, indices)]
        child = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert child.stdout is not None
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
        reader.start()
        begun, seconds = indices[0], part.seconds * PATIENCE
        try:
            for line in iter(lambda: _wait(lines, seconds), None):
                if line == "":
                    yield begun, _died(child, f"no end after {seconds:g} s", log)
                    return
                message = json.loads(line)
                begun = message.get("begin", begun)
                if "end" in message:
                    number = message.pop("end")
                    yield number, Outcome(**message)
                    if number == indices[-1]:
                        begun = number + 1
                    if deadline is not None and time.monotonic() > deadline:
                        return
            if child.wait(seconds) and begun <= indices[-1]:
                yield begun, _died(child, f"the process ended with {_status(child.returncode)}", log)
            elif child.returncode:
                yield indices[-1], _died(child, f"its process then exited with {_status(child.returncode)}", log)
        finally:
            _end(child)
            reader.join()
            child.stdout.close()


def _read(pipe: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in pipe:
        lines.put(line)
    lines.put(None)


def _wait(lines: queue.Queue[Any], seconds: float) -> str | None:
    """The next line; "" if none came in time."""
    try:
        return lines.get(timeout=seconds)
    except queue.Empty:
        return ""


def _status(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"status {code}"


def _died(child: subprocess.Popen[str], why: str, log: IO[str]) -> Outcome:
    _end(child, signal.SIGABRT)  # faulthandler writes where every thread is
    log.seek(0)
    return Outcome("", f"{why}; the end of what it wrote:\n{log.read()[-6000:]}", kind="failed")


def _end(child: subprocess.Popen[str], first: int = signal.SIGKILL) -> None:
    """The child and whatever it started."""
    for number in (first, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            continue
