"""What does the work on a node. No Ray here: it is a class as any other."""

from __future__ import annotations

import queue
from contextlib import suppress
from typing import Any

__all__ = ["AT_ONCE", "Hand"]

AT_ONCE = 2  # tasks of a hand: while one ends (an encoder, a disk), the next is under way


class Hand:
    """Does tasks in a process of its own; what it does is the subclass's.

    Its methods are called by threads: ``run`` by ``at_once`` of them, ``news`` by one, the others by another one.
    """

    at_once = AT_ONCE
    """Tasks in work; it has got up to AT_ONCE."""

    def __init__(self, cores: int):
        """``cores`` are its own."""
        self.cores = cores
        self.words: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ready(self) -> None:
        """Load what all tasks need; called before any of them, again in a process that is started again.

        Raises:
            VsapisrError: it cannot be.
        """

    def check(self, asked: Any) -> list[str]:
        """What is in the way of such tasks on this node, a few words each."""
        return []

    def run(self, task: Any) -> Any:
        """Do it.

        Raises:
            VsapisrError: it cannot be done.
        """
        raise NotImplementedError

    def news(self, seconds: float = 2.0) -> list[Any]:
        """What was put into ``words`` since the last call; waits for something to come."""
        found = []
        with suppress(queue.Empty):
            found.append(self.words.get(timeout=seconds))
            while True:
                found.append(self.words.get_nowait())
        return found
