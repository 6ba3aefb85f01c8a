"""Batches on their way through a device: copied there, worked on, copied back, each on a stream of its own.

While one batch is computed the next is uploaded and the one before is downloaded. Nobody waits for the device but the
thread that delivers: it sleeps until a batch's last event. A batch keeps hold of everything it uses until then, so that
no memory is used again, by whatever allocator, while a stream may still touch it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

log = logging.getLogger("vsapisr")

UPLOAD, COMPUTE, DOWNLOAD = "upload", "compute", "download"


class Streams(Protocol):
    """What a pipeline asks of a device. Streams are named; what is put on one is done in order."""

    asynchronous: bool
    """Whether ``run`` may return before the work is done."""

    def run(self, stream: str, work: Callable[[], None], after: Any = None) -> Any:
        """Do ``work`` on ``stream`` once the event ``after`` has happened; returns the event that it is done."""

    def host(self, like: Tensor) -> Tensor:
        """Memory of the machine, of the size and type of ``like``, that copies can be made to and from
        asynchronously.
        """

    def to_device(self, host: Tensor) -> Tensor:
        """A copy on the device; only within ``work``."""

    def wait(self, event: Any) -> None:
        """Sleep until ``event`` has happened. Raises what went wrong on the device."""

    def drain(self) -> None:
        """Wait for everything on all streams."""


class HostStreams:
    """The CPU: everything is done at once, where it stands."""

    asynchronous = False

    def run(self, stream: str, work: Callable[[], None], after: None = None) -> None:
        work()

    def host(self, like: Tensor) -> Tensor:
        return like

    def to_device(self, host: Tensor) -> Tensor:
        return host

    def wait(self, event: None) -> None:
        pass

    def drain(self) -> None:
        pass


class CudaStreams:
    """One CUDA device. Must be used by one thread, but for ``wait``."""

    asynchronous = True

    def __init__(self, device: torch.device):
        self.device, self.pinned = device, True
        self.streams = {name: torch.cuda.Stream(device) for name in (UPLOAD, COMPUTE, DOWNLOAD)}

    def run(self, stream: str, work: Callable[[], None], after: torch.cuda.Event | None = None) -> torch.cuda.Event:
        with torch.cuda.device(self.device), torch.cuda.stream(self.streams[stream]):
            if after is not None:
                self.streams[stream].wait_event(after)
            work()
            event = torch.cuda.Event(blocking=True)  # who waits sleeps, and leaves the core to others
            event.record(self.streams[stream])
        return event

    def host(self, like: Tensor) -> Tensor:
        if self.pinned:
            try:
                return torch.empty(like.shape, dtype=like.dtype, pin_memory=True)
            except RuntimeError as error:
                log.warning("no page-locked memory (%s): copies to and from %s will be slower", error, self.device)
                self.pinned = False
        return torch.empty(like.shape, dtype=like.dtype)

    def to_device(self, host: Tensor) -> Tensor:
        return host.to(self.device, non_blocking=True)

    def wait(self, event: torch.cuda.Event) -> None:
        event.synchronize()

    def drain(self) -> None:
        for stream in self.streams.values():
            stream.synchronize()


def streams_of(device: torch.device) -> Streams:
    return CudaStreams(device) if device.type == "cuda" else HostStreams()


class Work(Protocol):
    """A batch as the pipeline sees it."""

    limit: int
    """Batches of the same :attr:`owner` that may be on their way at once."""

    @property
    def owner(self) -> object: ...

    def samples(self) -> list[list[Tensor]]:
        """In the machine's memory: planes of each tile."""

    def compute(self, samples: list[list[Tensor]]) -> list[list[Tensor]]:
        """On the device, without waiting for it: planes of each result."""

    def deliver(self, results: list[list[Tensor]]) -> None:
        """Results in the machine's memory."""

    def fail(self, error: BaseException) -> None:
        """Something went wrong, at any stage; called instead of ``deliver``."""


@dataclass(eq=False)
class Flight:
    """Everything a batch uses while it is on its way."""

    work: Work
    staged: list[list[Tensor]] = field(default_factory=list)
    inputs: list[list[Tensor]] = field(default_factory=list)
    planes: list[list[Tensor]] = field(default_factory=list)
    results: list[list[Tensor]] = field(default_factory=list)
    done: Any = None


