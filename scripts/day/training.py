"""One goal's training against the clock: all pictures on the device, rates by the share of time that is over.

``python -m scripts.day.training GOAL --pack FILE --out FOLDER --seconds N``. Writes GOAL.safetensors (the average) and
GOAL-last.safetensors every minute, whole or not at all, and a line of gpu_day.jsonl now and then.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from scripts.day.pack import KINDS, LEVELS, Pack, Sample, read
from train.losses import LossConfig
from train.losses.gan import discriminator_terms
from train.losses.generator import GeneratorLoss
from train.model.discriminator import Discriminator
from train.model.ema import EMA
from train.model.forward import forward
from vsapisr.networks.grl import GRL, Block
from vsapisr.weights import files as weights
from vsapisr.weights.hidden import described
from vsapisr.writing import write_atomically

SAVE_SECONDS = 60.0
LUMA = (65.481, 128.553, 24.966)  # BT.601, of RGB in [0, 1] to levels


@dataclass(frozen=True)
class Goal:
    init: str
    """Weights to begin with."""
    easy: float
    """Probability of the easy degradation."""
    rate: float
    judge_rate: float
    """Of the discriminator."""
    decay: float
    loss: LossConfig
    enhanced: bool = False
    """The target is the pseudo-GT."""


GOALS = {
    "fidelity": Goal(
        "fidelity", 0.8, 2e-4, 0, 0.997, LossConfig(l1=0, mse=10, colour=0.8, perceptual=0, adversarial=0)
    ),
    "restore": Goal(
        "restore",
        0.35,
        1e-4,
        4e-4,
        0.997,
        LossConfig(
            l1=1, colour=1.0, perceptual=0.5, photographs=0, adversarial=0.2, overshoot=5, lines=6, features="drawings"
        ),
    ),
}


class Crops:
    """Random crops of what is on the device: (B, 3, p, p) and (B, 3, 4p, 4p) in [0, 1]."""

    def __init__(self, samples: list[Sample], easy: float, device: torch.device, patch: int, seed: int):
        def there(image: np.ndarray) -> Tensor:
            return torch.from_numpy(image.transpose(2, 0, 1).copy()).to(device)

        self.pictures = [
            (there(s.gt), {kind: [there(small) for small in s.small[kind]] for kind in KINDS}) for s in samples
        ]
        self.easy = easy
        area = np.array([s.gt.shape[0] * s.gt.shape[1] for s in samples], np.float64)
        self.share, self.patch, self.rng = area / area.sum(), patch, np.random.default_rng(seed)

    def one(self) -> tuple[Tensor, Tensor]:
        gt, variants = self.pictures[self.rng.choice(len(self.pictures), p=self.share)]
        degraded = variants["easy" if self.rng.random() < self.easy else "hard"]
        small, p = degraded[self.rng.integers(len(degraded))], self.patch
        y, x = (int(self.rng.integers(0, side - p, endpoint=True)) for side in small.shape[1:])
        pair = small[:, y : y + p, x : x + p], gt[:, 4 * y : 4 * (y + p), 4 * x : 4 * (x + p)]
        turn, mirror = int(self.rng.integers(4)), bool(self.rng.integers(2))
        first, second = (torch.rot90(part.flip(2) if mirror else part, turn, (1, 2)) for part in pair)
        return first, second

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        small, large = zip(*(self.one() for _ in range(count)))
        return tuple(
            torch.stack(part).contiguous(memory_format=torch.channels_last).float() / 255 for part in (small, large)
        )  # type: ignore[return-value]


def enhanced(gt: np.ndarray) -> np.ndarray:
    from train.data.pseudo_gt import enhance

    return enhance(gt, 0.975, "plain").pseudo_gt


def with_lines(samples: list[Sample], seconds: float) -> list[Sample]:
    """Those whose pseudo-GT was made within ``seconds``, by as many processes as there are cores; all as they are where
    OpenCV is missing."""
    from multiprocessing import get_context

    try:
        import cv2  # noqa: F401
    except ImportError:
        return samples
    end, made = time.monotonic() + seconds, []
    with get_context("spawn").Pool(max(1, (os.cpu_count() or 2) - 1)) as pool:  # ended at once when it is left
        jobs = [pool.apply_async(enhanced, (sample.gt,)) for sample in samples]
        for job, sample in zip(jobs, samples):
            job.wait(max(end - time.monotonic(), 0))
            if job.ready() and job.successful():
                made.append(Sample(job.get(), sample.small))
    return made or samples


@torch.no_grad()
def psnr(model: GRL, samples: list[Sample], device: torch.device) -> dict[str, float]:
    """Level -> mean PSNR-Y in dB of 8-bit results."""
    found = {}
    coefficients = torch.tensor(LUMA, device=device).view(3, 1, 1)
    for level in LEVELS:
        values = []
        for sample in samples:
            small, gt = (
                torch.from_numpy(image.transpose(2, 0, 1).copy()).to(device).float() / 255
                for image in (sample.small[level][0], sample.gt)
            )
            result = (forward(model, small[None])[0].clamp(0, 1) * 255).round() / 255
            error = ((result - gt) * coefficients).sum(0).square().mean().item()
            values.append(10 * math.log10(255**2 / max(error, 1e-9)))
        found[level] = sum(values) / max(len(values), 1)
    return found


class Trainer:
    """Networks, optimizers and losses of one goal."""

    def __init__(self, goal: Goal, device: torch.device, seed: int):
        torch.manual_seed(seed)
        self.goal, self.device = goal, device
        self.model = weights.load(weights.find(goal.init)).to(device).requires_grad_(True).train()
        self.model.memory_format = torch.channels_last
        self.blocks = [module for module in self.model.modules() if isinstance(module, Block)]
        for block in self.blocks:  # as the recipes of the shipped weights have it; compiled, they are one code then
            block.drop_path = 0.0
        self.ema, self.losses = EMA(self.model, self.goal.decay), GeneratorLoss(self.goal.loss).to(device)
        self.networks: list[nn.Module] = [self.model]
        if self.goal.loss.adversarial:
            self.networks.append(Discriminator(32).to(device).to(memory_format=torch.channels_last).train())
        self.rates = [self.goal.rate, self.goal.judge_rate][: len(self.networks)]
        self.optimizers = [
            torch.optim.Adam(network.parameters(), rate, betas=(0.9, 0.99), fused=device.type == "cuda" or None)
            for network, rate in zip(self.networks, self.rates)
        ]
        self.skipped = 0

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def step(self, small: Tensor, target: Tensor, factor: float) -> dict[str, Tensor]:
        """One update; left out when a gradient is no finite number."""
        for optimizer, rate in zip(self.optimizers, self.rates):
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        with self.autocast():
            fake = forward(self.model, small).float()
            judge = self.networks[1].requires_grad_(False) if len(self.networks) > 1 else None
            terms = self.losses(fake, target, judge(fake) if judge else None)
        torch.stack(list(terms.values())).sum().backward()
        if judge:
            judge.requires_grad_(True)
            with self.autocast():
                found = discriminator_terms(judge(target), judge(fake.detach()))
            (found["real"] + found["fake"]).backward()
            terms |= found
        norms = [nn.utils.clip_grad_norm_(network.parameters(), 1.0) for network in self.networks]
        if torch.isfinite(torch.stack(norms)).all():
            for optimizer in self.optimizers:
                optimizer.step()
            self.ema.update(self.model)
        else:
            self.skipped += 1
        return terms

    def save(self, folder: Path, name: str, iteration: int) -> int:
        """Average and weights as they are, in half precision; bytes."""
        told = {"iteration": str(iteration), "init": self.goal.init, "loss": json.dumps(asdict(self.goal.loss))}
        metadata, total = described(self.model.config) | told, 0
        for suffix, network in (("", self.ema.average), ("-last", self.model)):
            data = save({k: v.detach().half().cpu().contiguous() for k, v in network.state_dict().items()}, metadata)
            write_atomically(folder / f"{name}{suffix}.safetensors", data)
            total += len(data)
        return total


def seconds_of(trainer: Trainer, batch: tuple[Tensor, Tensor], count: int) -> float:
    """Of one update, after two that are not counted; nothing is learned."""
    for number in range(count + 2):
        if number == 2:
            settle(trainer.device)
            start = time.monotonic()
        trainer.step(*batch, 0.0)
    settle(trainer.device)
    return (time.monotonic() - start) / count


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def faster(trainer: Trainer, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Measure plain and compiled updates, and leave the faster in ``trainer``."""
    found = {"plain": seconds_of(trainer, batch, 5)}
    before = time.monotonic()
    try:
        for block in trainer.blocks:  # one by one: their code is one, so it is compiled once; the whole took minutes
            block.compile()
        found["compiled"] = seconds_of(trainer, batch, 5)
        found["compiling"] = time.monotonic() - before
    except Exception as error:  # whatever a compiler can raise
        print(f"torch.compile: {str(error).splitlines()[0][:200]}", file=sys.stderr, flush=True)
    if found.get("compiled", math.inf) >= found["plain"]:
        for block in trainer.blocks:
            block._compiled_call_impl = None
    return found


