"""Training steps: the plain form against the loop's own, how long it waits for data, and both stages on a GPU."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from train.data.crops import DatasetConfig, ImageStream
from train.fit.config import FitConfig
from train.fit.distributed import Processes
from train.fit.loop import Run
from train.fit.parts import Parts
from train.media.images import list_images
from train.media.progress import Progress
from train.model.start import start_as_interpolation
from train.settings import build
from vsapisr.networks.grl import GRL, GRLConfig

from .flops import grl_flops
from .pictures import pictures
from .timing import Summary, alternating, table, wall

PLAIN = "eager fp32 NCHW"
SMALL = {"loss": {"features": "random"}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--curve", type=int, default=0, metavar="N", help="also compare the losses of N steps")
    parser.add_argument("--images", metavar="FOLDER", help="drawings for losses and waiting (made ones unless given)")
    parser.add_argument("--steps", type=int, default=0, metavar="N", help="also N steps with data from 2 workers")


def config(folder: str, batch: int, patch: int, **values: object) -> FitConfig:
    data = {"folder": folder, "batch": batch, "patch": patch, "pool": 16, "workers": 2}
    return build(FitConfig, {"out": "unused", "data": data, "network": {"drop_path": 0.0}, **values})


def noise(batch: int, patch: int, device: torch.device | str = "cpu", seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(lr, gt, pseudo_gt) uint8: blurred noise, the small picture a reduced large one."""
    made = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, patch // 2, patch // 2, generator=made)
    large = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)
    small = torch.nn.functional.avg_pool2d(large, 4)
    lr, gt = ((x * 255).round().byte().to(device) for x in (small, large))
    return lr, gt, gt


def plain_step(rate: float) -> Callable[[tuple[Tensor, Tensor, Tensor]], float]:
    """One update as a textbook has it: plain layout, fp32, upsampling by interpolation, an optimizer of single
    kernels.
    """
    torch.manual_seed(0)
    model = GRL(GRLConfig(drop_path=0.0)).train()
    start_as_interpolation(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.99))

    def step(batch: tuple[Tensor, Tensor, Tensor]) -> float:
        optimizer.zero_grad()
        loss = (model(batch[0].float() / 255) - batch[2].float() / 255).abs().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def loop_step(made: FitConfig, device: torch.device | str = "cpu") -> Callable[[tuple[Tensor, Tensor, Tensor]], float]:
    """One update as the loop makes it, averages of weights and checks included."""
    torch.manual_seed(0)
    parts = Parts(made, torch.device(device))

    def step(batch: tuple[Tensor, Tensor, Tensor]) -> float:
        terms = parts.backward(batch) | parts.norms()
        values = torch.stack([value.float() for value in terms.values()]).tolist()
        parts.apply()
        return values[0]

    return step


