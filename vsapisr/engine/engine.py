"""Tiles in, tiles out: the device, its precision, and the queue that makes batches of what many frames bring.

One worker thread serves a device, whatever the number of filters on it: the core's threads only hand tiles over and
wait. What shares a batch never changes a tile's numbers: all tiles of a batch have one shape, and on CUDA short batches
are padded to the full size so that the same kernels run, unless the network's own kernels make that needless. How a
batch travels is in :mod:`vsapisr.engine.streams`.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import DeviceError
from ..networks.grl import pad_to_window
from ..picture.colour import Colour, Format, from_rgb, to_rgb
from ..picture.guard import keep_colours
from ..picture.tiles import Tile, padded
from .graphs import GraphedNetwork
from .memory import Trimmer
from .streams import Pipeline, streams_of

SCALE = 4
FLIGHTS = 3  # batches on their way on CUDA: one uploaded, one computed, one downloaded
SHORT_OF_MEMORY = ("not enough memory", "out of memory", "ALLOC_FAILED", "nable to find an engine")
"""In errors of torch and of CUDA's libraries: some say of a workspace that there was no room for only that they found
no way.
"""


class OutOfMemory(Exception):
    """The device could not hold a batch; the caller may ask for less."""


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: not one of these, or not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise DeviceError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(f"device {name!r} was asked for, but torch {torch.__version__} finds no CUDA device")
        if int(index or 0) >= torch.cuda.device_count():
            raise DeviceError(
                f"device {name!r} was asked for, but there are only {torch.cuda.device_count()} CUDA devices"
            )
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
        for job, result in zip(self.jobs, results):
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


class Engine:
    """A network on a device: ``submit`` takes a tile's samples and returns a Future of the enlarged, converted samples.

    ``flights`` is how many batches may be on their way at once on CUDA, 0 for as many as it takes to keep it busy.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        device: torch.device,
        dtype: torch.dtype,
        batch: int = 0,
        flights: int = 0,
        guard: bool = True,
    ):
        cuda = device.type == "cuda"
        self.network = GraphedNetwork(network) if cuda else network
        self.device, self.dtype, self.guard = device, dtype, guard
        self.batch = batch or (4 if cuda else 1)
        self.flights = flights or FLIGHTS
        self.short_of_memory = False
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
    def compute(self, jobs: list[Job], samples: list[list[Tensor]]) -> list[list[Tensor]]:
        """The batch queue's work: samples on the device -> RGB -> network -> samples of what is kept."""
        if self.short_of_memory:
            self.free()
        tiles = torch.cat([self.prepare(job, planes) for job, planes in zip(jobs, samples)])
        if (
            self.device.type == "cuda"
            and len(jobs) < self.batch
            and not getattr(self.network, "batch_invariant", False)
        ):
            tiles = torch.cat([tiles, tiles.new_zeros(self.batch - len(jobs), *tiles.shape[1:])])
        enlarged = self.network(tiles)
        if self.guard:
            keep_colours(enlarged, tiles)
        return [self.finish(job, enlarged[i : i + 1]) for i, job in enumerate(jobs)]

    def prepare(self, job: Job, samples: list[Tensor]) -> Tensor:
        """(1, 3, H, W), padded to the window as the network itself would pad; in its precision on a GPU, where graphs
        take no other, and in float32 on the CPU, whose kernels need not round to the 8 bits of bfloat16."""
        rgb = pad_to_window(to_rgb(samples, job.source, job.source_colour), 8)
        return rgb.to(self.dtype) if self.device.type == "cuda" else rgb

    def finish(self, job: Job, enlarged: Tensor) -> list[Tensor]:
        """Cut off the padding, convert, keep what is to be kept: contiguous planes on the device."""
        y, x = job.tile.y, job.tile.x
        enlarged = enlarged[..., : (y.stop - y.start) * SCALE, : (x.stop - x.start) * SCALE]
        margin = (y.keep_start - y.start, y.stop - y.keep_stop, x.keep_start - x.start, x.stop - x.keep_stop)
        planes = from_rgb(enlarged, job.target, job.target_colour, tuple(side * SCALE for side in margin))
        return [
            plane.contiguous() for plane in planes
        ]  # a copy of rows with gaps between them would not be asynchronous

    def free(self) -> None:
        """Give back what is held for speed alone."""
        self.short_of_memory = False
        if isinstance(self.network, GraphedNetwork):
            self.network.clear()
            torch.cuda.empty_cache()
