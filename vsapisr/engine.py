"""Tiles in, tiles out: the device, its precision, and the queue that makes batches of what many frames bring.

One worker thread serves a device, whatever the number of filters on it: the core's threads only hand tiles over and wait.
What shares a batch never changes a tile's numbers: all tiles of a batch have one shape, and on CUDA short batches are padded
to the full size so that the same kernels run.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .colour import Colour, Format, from_rgb, to_rgb
from .errors import DeviceError
from .memory import Trimmer
from .networks.grl import pad_to_window
from .tiles import Tile, padded

SCALE = 4


class OutOfMemory(Exception):
    """The device could not hold a batch; the caller may ask for less."""


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: not one of these, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise DeviceError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(f"device {name!r} was asked for, but torch {torch.__version__} finds no CUDA device")
        if int(index or 0) >= torch.cuda.device_count():
            raise DeviceError(f"device {name!r} was asked for, but there are only {torch.cuda.device_count()} CUDA devices")
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device("cpu")


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is fp16 on CUDA and fp32 on the CPU, where half precision is no faster without special instructions."""
    if name == "auto":
        name = "fp16" if device.type == "cuda" else "fp32"
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]


@dataclass(eq=False)
class Job:
    """One tile on its way: its samples, how they are to be understood, and where the result will be."""

    engine: Engine
    samples: list[Tensor]
    source: Format
    source_colour: Colour
    target: Format
    target_colour: Colour
    tile: Tile
    result: Future = field(default_factory=Future)

    @property
    def shape(self) -> tuple[int, int]:
        """What the network sees: (height, width), padded to the window."""
        return padded(self.tile.y.stop - self.tile.y.start), padded(self.tile.x.stop - self.tile.x.start)


class Worker:
    """The thread of one device. It ends when its last engine is closed, or with the interpreter."""

    workers: dict[torch.device, Worker] = {}
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

    def submit(self, job: Job) -> Future:
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
        trim = Trimmer()
        while batch := self.take():
            try:
                results = batch[0].engine.compute(batch)
            except (torch.OutOfMemoryError, MemoryError) as error:
                self.fail(batch, OutOfMemory(str(error)))
            except RuntimeError as error:
                memory = "not enough memory" in str(error) or "out of memory" in str(error)
                self.fail(batch, OutOfMemory(str(error)) if memory else error)
            except BaseException as error:  # a job must never be left waiting
                self.fail(batch, error)
            else:
                for job, result in zip(batch, results):
                    job.result.set_result(result)
            batch = results = None  # do not hold tiles while waiting
            trim()

    @staticmethod
    def fail(batch: list[Job], error: BaseException) -> None:
        for job in batch:
            job.result.set_exception(error)


@atexit.register
def stop_workers() -> None:
    """A thread inside torch must not see the interpreter go away."""
    for worker in list(Worker.workers.values()):
        worker.stop()


class Engine:
    """A network on a device: ``submit`` takes a tile's samples and returns a Future of the enlarged, converted samples."""

    def __init__(self, network: Callable[[Tensor], Tensor], device: torch.device, dtype: torch.dtype, batch: int = 0):
        self.network, self.device, self.dtype = network, device, dtype
        self.batch = batch or (4 if device.type == "cuda" else 1)
        self.worker: Worker | None = Worker.acquire(device)

    def close(self) -> None:
        worker, self.worker = self.worker, None
        if worker:
            worker.release()

    def submit(self, job: Job) -> Future:
        if self.worker is None:
            raise DeviceError("the filter was closed")
        return self.worker.submit(job)

    @torch.inference_mode()
    def compute(self, jobs: list[Job]) -> list[list[Tensor]]:
        """The batch queue's work: samples -> RGB -> network -> samples of what is kept."""
        tiles = torch.cat([self.prepare(job) for job in jobs])
        if self.device.type == "cuda" and len(jobs) < self.batch:
            tiles = torch.cat([tiles, tiles.new_zeros(self.batch - len(jobs), *tiles.shape[1:])])
        enlarged = self.network(tiles)
        return [self.finish(job, enlarged[i : i + 1]) for i, job in enumerate(jobs)]

    def prepare(self, job: Job) -> Tensor:
        """(1, 3, H, W) in the network's precision, padded to the window as the network itself would pad."""
        samples = [plane.to(self.device, non_blocking=True) for plane in job.samples]
        return pad_to_window(to_rgb(samples, job.source, job.source_colour), 8).to(self.dtype)

    def finish(self, job: Job, enlarged: Tensor) -> list[Tensor]:
        """Cut off the padding, convert, keep what is to be kept, bring it to the CPU."""
        y, x = job.tile.y, job.tile.x
        enlarged = enlarged[..., : (y.stop - y.start) * SCALE, : (x.stop - x.start) * SCALE]
        margin = (y.keep_start - y.start, y.stop - y.keep_stop, x.keep_start - x.start, x.stop - x.keep_stop)
        planes = from_rgb(enlarged, job.target, job.target_colour, tuple(side * SCALE for side in margin))
        return [plane.cpu() for plane in planes]
