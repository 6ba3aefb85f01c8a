"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["LEFTOVERS", "finished", "write_atomically"]

LEFTOVERS = ".*.part*"
"""Glob of what a killed process may have left beside its results."""


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``, of the same suffix; it gets the final name only if all went well, and is
    removed if not.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """``data`` under ``path`` in one step."""
    with finished(path) as part:
        part.write_bytes(data)
