"""Processes that turn drawings into crops for the trainer, each with a pipe of its own.

PyTorch's loader shares one pipe among its workers and sends tensors through shared memory. Then a worker that is killed
in the middle of a message stops all others and the trainer for good, 64 MB of /dev/shm (Docker's default) are too few,
and every tensor that is kept costs a descriptor. Here a crop comes as bytes, and a worker that ends closes its pipe.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from vsapisr.errors import VsapisrError
from vsapisr.needs import lacks_memory

from .crops import Crops, ImageStream
from .workers import WorkerLostError, become_worker, server

__all__ = ["Workers"]

AHEAD = 4
"""Drawings that each worker has ready."""
FAREWELL = 5.0
"""Seconds until a process that closed its pipe must have ended."""


class Workers:
    """``Crops`` of the numbers from ``stream.start`` on, in their order, whatever the number ``count`` of processes.

    Raises:
        WorkerLostError: processes cannot be started.
    """

    def __init__(self, stream: ImageStream, count: int):
        self.members: list[tuple[Connection, BaseProcess]] = []
        self.turn = 0
        context = server(f"{__package__}.pool")
        try:
            for number in range(count):
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_work,
                    args=(stream, stream.start + number, count, theirs),
                    daemon=True,
                    name=f"data {number}",
                )
                with theirs:  # it alone holds this end: its death is the end of the pipe
                    process.start()
                self.members.append((ours, process))
        except (OSError, EOFError) as error:
            self.close()
            reason = getattr(error, "strerror", None) or error or "they end at once"
            raise WorkerLostError(
                f"data.workers: {count} processes cannot be started ({reason}); each needs two descriptors "
                "(ulimit -n); data.workers = 0 does without"
            ) from None

    def __iter__(self) -> Iterator[Crops]:
        return self

    def __next__(self) -> Crops:
        """The next one.

        Raises:
            WorkerLostError: the process whose turn it is has ended.
            VsapisrError: what ended the stream there.
        """
        pipe, process = self.members[self.turn]
        try:
            made = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            process.join(FAREWELL)
            code = process.exitcode or 0
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            raise WorkerLostError(
                f"a data worker {how}, perhaps for lack of memory; fewer data.workers need less"
            ) from None
        self.turn = (self.turn + 1) % len(self.members)
        if isinstance(made, str):
            raise RuntimeError(f"in a data worker:\n{made}")
        if isinstance(made, Exception):
            raise made
        return made

    def close(self) -> None:
        """End the processes."""
        for pipe, process in self.members:
            pipe.close()
            process.kill()
        for _, process in self.members:
            process.join()
            process.close()
        self.members = []


def _work(stream: ImageStream, first: int, step: int, pipe: Connection) -> None:
    """The life of a process: numbers ``first``, ``first`` + ``step``, ... into ``pipe``, and then what ended it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to answer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    become_worker()
    ready: queue.Queue[bytes | None] = queue.Queue(AHEAD - 1)
    sender = threading.Thread(target=_send, args=(ready, pipe), name="sender")
    sender.start()
    try:
        for crops in stream.series(first, step):
            ready.put(pickle.dumps(crops))
    except VsapisrError as error:
        ready.put(pickle.dumps(error))
    except Exception as error:
        lack = WorkerLostError("not enough memory to degrade a drawing; fewer data.workers need less")
        ready.put(pickle.dumps(lack if lacks_memory(error) else traceback.format_exc()))
    ready.put(None)
    sender.join()


def _send(ready: queue.Queue[bytes | None], pipe: Connection) -> None:
    """Hand over what is ready; a trainer that wants no more, or memory that is lacking, ends this process."""
    with contextlib.suppress(OSError, MemoryError):
        while (made := ready.get()) is not None:
            pipe.send_bytes(made)
        return
    os._exit(1)
