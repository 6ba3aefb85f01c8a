"""The training loop of both stages. It can be killed at any moment and goes on from its last checkpoint, bit for
bit.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from vsapisr import __version__
from vsapisr.errors import VsapisrError

from ..data.feed import Batch, Feed
from ..media.places import alone, claim
from . import checkpoint, state
from .allocator import keep_freed_memory
from .config import FitConfig, changes, few_drawings
from .distributed import Processes
from .nonfinite import Guard
from .parts import BEST, Parts
from .validation import Validation, feeding_grid
from .watch import Watch

__all__ = ["Interrupted", "Run", "fit"]

log = logging.getLogger(__name__)
LAST = "last.pth"
WRITTEN = (BEST, "log.jsonl", "validation.jsonl", "pictures/feeding.png", "pictures/validation.png")
"""What may stand in the way of a run that begins."""


class Interrupted(VsapisrError):
    """The run was asked to stop, and saved."""


class Run:
    """Everything that a run holds: what ``state_dict`` gives is a checkpoint (:mod:`.checkpoint` has its layout)."""

    def __init__(self, config: FitConfig, processes: Processes):
        state.seed_all(config.seed)  # new weights: the same in every process
        self.config, self.processes, self.out = config, processes, Path(config.out)
        self.feed = Feed(config, processes)
        self.parts = Parts(config, processes.device, processes.world)
        self.guard = Guard(self.out, config.nonfinite_limit, processes)
        self.validation = Validation(config.validation, processes) if config.validation else None
        self.iteration = 0
        self.values: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self.waiting: dict[str, Any] = {}
        """What best.pth is to hold and could not be written; ``best`` is that of the file."""
        self.history: list[dict[str, Any]] = []
        state.seed_all(config.seed, processes.rank)

    def light(self) -> dict[str, Any]:
        """What best.pth holds."""
        metadata = {**self.parts.metadata(), "drawings": str(self.feed.drawings), "version": __version__}
        return {
            "ema": self.parts.ema.average.state_dict(),
            "iteration": self.iteration,
            "metadata": metadata,
            "config": json.dumps(asdict(self.config)),
            "validation": self.values,
            "best": self.best,
            "history": json.dumps(self.history),
        }

    def state_dict(self) -> dict[str, Any]:
        """The whole checkpoint; every process calls it."""
        randoms = self.processes.gather(state.capture())
        return {
            **self.light(),
            **self.parts.state_dict(),
            "data": self.feed.state_dict(),
            "random": randoms,
            "skipped": self.guard.skipped,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint; what differs in the configuration is recorded, or refused with ``ArgumentError``."""
        self.iteration = saved["iteration"]
        self.history = json.loads(saved["history"])
        self.record("resume", changes=changes(json.loads(saved["config"]), self.config))
        self.parts.load_state_dict(saved)
        self.feed.load_state_dict(saved["data"])
        self.values, self.best, self.guard.skipped = saved["validation"], saved["best"], dict(saved["skipped"])
        if self.processes.rank < len(saved["random"]):
            state.restore(saved["random"][self.processes.rank])
        else:  # there are more processes than before
            state.seed_all(self.config.seed, self.processes.rank, self.iteration)

    def record(self, event: str, **more: Any) -> None:
        """A line of the checkpoint's history."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.history.append(
            {
                "iteration": self.iteration,
                "time": now,
                "event": event,
                "processes": self.processes.world,
                "device": self.processes.device.type,
                "torch": torch.__version__,
                **more,
            }
        )

    def update(self, batch: Batch) -> dict[str, float]:
        """One iteration; returns losses, norms of gradients and rates by name. Not finite: nothing is updated."""
        rates = self.parts.set_rates(self.iteration)
        found = self.parts.backward(batch)
        for network in self.parts.networks.values():
            self.processes.average_gradients(network.parameters())
        found |= self.parts.norms()
        means = self.processes.mean(torch.stack([value.detach().float() for value in found.values()])).tolist()
        values = dict(zip(found, means))
        scaled = self.config.precision == "fp16"  # there an infinite gradient is the scaler's business
        term = self.guard.find({key: value for key, value in values.items() if not (scaled and key.startswith("grad"))})
        if term is None:
            self.parts.apply()
        else:
            self.parts.leave_out()
            self.guard.skip(self.iteration + 1, term, values, batch)
        self.iteration += 1
        return values | rates

    def validate(self, watch: Watch) -> None:
        """Measure the averaged weights; the best so far become best.pth. Every process calls it."""
        assert self.validation is not None
        self.values = self.validation(self.parts.ema.average)
        if not self.processes.first:
            return
        watch.validation(self.iteration, self.values, self.validation.baseline)
        watch.picture(self.iteration, "validation", self.validation.grid(self.parts.ema.average))
        if self.values["psnr_y"] > self.waiting.get("best", self.best).get("psnr_y", -math.inf):
            best = {"iteration": self.iteration, "psnr_y": self.values["psnr_y"]}
            self.waiting = copy.deepcopy(self.light() | {"best": best})  # the average goes on changing
        self.write_best()

    def write_best(self) -> bool:
        """Write the best weights if they wait for it, which they do in the first process alone; whether none wait any
        more.
        """
        if self.waiting and self.write(BEST, self.waiting):
            self.best, self.waiting = self.waiting["best"], {}
        return not self.waiting

    def write(self, name: str, content: dict[str, Any]) -> bool:
        """Save; whether it is written. A full disk is no reason to lose the run: it is reported, and tried again
        later.
        """
        try:
            checkpoint.save(self.out / name, content)
        except checkpoint.CheckpointError as error:
            log.warning("iteration %d: %s; the run goes on", self.iteration, error)
            return False
        return True

    def save(self, kept: bool = False) -> list[str]:
        """Write last.pth and, if it is to be ``kept``, a numbered copy, of which the newest stay. Every process calls
        it. A best.pth that could not be written is tried again. Returns which of the two could not be written.
        """
        missing = [] if self.write_best() else [BEST]
        content = self.state_dict()
        if not self.processes.first:
            return []
        if not self.write(LAST, content):
            missing.append(LAST)
        if kept and self.config.keep:
            self.write(f"iteration_{self.iteration:08}.pth", content)
            for old in sorted(self.out.glob("iteration_*.pth"))[: -self.config.keep]:
                old.unlink()
        return missing


class FeedError(VsapisrError):
    """There are no more batches: a data worker was killed, or the drawings cannot be used."""


@contextmanager
def stop_signals(speaks: bool = True) -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that the run can finish its iteration and save; a second one ends it."""
    asked = threading.Event()
    before: dict[int, Any] = {}

    def ask(number: int, _: object) -> None:
        asked.set()
        signal.signal(number, before[number])
        if speaks:  # not print: the handler may have come in the middle of one
            os.write(2, b"\nfit: stops after this iteration and saves; once more ends it at once\n")

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fed(run: Run, start: int) -> Batch:
    """The next batch. Where a process gets none all of them save, if an iteration since ``start`` would be lost.

    Raises:
        VsapisrError: why there is none; the text says that the run was saved.
    """
    batch, failure, position = None, None, run.feed.position
    try:
        batch = next(run.feed)
    except VsapisrError as error:
        failure = error
    (failed,) = run.processes.any(failure is not None)
    if batch is not None and not failed:
        return batch
    run.feed.position = position  # a batch that will be handed out again
    what = str(failure or "another process got no batch")
    if run.iteration == start:
        raise FeedError(what) from failure
    missing = run.save()
    if missing:
        raise FeedError(f"{what}; {' and '.join(missing)} could not be written either") from failure
    raise FeedError(f"{what}; iteration {run.iteration} is saved, and the same command goes on from there") from failure


