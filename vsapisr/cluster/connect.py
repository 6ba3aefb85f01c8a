"""The way into a Ray cluster, and the nodes that it has."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, ClusterError

__all__ = ["Node", "answers", "brief", "connect", "nodes"]

INSTALL = '--cluster needs Ray: pip install "vsapisr[cluster]"'
STORE = 80 << 20  # bytes of a local cluster's object store, about the least that Ray takes: nothing is kept there

SILENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing here uses the network unasked
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # its pages on processes that die go to the standard output, as JSON does
}


@dataclass(frozen=True)
class Node:
    """Of the cluster."""

    id: str
    name: str
    cores: int
    gpus: int

    def __str__(self) -> str:
        return self.name


def connect(address: str) -> Any:
    """Ray, as a driver of the cluster at ``address``: ``auto`` the one that this machine is part of, ``local`` one of
    this machine alone that ends with this process, or HOST:PORT of the head. A connection that is there stays.

    Raises:
        ArgumentError: Ray is not installed, or the address is none.
        ClusterError: there is no such cluster, or it does not take us.
    """
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise ArgumentError(INSTALL) from None
    if address not in ("auto", "local") and (":" not in address or "://" in address):
        raise ArgumentError(f"cluster must be auto, local or HOST:PORT of the head, got {address!r}")
    if ":" in address and not answers(address):  # Ray would try for minutes
        raise ClusterError(f"there is no Ray cluster at {address!r}: nothing answers there")
    given: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        given |= {"object_store_memory": STORE, "include_dashboard": False}
    try:
        if not ray.is_initialized():
            ray.init(address=address, **given)
    except ConnectionError:
        hint = "ray start --head makes one" if address == "auto" else "is that HOST:PORT of its head?"
        raise ClusterError(f"there is no Ray cluster at {address!r}: {hint}") from None
    except Exception as error:  # Ray has no type of its own for versions that differ, or a node that is missing
        raise ClusterError(f"the Ray cluster at {address!r} cannot be used ({brief(error)})") from None
    return ray


def answers(address: str) -> bool:
    """Does something listen at HOST:PORT?"""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def nodes(ray: Any) -> list[Node]:
    """Those that are alive."""
    found = []
    for one in ray.nodes():
        if one["Alive"]:
            has = one["Resources"]
            name = f"{one['NodeManagerHostname']} ({one['NodeManagerAddress']}, {one['NodeID'][:8]})"
            found.append(Node(one["NodeID"], name, int(has.get("CPU", 0)), int(has.get("GPU", 0))))
    return sorted(found, key=lambda node: node.id)


def brief(error: BaseException) -> str:
    """The first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
