"""Stage 1: one readable loop that can be killed at any moment and goes on from its last checkpoint."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from vsapisr.networks.grl import GRL, GRLConfig

from . import checkpoint
from .config import FitConfig
from .degradation import compression
from .ema import EMA
from .evaluate import psnr_y
from .forward import forward
from .images import list_images, read_image
from .initial import start_as_interpolation
from .patches import Patches


def validation_pairs(config: FitConfig) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fixed (lr, gt) crops: area-reduced to a quarter, x264 intra at CRF 20 to 30 in turn."""
    pairs = []
    for number, path in enumerate(list_images(config.val)[: config.val_images]):
        gt, side = read_image(path), 4 * config.val_size
        top, left = ((length - side) // 2 // 8 * 8 for length in gt.shape[:2])
        gt = gt[top : top + side, left : left + side]
        lr = cv2.resize(gt, (config.val_size, config.val_size), interpolation=cv2.INTER_AREA)
        pairs.append((compression.h264(lr, 20 + number % 11), gt))
    return pairs


@torch.no_grad()
def enlarge(model: GRL, image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (4H, 4W, 3) uint8."""
    x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255
    y = model(x.contiguous(memory_format=model.memory_format))[0]
    return (y.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def lanczos(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_LANCZOS4)


class Run:
    """Everything a stage-1 run holds; ``state`` and ``restore`` are what a checkpoint is."""

    def __init__(self, config: FitConfig):
        torch.manual_seed(config.seed)
        self.config = config
        self.model = GRL(GRLConfig(drop_path=0.0))
        start_as_interpolation(self.model)
        self.model.memory_format = torch.channels_last
        self.model = self.model.to(memory_format=torch.channels_last).train()
        self.ema = EMA(self.model, config.ema_decay)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
        self.iteration, self.elapsed = 0, 0.0

    def state(self) -> dict:
        return {"model": self.model.state_dict(), "ema": self.ema.average.state_dict(), "ema_steps": self.ema.steps,
                "optimizer": self.optimizer.state_dict(), "iteration": self.iteration, "elapsed": self.elapsed,
                "config": json.dumps(asdict(self.config))}

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.ema.average.load_state_dict(state["ema"])
        self.ema.steps = state["ema_steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration, self.elapsed = state["iteration"], state["elapsed"]

    def set_learning_rate(self) -> None:
        done = min(self.elapsed / (self.config.hours * 3600), 1.0)
        rate = self.config.learning_rate * min(1.0, (self.iteration + 1) / self.config.warmup)
        rate *= 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self, lr: torch.Tensor, gt: torch.Tensor) -> float:
        """One update; returns the L1 loss."""
        self.optimizer.zero_grad(set_to_none=True)
        x = (lr.float() / 255).contiguous(memory_format=torch.channels_last)
        loss = (forward(self.model, x) - gt.float() / 255).abs().mean()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the L1 loss is {loss.item()} at iteration {self.iteration}")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.set_learning_rate()
        self.optimizer.step()
        self.ema.update(self.model)
        self.iteration += 1
        return loss.item()


def fit(config: FitConfig) -> Path:
    """Train until ``config.hours`` are used up, going on from ``out/last.pth`` if it is there; returns that path."""
    torch.set_num_threads(config.threads)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    last = out / "last.pth"
    run = Run(config)
    if last.exists():
        run.restore(checkpoint.load(last))
    data = Patches(list_images(config.data), config.degradation, patch=config.patch, seed=config.seed + run.iteration)
    loader = iter(DataLoader(data, batch_size=config.batch, num_workers=config.workers, prefetch_factor=8))
    pairs = validation_pairs(config)
    base = float(np.mean([psnr_y(lanczos(lr), gt) for lr, gt in pairs]))
    start, saved, validated, losses = time.monotonic() - run.elapsed, time.monotonic(), -math.inf, []
    while run.elapsed < config.hours * 3600:
        losses.append(run.step(*next(loader)))
        now = time.monotonic()
        run.elapsed = now - start
        if run.iteration % 50 == 0:
            left = config.hours - run.elapsed / 3600
            print(f"iteration {run.iteration}  L1 {np.mean(losses[-50:]):.5f}  lr {run.optimizer.param_groups[0]['lr']:.2e}  "
                  f"{run.iteration / run.elapsed:.2f} it/s  {left:.2f} h left", flush=True)
        if now - validated > config.val_seconds:
            values = [psnr_y(enlarge(run.ema.average, lr), gt) for lr, gt in pairs]
            print(f"iteration {run.iteration}  validation PSNR-Y {np.mean(values):.3f} dB, Lanczos {base:.3f} dB", flush=True)
            validated = time.monotonic()
        if now - saved > config.save_seconds:
            checkpoint.save(last, run.state())
            saved = time.monotonic()
    checkpoint.save(last, run.state())
    return last
