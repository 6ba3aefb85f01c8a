"""Does anything grow? Each case does one thing many times and fits a line through memory, handles and threads.

The bound would see one leaked frame in a hundred of the repetitions: a planted leak is one of the tests.
"""

from __future__ import annotations

import ctypes
import gc
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import torch
import vapoursynth as vs

from .case import Outcome
from .networks import small_network

WIDTH, HEIGHT = 64, 48
FRAME = 16 * WIDTH * HEIGHT  # bytes of one result in 8-bit gray
SAMPLES = 40


@cache
def model() -> str:
    return small_network(tempfile.mkdtemp(prefix="stress-model-"))


def held_noise(frames: int) -> vs.VideoNode:
    """Noise that changes every other frame, so that the caches of reuse fill, are used and are emptied."""

    def drawn(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame, rng = f.copy(), np.random.default_rng(n // 2)
        for plane in frame:
            plane = np.asarray(plane)
            plane[:] = rng.integers(16, 236, plane.shape, np.uint8)
        return frame

    blank = vs.core.std.BlankClip(width=WIDTH, height=HEIGHT, format=vs.GRAY8, length=frames, keep=True)
    return blank.std.ModifyFrame(blank, drawn)


def frames(count: int, reuse: int) -> Iterator[None]:
    """Frames of one filter, in order, with a seek back now and then."""
    node = held_noise(count).apisr.Upscale(model=model(), device="cpu", reuse=reuse, cache=4)
    for n in range(count):
        node.get_frame(n).close()
        if n % 97 == 96:
            node.get_frame(n - 60).close()
        yield


def lifetimes(count: int, reuse: int) -> Iterator[None]:
    """A filter, one frame, and it goes."""
    clip = held_noise(8)
    for n in range(count):
        clip.apisr.Upscale(model=model(), device="cpu", reuse=reuse).get_frame(n % 8).close()
        yield


def refusals(count: int, reuse: int) -> Iterator[None]:
    """Calls that are refused, and frames that fail."""
    clip = held_noise(8)

    def broken(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        raise RuntimeError("on purpose")

    node = clip.std.ModifyFrame(clip, broken).apisr.Upscale(model=model(), device="cpu", reuse=reuse)
    for _ in range(count):
        for call in (lambda: clip.apisr.Upscale(tilesize=20), lambda: node.get_frame(0)):
            try:
                call()
            except vs.Error:
                continue
            raise AssertionError("it was not refused")
        yield


def training(count: int, reuse: int) -> Iterator[None]:
    """Steps of a small network with its optimiser."""
    from vsapisr.networks.grl import GRL, GRLConfig

    network = GRL(GRLConfig(dim=16, depths=(1,), mlp_dim=16, bias_dim=16)).train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)
    for _ in range(count):
        optimiser.zero_grad(set_to_none=True)
        loss = (network(torch.rand(1, 3, 8, 8)) - torch.rand(1, 3, 32, 32)).abs().mean()
        loss.backward()
        optimiser.step()
        yield


KINDS: dict[str, tuple[Callable[[int, int], Iterator[None]], int, float]] = {
    "frames": (frames, 20000, 1.0),
    "filter lifetimes": (lifetimes, 500, 1.0),
    "refusals": (refusals, 5000, 0.1),
    "training steps": (training, 20000, 1.0),
}
"""What is done, how often in a whole run, and which growth a repetition may have, in frames of FRAME bytes per hundred
(where memory is not made of frames, as much)."""


class _Heap(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks",
                                                     "fsmblks", "uordblks", "fordblks", "keepcost")]  # fmt: skip


def in_use(process: psutil.Process) -> float:
    """Bytes that were asked for and not given back.

    The resident set also has what glibc keeps: before 2.38 memory of aligned blocks comes apart in pieces that are not
    used again, so that it grows by a tenth of a frame with every frame of any filter (measured with ``std.Invert``).
    """
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (AttributeError, TypeError, OSError):
        return float(process.memory_info().rss)
    function.restype = _Heap
    heap = function()
    return float(heap.uordblks + heap.hblkhd)


def measure(process: psutil.Process) -> tuple[float, int, int]:
    """Bytes in use, open handles, threads."""
    gc.collect()
    own = in_use(process)
    return own, process.num_fds() if hasattr(process, "num_fds") else process.num_handles(), threading.active_count()


def slope(steps: Iterator[None], count: int) -> dict[str, float]:
    """Growth a thousand repetitions, by Theil and Sen (the median of all pairs' slopes: a jump or two do not matter),
    after the first fifth, in which caches fill."""
    process, seen = psutil.Process(), []
    every = max(1, count // SAMPLES)
    for number, _ in enumerate(steps):
        if number % every == every - 1 and number >= count // 5:
            seen.append((number, *measure(process)))
    table = np.array(seen, float)
    first, second = np.triu_indices(len(table), 1)
    steps_between = table[second, 0] - table[first, 0]
    growth = [np.median((table[second, k] - table[first, k]) / steps_between) * 1000 for k in (1, 2, 3)]
    return dict(zip(("bytes", "handles", "threads"), map(float, growth)))


def judge(found: dict[str, float], bound: float) -> str:
    """What grows too fast; empty: nothing."""
    limits = {"bytes": bound * FRAME * 10, "handles": 1.0, "threads": 1.0}
    return "; ".join(
        f"{name} grow by {value:.4g} per 1,000, more than {limits[name]:.4g}"
        for name, value in found.items()
        if value > limits[name]
    )


def case(rng: random.Random, folder: Path, share: float = 1.0) -> Outcome:
    """One of the kinds, with one of the settings of reuse."""
    name, reuse = rng.choice(sorted(KINDS)), rng.choice([0, 1, 2])
    run, count, bound = KINDS[name]
    found = slope(run(int(count * share), reuse), int(count * share))
    figures = {f"{name}, {what} per 1,000": value for what, value in found.items()}
    return Outcome(f"{count} {name}, reuse={reuse}", judge(found, bound), kind=name, figures=figures)
