"""Folders that steps write to: one run at a time in each, and nothing there is replaced that the step did not write."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from vsapisr.errors import ArgumentError
from vsapisr.writing import write_atomically

__all__ = ["LOCK", "MARK", "alone", "apart", "below", "claim"]

log = logging.getLogger(__name__)
LOCK = ".train.lock"
"""In a folder while a step works in it."""
MARK = ".train.json"
"""Which steps have written to a folder."""
FAR = 1 << 30
"""Byte that Windows locks, beyond what others may want to read."""


def below(folder: Path, name: str) -> Path:
    """``folder / name``, for names out of a record that somebody else may have written.

    Raises:
        ArgumentError: it leads out of ``folder``.
    """
    parts = PureWindowsPath(name)  # of both kinds of slashes, and drives
    if not name or parts.anchor or PurePosixPath(name).is_absolute() or ".." in parts.parts:
        raise ArgumentError(f"the record of {str(folder)!r} names {name!r}, which does not lie below it")
    return folder / name


@contextmanager
def alone(folder: Path, step: str) -> Iterator[None]:
    """Make ``folder`` and keep all other runs out of it. The system takes the lock back from a process that dies.

    Raises:
        ArgumentError: another run is in it.
        OSError: nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, held = folder / LOCK, None
    while held is None:
        held = _held(path, step)
    try:
        yield
    finally:
        if os.name == "nt":  # where an open file cannot be removed
            held.close()
            path.unlink(missing_ok=True)
        else:  # while it is still ours: whoever opens the name from now on makes a new file
            path.unlink(missing_ok=True)
            held.close()


def _held(path: Path, step: str) -> IO[bytes] | None:
    """The open lock file with our name in it; None when somebody removed it in this very moment."""
    file = open(path, "a+b", buffering=0)  # noqa: SIM115  closed when the lock is given back
    try:
        if not _locked(file):
            file.seek(0)
            who = file.read(200).decode("utf-8", "replace").strip() or "by another process"
            raise ArgumentError(f"{str(path.parent)!r} is in use {who}; two runs would spoil each other's files")
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.close()
            return None
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        with contextlib.suppress(OSError):  # a full disk; it is locked all the same
            file.write(f"by {step}, process {os.getpid()} on {socket.gethostname()}, since {since}\n".encode())
    except BaseException:
        file.close()
        raise
    return file


def _locked(file: IO[bytes]) -> bool:
    """Whether the lock is ours now; also where the place has no locks, with a warning."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.warning("%s cannot be locked (%s); see that no other run uses the folder", file.name, error.strerror)
    return True


def apart(source: str | Path, *written: Path) -> None:
    """The folder that is read must be none of those that are ``written`` to.

    Raises:
        ArgumentError: it is.
    """
    for place in written:
        if place.resolve() == Path(source).resolve():
            raise ArgumentError(
                f"source: {str(source)!r} is what would be written to as well, and the originals would be replaced; "
                "accepted: another folder for out"
            )


def claim(folder: Path, step: str, files: Iterable[str], force: bool = False, option: bool = True) -> None:
    """Before ``step`` writes ``files`` to ``folder``: none of them may be there, unless it has written there before.

    Raises:
        ArgumentError: some are; ``force`` takes them over (``option``: the step has it as one).
    """
    mark = folder / MARK
    steps = _steps(mark)
    if step in steps:
        return
    if not force:
        refuse(folder, step, [name for name in files if (folder / name).exists()], option)
    write_atomically(mark, json.dumps({"steps": [*steps, step]}).encode())


def refuse(folder: Path, step: str, foreign: list[str], option: bool = True) -> None:
    """Raises ``ArgumentError`` if there are ``foreign`` files."""
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise ArgumentError(
            f"out: {str(folder)!r} has files that {step} did not write and would replace ({', '.join(foreign[:3])}"
            f"{more}); give another folder" + (", or --force to replace them" if option else "")
        )


def _steps(mark: Path) -> list[str]:
    try:
        found: Any = json.loads(mark.read_text(encoding="utf-8"))
        return [str(name) for name in found["steps"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