class Pipeline:
    """Takes batches from one thread and delivers each when it is done, in order."""

    def __init__(self, streams: Streams):
        self.streams = streams
        self.flights: deque[Flight] = deque()
        self.changed = threading.Condition()
        self.closing = False
        self.broken: BaseException | None = None
        """What ended the delivering thread."""
        self.deliverer: threading.Thread | None = None
        if streams.asynchronous:
            self.deliverer = threading.Thread(target=self.deliver_all, name="vsapisr results", daemon=True)
            self.deliverer.start()

    def start(self, work: Work) -> None:
        """Put a batch on its way; waits while its owner has as many there as it may. Never raises: errors go to the
        batch.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.broken or self.of_owner(work) < work.limit)
            broken = self.broken
        if broken is not None:
            work.fail(broken)
            return
        flight = Flight(work)
        try:
            self.launch(flight)
        except BaseException as error:  # a batch must never be left waiting
            work.fail(self.drained(error))
            return
        if self.deliverer is None:
            self.deliver(flight)
            return
        with self.changed:
            self.flights.append(flight)
            broken = self.broken
            self.changed.notify_all()
        if broken is not None:
            self.give_up(broken)

    def of_owner(self, work: Work) -> int:
        return sum(flight.work.owner is work.owner for flight in self.flights)

    def drained(self, error: BaseException) -> BaseException:
        """``error``, or what is worse, once nothing reads the batch's memory any more: it is given back now."""
        try:
            self.streams.drain()
        except RuntimeError as worse:
            return worse
        return error

    def launch(self, flight: Flight) -> None:
        """Queue all three stages; closures, since on some devices they run later."""
        streams, work = self.streams, flight.work
        if streams.asynchronous:
            flight.staged = [[copied(plane, streams.host(plane)) for plane in planes] for planes in work.samples()]
        else:
            flight.staged = work.samples()

        def upload() -> None:
            flight.inputs = each(flight.staged, streams.to_device)

        def compute() -> None:
            flight.planes = work.compute(flight.inputs)

        def download() -> None:
            flight.results = flight.planes
            if streams.asynchronous:
                flight.results = each(flight.planes, lambda plane: copied(plane, streams.host(plane)))

        event = streams.run(UPLOAD, upload)
        event = streams.run(COMPUTE, compute, event)
        flight.done = streams.run(DOWNLOAD, download, event)

    def deliver(self, flight: Flight) -> None:
        try:
            self.streams.wait(flight.done)
            flight.work.deliver(flight.results)
        except BaseException as error:
            flight.work.fail(error)

    def deliver_all(self) -> None:
        """The delivering thread. Whatever ends it too early fails what is on its way, and what comes later."""
        serves_a_device()
        try:
            self.deliver_each()
        except BaseException as error:
            log.exception("the thread that delivers results failed")
            self.give_up(error)

    def deliver_each(self) -> None:
        """Oldest first, since streams keep the order."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.flights or self.closing)
                if not self.flights:
                    return
                flight = self.flights[0]
            self.deliver(flight)
            del flight  # its memory may go with the entry below
            with self.changed:
                self.flights.popleft()
                self.changed.notify_all()

    def give_up(self, error: BaseException) -> None:
        with self.changed:
            self.broken = self.broken or error
            left = list(self.flights)
            self.flights.clear()
            self.changed.notify_all()
        for flight in left:
            flight.work.fail(self.drained(error))

    def close(self) -> None:
        """Deliver what is on its way, then end the thread."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        if self.deliverer is not None:
            self.deliverer.join()


def serves_a_device() -> None:
    """Marks the current thread as one that must not wait for others of its kind: they may be waiting for it."""
    threading.current_thread().serves_a_device = True  # type: ignore[attr-defined]


def copied(source: Tensor, target: Tensor) -> Tensor:
    """``target`` with what is in ``source``, without waiting for the device if there is one in play."""
    return target.copy_(source, non_blocking=True)


def each(batch: Sequence[Sequence[Tensor]], change: Callable[[Tensor], Tensor]) -> list[list[Tensor]]:
    return [[change(plane) for plane in planes] for planes in batch]
