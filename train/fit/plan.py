"""``fit --dry-run``: what a configuration would do, with time and memory from a few steps, and nothing written."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from ..data.crops import ImageStream
from ..data.feed import Feed
from ..media.images import list_drawings
from ..media.progress import clock
from . import checkpoint
from .config import FitConfig, changes, few_drawings, rate_factor
from .distributed import Processes
from .parts import BEST, Parts
from .watch import memory

__all__ = ["plan"]

STEPS = 3
"""Timed, after one that is not."""


def plan(config: FitConfig) -> str:
    """The whole plan as text. Reads the drawings' folders, builds the networks and times some updates of them.

    Raises:
        VsapisrError: whatever would stop the run at its start.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    processes = Processes(config.device)
    try:
        feed, parts = Feed(config, processes), Parts(config, processes.device)
        lines = [*_stage(config, parts), *_data(config, feed), *_schedule(config), *_outputs(config)]
        return "\n".join([*lines, *_estimate(config, parts, processes)])
    finally:
        processes.close()


def _line(title: str, text: str) -> str:
    return f"{title + ':':<14} {text}"


def _stage(config: FitConfig, parts: Parts) -> list[str]:
    about = parts.metadata()
    lines = [_line("stage", f"{config.stage}, loss = {about.pop('losses')}; the generator starts from {about['init']}")]
    for key, name in (("g", "generator"), ("d", "discriminator")):
        if key in parts.networks:
            count = sum(parameter.numel() for parameter in parts.networks[key].parameters())
            lines.append(_line(name, f"{count:,} parameters"))
    features = ", ".join(f"{key}: {about[key]}" for key in config.loss.networks if key in about)
    return lines + ([_line("features", features)] if features else [])


def _data(config: FitConfig, feed: Feed) -> list[str]:
    data, epochs = config.data, config.iterations * config.data.batch / max(feed.drawings * config.data.per_image, 1)
    lines = [
        _line("data", f"{feed.drawings} drawings in {data.folder}, {data.per_image} crops of {4 * data.patch} (LR "
                      f"{data.patch})"
                      f" from each, {config.iterations * data.batch:,} crops in all: every drawing {epochs:.1f} times"),
        _line("batch", f"{data.batch} crops an update, from {feed.shards} streams, in {config.accumulate} pieces; "
                       f"{data.workers} workers a process"),
    ]  # fmt: skip
    if few := few_drawings(config, feed.drawings):
        lines.append(_line("warning", few))
    if config.validation is None:
        return [*lines, _line("validation", "none, so there will be no best.pth")]
    folder, count = (
        config.validation.folder,
        min(config.validation.images, len(list_drawings(config.validation.folder))),
    )
    return [*lines, _line("validation", f"{count} drawings of {folder}, every {config.validation.every} iterations")]


def _schedule(config: FitConfig) -> list[str]:
    how = {"halving": f"halved every {config.halve_every:,}", "cosine": "by a cosine to zero", "constant": "constant"}
    lines = [_line("schedule", f"{config.iterations:,} iterations, {how[config.schedule]}, warm-up {config.warmup}")]
    steps = sorted(
        {0, config.iterations // 4, config.iterations // 2, 3 * config.iterations // 4, config.iterations - 1}
    )
    rates = ", ".join(f"{config.learning_rate * rate_factor(config, step):.3g} at {step:,}" for step in steps)
    return [*lines, _line("rate", rates)]


def _outputs(config: FitConfig) -> list[str]:
    last = Path(config.out) / "last.pth"
    lines = [_line("output", f"{config.out}/: last.pth every {config.save_seconds:g} s, {BEST}, iteration_*.pth every "
                             f"{config.save_every:,} (newest {config.keep}), log.jsonl, validation.jsonl, pictures/"
                             + (", tensorboard/" if config.tensorboard else ""))]  # fmt: skip
    if not last.exists():
        return [*lines, _line("start", "from the beginning")]
    saved = checkpoint.load(last)
    try:
        found = changes(json.loads(saved["config"]), config)
        iteration = saved["iteration"]
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise checkpoint.damaged(last, error) from None
    different = ", ".join(f"{key}: {was!r} -> {now!r}" for key, (was, now) in found.items())
    return [
        *lines,
        _line("resume", f"from iteration {iteration:,} of {last}; changed: {different or 'nothing'}"),
    ]


def _estimate(config: FitConfig, parts: Parts, processes: Processes) -> list[str]:
    """From updates on noise, so that no drawing has to be degraded first."""
    side, batch = config.data.patch, config.data.batch // processes.world
    made = torch.Generator().manual_seed(0)
    sizes = ((batch, 3, side, side), (batch, 3, 4 * side, 4 * side), (batch, 3, 4 * side, 4 * side))
    lr, gt, pseudo_gt = (
        torch.randint(0, 256, size, dtype=torch.uint8, generator=made).to(parts.device) for size in sizes
    )
    seconds = []
    for _ in range(1 + STEPS):
        start = time.perf_counter()
        parts.backward((lr, gt, pseudo_gt))
        norms = parts.norms()
        parts.apply()
        torch.stack(list(norms.values())).tolist()  # waits for the device
        seconds.append(time.perf_counter() - start)
    one, drawing = statistics.median(seconds[1:]), _seconds_per_drawing(config)
    wanted = config.data.batch / config.data.per_image * drawing / one
    used = ", ".join(
        f"{key.removeprefix('memory/').removesuffix('_mib')} {value:.0f} MiB" for key, value in memory().items()
    )
    return [
        _line("step", f"{one:.3g} s an update in {config.precision} on {parts.device} with {torch.get_num_threads()} "
                      f"threads, "
                      f"{1 / one:.2f} it/s: {clock(one * config.iterations)} in all, without validation and waiting "
                      f"for data"),
        _line("data", f"{drawing:.3g} s of one core a drawing without a cache; {wanted:.1f} workers in all would "
                      f"keep up"),
        _line("memory", used),
        "Nothing was written.",
    ]  # fmt: skip


def _seconds_per_drawing(config: FitConfig) -> float:
    """Of reading, degrading and enhancing, without the cache."""
    stream = ImageStream(list_drawings(config.data.folder), replace(config.data, cache=""))
    start = time.perf_counter()
    for number in range(STEPS):
        stream.crops(number)
    return (time.perf_counter() - start) / STEPS
