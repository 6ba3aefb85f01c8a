"""Measuring: alternating runs, summaries, peak memory, the machine in one line."""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from train.data.workers import end_with_parent
from train.evaluation.tables import markdown as table
from train.media.progress import Progress

__all__ = ["Summary", "alternating", "high_water", "machine", "peak_memory", "table", "wall"]


@dataclass(frozen=True)
class Summary:
    """Of the seconds of several runs."""

    median: float
    minimum: float
    maximum: float
    runs: int
    percentile_90: float
    """Linear between the runs; with fewer than ten of them hardly less than the maximum."""

    @staticmethod
    def of(seconds: list[float]) -> Summary:
        late = statistics.quantiles(seconds, n=10, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
        return Summary(statistics.median(seconds), min(seconds), max(seconds), len(seconds), late)

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def machine() -> dict[str, object]:
    """Processor, threads, versions, device: what a figure means nothing without."""
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
            processor = next(names, processor)
    except OSError:
        pass
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device",
    }


def alternating(
    forms: dict[str, Callable[[], object]],
    runs: int,
    clock: Callable[[Callable], float],
    label: str = "",
    warm: bool = True,
) -> dict[str, list[float]]:
    """Seconds of each form, run in turn so that other load meets all alike; if ``warm``, a first run of each goes
    unmeasured.
    """
    for run in forms.values() if warm else ():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    with Progress(label, runs * len(forms), "runs") as progress:
        for _ in range(runs):
            for name, run in forms.items():
                seconds[name].append(clock(run))
                progress.advance(note=name)
    return seconds


def wall(run: Callable[[], object]) -> float:
    """Seconds of one call on the CPU."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ceilings(dtype: torch.dtype, seconds: float = 0.5) -> tuple[float, float]:
    """FLOP/s of torch's product of two 2048x2048 matrices and bytes/s (read and written) of a copy of 256 MiB: the best
    of what fits into some ``seconds`` each, with as many threads as torch uses."""
    a, b = (torch.rand(2048, 2048).to(dtype) for _ in range(2))
    source = torch.ones(256 << 20, dtype=torch.uint8)
    target, product = torch.empty_like(source), torch.empty_like(a)

    def best(run: Callable[[], object]) -> float:
        run()
        times, end = [], time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            times.append(wall(run))
        return min(times)

    return 2 * 2048**3 / best(lambda: torch.mm(a, b, out=product)), 2 * source.numel() / best(
        lambda: target.copy_(source)
    )


def high_water() -> int | None:
    """Bytes of this process's largest resident size so far; None where the system has no /proc."""
    # getrusage will not do: its maximum survives exec, so a fresh process would start with its parent's.
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None


def _peak(queue, make: Callable[[], Callable[[], object]], threads: int) -> None:
    end_with_parent()
    torch.set_num_threads(threads)
    run = make()
    before = high_water()
    run()
    queue.put(None if before is None else high_water() - before)


def peak_memory(make: Callable[[], Callable[[], object]]) -> int | None:
    """Bytes that the first call of what ``make`` returns adds to a fresh process's peak; None if the system cannot say.

    ``make`` must be picklable.
    """
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=_peak, args=(queue, make, torch.get_num_threads()))
    process.start()
    process.join()
    return None if process.exitcode else queue.get()
