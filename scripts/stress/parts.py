"""The parts of the stress test."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random

from .case import Outcome, Part


def _later(module: str) -> Callable[[Random, Path], Outcome]:
    """The case of a module, imported in the child that runs it: a part does not need what another one needs."""

    def case(rng: Random, folder: Path) -> Outcome:
        return import_module(f"{__package__}.{module}").case(rng, folder)

    return case


PARTS = {
    part.name: part
    for part in (
        Part("arguments", "random arguments on random clips", _later("arguments"), 20000, 60),
        Part(
            "cluster",
            "upscale --cluster: workers, nodes, the head, the command killed",
            _later("cluster"),
            20,
            0,
            900.0,
        ),
        Part("ends", "many threads, and ends in the middle", _later("ends"), 2800, 4),
        Part("files", "hostile and damaged files", _later("files"), 10000, 12),
        Part("kills", "vsapisr upscale killed at random moments", _later("kills"), 100, 0, 600.0),
        Part("downloads", "fetches from servers that lie and break off", _later("downloads"), 2000, 20),
        Part("steps", "every step under faults", _later("steps"), 200, 1, 1800.0),
        Part("soak", "what grows when a thing is done thousands of times", _later("soak"), 12, 0, 7200.0),
    )
}
