"""Where the parts of a video's work lie, and that each is there whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

__all__ = ["Folder", "clear_leftovers", "whole", "write_json"]

HOST = re.sub(r"[^\w-]", "_", platform.node()) or "host"
LEFTOVER = re.compile(r"\..+\.(?P<host>[\w-]+)\.(?P<pid>\d+)\.part\.\w+")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``, of this machine and process; what is there in the end gets the final name in
    one step, after it has reached the disk. Nothing is left of it where something fails."""
    part = path.with_name(f".{path.stem}.{HOST}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """``value`` under ``path`` in one step."""
    with whole(path) as part:
        part.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")), encoding="ascii")


def clear_leftovers(folder: Path, everyone: bool = False) -> None:
    """Remove what killed processes of this machine left in ``folder``; others may be at work on theirs. ``everyone``:
    what theirs would become is not wanted any more."""
    for path in folder.glob(".*.part.*"):
        named = LEFTOVER.fullmatch(path.name)
        if named and (everyone or (named["host"] == HOST and not psutil.pid_exists(int(named["pid"])))):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Folder:
    """The folder beside a result in which its parts are made."""

    path: Path

    @classmethod
    def of(cls, target: Path) -> Folder:
        """For the result ``target``."""
        return cls(target.with_name(target.name + ".work"))

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def times(self) -> Path:
        return self.path / "times.json"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def index(self) -> Path:
        """What BestSource's index begins with."""
        return self.path / "index"

    def chunk(self, index: int) -> Path:
        return self.path / f"{index:06d}.mkv"

    def note(self, index: int) -> Path:
        """What is known of a chunk that is done; written after it."""
        return self.path / f"{index:06d}.json"

    def remove(self) -> None:
        """With all that we made in it; what a person put there stays, and the folder with it."""
        for path in self.path.glob("*"):
            if re.fullmatch(r"(\d{6}\.(mkv|json)|plan\.json|times\.json|index.*\.bsindex)", path.name):
                path.unlink(missing_ok=True)
        clear_leftovers(self.path, everyone=True)
        with suppress(OSError):
            self.path.rmdir()
