"""Batches for one process, on its device, and how long the loop waited for them."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..fit.config import FitConfig
from ..fit.distributed import Processes
from ..settings import check
from .batches import Batches

__all__ = ["Batch", "Feed"]

Batch = tuple[Tensor, Tensor, Tensor]
"""(lr, gt, pseudo_gt): (B, 3, patch, patch) and twice (B, 3, 4 patch, 4 patch), uint8."""


def each(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    lr, gt, pseudo_gt = map(change, batch)
    return lr, gt, pseudo_gt


class Feed:
    """This process's share of every batch.

    A batch of the run is put together from ``shards`` streams of drawings, in equal parts, and each process serves as
    many of the streams: so one process sees in a batch what two see together, and no drawing is degraded twice.

    Raises:
        ArgumentError: batch, shards, accumulate and the number of processes do not divide as they must.
    """

    def __init__(self, config: FitConfig, processes: Processes):
        self.device, self.shards = processes.device, config.shards or processes.world
        batch, world = config.data.batch, processes.world
        check(self.shards % world == 0, "shards", self.shards, f"a multiple of the {world} processes")
        check(
            batch % (self.shards * config.accumulate) == 0,
            "data.batch",
            batch,
            f"a multiple of shards times accumulate, {self.shards * config.accumulate}",
        )
        served = self.shards // world
        workers = -(-config.data.workers // served)
        share = replace(config.data, batch=batch // self.shards, workers=workers)
        self.streams = [Batches(share, rank=processes.rank * served + n, world=self.shards) for n in range(served)]
        self.key = Batches(share, rank=0, world=self.shards, files=self.streams[0].files)
        self.position = 0
        """Samples of each stream in the batches handed out so far."""
        self.waited = 0.0
        """Seconds that the last ``next`` took."""
        self._batches: Generator[tuple[int, Batch]] | None = None

    @property
    def drawings(self) -> int:
        return len(self.key.files)

    def state_dict(self) -> dict[str, Any]:
        return {**self.key.state_dict(), "position": self.position, "shards": self.shards}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the batch that ``state`` was taken at; ``ArgumentError`` if files or settings are not the
        same.
        """
        check(self.shards == state["shards"], "shards", self.shards, f"{state['shards']}, as the run began")
        self.key.load_state_dict(state)
        self.position = self.key.position
        for stream in self.streams:
            stream.position = self.position

    def __next__(self) -> Batch:
        start = time.monotonic()
        if self._batches is None:
            self._batches = self._ahead() if self.device.type == "cuda" else self._joined()
        self.position, batch = next(self._batches)
        batch = each(batch, lambda part: part.to(self.device, non_blocking=True))
        self.waited = time.monotonic() - start
        return batch

    def close(self) -> None:
        """End workers and thread; the next ``next`` starts them again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _joined(self) -> Generator[tuple[int, Batch]]:
        """Batches of all streams of this process, each with the position after it."""
        streams = [iter(stream) for stream in self.streams]
        try:
            while True:
                batches = [next(stream) for stream in streams]
                lr, gt, pseudo_gt = (torch.cat(parts) for parts in zip(*batches))
                yield self.streams[0].position, (lr, gt, pseudo_gt)
        finally:
            for stream in streams:
                stream.close()

    def _ahead(self) -> Generator[tuple[int, Batch]]:
        """The same in pinned memory, made ready by a thread, two batches ahead, while the device works."""
        ready: queue.Queue[tuple[int, Batch] | BaseException] = queue.Queue(2)
        ended = threading.Event()

        def work() -> None:
            batches = self._joined()
            try:
                while not ended.is_set():
                    position, batch = next(batches)
                    ready.put((position, each(batch, lambda part: part.pin_memory())))
            except BaseException as error:  # handed to the thread that waits
                ready.put(error)
            finally:
                batches.close()

        thread = threading.Thread(target=work, daemon=True, name="feed")
        thread.start()
        try:
            while True:
                batch = ready.get()
                if isinstance(batch, BaseException):
                    raise batch
                yield batch
        finally:
            ended.set()
            while thread.is_alive():  # it may wait for room
                with contextlib.suppress(queue.Empty):
                    ready.get(timeout=0.1)