def iterate(run: Run, watch: Watch, stop: threading.Event) -> None:
    """From ``run.iteration`` to the last."""
    config, first, saved, start = run.config, True, time.monotonic(), run.iteration
    while run.iteration < config.iterations:
        batch = fed(run, start)
        values = run.update(batch)
        watch.step(run.iteration, values, waited=run.feed.waited, images=config.data.batch)
        if first:
            watch.picture(run.iteration, "feeding", feeding_grid(batch))
            first = False
        ended = run.iteration >= config.iterations
        if run.validation and config.validation and (ended or run.iteration % config.validation.every == 0):
            run.validate(watch)
        due, stopped = run.processes.any(time.monotonic() - saved > config.save_seconds, stop.is_set())
        kept, last = run.iteration % config.save_every == 0, ended or stopped or run.guard.reached
        if due or kept or last:
            watch.flush()
            missing, saved = run.save(kept), time.monotonic()
            if last and missing:
                names = " and ".join(str(run.out / name) for name in missing)
                raise checkpoint.CheckpointError(f"{names} could not be written at the end of the run")
        run.guard.check_limit(run.iteration)
        if stopped and not ended:
            raise Interrupted(f"stopped at iteration {run.iteration} and saved; the same command goes on from there")


def announcement(run: Run, last: Path | None) -> list[str]:
    """What a run is about to do: from where it goes on (``last``) or starts, with how many drawings."""
    config, drawings = run.config, run.feed.drawings
    start = f"starts from {run.parts.metadata()['init']}" if last is None else f"goes on from {last}"
    lines = [
        f"fit: {start}, iteration {run.iteration:,} of {config.iterations:,}, with {drawings:,} drawings of "
        f"{config.data.folder}, on {run.processes.device}"
    ]
    few = few_drawings(config, drawings)
    return [*lines, f"fit: warning: {few}"] if few else lines


def train(config: FitConfig, processes: Processes) -> Path:
    """The run as this process takes part in it."""
    if config.threads:
        torch.set_num_threads(config.threads)
    if processes.device.type == "cpu":
        keep_freed_memory()
    out, last = Path(config.out), Path(config.out) / LAST
    found = checkpoint.load(last) if last.exists() else None
    run = Run(config, processes)
    if found is not None:
        try:
            run.load_state_dict(found)
        except VsapisrError:
            raise
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise checkpoint.damaged(last, error) from error
        run.guard.check_limit(run.iteration)
    else:
        run.record("start")
    if processes.first:
        print("\n".join(announcement(run, last if found is not None else None)), file=sys.stderr, flush=True)
    watch = Watch(out, config.iterations, run.iteration, tensorboard=config.tensorboard, enabled=processes.first)
    with watch, stop_signals(processes.first) as stop, closing(run.feed):
        iterate(run, watch, stop)
    return last


def fit(config: FitConfig) -> Path:
    """Train, going on from ``out/last.pth`` if it is there; returns that path. Under torchrun every process calls it.

    Raises:
        VsapisrError: a configuration that cannot run, files that cannot be read, too many losses that are not finite, a
            request to stop (:class:`Interrupted`; all is saved then), or a last checkpoint that cannot be written.
    """
    processes, out = Processes(config.device), Path(config.out)
    try:
        with alone(out, "fit") if processes.first else nullcontext():
            if processes.first:
                names = [*WRITTEN, *(path.name for path in out.glob("iteration_*.pth"))]
                claim(out, "fit", names, force=(out / LAST).exists(), option=False)
            return train(config, processes)
    finally:
        processes.close()
