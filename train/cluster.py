"""The steps ``curate``, ``prepare`` and ``degrade`` on the nodes of a Ray cluster: the same functions as on one
machine, called elsewhere; the process that was called keeps the manifest."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import PIL

import vsapisr
from vsapisr.cluster import Crew, Hand
from vsapisr.errors import ClusterError
from vsapisr.writing import write_atomically

from .fit.allocator import keep_freed_memory

__all__ = ["Step", "crew_for", "spread"]

SLICE = 16  # pictures of a task


@dataclass(frozen=True)
class Asked:
    """What must be the same on a node."""

    mark: str
    """Path of a file that the step has just written."""
    words: str
    """What is in it."""
    sources: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]


class Step(Hand):
    """Calls one function for each item of a task, several at once where it has several cores."""

    at_once = 1

    def __init__(self, cores: int, function: Callable[..., Any], arguments: tuple[Any, ...] = ()):
        """``function(item, *arguments)`` is of a module of this package."""
        super().__init__(cores)
        self.function, self.arguments = function, arguments

    def ready(self) -> None:
        cv2.setNumThreads(0)  # workers are the parallelism
        keep_freed_memory()

    def check(self, asked: Asked) -> list[str]:
        """Does this node see the files, and is all the same here?"""
        found = []
        try:
            if Path(asked.mark).read_text(encoding="ascii") != asked.words:
                found.append(f"sees another {asked.mark}: it must be on storage that all nodes share")
        except OSError:
            folder = Path(asked.mark).parent
            return [f"does not see {folder}: it must be on storage that all nodes see, by the same path"]
        found += [f"does not see {source}: sources must be on storage that all nodes see, by the same path"
                  for source in asked.sources if not Path(source).exists()]  # fmt: skip
        here = versions()
        found += [f"has {key} {here.get(key)} instead of {value}" for key, value in asked.versions
                  if here.get(key) != value]  # fmt: skip
        return found

    def run(self, task: Sequence[Any]) -> list[Any]:
        try:
            with ThreadPoolExecutor(self.cores) as pool:
                return list(pool.map(lambda item: self.function(item, *self.arguments), task))
        except OSError as error:  # a full disk, above all
            raise ClusterError(f"{error.filename or 'a file'}: {error.strerror or error}") from None


@cache
def versions() -> dict[str, str]:
    """Of all that has a part in what the steps write."""
    digest = hashlib.blake2b(digest_size=8)
    for root in (Path(__file__).parent, Path(vsapisr.__file__).parent):
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return {
        "vsapisr": vsapisr.__version__,
        "sources of vsapisr and train": digest.hexdigest(),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "PyAV": av.__version__,
        "OpenCV": cv2.__version__,
        "NumPy": np.__version__,
        "Pillow": PIL.__version__,
    }


@contextmanager
def crew_for(
    address: str, function: Callable[..., Any], arguments: tuple[Any, ...] = (), gpu: bool = False
) -> Iterator[Crew]:
    """One worker for each core, or for each GPU."""

    def told(event: dict[str, Any]) -> None:
        print(event["text"], file=sys.stderr)

    with Crew(address, Step, (function, arguments), gpu=gpu, cores=1, told=told) as crew:
        yield crew


def spread(
    crew: Crew, items: Sequence[Any], out: Path, sources: Sequence[str | Path], slice: int = SLICE
) -> Iterator[tuple[Any, Any]]:
    """(item, what the function made of it), as they come; ``slice`` items are a task. Nodes must see ``out`` and
    ``sources``.

    Raises:
        ClusterError: a node does not, or has other versions.
        VsapisrError: the function failed.
    """
    mark, words = Path(os.path.abspath(out)) / f".cluster.{os.getpid()}", os.urandom(8).hex()
    write_atomically(mark, words.encode())
    try:
        seen = tuple(os.path.abspath(source) for source in sources)
        asked = Asked(str(mark), words, seen, tuple(versions().items()))
        tasks = [tuple(items[n : n + slice]) for n in range(0, len(items), slice)]
        for task, results in crew.run(str(mark), asked, tasks):
            yield from zip(task, results, strict=True)
    finally:
        mark.unlink(missing_ok=True)