class Log:
    """Lines of JSON, each on disk at once."""

    def __init__(self, folder: Path, goal: str):
        self.path, self.goal, self.start = folder / "gpu_day.jsonl", goal, time.monotonic()

    def __call__(self, event: str, **more: Any) -> None:
        line = {"stage": self.goal, "event": event, "seconds": round(time.monotonic() - self.start, 1), **more}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def features_in_place(pack: Pack) -> None:
    """Files of feature networks go where the losses look for them, in a folder of this process's own."""
    folder = Path(tempfile.mkdtemp(prefix="features-"))
    os.environ["TORCH_HOME"] = str(folder)
    (folder / "hub/checkpoints").mkdir(parents=True)
    for name, data in pack.files.items():
        (folder / "hub/checkpoints" / name).write_bytes(data)


def goal_of(options: argparse.Namespace) -> Goal:
    """What was asked for, with all its values."""
    goal = GOALS[options.goal]
    loss: dict[str, Any] = {}
    for part in filter(None, options.loss.split(",")):
        name, _, weight = part.partition("=")
        loss[name] = float(weight)
    easy = goal.easy if options.easy is None else options.easy
    return replace(goal, init=options.init or goal.init, easy=easy, loss=replace(goal.loss, **loss))


def train(options: argparse.Namespace) -> None:
    spent = time.time() - options.begun if options.begun else 0.0  # on importing, which can take long
    options.out.mkdir(parents=True, exist_ok=True)
    device, end = torch.device(options.device), time.monotonic() + options.seconds - spent
    goal, name = goal_of(options), options.name or options.goal
    log, cuda = Log(options.out, name), options.device == "cuda"
    pack = read(options.pack, os.cpu_count() or 2)
    features_in_place(pack)
    samples = pack.drawings
    if goal.enhanced:
        samples = with_lines(samples, 0.15 * options.seconds)
    crops = Crops(samples, goal.easy, device, options.patch, options.seed)
    trainer = Trainer(goal, device, options.seed)
    shown = pack.validation if cuda else pack.validation[:1]
    log("ready", drawings=len(samples), megapixels=round(sum(s.gt.shape[0] * s.gt.shape[1] for s in samples) / 1e6, 1))
    if options.compile:
        log("speed", **faster(trainer, crops.batch(options.batch)))
    before = time.monotonic()
    log("validation", iteration=0, **psnr(trainer.ema.average, shown, device))
    if options.warm:
        return
    iteration, begin, saved = 0, time.monotonic(), time.monotonic()
    # For the last writing and the last validation, which is not to take more than the first, nor much of the whole.
    reserve = min(3.0 + 1.2 * (begin - before), 0.15 * options.seconds)
    while (now := time.monotonic()) < end - reserve or not iteration:
        part = min(1.0, (now - begin) / max(end - reserve - begin, 1e-9))
        factor = min(1.0, (iteration + 1) / 20) * 0.5 * (1 + math.cos(math.pi * part))
        terms = trainer.step(*crops.batch(options.batch), factor)
        iteration += 1
        if iteration == 1 or now - saved > SAVE_SECONDS:
            saved = now
            size = trainer.save(options.out, name, iteration)
            log("saved", iteration=iteration, bytes=size, skipped=trainer.skipped,
                **{key: round(value.item(), 6) for key, value in terms.items()})  # fmt: skip
    settle(device)
    rate = iteration / (time.monotonic() - begin)
    trainer.save(options.out, name, iteration)
    log("done", iteration=iteration, per_second=round(rate, 2), crops=iteration * options.batch)
    if time.monotonic() < end:
        log("validation", iteration=iteration, **psnr(trainer.ema.average, shown, device))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.day.training", description=__doc__.splitlines()[0])
    parser.add_argument("goal", choices=GOALS)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", help="of the files that are written; the goal's")
    parser.add_argument("--init", help="weights to begin with, instead of the goal's own")
    parser.add_argument("--easy", type=float, help="probability of the easy degradation, instead of the goal's own")
    parser.add_argument("--loss", default="", help="NAME=WEIGHT,...: weights of the loss, instead of the goal's own")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--begun", type=float, help="when the seconds began, in those since 1970; now")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--warm", action="store_true", help="only fill the compiler's cache")
    train(parser.parse_args(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
