"""A Ray cluster of several nodes on this machine, for tests and measurements: processes on the loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["TRIES", "ray_nodes"]

STORE = 80 << 20  # bytes of each node's object store, about the least that Ray takes
TRIES = 3  # at a start: Ray gives a node's helpers 15 seconds, which a busy machine may not have


@contextmanager
def ray_nodes(cores: Sequence[int] = (0, 1, 1), pinned: bool = False) -> Iterator[Any]:
    """Ray's own cluster for tests; the first node leads. ``pinned``: node n, from 1 on, and all it starts stay on
    processor n - 1."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")  # on one machine they do
    from ray.cluster_utils import Cluster

    allowed = os.sched_getaffinity(0) if pinned else set()
    for left in reversed(range(TRIES)):
        made = Cluster()
        try:
            for number, count in enumerate(cores):
                if pinned and number:
                    os.sched_setaffinity(0, {sorted(allowed)[number - 1]})
                more = {} if number else {"include_dashboard": False}
                made.add_node(num_cpus=count, object_store_memory=STORE, wait=False, **more)
            made.wait_for_nodes()
            break
        except Exception:
            with suppress(Exception):
                made.shutdown()
            if not left:
                raise
        finally:
            if pinned:
                os.sched_setaffinity(0, allowed)
    try:
        yield made
    finally:
        made.shutdown()
