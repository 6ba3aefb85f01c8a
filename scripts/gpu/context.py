"""What every stage has: the device, the networks, a clock, and where rows go."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from scripts.bench.rrdb import RRDB
from vsapisr.networks.grl import GRL, GRLConfig
from vsapisr.weights import files as weights

DRY_CONFIG = GRLConfig(dim=32, depths=(1,), heads_window=1, heads_stripe=1, mlp_dim=64, bias_dim=16)


@dataclass
class Context:
    """``dry``: everything at the smallest size on the CPU, kernels through Triton's interpreter, to try the script
    itself.
    """

    device: torch.device
    dry: bool
    quick: bool
    deadline: float
    path: Path
    rows: list[dict[str, object]] = field(default_factory=list)

    def emit(self, **row: object) -> None:
        """One row of the report; on disk at once, so that a crash or kill loses nothing."""
        self.rows.append(row)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=str) + "\n")
        print(show(row), flush=True)

    def check(self, name: str, value: float, accepted: float, **more: object) -> None:
        """A row that says whether something is right; NaN never is."""
        self.emit(check=name, value=value, accepted=accepted, right=bool(value <= accepted), **more)

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """Run one item of a stage; a failure becomes a row and the stage goes on. Nothing starts after the deadline."""
        if time.monotonic() > self.deadline:
            self.emit(skipped=name, reason="the stage's time is over")
            return
        try:
            work()
        except Exception as error:  # the report is for finding out what fails
            self.emit(failed=name, error=f"{type(error).__name__}: {str(error)[:400]}")
        if self.device.type == "cuda":
            try:
                torch.cuda.empty_cache()
            except RuntimeError as error:  # after an illegal access, say, nothing works in this process any more
                self.emit(failed=f"the device after {name}", error=str(error).splitlines()[0])
                raise SystemExit(1) from None

    def grl(self) -> GRL:
        """The shipped network, in fp32 on the CPU."""
        if not self.dry:
            return weights.load(weights.find("default")).eval()
        torch.manual_seed(0)
        return GRL(DRY_CONFIG).eval()

    def rrdb(self) -> RRDB:
        torch.manual_seed(0)
        return RRDB(1, 8, 4).eval() if self.dry else RRDB().eval()

    @property
    def half(self) -> torch.dtype:
        return torch.float32 if self.dry else torch.float16

    def image(self, batch: int, height: int, width: int) -> Tensor:
        """Noise on a ramp, on the CPU: random data, since zeros would hide mistakes and run faster."""
        generator = torch.Generator().manual_seed(batch * height * width)
        noise = torch.rand(batch, 3, height, width, generator=generator)
        return 0.5 * noise + 0.5 * torch.linspace(0, 1, width)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def times(self, run: Callable[[], object], seconds: float = 1.0, most: int = 60) -> list[float]:
        """Seconds of single calls one after the other, by the device's own clock; as many as fit in ``seconds``, 3 at
        least.
        """
        for _ in range(1 if self.dry else 3):
            run()
        self.synchronize()
        start = time.perf_counter()
        run()
        self.synchronize()
        count = min(max(int(seconds / max(time.perf_counter() - start, 1e-6)), 3), most)
        count = 2 if self.dry else count
        if self.device.type != "cuda":
            return [wall(run) for _ in range(count)]
        events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        events[0].record()
        for event in events[1:]:
            run()
            event.record()
        events[-1].synchronize()
        return [a.elapsed_time(b) / 1e3 for a, b in itertools.pairwise(events)]

    def measure(
        self, name: str, run: Callable[[], object], *, flops: float = 0, bytes: float = 0, **more: object
    ) -> float:
        """A row with the call's time, rates and peak memory; the median is returned."""
        held = 0
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
        seconds = sorted(self.times(run, 0.4 if self.quick else 1.0))
        median = statistics.median(seconds)
        row: dict[str, object] = {"form": name, **more, "median": median, "minimum": seconds[0], "runs": len(seconds)}
        row |= {f"p{p}": seconds[min(int(len(seconds) * p / 100), len(seconds) - 1)] for p in (90, 99)}
        if flops:
            row["tflops"] = flops / median / 1e12
        if bytes:
            row["gigabytes_per_second"] = bytes / median / 1e9
        if self.device.type == "cuda":
            row["peak_bytes"] = torch.cuda.max_memory_allocated() - held
        self.emit(**row)
        return median


def wall(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def show(row: dict[str, object]) -> str:
    """A row in one line."""
    if "check" in row:
        words = "ok   " if row["right"] else "WRONG"
        return f"{words} {row['check']}: {row['value']:.3g} (at most {row['accepted']:.3g})"
    if "failed" in row:
        return f"FAILED {row['failed']}: {row['error']}"
    return "  ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
    )
