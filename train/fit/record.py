"""A record of a run as lines of JSON, one per iteration: what curves are plotted from without TensorBoard."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

__all__ = ["Record", "read_record"]

log = logging.getLogger(__name__)
START = re.compile(rb'\{"iteration": (\d+)[,}]')


class Record:
    """Append lines to ``path``; on a resume, whatever comes after iteration ``start`` is cut off first.

    A line is with the system as soon as it is added, so a killed process loses none and leaves at most one unfinished,
    which is cut off too. Iterations must ascend. On a full disk lines wait in memory and a warning says so: a record is
    not worth a run.
    """

    def __init__(self, path: Path, start: int):
        self.path = path
        self.file = open(path, "r+b" if path.exists() else "x+b", buffering=0)  # noqa: SIM115  closed by close()
        self.size = self._end(start)
        self.file.truncate(self.size)
        self.waiting = b""

    def _end(self, start: int) -> int:
        """Bytes of whole lines up to iteration ``start``."""
        with open(self.path, "rb") as lines:
            size = 0
            for line in lines:
                found = START.match(line)
                if not found or not line.endswith(b"\n") or int(found[1]) > start:
                    break
                size += len(line)
        return size

    def add(self, iteration: int, values: dict[str, Any]) -> None:
        """One line; floats are kept to seven digits."""
        short = {key: float(f"{value:.7g}") if isinstance(value, float) else value for key, value in values.items()}
        data = self.waiting + json.dumps({"iteration": iteration, **short}).encode() + b"\n"
        try:
            self.file.seek(self.size)
            written = self.file.write(data)
            if written != len(data):
                self.file.truncate(self.size)
                raise OSError(28, "No space left on device")
            self.size, self.waiting = self.size + len(data), b""
        except OSError as error:
            if not self.waiting:
                log.warning("%s cannot be written (%s); the run goes on", self.path, error.strerror or error)
            self.waiting = data

    def close(self) -> None:
        if not self.file.closed:
            os.fsync(self.file.fileno())
            self.file.close()


def read_record(path: Path) -> list[dict[str, Any]]:
    """The lines of a record in their order, as dictionaries with the key "iteration"."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
