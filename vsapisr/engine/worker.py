"""The queue: tiles of many frames become batches of one shape, and one thread sends these through a device.

One worker serves a device, whatever the number of filters on it: the core's threads only hand tiles over and wait.
How a batch travels is in :mod:`vsapisr.engine.streams`.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from concurrent.futures import Future
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import DeviceError
from .frame import Job
from .memory import Trimmer
from .streams import Pipeline, streams_of

__all__ = ["Batch", "OutOfMemory", "Worker"]

SHORT_OF_MEMORY = ("not enough memory", "out of memory", "ALLOC_FAILED", "nable to find an engine")
"""In errors of torch and of CUDA's libraries: some say of a workspace that there was no room for only that they found
no way."""


class OutOfMemory(Exception):
    """The device could not hold a batch; the caller may ask for less."""


class Worker:
    """The thread of one device. It ends when its last engine is closed, or with the interpreter."""

    workers: ClassVar[dict[torch.device, Worker]] = {}
    lock = threading.Lock()

    def __init__(self, device: torch.device):
        self.device, self.users = device, 0
        self.jobs: deque[Job] = deque()
        self.wake = threading.Condition()
        self.stopping = False
        self.thread = threading.Thread(target=self.run, name=f"vsapisr {device}", daemon=True)
        self.thread.start()

    @classmethod
    def acquire(cls, device: torch.device) -> Worker:
        with cls.lock:
            worker = cls.workers.get(device)
            if worker is None:
                worker = cls.workers[device] = cls(device)
            worker.users += 1
            return worker

    def release(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self.workers.pop(self.device, None)
                self.stop()

    def stop(self) -> None:
        """Finish the batch in hand, fail what waits, end the thread."""
        with self.wake:
            self.stopping = True
            self.wake.notify_all()
        if threading.current_thread() is not self.thread:
            self.thread.join()

    def submit(self, job: Job) -> Future[list[Tensor]]:
        with self.wake:
            if self.stopping:
                job.result.set_exception(DeviceError("the filter was closed"))
            else:
                self.jobs.append(job)
                self.wake.notify()
        return job.result

    def take(self) -> list[Job]:
        """The oldest job and others like it, up to its engine's batch; empty when stopping."""
        with self.wake:
            self.wake.wait_for(lambda: self.jobs or self.stopping)
            if self.stopping:
                for job in self.jobs:
                    job.result.set_exception(DeviceError("the filter was closed"))
                self.jobs.clear()
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
        trim, pipeline = Trimmer(), Pipeline(streams_of(self.device))
        while jobs := self.take():
            pipeline.start(Batch(jobs))
            jobs = None  # do not hold tiles while waiting
            trim()
        pipeline.close()


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
        memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or (
            isinstance(error, RuntimeError) and any(words in str(error) for words in SHORT_OF_MEMORY)
        )
        if memory:
            self.owner.short_of_memory = True
        for job in self.jobs:
            job.result.set_exception(OutOfMemory(str(error)) if memory else error)


@atexit.register
def stop_workers() -> None:
    """A thread inside torch must not see the interpreter go away."""
    for worker in list(Worker.workers.values()):
        worker.stop()
