"""Watching a run: a live line, TensorBoard, a plain record of every iteration, and pictures."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
import psutil
import torch

from vsapisr.writing import write_atomically

from ..media.progress import Progress
from .record import Record

__all__ = ["Watch"]

log = logging.getLogger(__name__)
WINDOW = 100  # iterations of a running mean
POINTS = 20_000  # of a curve in TensorBoard; what lies between two is averaged
SHOWN = ("loss", "gan")  # groups of values that the live line has room for
MIB = 1 << 20


def memory() -> dict[str, float]:
    """MiB: resident size of this process, and the peak on the CUDA device when one is in use."""
    values = {"memory/rss_mib": psutil.Process().memory_info().rss / MIB}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        values["memory/cuda_peak_mib"] = torch.cuda.max_memory_allocated() / MIB
    return values


class Mean:
    """Means of the values added since the last ``take``, by name."""

    def __init__(self) -> None:
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.counts: defaultdict[str, int] = defaultdict(int)

    def add(self, values: dict[str, float]) -> None:
        for key, value in values.items():
            self.sums[key] += value
            self.counts[key] += 1

    def take(self) -> dict[str, float]:
        means = {key: total / self.counts[key] for key, total in self.sums.items()}
        self.sums.clear()
        self.counts.clear()
        return means


class Watch:
    """Everything that a run shows of itself; it never changes the run: no random numbers, no error for a full disk.

    ``start`` iterations were done before (0, or the checkpoint's number): the next ``step`` is ``start + 1``. What an
    earlier process had written beyond ``start`` is dropped, in the record and in TensorBoard, so that a run that was
    killed and continued has each iteration once.

    In ``out``: ``log.jsonl`` (every step: iteration, seconds, waited, images, values), ``validation.jsonl``,
    ``tensorboard/``, ``pictures/NAME.png`` (the latest) and ``pictures/NAME/ITERATION.png``.

    Args:
        out: folder of the run; made if it is not there.
        total: iterations of the whole run, for the remaining time.
        start: iterations done so far.
        tensorboard: write event files (needs the package tensorboard; without it a warning, and the rest goes on).
        enabled: False for all but the first of several processes: then nothing is done at all.
        stream: where the live line goes, standard error if not given.
        log_seconds: between two lines where that is no terminal.
    """

    def __init__(
        self,
        out: Path,
        total: int,
        start: int,
        *,
        tensorboard: bool = True,
        enabled: bool = True,
        title: str = "train",
        stream: TextIO | None = None,
        log_seconds: float = 10.0,
    ):
        self.enabled = enabled
        if not enabled:
            return
        self.out = Path(out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.progress = Progress(title, total, "it", stream, log_seconds)
        self.progress.skip(start)
        self.records = {name: Record(self.out / f"{name}.jsonl", start) for name in ("log", "validation")}
        self.writer = event_writer(self.out / "tensorboard", start) if tensorboard else None
        self.every = max(1, total // POINTS)
        self.block, self.last = Mean(), start
        self.recent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self.ended = time.monotonic()

    def step(self, iteration: int, values: dict[str, float], *, waited: float, images: int) -> None:
        """One iteration is done.

        Args:
            iteration: its number, from 1.
            values: by name: "loss/...", "gan/...", "rate/...", "grad/..." and what else there is; finite or not.
            waited: seconds of it that the loop waited for data.
            images: crops in it, of all processes.
        """
        if not self.enabled:
            return
        now = time.monotonic()
        seconds, self.ended, self.last = now - self.ended, now, iteration
        values = {key: float(value) for key, value in values.items()}
        self.records["log"].add(iteration, {"seconds": seconds, "waited": waited, "images": images, **values})
        for key, value in {**values, "seconds": seconds, "waited": waited}.items():
            self.recent[key].append(value)
        self.block.add({**values, "seconds": seconds, "waited": waited, "images": images})
        if iteration % self.every == 0:
            self._scalars(iteration)
        self.progress.to(iteration, self._note())

    def _note(self) -> str:
        """Share of time spent waiting for data, running means of the losses, memory."""
        mean = {key: sum(held) / len(held) for key, held in self.recent.items()}
        parts = [f"waits {mean['waited'] / max(mean['seconds'], 1e-9):.0%}"]
        parts += [
            f"{key.removeprefix('loss/')} {value:.4g}" for key, value in mean.items() if key.split("/")[0] in SHOWN
        ]
        parts.append(" + ".join(f"{value:.0f}" for value in memory().values()) + " MiB")
        return "  ".join(parts)

    def _scalars(self, iteration: int) -> None:
        """Means since the last point, to TensorBoard."""
        means = self.block.take()
        if not means or self.writer is None:
            return
        seconds = max(means.pop("seconds"), 1e-9)
        means["speed/waiting_share"] = means.pop("waited") / seconds
        means["speed/images_per_second"] = means.pop("images") / seconds
        self._write({**means, "speed/iterations_per_second": 1 / seconds, **memory()}, iteration)

    def _write(self, values: dict[str, float], iteration: int) -> None:
        def scalars(writer: Any) -> None:
            for key, value in values.items():
                writer.add_scalar(key, value, iteration)

        self._event(scalars)

    def _event(self, call: Any) -> None:
        """``call`` with the event writer; if that fails (a full disk), TensorBoard ends and the run goes on."""
        if self.writer is None:
            return
        try:
            call(self.writer)
        except OSError as error:
            log.warning("TensorBoard's files cannot be written (%s); the run goes on without", error)
            self.writer = None

    def validation(self, iteration: int, values: dict[str, float], baseline: dict[str, float]) -> None:
        """Values of a validation and those of the baseline (Lanczos), each by name."""
        if not self.enabled:
            return
        self.records["validation"].add(iteration, {**values, "baseline": {k: round(v, 6) for k, v in baseline.items()}})
        self._write({f"validation/{key}": value for key, value in values.items()}, iteration)
        self._write({f"baseline/{key}": value for key, value in baseline.items()}, iteration)
        self._event(lambda writer: writer.flush())
        parts = [
            f"{key} {value:.4f}" + (f" (Lanczos {baseline[key]:.4f})" if key in baseline else "")
            for key, value in values.items()
            if "/" not in key
        ]
        self.progress.say(f"iteration {iteration}  validation: " + "  ".join(parts))
        self.ended = time.monotonic()  # the next step is not as long as the validation

    def picture(self, iteration: int, name: str, image: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB under ``name``: a PNG, the one of this iteration and the latest, and TensorBoard."""
        if not self.enabled:
            return
        data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        folder = self.out / "pictures" / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / f"{iteration:08}.png", data)
            write_atomically(folder.with_name(f"{name}.png"), data)
        except OSError as error:
            log.warning("the picture %s cannot be written (%s); the run goes on", name, error.strerror or error)
        self._event(lambda writer: writer.add_image(name, image, iteration, dataformats="HWC"))
        self.ended = time.monotonic()

    def say(self, text: str) -> None:
        """A line of its own."""
        if self.enabled:
            self.progress.say(text)

    def flush(self) -> None:
        """Before a checkpoint is written: TensorBoard then holds all that the checkpoint stands for."""
        if self.enabled:
            self._event(lambda writer: writer.flush())

    def close(self) -> None:
        """End the line and the files."""
        if not self.enabled:
            return
        self._scalars(self.last)
        self._event(lambda writer: writer.close())
        self.writer = None
        for record in self.records.values():
            record.close()
        self.progress.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def event_writer(folder: Path, start: int) -> Any:
    """A SummaryWriter whose files hide what earlier ones have beyond ``start``; None, with a warning, without
    TensorBoard.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        log.warning("no TensorBoard (%s); log.jsonl has the same values", error)
        return None
    _quieten()
    try:
        return SummaryWriter(str(folder), purge_step=start + 1, flush_secs=20)
    except OSError as error:
        log.warning("TensorBoard's files cannot be written (%s); log.jsonl has the same values", error)
        return None


@functools.cache
def _quieten() -> None:
    """TensorBoard writes in a thread of its own, whose error comes back at the next call: no traceback before that."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        own = type(arguments.thread).__module__.startswith("tensorboard.")
        if not (own and issubclass(arguments.exc_type, OSError)):
            before(arguments)

    threading.excepthook = hook
