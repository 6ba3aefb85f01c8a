"""All random choices for one image, made before anything is done to it: a plain record that can be printed, tested,
replayed.

``draw`` costs some 100 microseconds, so that distributions can be checked on thousands of draws, and the same record
gives the same picture in any process: noise fields come from seeds in the record.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from . import kernels
from .config import BlurConfig, CodecConfig, DegradationConfig, NoiseConfig, ResizeConfig, cutoff_range

__all__ = ["Blur", "Codec", "Draw", "Noise", "Resize", "Step", "draw", "generator"]


@dataclass(frozen=True)
class Blur:
    """``kind`` is one of the configuration's or "sinc"; what a kind does not use is 0."""

    kind: str
    size: int
    sigma_x: float = 0.0
    sigma_y: float = 0.0
    angle: float = 0.0
    beta: float = 0.0
    cutoff: float = 0.0

    def kernel(self) -> np.ndarray:
        """(size, size) float64, sum 1."""
        if self.kind == "sinc":
            return kernels.sinc_kernel(self.size, self.cutoff)
        if self.kind.startswith("generalized"):
            return kernels.generalized_kernel(self.size, self.sigma_x, self.sigma_y, self.angle, self.beta)
        if self.kind.startswith("plateau"):
            return kernels.plateau_kernel(self.size, self.sigma_x, self.sigma_y, self.angle, self.beta)
        return kernels.gaussian_kernel(self.size, self.sigma_x, self.sigma_y, self.angle)

    def __str__(self) -> str:
        if self.kind == "sinc":
            return f"blur sinc {self.size} cutoff {self.cutoff:.2f}"
        text = f"blur {self.kind} {self.size} sigma {self.sigma_x:.2f}"
        if self.kind.endswith("aniso"):
            text += f"x{self.sigma_y:.2f} angle {math.degrees(self.angle):.0f}"
        return text + (f" beta {self.beta:.2f}" if self.beta else "")


@dataclass(frozen=True)
class Noise:
    """``amount`` is a sigma of 255 for "gaussian", a factor for "poisson"."""

    kind: str
    amount: float
    grey: bool
    seed: int

    def __str__(self) -> str:
        return f"{self.kind} {self.amount:.2f} {'grey' if self.grey else 'colour'}"


@dataclass(frozen=True)
class Resize:
    """To ``height`` x ``width``."""

    height: int
    width: int
    interpolation: str

    def __str__(self) -> str:
        return f"{self.interpolation} to {self.width}x{self.height}"


@dataclass(frozen=True)
class Codec:
    """``quality``: quality, qscale or CRF; ``effort``: method or preset, 0 where there is none."""

    name: str
    quality: int
    effort: int | str = 0

    def __str__(self) -> str:
        return f"{self.name} {self.quality}" + (
            f" {self.effort}" if self.name in ("webp", "avif", "h264", "h265") else ""
        )


Step = Blur | Noise | Resize | Codec


@dataclass(frozen=True)
class Draw:
    """The steps for an image of ``height`` x ``width``, in order."""

    height: int
    width: int
    steps: tuple[Step, ...]

    def trace(self) -> list[tuple[str, str]]:
        """(name of the step, its values) for people."""
        return [(type(step).__name__.lower(), str(step)) for step in self.steps]


def generator(name: str, *numbers: int) -> np.random.Generator:
    """A random stream that belongs to ``name`` and ``numbers`` (seed, epoch, index...) and to nothing else."""
    return np.random.default_rng([zlib.crc32(os.fsencode(name)), *numbers])


def pick(rng: np.random.Generator, items: tuple, weights: tuple[float, ...] | None = None):
    """One of ``items``, each as likely or by ``weights`` (any sum)."""
    if weights is None:
        return items[int(rng.integers(len(items)))]
    point = rng.random() * sum(weights)
    last = None
    for item, weight in zip(items, weights):
        if weight > 0:
            last = item
            if point < weight:
                return item
            point -= weight
    return last  # rounding alone leads here


def whole(rng: np.random.Generator, limits: tuple[int, int]) -> int:
    """An integer of ``limits``, both included."""
    return int(rng.integers(limits[0], limits[1], endpoint=True))


