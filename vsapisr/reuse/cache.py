"""Bounded memories that many threads share: nothing is computed twice at the same time, the least recently used goes
first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from torch import Tensor


class Recent[T]:
    """The last ``count`` values that were asked for; a value is made by one thread, others wait for it."""

    def __init__(self, count: int):
        self.count, self.lock = count, threading.Lock()
        self.values: OrderedDict[Hashable, Future[T]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self.lock:
            value = self.values.get(key)
            mine = value is None
            if value is None:
                value = self.values[key] = Future()
            self.values.move_to_end(key)
            while len(self.values) > self.count:
                self.values.popitem(last=False)
        if mine:
            try:
                value.set_result(make())
            except BaseException as error:
                with self.lock:
                    if self.values.get(key) is value:
                        del self.values[key]
                value.set_exception(error)
        return value.result()


@dataclass(eq=False)
class Entry:
    """A tile that was computed, or is being computed."""

    samples: list[np.ndarray]
    """What it was made from, of each plane."""
    result: Future[list[Tensor]]
    size: int = 0
    """Bytes, 0 while it is being computed."""


class TileCache:
    """Enlarged tiles by what they were made from, at most ``budget`` bytes of them; those in work are not counted."""

    def __init__(self, budget: int):
        self.budget, self.used = budget, 0
        self.lock = threading.Lock()
        self.entries: OrderedDict[Hashable, Entry] = OrderedDict()

    def get(
        self, key: Hashable, samples: list[np.ndarray], compute: Callable[[], Future[list[Tensor]]]
    ) -> tuple[Future[list[Tensor]], bool]:
        """The result for ``samples``, and whether somebody else computed or computes it.

        Args:
            key: equal for equal samples that are to be treated alike; equal keys alone prove nothing.
            samples: views of a frame; copied if they are kept.
            compute: begins the work; called at most once, when others already find the entry and wait for it.
        """
        made: Entry | None = None
        with self.lock:
            entry = self.entries.get(key)
        while True:
            if entry and same(entry.samples, samples):
                with self.lock:
                    if self.entries.get(key) is entry:
                        self.entries.move_to_end(key)
                return entry.result, True
            made = made or Entry([plane.copy() for plane in samples], Future())
            with self.lock:
                other = self.entries.get(key)
                if other is entry or other is None:
                    self.drop(key)
                    self.entries[key] = made
                    break
            entry = other  # another thread was faster
        self.work(key, made, compute)
        return made.result, False

    def work(self, key: Hashable, entry: Entry, compute: Callable[[], Future[list[Tensor]]]) -> None:
        """Begin what ``entry`` waits for; whoever found it gets the result, or why there is none."""
        try:
            compute().add_done_callback(lambda computed: self.settle(key, entry, computed))
        except BaseException as error:
            self.forget(key, entry)
            entry.result.set_exception(error)

    def settle(self, key: Hashable, entry: Entry, computed: Future[list[Tensor]]) -> None:
        """Count what has been computed and make room for it, then hand it out; what failed is not kept."""
        try:
            tensors = computed.result()
        except BaseException as error:
            self.forget(key, entry)
            entry.result.set_exception(error)
            return
        try:
            tensors = compact(tensors)
            size = sum(tensor.nbytes for tensor in tensors) + sum(part.nbytes for part in entry.samples)
            self.count(key, entry, size)
        except BaseException:  # such as a lack of memory: what is kept is for speed alone, the result is there
            self.forget(key, entry)
        entry.result.set_result(tensors)

    def count(self, key: Hashable, entry: Entry, size: int) -> None:
        with self.lock:
            if self.entries.get(key) is not entry:
                return
            entry.size = size
            self.used += size
            for old in list(self.entries):
                if self.used <= self.budget:
                    break
                if self.entries[old].size:
                    self.drop(old)

    def forget(self, key: Hashable, entry: Entry) -> None:
        with self.lock:
            if self.entries.get(key) is entry:
                self.drop(key)

    def drop(self, key: Hashable) -> None:
        """Forget an entry if it is there; the lock is held."""
        if entry := self.entries.pop(key, None):
            self.used -= entry.size

    def give_back(self) -> int:
        """Forget all that is computed, and keep at most half as much from now on; bytes."""
        with self.lock:
            freed = self.used
            for key in [key for key, entry in self.entries.items() if entry.size]:
                self.drop(key)
            if freed:
                self.budget = min(self.budget, freed) // 2
            return freed

    def clear(self) -> None:
        with self.lock:
            self.entries.clear()
            self.used = 0


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Equal bit for bit: -0.0 is not 0.0, and a NaN is itself."""
    return all(
        x.shape == y.shape and bool((x.view(f"u{x.itemsize}") == y.view(f"u{y.itemsize}")).all()) for x, y in zip(a, b)
    )


def compact(tensors: list[Tensor]) -> list[Tensor]:
    """In place: tensors that are part of something larger become copies, so that the rest can be freed; so do those in
    page-locked memory, which is for what is under way."""
    for number, tensor in enumerate(tensors):
        if tensor.untyped_storage().nbytes() > tensor.nbytes or tensor.is_pinned():
            tensors[number] = tensor.clone()
    return tensors
