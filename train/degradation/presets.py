"""Degradation models to compare with (the paper's Table 3): where each differs from the paper's own, by table and
key.
"""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS"]

_JPEG = {"names": ("jpeg",), "weights": (1.0,), "jpeg_quality": (30, 95)}

_REALESRGAN = {
    "stage1": {"resize": {"slots": ("after_blur",), "scale": (0.15, 1.5)}, "codec": _JPEG},
    "stage2": {
        "resize": {"slots": ("after_blur",), "weights": (0.3, 0.4, 0.3), "scale": (0.3, 1.2)},
        "codec": _JPEG,
    },
    "final_sinc_probability": 0.8,
    "codec_first_probability": 0.5,
}
"""High-order degradation: fixed places for the resizes, JPEG alone, a sinc filter at the end (Real-ESRGAN, 2021)."""

_BSRGAN_BLUR = {
    "probability": 1.0,
    "sizes": (7, 25),
    "kinds": ("iso", "aniso"),
    "weights": (0.5, 0.5),
    "sigma": (0.1, 2.8),
    "sinc_probability": 0.0,
}
_BSRGAN = {
    "order": "shuffled",
    "stage1": {
        "blur": _BSRGAN_BLUR,
        "resize": {"weights": (0.0, 0.75, 0.25), "scale": (0.125, 1.0)},
        "noise": {"gaussian_probability": 1.0, "gaussian_sigma": (2.0, 25.0)},
        "codec": {"probability": 0.9, **_JPEG},
    },
    "stage2": {"blur": _BSRGAN_BLUR, "resize": {"slots": ()}, "noise": {"probability": 0.0}, "codec": _JPEG},
}
"""Two Gaussian blurs, two resizes, Gaussian noise and JPEG in random order, JPEG at the end (BSRGAN, 2021). Its
simulated camera pipeline (a quarter of its draws, for photographs) is left out.
"""

PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "realesrgan": _REALESRGAN, "bsrgan": _BSRGAN}