def draw_sinc(rng: np.random.Generator, sizes: tuple[int, int], *, final: bool = False) -> Blur:
    size = 2 * whole(rng, (sizes[0] // 2, sizes[1] // 2)) + 1
    return Blur("sinc", size, cutoff=float(rng.uniform(*((math.pi / 3, math.pi) if final else cutoff_range(size)))))


def draw_blur(rng: np.random.Generator, config: BlurConfig) -> list[Blur]:
    if rng.random() >= config.probability:
        return []
    if rng.random() < config.sinc_probability:
        return [draw_sinc(rng, config.sizes)]
    size = 2 * whole(rng, (config.sizes[0] // 2, config.sizes[1] // 2)) + 1
    kind = pick(rng, config.kinds, config.weights)
    sigma_x = sigma_y = float(rng.uniform(*config.sigma))
    angle = beta = 0.0
    if kind.endswith("aniso"):
        sigma_y, angle = float(rng.uniform(*config.sigma)), float(rng.uniform(-math.pi, math.pi))
    if kind.startswith("generalized"):
        beta = float(rng.uniform(*config.generalized_beta))
    elif kind.startswith("plateau"):
        beta = float(rng.uniform(*config.plateau_beta))
    return [Blur(kind, size, sigma_x, sigma_y, angle, beta)]


def draw_noise(rng: np.random.Generator, config: NoiseConfig) -> list[Noise]:
    if rng.random() >= config.probability:
        return []
    kind = "gaussian" if rng.random() < config.gaussian_probability else "poisson"
    limits = config.gaussian_sigma if kind == "gaussian" else config.poisson_scale
    amount, grey = float(rng.uniform(*limits)), bool(rng.random() < config.grey_probability)
    return [Noise(kind, amount, grey, int(rng.integers(2**62)))]


def draw_codec(rng: np.random.Generator, config: CodecConfig) -> list[Codec]:
    if rng.random() >= config.probability:
        return []
    name = pick(rng, config.names, config.weights)
    if name == "jpeg":
        return [Codec(name, whole(rng, config.jpeg_quality))]
    if name == "webp":
        return [Codec(name, whole(rng, config.webp_quality), whole(rng, config.webp_method))]
    if name == "avif":
        return [Codec(name, whole(rng, config.avif_quality), whole(rng, config.avif_speed) + config.avif_preset_offset)]
    if name in ("mpeg2", "mpeg4"):
        return [Codec(name, whole(rng, config.qscale))]
    crf = config.h264_crf if name == "h264" else config.h265_crf
    return [Codec(name, whole(rng, crf), pick(rng, config.presets, config.preset_weights))]


def draw_scale(rng: np.random.Generator, config: ResizeConfig) -> float:
    """1 for keep."""
    direction = pick(rng, ("up", "down", "keep"), config.weights)
    if direction == "keep":
        return 1.0
    return float(rng.uniform(1, config.scale[1]) if direction == "up" else rng.uniform(config.scale[0], 1))


class Plan:
    """Steps being collected, with the size the image has after them."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width
        self.steps: list[Step] = []

    def add(self, steps: Sequence[Step]) -> None:
        self.steps += steps

    def resize(self, height: float, width: float, interpolation: str) -> None:
        height, width = max(1, round(height)), max(1, round(width))
        if (height, width) != (self.height, self.width):
            self.steps.append(Resize(height, width, interpolation))
            self.height, self.width = height, width

    def random_resize(self, rng: np.random.Generator, config: ResizeConfig, target: tuple[int, int] | None) -> None:
        """Relative to ``target`` or, without one, to the current size. "keep" of a target is a resize to it."""
        scale, interpolation = draw_scale(rng, config), pick(rng, config.interpolations)
        height, width = target or (self.height, self.width)
        self.resize(height * scale, width * scale, interpolation)


def _slots(rng: np.random.Generator, config: ResizeConfig) -> tuple[str, ...]:
    if not config.slots or config.placement == "all":
        return config.slots
    return (pick(rng, config.slots),)


def _stage(plan: Plan, rng: np.random.Generator, stage, target: tuple[int, int] | None) -> None:
    """Blur and noise of ``stage`` with its resize in one of the slots."""
    slots = _slots(rng, stage.resize)
    for slot, parts in (
        ("before_blur", []),
        ("after_blur", draw_blur(rng, stage.blur)),
        ("after_noise", draw_noise(rng, stage.noise)),
    ):
        plan.add(parts)
        if slot in slots:
            plan.random_resize(rng, stage.resize, target)


def _finish(plan: Plan, rng: np.random.Generator, config: DegradationConfig, target: tuple[int, int]) -> None:
    """The resize to a quarter, the last low-pass and the final codec."""
    codec = draw_codec(rng, config.stage2.codec)
    codec_first = rng.random() < config.codec_first_probability
    if codec_first:
        plan.add(codec)
    plan.resize(*target, pick(rng, config.final_interpolations))
    if rng.random() < config.final_sinc_probability:
        plan.add([draw_sinc(rng, config.stage2.blur.sizes, final=True)])
    if not codec_first:
        plan.add(codec)


def _shuffled(plan: Plan, rng: np.random.Generator, config: DegradationConfig, target: tuple[int, int]) -> None:
    """BSRGAN's order: the resize to a quarter anywhere after the random one, everything else anywhere before the final
    codec.
    """
    one, two = config.stage1, config.stage2
    jobs = ["blur1", "blur2", "noise1", "noise2", "codec", "random", "quarter"]
    jobs = [jobs[n] for n in rng.permutation(len(jobs))]
    first, second = sorted((jobs.index("random"), jobs.index("quarter")))
    jobs[first], jobs[second] = "random", "quarter"
    for job in jobs:
        if job == "random":
            if one.resize.slots:
                plan.random_resize(rng, one.resize, None)
        elif job == "quarter":
            plan.resize(*target, pick(rng, config.final_interpolations))
        else:
            made: dict[str, Callable[[], Sequence[Step]]] = {
                "blur1": lambda: draw_blur(rng, one.blur),
                "blur2": lambda: draw_blur(rng, two.blur),
                "noise1": lambda: draw_noise(rng, one.noise),
                "noise2": lambda: draw_noise(rng, two.noise),
                "codec": lambda: draw_codec(rng, one.codec),
            }
            plan.add(made[job]())
    plan.add(draw_codec(rng, two.codec))


def draw(rng: np.random.Generator, config: DegradationConfig, height: int, width: int) -> Draw:
    """Everything that will happen to an image of ``height`` x ``width`` (multiples of 8); it ends at a quarter of
    both.
    """
    plan, target = Plan(height, width), (height // 4, width // 4)
    if config.easy.probability and rng.random() < config.easy.probability:
        plan.resize(*target, pick(rng, config.easy.interpolations))
        plan.add(draw_codec(rng, config.easy.codec))
    elif config.order == "shuffled":
        _shuffled(plan, rng, config, target)
    else:
        _stage(plan, rng, config.stage1, None)
        plan.add(draw_codec(rng, config.stage1.codec))
        _stage(plan, rng, config.stage2, target)
        _finish(plan, rng, config, target)
    return Draw(height, width, tuple(plan.steps))
