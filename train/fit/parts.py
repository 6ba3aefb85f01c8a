"""What a stage trains with: networks, averages, optimizers, losses, built from the configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsapisr.errors import ArgumentError
from vsapisr.networks.grl import GRL
from vsapisr.weights import files as weights

from ..losses.gan import discriminator_terms
from ..losses.generator import GeneratorLoss
from ..model.discriminator import Discriminator
from ..model.ema import EMA
from ..model.forward import forward
from ..model.start import start_as_interpolation
from .config import FROM_NOTHING, FitConfig, rate_factor

__all__ = ["Parts", "initial_generator"]

log = logging.getLogger(__name__)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BEST = "best.pth"


def initial_generator(config: FitConfig) -> GRL:
    """The generator that ``config.init`` says, fp32, on the CPU.

    Raises:
        ArgumentError: a folder without a best.pth, or weights of a network of other sizes.
        WeightsError: the file cannot be used.
    """
    model = GRL(config.network)
    if config.init in FROM_NOTHING or not config.init:
        if config.init != "random":
            start_as_interpolation(model)
        return model
    path = Path(config.init)
    if path.is_dir():
        path /= BEST
        if not path.exists():
            raise ArgumentError(
                f"init: {config.init!r} has no {BEST}, which validation chooses during a run; accepted: a "
                "folder with one, or the path of any checkpoint or weight file"
            )
    found = weights.load(weights.find(str(path)))
    sizes = replace(found.config, drop_path=config.network.drop_path)
    if sizes != config.network:
        raise ArgumentError(f"init: the network in {config.init} has other sizes ({sizes}) than the table [network]")
    model.load_state_dict(found.state_dict())
    return model


def compiled(function: Callable[[GRL, Tensor], Tensor], model: GRL, example: Tensor, autocast: Any) -> Callable:
    """``function`` compiled, or as it is, with a warning, when compiling fails; random states stay as they are."""
    fast = torch.compile(function)
    try:
        with torch.random.fork_rng(devices=[example.device] if example.is_cuda else []):
            with autocast():
                out = fast(model, example)
            out.float().mean().backward()
    except Exception as error:
        log.warning("torch.compile failed, the run goes on without it: %s", str(error).splitlines()[0][:200])
        return function
    finally:
        model.zero_grad(set_to_none=True)
    return fast


class Parts:
    """Networks, their average, optimizers, scalers and losses of one stage, on ``device``; ``processes`` share a batch.

    ``backward`` leaves gradients, ``norms`` measures and clips them, ``apply`` makes the update of them.
    """

    def __init__(self, config: FitConfig, device: torch.device, processes: int = 1):
        self.config, self.device = config, device
        self.format = torch.channels_last if config.channels_last else torch.contiguous_format
        generator = initial_generator(config)
        generator.memory_format = self.format
        self.generator = generator.to(device).to(memory_format=self.format).train()
        self.ema = EMA(self.generator, config.ema_decay)
        self.losses = GeneratorLoss(config.loss).to(device)
        self.networks: dict[str, nn.Module] = {"g": self.generator}
        if config.loss.adversarial:
            self.networks["d"] = (
                Discriminator(config.discriminator_channels).to(device).to(memory_format=self.format).train()
            )
        rates = {"g": config.learning_rate, "d": config.learning_rate_d}
        self.optimizers = {
            key: torch.optim.Adam(network.parameters(), lr=rates[key], betas=(0.9, 0.99), fused=True)
            for key, network in self.networks.items()
        }
        self.scalers = {
            key: torch.amp.GradScaler(device.type, enabled=config.precision == "fp16") for key in self.networks
        }
        self.forward: Callable[[GRL, Tensor], Tensor] = forward
        if config.compile == "on" or (config.compile == "auto" and device.type == "cuda"):
            # Just like the batches that will come: else the first of them is compiled for again.
            piece, size = config.data.batch // (processes * config.accumulate), config.data.patch
            example = self.image(torch.arange(piece * 3 * size**2, device=device).view(piece, 3, size, size) % 256)
            self.forward = compiled(forward, self.generator, example, self.autocast)

    def autocast(self) -> torch.autocast:
        dtype = DTYPES[self.config.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    def image(self, pixels: Tensor) -> Tensor:
        """uint8 -> float in [0, 1]."""
        return (pixels.float() / 255).contiguous(memory_format=self.format)

    def set_rates(self, iteration: int) -> dict[str, float]:
        """The learning rates of the update after ``iteration`` updates, by name."""
        factor, rates = rate_factor(self.config, iteration), {}
        for key, base in (("g", self.config.learning_rate), ("d", self.config.learning_rate_d)):
            if key in self.optimizers:
                rates[f"rate/{key}"] = base * factor
                for group in self.optimizers[key].param_groups:
                    group["lr"] = base * factor
        return rates

    def backward(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """Gradients of both networks from (lr, gt, pseudo_gt); returns the loss terms, means over the pieces."""
        means: dict[str, Tensor] = {}
        pieces = list(zip(*(part.chunk(self.config.accumulate) for part in batch)))
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        for lr, gt, pseudo_gt in pieces:
            with self.autocast():
                fake = self.forward(self.generator, self.image(lr)).float()
            terms = self._generator_backward(fake, self.image(pseudo_gt), len(pieces))
            if "d" in self.networks:
                terms |= self._discriminator_backward(fake.detach(), self.image(gt), len(pieces))
            for key, value in terms.items():
                means[key] = means.get(key, 0) + value.detach() / len(pieces)
        return means

    def _generator_backward(self, fake: Tensor, target: Tensor, pieces: int) -> dict[str, Tensor]:
        scores = None
        with self.autocast():
            if "d" in self.networks:
                self.networks["d"].requires_grad_(False)
                scores = self.networks["d"](fake)
            terms = self.losses(fake, target, scores)
        self.scalers["g"].scale(torch.stack(list(terms.values())).sum() / pieces).backward()
        return {f"loss/{key}": value for key, value in terms.items()}

    def _discriminator_backward(self, fake: Tensor, real: Tensor, pieces: int) -> dict[str, Tensor]:
        network = self.networks["d"].requires_grad_(True)
        with self.autocast():
            terms = discriminator_terms(network(real), network(fake))
        self.scalers["d"].scale((terms["real"] + terms["fake"]) / pieces).backward()
        return {f"gan/{key}": value for key, value in terms.items()}

    def norms(self) -> dict[str, Tensor]:
        """Norm of each network's gradient, by name, before it is clipped; scaled gradients become plain ones."""
        found = {}
        for key, network in self.networks.items():
            self.scalers[key].unscale_(self.optimizers[key])
            found[f"grad/{key}"] = nn.utils.clip_grad_norm_(network.parameters(), self.config.clip_norm or float("inf"))
        return found

    def apply(self) -> None:
        """The update. (With fp16 a scaler leaves it out when gradients overflowed, and lowers its scale.)"""
        for key, optimizer in self.optimizers.items():
            self.scalers[key].step(optimizer)
            self.scalers[key].update()
        self.ema.update(self.generator)

    def leave_out(self) -> None:
        """Instead of ``apply``: nothing changes but the scale of fp16."""
        for scaler in self.scalers.values():
            scaler.update()

    def metadata(self) -> dict[str, str]:
        """For whoever uses the weights: what they were trained with."""
        loss = self.config.loss
        words = {
            "l1": loss.l1,
            "mse": loss.mse,
            "colour": loss.colour,
            "perceptual": loss.perceptual,
            "adversarial": loss.adversarial,
        }
        used = " + ".join(f"{weight:g} {name}" for name, weight in words.items() if weight)
        return {
            "stage": str(self.config.stage),
            "init": self.config.init,
            "precision": self.config.precision,
            "losses": used,
            **self.losses.metadata(),
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.networks["d"].state_dict() if "d" in self.networks else {},
            "ema": self.ema.average.state_dict(),
            "ema_steps": self.ema.steps,
            "optimizers": {key: optimizer.state_dict() for key, optimizer in self.optimizers.items()},
            "scalers": {key: scaler.state_dict() for key, scaler in self.scalers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.ema.average.load_state_dict(state["ema"])
        self.ema.steps = state["ema_steps"]
        if "d" in self.networks and state["discriminator"]:
            self.networks["d"].load_state_dict(state["discriminator"])
        for key, optimizer in self.optimizers.items():
            if key in state["optimizers"]:
                optimizer.load_state_dict(state["optimizers"][key])
        for key, scaler in self.scalers.items():
            if state["scalers"].get(key):
                scaler.load_state_dict(state["scalers"][key])
