"""Bytes that are cut off, changed, doubled or left out, and the question what a reader said of them."""

from __future__ import annotations

import os
import random
import resource
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vsapisr.errors import VsapisrError

from .case import PATIENCE

__all__ = ["MEMORY", "asked", "bounded", "damaged", "one_line", "special"]

MEMORY = 6 << 30
"""Bytes of address space that reading one hostile file may need beyond what was there before."""
LONGEST = 1500
"""Characters of a message; a path of 400 and what is known in 600 fit in."""
SECONDS = 60 * PATIENCE


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One to three of: the end cut off, a byte changed at the start or anywhere, a run of bytes zeroed, left out or
    doubled, some noise."""
    for _ in range(rng.randint(1, 3)):
        size = max(1, len(data))
        place, length = rng.randrange(size), rng.choice([1, 4, 16, 64, 512])
        match rng.randrange(7):
            case 0:
                data = data[: rng.randrange(size)]
            case 1:
                place = rng.randrange(min(size, 300))
                data = data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]
            case 2:
                data = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)] if data else []) + data[place + 1 :]
            case 3:
                data = data[:place] + bytes(length) + data[place + length :]
            case 4:
                data = data[:place] + data[place + length :]
            case 5:
                data = data[:place] + data[place : place + length] * 2 + data[place + length :]
            case 6:
                data = data[:place] + rng.randbytes(length) + data[place + length :]
    return data


def special(path: Path, rng: random.Random) -> str:
    """Put something that is no file at ``path``; its name."""
    kind = rng.choice(["FIFO", "folder", "link to itself", "link to nothing", "device", "empty", "link to a folder"])
    match kind:
        case "FIFO":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link to itself":
            path.symlink_to(path)
        case "link to nothing":
            path.symlink_to(path.with_name("nothing"))
        case "device":
            path.symlink_to(rng.choice(["/dev/zero", "/dev/null", "/dev/full", "/dev/tty"]))
        case "empty":
            path.touch()
        case "link to a folder":
            path.symlink_to(path.parent)
    return kind


@contextmanager
def bounded(memory: int = MEMORY, seconds: float = SECONDS) -> Iterator[None]:
    """Ends what takes more memory by MemoryError, and what takes longer by TimeoutError."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"no end after {seconds:g} s")

    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def one_line(text: str, name: str = "") -> str:
    """What is wrong with an error's text; empty: it is one line, not too long, and names the file."""
    if "\n" in text.strip() or "Traceback" in text:
        return f"more than a line: {text[:400]!r}"
    if len(text) > LONGEST:
        return f"{len(text)} characters: {text[:300]!r}"
    if name and name not in text:
        return f"it does not name the file: {text[:400]!r}"
    return "" if text.strip() else "it says nothing"


def asked(read: Callable[[], object], name: str = "", seconds: float = SECONDS) -> tuple[str, str]:
    """(kind, failure) of one reader: it reads, or refuses in one line that has ``name``; warnings are failures."""
    kind, failure = "read", ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", append=True)  # what is not filtered out, as on a console
        try:
            with bounded(seconds=seconds):
                read()
        except VsapisrError as error:
            kind, failure = "refused", one_line(str(error), name)
        except OSError as error:  # the commands show these as "name: reason"
            kind, failure = "refused", "" if error.filename else f"an OSError without a name: {error!r}"
            if isinstance(error, TimeoutError):
                failure = traceback.format_exc()[-3000:]
        except (Exception, SystemExit):
            kind, failure = "failed", traceback.format_exc()[-3000:]
    if not failure and caught:
        failure = f"a warning on the user's console: {caught[0].category.__name__}: {caught[0].message}"
    return kind, failure
