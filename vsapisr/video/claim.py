"""One command at a time at a result; the system takes the claim back from a process that dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from ..errors import VideoError
from .places import HOST, Folder

__all__ = ["claimed"]


@contextmanager
def claimed(folder: Folder) -> Iterator[None]:
    """Make ``folder`` and keep other commands out of it; workers of this one come and go. Removed if empty in the end.

    Raises:
        VideoError: another command is in it, or it cannot be made.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        file = None
        while file is None:
            file = taken(folder)
    except OSError as error:
        raise VideoError(f"{folder.path} cannot be made ({error.strerror})") from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file
            folder.lock.unlink(missing_ok=True)
        file.close()
        with suppress(OSError):
            folder.lock.unlink(missing_ok=True)
        with suppress(OSError):
            folder.path.rmdir()


def taken(folder: Folder) -> BinaryIO | None:
    """The locked file; None when its owner removed it at this moment.

    Raises:
        VideoError: it is locked by another.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    file = open(folder.lock, "a+b", buffering=0)  # noqa: SIM115  closed when the claim ends
    if not locked(file):
        file.seek(0)
        who = file.read(200).decode("utf-8", "replace") or "another process"
        file.close()
        raise VideoError(f"{folder.path}: {who} is at work on it")
    if not folder.lock.exists() or not os.path.samestat(os.fstat(file.fileno()), folder.lock.stat()):
        file.close()
        return None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {HOST}".encode())
    return file


def locked(file: BinaryIO) -> bool:
    """Is it ours now? Also where the file system has no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 20)  # beyond what is written, which others may read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
