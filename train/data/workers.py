"""Processes that work beside the one that started them: how they begin, and that they end with it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, SpawnContext

import cv2

from vsapisr.errors import VsapisrError

from ..fit.allocator import keep_freed_memory

__all__ = ["WorkerLostError", "become_worker", "end_with_parent", "processes", "server"]


class WorkerLostError(VsapisrError, RuntimeError):
    """A worker ended by itself, or could not be started."""


def server(*preload: str) -> SpawnContext | ForkServerContext:
    """Where workers are forked from: a process without threads, which imports the modules ``preload`` once for all. A
    fork of this process itself, with the threads of its libraries and perhaps CUDA, hangs now and then.

    Where there is no such server (Windows) each worker is a process of its own from the start.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def end_with_parent() -> None:
    """This process ends at once when the one that started it is gone, however that ended (SIGKILL, lack of memory).

    Under a server the system's parent of a worker is the server, which lives for as long as its workers do: asking for
    the parent's number, or for a signal at its death, would wait for the wrong process. The pipe that the starter holds
    open says it everywhere.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True, name="end with parent").start()


def become_worker() -> None:
    """Processes are the parallelism: the libraries of this one start no threads on top. Its memory is kept for the next
    picture. It ends with the process that started it.

    A 720p picture in float is 11 MB, and degrading it makes some ten of them, one after the other.
    """
    end_with_parent()
    cv2.setNumThreads(0)
    if "torch" in sys.modules:  # who works without it does not wait two seconds for its import
        sys.modules["torch"].set_num_threads(1)
    keep_freed_memory()


@contextmanager
def processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of ``count`` workers.

    Raises:
        WorkerLostError: they cannot be started, or one was killed.
    """
    try:
        pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=become_worker)
    except OSError as error:
        raise WorkerLostError(
            f"workers: {count} processes cannot be started ({error.strerror or error}); they need descriptors "
            "(ulimit -n) and a little of /dev/shm"
        ) from None
    with pool:
        try:
            yield pool
        except BrokenExecutor:
            raise WorkerLostError(
                "a worker was killed, perhaps for lack of memory; fewer workers need less, and the same command goes "
                "on from there"
            ) from None
