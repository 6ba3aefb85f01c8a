"""Ranges and probabilities of the degradation model; the defaults are the paper's (sections 3.2 and B.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ..settings import build, check, merged
from .compression import CODECS
from .compression import PRESETS as SPEED_PRESETS
from .presets import PRESETS
from .resize import METHODS, RESIZERS

__all__ = [
    "BlurConfig",
    "CodecConfig",
    "DegradationConfig",
    "NoiseConfig",
    "ResizeConfig",
    "Stage1Config",
    "Stage2Config",
    "preset",
]

KINDS = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")
SLOTS = ("before_blur", "after_blur", "after_noise")
Range = tuple[float, float]
Whole = tuple[int, int]


def _check_range(config: Any, name: str, low: float, high: float) -> None:
    value = getattr(config, name)
    check(
        len(value) == 2 and low <= value[0] <= value[1] <= high,
        name,
        value,
        f"two numbers, the smaller first, from {low:g} to {high:g}",
    )


def _check_known(config: Any, name: str, known: tuple[str, ...]) -> None:
    values = getattr(config, name)
    check(bool(values) and set(values) <= set(known), name, values, f"one or more of {', '.join(known)}")


def _check_choice(config: Any, names: str, weights: str, known: tuple[str, ...]) -> None:
    """Names out of ``known`` and as many weights, which need not add up to one."""
    _check_known(config, names, known)
    values, shares = getattr(config, names), getattr(config, weights)
    check(
        len(shares) == len(values) and min(shares) >= 0 < sum(shares),
        weights,
        shares,
        f"{len(values)} numbers, none negative, not all zero",
    )


def _check_share(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        check(0 <= value <= 1, name, value, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class BlurConfig:
    """Blur of the first stage."""

    probability: float = 1.0
    sizes: Whole = (7, 21)
    """Odd kernel sides, each as likely."""
    kinds: tuple[str, ...] = KINDS
    weights: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    sigma: Range = (0.2, 3.0)
    """Standard deviations in pixels."""
    generalized_beta: Range = (0.5, 4.0)
    plateau_beta: Range = (1.0, 2.0)
    sinc_probability: float = 0.1
    """Share of kernels that are a circular low-pass instead: cutoff U(pi/3, pi) below 13 taps, else U(pi/5, pi)."""

    def __post_init__(self) -> None:
        _check_share(self, "probability", "sinc_probability")
        check(
            self.sizes[0] % 2 == 1 == self.sizes[1] % 2 and 3 <= self.sizes[0] <= self.sizes[1] <= 51,
            "sizes",
            self.sizes,
            "two odd numbers from 3 to 51, the smaller first",
        )
        _check_choice(self, "kinds", "weights", KINDS)
        _check_range(self, "sigma", 0.05, 20)
        _check_range(self, "generalized_beta", 0.1, 10)
        _check_range(self, "plateau_beta", 0.1, 10)


@dataclass(frozen=True, kw_only=True)
class Blur2Config(BlurConfig):
    """Blur of the second stage."""

    probability: float = 0.8
    sigma: Range = (0.2, 1.5)


@dataclass(frozen=True, kw_only=True)
class ResizeConfig:
    """Random resize of the first stage."""

    slots: tuple[str, ...] = SLOTS
    """Where it may happen."""
    placement: str = "one"
    """"one": in one of the slots, each as likely. "all": in every slot, each with a draw of its own."""
    weights: tuple[float, ...] = (0.2, 0.7, 0.1)
    """Of up, down and keep."""
    scale: Range = (0.1, 1.2)
    """Smallest and largest factor: up is U(1, largest), down U(smallest, 1), of the current size (stage 2: of the
    target size).
    """
    interpolations: tuple[str, ...] = tuple(RESIZERS)

    def __post_init__(self) -> None:
        check(set(self.slots) <= set(SLOTS), "slots", self.slots, f"any of {', '.join(SLOTS)}; none for no resize")
        check(self.placement in ("one", "all"), "placement", self.placement, "'one' or 'all'")
        check(
            len(self.weights) == 3 and min(self.weights) >= 0 < sum(self.weights),
            "weights",
            self.weights,
            "3 numbers (up, down, keep), none negative, not all zero",
        )
        check(
            0 < self.scale[0] <= 1 <= self.scale[1] <= 4, "scale", self.scale, "two numbers about 1, from above 0 to 4"
        )
        _check_known(self, "interpolations", METHODS)


@dataclass(frozen=True, kw_only=True)
class Resize2Config(ResizeConfig):
    """Random resize of the second stage."""

    scale: Range = (0.15, 1.2)


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Noise of the first stage."""

    probability: float = 1.0
    gaussian_probability: float = 0.5
    """Share of Gaussian noise; the rest is Poisson."""
    gaussian_sigma: Range = (1.0, 30.0)
    """Of 255."""
    poisson_scale: Range = (0.05, 3.0)
    grey_probability: float = 0.4
    """Share of noise that is the same in the three channels."""

    def __post_init__(self) -> None:
        _check_share(self, "probability", "gaussian_probability", "grey_probability")
        _check_range(self, "gaussian_sigma", 0, 255)
        _check_range(self, "poisson_scale", 0, 20)