def cpu_steps(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    batch, forms = noise(options.batch, options.patch), {PLAIN: plain_step(2e-4)}
    for precision in ("fp32", "bf16"):
        forms[f"loop {precision}"] = loop_step(config(".", options.batch, options.patch, precision=precision))
    calls = {name: lambda step=step: step(batch) for name, step in forms.items()}
    seconds = {name: Summary.of(values) for name, values in alternating(calls, options.runs, wall, "steps").items()}
    base = seconds[PLAIN].median
    rows = [
        [name, f"{one.median:.3f}", f"{1 / one.median:.2f}", f"{base / one.median:.2f}"]
        for name, one in seconds.items()
    ]
    print(f"stage 1, batch {options.batch}, {options.patch}x{options.patch} LR, {torch.get_num_threads()} threads")
    print(table(["form", "s/step", "it/s", "times faster"], rows))
    return {name: {**one.as_dict(), "ratio": base / one.median} for name, one in seconds.items()}


def drawn(folder: str, batch: int, patch: int, count: int = 16) -> Callable[[int], tuple[Tensor, Tensor, Tensor]]:
    """Number -> a batch of crops of different drawings in ``folder``, of the first ``count`` of an epoch, without
    pseudo-GT.
    """
    stream = ImageStream(list_images(folder), DatasetConfig(folder=folder, patch=patch, per_image=8, enhance=False))
    crops = [stream.crops(number) for number in range(count)]

    def make(number: int) -> tuple[Tensor, Tensor, Tensor]:
        chosen = [(crops[(number + 5 * n) % count], (number // count + n) % 8) for n in range(batch)]
        lr, gt = (torch.stack([getattr(one, kind)[place] for one, place in chosen]) for kind in ("lr", "gt"))
        return lr, gt, gt

    return make


def curves(count: int, batch: int, patch: int, folder: str | None) -> dict[str, dict]:
    """Losses of the plain step and of the loop's on the same batches, and the largest difference of their running
    means.

    The loop in fp32 is the control: it differs from the plain form in the order of sums alone.
    """
    make = drawn(folder, batch, patch) if folder else lambda number: noise(batch, patch, seed=number)
    forms = {PLAIN: plain_step(2e-4)}
    for precision in ("fp32", "bf16"):
        forms[f"loop {precision}"] = loop_step(config(".", batch, patch, precision=precision))
    losses: dict[str, list[float]] = {name: [] for name in forms}
    with Progress("losses", count * len(forms), "steps") as progress:
        for number in range(count):
            for name, step in forms.items():
                losses[name].append(step(make(number)))
                progress.advance()
    window = min(20, count)
    means = {name: np.convolve(values, np.full(window, 1 / window), "valid") for name, values in losses.items()}
    plain, found = means[PLAIN], {}
    print(
        f"losses over {count} steps, batch {batch}, {patch}x{patch} LR, means of {window}: {plain[0]:.4f} to "
        f"{plain[-1]:.4f}"
    )
    for name in list(forms)[1:]:
        apart = np.abs(means[name] / plain - 1)
        found[name] = {"losses": losses[name], "worst": float(apart.max()), "last": float(apart[-1])}
        print(f"  {name} differs from the plain form by {apart.max():.2%} at most, by {apart[-1]:.2%} at the end")
    return {PLAIN: {"losses": losses[PLAIN]}, **found}


def waiting(options: argparse.Namespace) -> dict[str, float]:
    """Share of a run's time that its steps wait for two workers, without the first pool."""
    with tempfile.TemporaryDirectory() as name:
        folder = options.images or name
        if not options.images:
            for number, image in enumerate(pictures(None, 8)):
                cv2.imwrite(str(Path(name) / f"{number}.png"), image[..., ::-1])
        run = Run(config(folder, options.batch, options.patch, precision="bf16"), Processes("cpu"))
        next(run.feed)
        waited, start = 0.0, time.perf_counter()
        for _ in range(options.steps):
            batch = next(run.feed)
            waited += run.feed.waited
            run.update(batch)
        whole = time.perf_counter() - start
        run.feed.close()
    print(
        f"{options.steps} steps with 2 workers: {options.steps / whole:.2f} it/s, {waited / whole:.0%} of the time "
        f"waiting"
    )
    return {"steps_per_second": options.steps / whole, "waiting_share": waited / whole}


def matmul_peak() -> float:
    """FLOP/s of a large bf16 product: what this device reaches at best."""
    from .network_gpu import device_seconds

    a = torch.rand(8192, 8192, device="cuda", dtype=torch.bfloat16)
    device_seconds(lambda: a @ a)
    return 2 * 8192**3 / device_seconds(lambda: a @ a)


def gpu_steps(runs: int) -> dict[str, dict[str, float]]:
    """Both stages at the paper's batch of 32, GT 256; the share of peak counts the generator's products alone."""
    from .network_gpu import device_seconds

    batch, result, peak = noise(32, 64, "cuda"), {}, matmul_peak()
    flops = 3 * sum(grl_flops().values()) * 64 * 64 * 32  # a backward pass is two forward ones
    for stage, values in ((1, {}), (2, {"init": "interpolation", **SMALL})):
        step = loop_step(config(".", 32, 64, stage=stage, precision="bf16", **values), "cuda")
        step(batch)
        torch.cuda.reset_peak_memory_stats()
        one = Summary.of([device_seconds(lambda: step(batch)) for _ in range(runs)])
        share = flops / one.median / peak
        result[f"stage {stage}"] = {**one.as_dict(), "share_of_peak": share, "bytes": torch.cuda.max_memory_allocated()}
        print(
            f"stage {stage}, batch 32, 64x64 LR, bf16: {1 / one.median:.2f} it/s, generator's products at "
            f"{share:.0%} of a "
            f"large product's {peak / 1e12:.0f} TFLOP/s, {torch.cuda.max_memory_allocated() >> 20} MiB"
        )
    return result


def run(options: argparse.Namespace) -> dict:
    result: dict = {"cpu": cpu_steps(options)}
    if options.curve:
        result["curve"] = curves(options.curve, options.batch, options.patch, options.images)
    if options.steps:
        result["waiting"] = waiting(options)
    if torch.cuda.is_available():
        result["gpu"] = gpu_steps(options.runs)
    else:
        print("GPU: not measured, there is none here")
    return result
