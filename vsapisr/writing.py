"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["LEFTOVERS", "any_console", "finished", "no_room", "remove_leftovers", "write_atomically", "write_words"]

FULL = {errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}
LEFTOVERS = re.compile(r"\..+\.\d+\.part(\.\w+)?")
"""Names of what a killed process may have left beside its results."""


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``, of the same suffix; it gets the final name only if all went well, and is
    removed if not.

    Raises:
        OSError: it cannot be written; its ``filename`` is ``path``.
    """
    # no number of the process: threads share it, and containers that share the folder may have the same ones
    part = path.with_name(f".{path.stem}.{secrets.randbelow(10**9)}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:  # of a write it has none, of an open the temporary one
        if error.filename in (None, str(part)) and type(error).__module__ == "builtins":
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def no_room(error: OSError) -> bool:
    """Whether it is the place that cannot take more, so that the next file would fare no better."""
    return error.errno in FULL


def write_atomically(path: Path, data: bytes) -> None:
    """``data`` under ``path`` in one step."""
    with finished(path) as part:
        part.write_bytes(data)


def write_words(path: Path, text: str) -> None:
    """``text`` as UTF-8 under ``path`` in one step. Names of files that are not UTF-8 are shown as ``\\udcff``."""
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def any_console() -> None:
    """What a console's encoding does not have is printed as ``\\u30d5`` from now on: no work is lost to it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def remove_leftovers(folder: Path) -> None:
    """What a killed process left in ``folder`` itself, where nobody else writes now."""
    if folder.is_dir():
        for path in folder.iterdir():
            if LEFTOVERS.fullmatch(path.name):
                path.unlink(missing_ok=True)