@dataclass(frozen=True, kw_only=True)
class Noise2Config(NoiseConfig):
    """Noise of the second stage."""

    gaussian_sigma: Range = (1.0, 25.0)
    poisson_scale: Range = (0.05, 2.5)


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """Codec of the first stage: pictures of any size, so still codecs alone unless all sizes on the way are even."""

    probability: float = 1.0
    names: tuple[str, ...] = ("jpeg", "webp")
    weights: tuple[float, ...] = (0.4, 0.6)
    jpeg_quality: Whole = (20, 95)
    webp_quality: Whole = (20, 95)
    webp_method: Whole = (0, 0)
    """Encoder effort. The paper says 0 to 6 of the last step alone; on noisy pictures, which is what this step codes,
    all of them end within 0.05 dB of each other (within 0.6 on clean ones), and 1 takes a fifth longer than 0, 6 five
    times as long.
    """
    avif_quality: Whole = (20, 95)
    avif_speed: Whole = (0, 6)
    """Speed on libavif's scale."""
    avif_preset_offset: int = 5
    """SVT-AV1's preset is the speed plus this, 0 to take the paper's numbers as they are: presets 0 to 4 take 6 to 100
    times as long as preset 8 on 320x180 for 0.6 to 1.6 dB, and 0 to 6 on the average some 12 times as long as 5 to 11.
    """
    qscale: Whole = (8, 31)
    """Fixed quantiser of MPEG-2 and MPEG-4."""
    h264_crf: Whole = (23, 38)
    h265_crf: Whole = (28, 42)
    presets: tuple[str, ...] = ("slow", "medium", "fast", "faster", "superfast")
    preset_weights: tuple[float, ...] = (0.05, 0.35, 0.3, 0.2, 0.1)
    """Of x264's and x265's presets."""

    def __post_init__(self) -> None:
        _check_share(self, "probability")
        _check_choice(self, "names", "weights", CODECS)
        _check_choice(self, "presets", "preset_weights", SPEED_PRESETS)
        for name, low, high in (
            ("jpeg_quality", 1, 100),
            ("webp_quality", 0, 100),
            ("webp_method", 0, 6),
            ("avif_quality", 0, 100),
            ("avif_speed", 0, 10),
            ("qscale", 2, 31),
            ("h264_crf", 0, 51),
            ("h265_crf", 0, 51),
        ):
            _check_range(self, name, low, high)
        check(
            self.avif_speed[0] + self.avif_preset_offset >= 0 and self.avif_speed[1] + self.avif_preset_offset <= 13,
            "avif_preset_offset",
            self.avif_preset_offset,
            "speed + offset from 0 to 13",
        )


@dataclass(frozen=True, kw_only=True)
class FinalCodecConfig(CodecConfig):
    """The last step: prediction-oriented compression, one intra frame of a still or video codec."""

    names: tuple[str, ...] = CODECS
    weights: tuple[float, ...] = (0.06, 0.1, 0.1, 0.12, 0.12, 0.3, 0.2)
    webp_method: Whole = (0, 6)


