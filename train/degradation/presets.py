"""Degradation models to compare with (the paper's Table 3), as values of the one configuration."""

from __future__ import annotations

from vsapisr.errors import ArgumentError

from .config import (
    Blur2Config,
    BlurConfig,
    CodecConfig,
    DegradationConfig,
    FinalCodecConfig,
    Noise2Config,
    NoiseConfig,
    Resize2Config,
    ResizeConfig,
    Stage1Config,
    Stage2Config,
)

__all__ = ["NAMES", "preset"]

NAMES = ("paper", "realesrgan", "bsrgan")


def _realesrgan() -> DegradationConfig:
    """High-order degradation: fixed places for the resizes, JPEG alone, a sinc filter at the end (Real-ESRGAN, 2021)."""
    jpeg = {"names": ("jpeg",), "weights": (1.0,), "jpeg_quality": (30, 95)}
    return DegradationConfig(
        preset="realesrgan",
        stage1=Stage1Config(resize=ResizeConfig(slots=("after_blur",), scale=(0.15, 1.5)), codec=CodecConfig(**jpeg)),
        stage2=Stage2Config(
            resize=Resize2Config(slots=("after_blur",), weights=(0.3, 0.4, 0.3), scale=(0.3, 1.2)),
            codec=FinalCodecConfig(**jpeg),
        ),
        final_sinc_probability=0.8,
        codec_first_probability=0.5,
    )


def _bsrgan() -> DegradationConfig:
    """Two Gaussian blurs, two resizes, Gaussian noise and JPEG in random order, JPEG at the end (BSRGAN, 2021).

    Its simulated camera pipeline (a quarter of its draws, for photographs) is left out.
    """
    blur = {
        "probability": 1.0,
        "sizes": (7, 25),
        "kinds": ("iso", "aniso"),
        "weights": (0.5, 0.5),
        "sigma": (0.1, 2.8),
        "sinc_probability": 0.0,
    }
    jpeg = {"names": ("jpeg",), "weights": (1.0,), "jpeg_quality": (30, 95)}
    return DegradationConfig(
        preset="bsrgan",
        order="shuffled",
        stage1=Stage1Config(
            blur=BlurConfig(**blur),
            resize=ResizeConfig(weights=(0.0, 0.75, 0.25), scale=(0.125, 1.0)),
            noise=NoiseConfig(gaussian_probability=1.0, gaussian_sigma=(2.0, 25.0)),
            codec=CodecConfig(probability=0.9, **jpeg),
        ),
        stage2=Stage2Config(
            blur=Blur2Config(**blur),
            resize=Resize2Config(slots=()),
            noise=Noise2Config(probability=0.0),
            codec=FinalCodecConfig(**jpeg),
        ),
    )


def preset(name: str) -> DegradationConfig:
    """The configuration called ``name`` in ``NAMES``; ``ArgumentError`` for others."""
    if name == "paper":
        return DegradationConfig()
    if name == "realesrgan":
        return _realesrgan()
    if name == "bsrgan":
        return _bsrgan()
    raise ArgumentError(f"preset: {name!r} is not accepted; accepted: {', '.join(NAMES)}")
