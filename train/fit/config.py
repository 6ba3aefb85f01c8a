"""The configuration of a training run, both stages; the presets of a stage are the paper's (section 4.1)."""

from __future__ import annotations

import math
import typing
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from vsapisr.networks.grl import GRLConfig

from ..data.crops import DatasetConfig
from ..losses import LossConfig
from ..settings import check, free, merged
from .validation import ValidationConfig

__all__ = ["FROM_NOTHING", "FitConfig", "changes", "rate_factor"]

STAGES: dict[int, dict[str, Any]] = {
    1: {"init": "interpolation", "learning_rate": 2e-4, "loss": {"perceptual": 0.0, "adversarial": 0.0}},
    2: {"learning_rate": 1e-4},
}
"""What the keys that a TOML file leaves out are in each stage, where that is not the default below."""
FROM_NOTHING = ("interpolation", "random")
SMALLEST_PATCH = 24
"""Of stage 2: the discriminator's quarter-size network needs pictures of 96, which are four times as large."""
MANY_PASSES = 5000
"""Through a drawing; more are warned of. The paper's are some 800."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """One run of one stage."""

    out: str = free()
    """Folder for all that the run writes. A run continues from ``last.pth`` in it."""
    data: DatasetConfig
    """``data.batch`` samples make one update, over all processes and pieces together."""
    validation: ValidationConfig | None = free(None)
    """Without it there is no best.pth."""
    stage: int = 1
    """1: L1 or MSE alone. 2: the losses of ``loss``, with a discriminator."""
    init: str = ""
    """Where the generator starts: a run's folder (its best.pth), a weight file, a model's name, "interpolation" (a
    sharpened bilinear enlargement) or "random". Stage 2 has no default."""
    iterations: int = free(300_000)
    accumulate: int = free(1)
    """Pieces that each process's share of a batch goes through the networks in; more take less memory."""
    shards: int = 0
    """Streams of drawings that a batch is put together from, each served by one process. 0: as many as processes. A
    number that can be divided by that of the processes gives the same batches to any of them."""
    learning_rate: float = free(2e-4)
    learning_rate_d: float = free(1e-4)
    schedule: str = free("halving")
    """"halving" every ``halve_every`` iterations, "cosine" to zero at the last, or "constant"."""
    halve_every: int = free(100_000)
    warmup: int = free(0)
    """Iterations in which the rates rise from zero."""
    ema_decay: float = free(0.999)
    clip_norm: float = free(0.0)
    """Largest norm of the gradient, of each network; 0: any."""
    precision: str = free("fp32")
    """"fp32", "bf16" or "fp16": what the networks run in; weights, losses and updates are fp32."""
    compile: str = free("auto")
    """torch.compile of the generator: "on", "off", or "auto": on CUDA alone (on a CPU it takes minutes to compile)."""
    channels_last: bool = free(True)
    device: str = free("auto")
    """"auto", "cpu" or "cuda". Under torchrun each process takes the CUDA device of its local rank."""
    seed: int = 0
    """Of new weights and of stochastic depth; the data have ``data.seed``."""
    threads: int = free(0)
    """Of the CPU for each process; 0: PyTorch's choice."""
    save_seconds: float = free(600.0)
    """Between two writings of last.pth; when they happen changes nothing in the run."""
    save_every: int = free(10_000)
    """Iterations between two checkpoints that are kept."""
    keep: int = free(2)
    """How many of these, the newest."""
    nonfinite_limit: int = free(20)
    """Updates skipped because of a loss or gradient that is no finite number, until the run stops."""
    tensorboard: bool = free(True)
    network: GRLConfig = free(factory=GRLConfig, keys=("drop_path",))
    """Sizes, and ``network.drop_path``."""
    discriminator_channels: int = 64
    """Width of the discriminator's first layer."""
    loss: LossConfig = free(factory=LossConfig)

    @classmethod
    def complete(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The tables of a TOML file with what they leave out taken from the preset of the stage."""
        preset = STAGES.get(values.get("stage", 1), {}) if isinstance(values.get("stage", 1), int) else {}
        return merged(preset, values)

    def __post_init__(self) -> None:
        check(self.out != "", "out", self.out, "a folder")
        check(self.stage in STAGES, "stage", self.stage, "1 or 2")
        for key in (
            "iterations",
            "accumulate",
            "halve_every",
            "save_every",
            "nonfinite_limit",
            "discriminator_channels",
        ):
            check(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        for key in ("shards", "warmup", "clip_norm", "seed", "threads", "save_seconds", "keep"):
            value = getattr(self, key)
            check(value >= 0 and math.isfinite(value), key, value, "0 or more")
        for key in ("learning_rate", "learning_rate_d"):
            check(0 < getattr(self, key) < math.inf, key, getattr(self, key), "a number above 0")
        check(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "0 to below 1")
        for key, known in (
            ("schedule", ("halving", "cosine", "constant")),
            ("precision", ("fp32", "bf16", "fp16")),
            ("compile", ("auto", "on", "off")),
            ("device", ("auto", "cpu", "cuda")),
        ):
            check(getattr(self, key) in known, key, getattr(self, key), ", ".join(known))
        self._check_stage()
        self._check_network()

    def _check_stage(self) -> None:
        check(
            self.init != "" or self.stage == 1,
            "init",
            self.init,
            "in stage 2 a stage-1 run's folder, a weight file or a model's name; to start from nothing, "
            + " or ".join(FROM_NOTHING),
        )
        if self.stage == 1:
            for key in ("perceptual", "adversarial"):
                value = getattr(self.loss, key)
                check(value == 0, f"loss.{key}", value, "0 in stage 1, which has L1 or MSE alone")
            check(
                self.loss.l1 + self.loss.mse > 0,
                "loss.l1",
                self.loss.l1,
                "a number above 0 in stage 1, unless loss.mse is one",
            )
        elif self.loss.adversarial:
            check(
                self.data.patch >= SMALLEST_PATCH,
                "data.patch",
                self.data.patch,
                f"{SMALLEST_PATCH} or more with a discriminator",
            )

    def _check_network(self) -> None:
        net = self.network
        for key in ("dim", "heads_window", "heads_stripe", "mlp_dim", "bias_dim", "anchor_down"):
            check(getattr(net, key) >= 1, f"network.{key}", getattr(net, key), "1 or more")
        check(
            all(net.dim % (2 * heads) == 0 for heads in (net.heads_window, net.heads_stripe)),
            "network.dim",
            net.dim,
            "a multiple of twice the heads of both branches",
        )
        check(net.depths != () and min(net.depths) >= 1, "network.depths", net.depths, "numbers from 1")
        check(
            net.window >= 4 and net.window % 2 == 0 and net.window % net.anchor_down == 0,
            "network.window",
            net.window,
            "an even number from 4, a multiple of network.anchor_down",
        )
        check(0 <= net.drop_path < 1, "network.drop_path", net.drop_path, "0 to below 1")


def few_drawings(config: FitConfig, drawings: int) -> str:
    """A warning where each of so many drawings is gone through very often; "" otherwise."""
    passes = config.iterations * config.data.batch / max(drawings * config.data.per_image, 1)
    if passes <= MANY_PASSES:
        return ""
    return (
        f"{drawings:,} drawings are few for {config.iterations:,} iterations: each is seen {passes:,.0f} times, "
        "and the network will know them by heart"
    )


def rate_factor(config: FitConfig, iteration: int) -> float:
    """What the learning rates are multiplied by in the update after ``iteration`` updates."""
    rising = min(1.0, (iteration + 1) / config.warmup) if config.warmup else 1.0
    if config.schedule == "halving":
        return rising * 0.5 ** (iteration // config.halve_every)
    if config.schedule == "cosine":
        return rising * 0.5 * (1 + math.cos(math.pi * min(iteration / config.iterations, 1.0)))
    return rising


def free_keys(kind: type, before: str = "") -> set[str]:
    """Keys and tables that a resume may change: fields made by :func:`train.settings.free`."""
    hints, found = typing.get_type_hints(kind), set()
    for one in fields(kind):
        free = one.metadata.get("free")
        if free is True:
            found.add(before + one.name)
        else:
            found |= {f"{before}{one.name}.{inner}" for inner in free or ()}
            if is_dataclass(hints[one.name]):
                found |= free_keys(hints[one.name], f"{before}{one.name}.")
    return found


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return flat


def changes(old: dict[str, Any], config: FitConfig) -> dict[str, tuple[Any, Any]]:
    """Keys of a stored configuration that are different in ``config``, with both values.

    Raises:
        ArgumentError: a key that cannot be changed in a run that has begun.
    """
    before, now = _flat(old), _flat(_plain(asdict(config)))
    different = {
        key: (before.get(key), now.get(key))
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    }
    may = free_keys(FitConfig)
    for key, (was, value) in different.items():
        missing = not (key in before and key in now)  # new, or gone, in this version
        free = missing or bool(may & {key, key.split(".")[0]})
        check(
            free,
            key,
            value,
            f"{was!r}, as the run in {config.out} began (or another folder for out, with init = {config.out!r})",
        )
    return different


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples are lists."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