@dataclass(frozen=True, kw_only=True)
class Stage1Config:
    """Blur, noise and a still codec on the full-size image, with a resize shuffled in."""

    blur: BlurConfig = field(default_factory=BlurConfig)
    resize: ResizeConfig = field(default_factory=ResizeConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    codec: CodecConfig = field(default_factory=CodecConfig)

    def __post_init__(self) -> None:
        videos = set(self.codec.names) - {"jpeg", "webp"}
        check(
            not videos,
            "codec.names",
            self.codec.names,
            "jpeg and webp: the size here may be odd, which yuv420p video is not",
        )


@dataclass(frozen=True, kw_only=True)
class Stage2Config:
    """Blur and noise, a resize shuffled in, the resize to a quarter and the final codec."""

    blur: Blur2Config = field(default_factory=Blur2Config)
    resize: Resize2Config = field(default_factory=Resize2Config)
    noise: Noise2Config = field(default_factory=Noise2Config)
    codec: FinalCodecConfig = field(default_factory=FinalCodecConfig)


@dataclass(frozen=True, kw_only=True)
class EasyCodecConfig(FinalCodecConfig):
    """The codec of easy images: good sources, mostly H.264."""

    names: tuple[str, ...] = ("jpeg", "webp", "h264", "h265")
    weights: tuple[float, ...] = (0.1, 0.1, 0.6, 0.2)
    jpeg_quality: Whole = (60, 98)
    webp_quality: Whole = (60, 98)
    h264_crf: Whole = (15, 30)
    h265_crf: Whole = (18, 32)


@dataclass(frozen=True, kw_only=True)
class EasyConfig:
    """Images that suffer nothing but the resize to a quarter and one codec: what most who encode start from. Not in the
    paper, whose every image goes through both stages.
    """

    probability: float = 0.0
    interpolations: tuple[str, ...] = ("area", "antialiased")
    """Of the resize. Whoever makes a good source does not pick every fourth pixel, as the paper's bilinear and bicubic
    do.
    """
    codec: EasyCodecConfig = field(default_factory=EasyCodecConfig)

    def __post_init__(self) -> None:
        _check_share(self, "probability")
        _check_known(self, "interpolations", METHODS)


@dataclass(frozen=True, kw_only=True)
class DegradationConfig:
    """The two-stage model from a drawing of H x W to what a viewer gets, H/4 x W/4."""

    preset: str = "paper"
    """The preset these values started from; in a TOML file the keys that are not given are those of this preset."""
    order: str = "stages"
    """"stages": stage 1, then stage 2. "shuffled": the steps of both in random order (BSRGAN), the final codec last."""
    stage1: Stage1Config = field(default_factory=Stage1Config)
    stage2: Stage2Config = field(default_factory=Stage2Config)
    easy: EasyConfig = field(default_factory=EasyConfig)
    final_interpolations: tuple[str, ...] = tuple(RESIZERS)
    """Of the resize to a quarter."""
    final_sinc_probability: float = 0.0
    """Of a circular low-pass after that resize (Real-ESRGAN)."""
    codec_first_probability: float = 0.0
    """Of the final codec coming before the resize to a quarter and that low-pass (Real-ESRGAN); needs still codecs."""

    def __post_init__(self) -> None:
        check(self.preset in PRESETS, "preset", self.preset, ", ".join(PRESETS))
        check(self.order in ("stages", "shuffled"), "order", self.order, "'stages' or 'shuffled'")
        _check_known(self, "final_interpolations", METHODS)
        _check_share(self, "final_sinc_probability", "codec_first_probability")
        check(
            self.codec_first_probability == 0 or set(self.stage2.codec.names) <= {"jpeg", "webp"},
            "codec_first_probability",
            self.codec_first_probability,
            "0 unless stage2.codec.names are jpeg and webp",
        )

    @classmethod
    def complete(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The tables of a TOML file with what they leave out taken from the preset they name."""
        name = values.get("preset")
        return merged(PRESETS.get(name, {}) if isinstance(name, str) else {}, values)


def preset(name: str) -> DegradationConfig:
    """The configuration called ``name`` in ``PRESETS``; ``ArgumentError`` for others."""
    return build(DegradationConfig, {"preset": name})


def cutoff_range(size: int) -> tuple[float, float]:
    """Cutoffs of the circular low-pass of ``size`` taps, in radians per pixel: small kernels cannot hold a low one."""
    return (math.pi / 3 if size < 13 else math.pi / 5), math.pi
