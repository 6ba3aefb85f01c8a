"""CUDA graphs of a network: all its kernels in one launch, one graph for each shape of input."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger("vsapisr")

LIMIT = 80
"""Shapes remembered: a pyramid of tiles has up to 17, and batches four sizes; what graphs keep is bounded in bytes."""


@dataclass(eq=False)
class Recorded:
    """A graph with the memory it reads from and writes to."""

    graph: torch.cuda.CUDAGraph
    input: Tensor
    output: Tensor
    held: object = None
    """What it reads besides, which the network itself may forget."""

    @property
    def size(self) -> int:
        """Bytes that it keeps for itself; all graphs share one pool for everything between."""
        return self.input.nbytes + self.output.nbytes


class GraphedNetwork:
    """``network`` on CUDA, replayed from a graph from its second call with a shape on.

    The result is valid until the next call. Calls must come from one thread, on one stream that is not the default one.
    The first call with a shape compiles, measures and fills caches, none of which may happen while a graph is captured.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], limit: int = LIMIT, room: int | None = None):
        """``limit`` shapes are remembered, and graphs keep ``room`` bytes or one graph; None: as many as they like."""
        self.network, self.limit, self.room = network, limit, room
        self.recorded: OrderedDict[tuple, Recorded | None] = OrderedDict()
        self.pool: tuple[int, int] | None = None
        self.possible = True

    @property
    def batch_invariant(self) -> bool:
        return getattr(self.network, "batch_invariant", False)

    def __call__(self, x: Tensor) -> Tensor:
        key = (x.shape, x.dtype, x.device)
        if not self.possible:
            return self.network(x)
        if key not in self.recorded:
            result = self.network(x)
            self.keep(key, None)
            return result
        recorded = self.recorded[key] or self.record(x)
        if recorded is None:
            return self.network(x)
        self.keep(key, recorded)
        recorded.input.copy_(x)
        recorded.graph.replay()
        return recorded.output

    def keep(self, key: tuple, recorded: Recorded | None) -> None:
        self.recorded[key] = recorded
        self.recorded.move_to_end(key)
        while len(self.recorded) > 1 and (len(self.recorded) > self.limit or self.too_large()):
            if next(iter(self.recorded.values())) is not None:
                torch.cuda.current_stream().synchronize()  # it may still be running
            self.recorded.popitem(last=False)

    def too_large(self) -> bool:
        return self.room is not None and sum(one.size for one in self.recorded.values() if one) > self.room

    def record(self, x: Tensor) -> Recorded | None:
        """A graph for inputs like ``x``; None, and no further tries, if that cannot be done."""
        stream, (batch, _, *size) = torch.cuda.current_stream(x.device), x.shape
        held = self.network.held(batch, *size) if hasattr(self.network, "held") else None
        try:
            if self.pool is None:
                self.pool = torch.cuda.graph_pool_handle()
            graph, static = torch.cuda.CUDAGraph(), torch.empty_like(x)
            # Other threads may load weights to this device meanwhile; only this one's calls are captured.
            pool: Any = self.pool
            with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                output = self.network(static)
        except torch.OutOfMemoryError:
            self.clear()
            self.possible = False
            log.warning("no memory for a CUDA graph on %s, going on without", x.device)
            return None
        except RuntimeError as error:
            self.clear()
            self.possible = False
            log.warning("no CUDA graph on %s, going on without: %s", x.device, str(error).splitlines()[0])
            return None
        return Recorded(graph, static, output, held)

    def clear(self) -> None:
        """Give the graphs' memory back, from the thread that calls."""
        if any(self.recorded.values()):
            torch.cuda.current_stream().synchronize()
        self.recorded.clear()
        self.pool = None
