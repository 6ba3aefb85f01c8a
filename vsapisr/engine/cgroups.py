"""Limits of memory that a Linux container sets for the processes in it: control groups of both versions.

A group's limit holds for the groups in it, so all from the process's own up to the root count. Inside a container the
path that ``/proc/self/cgroup`` names may not be there, but its mount shows the container's own group at the top.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["limit_and_used"]

NO_LIMIT = 1 << 60
"""Version 1 writes about 2**63 where there is no limit."""
VERSIONS = {
    1: ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("", "memory.max", "memory.current", "inactive_file"),
}
"""Folder below the mount, files of limit and use, and in memory.stat the part of the use that is given up when asked
for."""


def limit_and_used(root: Path = Path("/")) -> list[tuple[int, int]]:
    """(limit, used) in bytes of every group above this process that has a limit; empty where there are no such
    groups."""
    found = []
    for version, path in groups(root):
        folder, limit_name, used_name, given_up = VERSIONS[version]
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            where = root / "sys/fs/cgroup" / folder / str(group).lstrip("/")
            limit = number(where / limit_name)
            if limit is None or limit >= NO_LIMIT:
                continue
            used = (number(where / used_name) or 0) - statistic(where / "memory.stat", given_up)
            found.append((limit, max(used, 0)))
    return found


def groups(root: Path) -> Iterator[tuple[int, str]]:
    """(version, path) of the groups that count this process's memory."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if number == "0" and not controllers:
            yield 2, path
        elif "memory" in controllers.split(","):
            yield 1, path


def number(file: Path) -> int | None:
    """None where there is none, or the word ``max``."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def statistic(file: Path, name: str) -> int:
    try:
        lines = file.read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name + " "))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0
