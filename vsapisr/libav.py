"""What libav and its codecs need to be told or kept from, for whatever reads or writes with them: PyAV, BestSource."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["same_priority", "url"]


def url(path: Path | str) -> str:
    """The name of a file for libav, which takes a word and a colon at its start (``Re:Zero - 01.mkv``) for a protocol.

    Every ``av.open`` of a path goes through this (tests/test_colons.py).
    """
    return os.path.abspath(path)


@contextmanager
def same_priority() -> Iterator[None]:
    """Around the opening of an encoder: threads are scheduled as before.

    SVT-AV1 makes the thread that opens it and all of its own real-time ones of the highest priority, where it may: as
    root, so in most containers. The former stays one, and what it starts inherits that; no other process gets a turn.
    """
    if not hasattr(os, "sched_setscheduler"):  # Windows, macOS
        yield
        return
    policy, priority, before = os.sched_getscheduler(0), os.sched_getparam(0), threads()
    try:
        yield
    finally:
        for thread in {0, *(threads() - before)}:
            with contextlib.suppress(OSError):  # it has ended
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, priority)


def threads() -> set[int]:
    """Linux's numbers of this process's threads; none where there is no /proc."""
    try:
        return set(map(int, os.listdir("/proc/self/task")))
    except OSError:
        return set()
