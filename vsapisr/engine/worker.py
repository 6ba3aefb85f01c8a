"""The queue: tiles of many frames become batches of one shape, and one thread sends these through a device.

One worker serves a device, whatever the number of filters on it: the core's threads only hand tiles over and wait.
How a batch travels is in :mod:`vsapisr.engine.streams`.
"""

from __future__ import annotations

import atexit
import copy
import logging
import os
import threading
from collections import deque
from concurrent.futures import Future
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import DeviceError
from ..needs import lacks_memory
from .frame import Job
from .memory import Trimmer
from .streams import Pipeline, serves_a_device, streams_of

__all__ = ["Batch", "OutOfMemory", "Worker"]

log = logging.getLogger("vsapisr")

EXIT_SECONDS = float(os.environ.get("VSAPISR_EXIT_SECONDS", "60"))
"""How long closing and the interpreter's exit wait for a batch in hand; the bridge waits as long for calls."""


class OutOfMemory(Exception):
    """The device could not hold a batch; the caller may ask for less."""


class Worker:
    """The thread of one device. It ends when its last engine is closed, or with the interpreter.

    Whatever ends it otherwise fails all its jobs, those that come later too; the next engine gets a new one. A forked
    process has none of its parent's threads and gets new ones in the same way.
    """

    workers: ClassVar[dict[torch.device, Worker]] = {}
    lock: ClassVar[threading.RLock] = threading.RLock()
    """Reentrant, and never held while waiting: any statement may run the garbage collector, and that may close a
    filter."""

    def __init__(self, device: torch.device):
        self.device, self.users, self.process = device, 0, os.getpid()
        self.jobs: deque[Job] = deque()
        self.wake = threading.Condition()
        self.ended: str | None = None
        """Why no more jobs are taken."""
        self.thread = threading.Thread(target=self.run, name=f"vsapisr {device}", daemon=True)
        self.thread.start()

    @classmethod
    def acquire(cls, device: torch.device) -> Worker:
        with cls.lock:
            worker = cls.workers.get(device)
            if worker is None or worker.ended:
                worker = cls.workers[device] = cls(device)
            worker.users += 1
            return worker

    def release(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users:
                return
            if self.workers.get(self.device) is self:
                del self.workers[self.device]
        self.stop(EXIT_SECONDS)

    def stop(self, seconds: float) -> None:
        """Finish the batch in hand, fail what waits, end the thread, or leave it after ``seconds``.

        Called on one of the worker's own threads, where the garbage collector may have closed a filter, it waits for
        none.
        """
        with self.wake:
            self.ended = self.ended or CLOSED
            self.wake.notify_all()
        if getattr(threading.current_thread(), "serves_a_device", False):
            return
        self.thread.join(seconds)
        if self.thread.is_alive():
            log.warning("%s is still at work after %g s; leaving without it", self.device, seconds)

    def submit(self, job: Job) -> Future[list[Tensor]]:
        with self.wake:
            if self.ended:
                job.result.set_exception(DeviceError(self.ended))
            else:
                self.jobs.append(job)
                self.wake.notify()
        return job.result

    def take(self) -> list[Job]:
        """The oldest job and others like it, up to its engine's batch; empty when stopping."""
        with self.wake:
            self.wake.wait_for(lambda: self.jobs or self.ended)
            if self.ended:
                return []
            first = self.jobs.popleft()
            batch = [first]
            for job in list(self.jobs):
                if len(batch) >= first.engine.batch:
                    break
                if job.engine is first.engine and job.shape == first.shape:
                    self.jobs.remove(job)
                    batch.append(job)
            return batch

    def run(self) -> None:
        serves_a_device()
        jobs: list[Job] = []
        try:
            trim, pipeline = Trimmer(), Pipeline(streams_of(self.device))
            while jobs := self.take():
                pipeline.start(Batch(jobs))
                jobs = []  # do not hold tiles while waiting
                trim()
            pipeline.close()
        except BaseException as error:
            self.end(f"the worker of {self.device} failed: {described(error)}", jobs)
            log.exception("the worker of %s failed", self.device)
        else:
            self.end(CLOSED, [])

    def end(self, reason: str, in_hand: list[Job]) -> None:
        """Nobody waits for a thread that is gone."""
        with self.wake:
            if self.ended in (None, CLOSED):
                self.ended = reason
            left = [*in_hand, *self.jobs]
            self.jobs.clear()
        for job in left:
            refuse(job.result, DeviceError(self.ended))


CLOSED = "the filter was closed"


class Batch:
    """Jobs of one engine and one shape, on their way through the pipeline."""

    def __init__(self, jobs: list[Job]):
        self.jobs, self.owner = jobs, jobs[0].engine
        self.limit = self.owner.flights

    def samples(self) -> list[list[Tensor]]:
        return [job.samples for job in self.jobs]

    def compute(self, samples: list[list[Tensor]]) -> list[list[Tensor]]:
        return self.owner.compute(self.jobs, samples)

    def deliver(self, results: list[list[Tensor]]) -> None:
        for job, result in zip(self.jobs, results, strict=True):
            job.result.set_result(result)

    def fail(self, error: BaseException) -> None:
        memory = lacks_memory(error)
        if memory:
            self.owner.short_of_memory = True
        for job in self.jobs:
            refuse(job.result, OutOfMemory(str(error)) if memory else own(error))


def refuse(result: Future[list[Tensor]], error: BaseException) -> None:
    """Unless there is a result already."""
    if not result.done():
        result.set_exception(error)


def own(error: BaseException) -> BaseException:
    """A copy for one of several threads that will raise it: each hangs its own frames, with the planes in them, on
    it."""
    try:
        return copy.copy(error).with_traceback(error.__traceback__)
    except Exception:
        return RuntimeError(described(error))


def described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@atexit.register
def stop_workers() -> None:
    """A thread inside torch must not see the interpreter go away, unless it is stuck there."""
    for worker in list(Worker.workers.values()):
        worker.stop(EXIT_SECONDS)


def forget_workers() -> None:
    """In a forked child, where the parent's threads do not exist, and a lock may have been held by one of them."""
    Worker.workers, Worker.lock = {}, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_workers)
