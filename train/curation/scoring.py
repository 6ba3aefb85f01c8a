"""How much there is to learn from a picture: one number each, higher is better. Ranks I-frames within a video.

The paper ranks by image complexity (``icnet``) and not by quality: quality metrics favour empty frames. ``compress``
needs no weights, ``random`` and ``iqa:<name>`` are the alternatives of its ablation.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from vsapisr.errors import ArgumentError, DeviceError

if TYPE_CHECKING:
    import torch

NAMES = ("compress", "icnet", "random")


class Scorer(Protocol):
    """``name`` identifies the numbers: it covers weights and settings, so that one name means one score per picture."""

    name: str

    def __call__(self, images: Sequence[np.ndarray], keys: Sequence[str]) -> list[float]:
        """Scores of (H, W, 3) uint8 RGB pictures of any sizes; ``keys`` name the pictures."""
        ...


class Compress:
    """Coded size in bits per pixel at a fixed JPEG quality, of the picture reduced to a fixed area.

    Flat cels and skies cost nothing, lines and texture do. Grain costs as well: see docs/curation.md.
    """

    def __init__(self, quality: int = 50, area: int = 512 * 512):
        self.quality, self.area = quality, area
        self.name = f"compress-jpeg{quality}-{area}"

    def score(self, image: np.ndarray) -> float:
        factor = (self.area / (image.shape[0] * image.shape[1])) ** 0.5
        size = [max(16, round(side * factor)) for side in image.shape[1::-1]]
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        _, coded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        return 8 * len(coded) / (size[0] * size[1])

    def __call__(self, images: Sequence[np.ndarray], keys: Sequence[str]) -> list[float]:
        return [self.score(image) for image in images]


class Random:
    """U(0, 1) from the seed and the picture's key: the same for the same picture, in whatever order they come."""

    def __init__(self, seed: int = 0):
        self.seed, self.name = seed, f"random-{seed}"

    def __call__(self, images: Sequence[np.ndarray], keys: Sequence[str]) -> list[float]:
        digests = [hashlib.sha256(os.fsencode(f"{self.seed} {key}")).digest() for key in keys]
        return [int.from_bytes(digest[:7]) / 2**56 for digest in digests]


def pick_device(name: str) -> torch.device:
    """ "auto" is CUDA where there is one.

    Raises:
        DeviceError: a device that is not there.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"device: {name!r} is not known; accepted: auto, cpu, cuda, cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device: {name!r} is asked for, but PyTorch finds no CUDA device; accepted here: auto, cpu")
    return device


class ICNetScorer:
    """Complexity by ICNet: pictures are reduced to 512x512 whatever their aspect; half precision on CUDA."""

    def __init__(self, weights: str | Path, device: str = "auto"):
        import torch

        from .icnet import MEAN, STD, load_icnet

        self.device = pick_device(device)
        self.dtype = torch.half if self.device.type == "cuda" else torch.float
        self.model = load_icnet(weights, self.device).to(self.dtype)
        self.mean = torch.tensor(MEAN, device=self.device).view(1, 3, 1, 1)
        self.std = torch.tensor(STD, device=self.device).view(1, 3, 1, 1)
        self.name = f"icnet-{hashlib.sha256(Path(weights).read_bytes()).hexdigest()[:12]}"

    def __call__(self, images: Sequence[np.ndarray], keys: Sequence[str]) -> list[float]:
        import torch
        from PIL import Image

        small = [Image.fromarray(image).resize((512, 512), Image.Resampling.BILINEAR) for image in images]
        x = torch.from_numpy(np.stack([np.asarray(image) for image in small])).to(self.device)
        with torch.inference_mode():
            x = ((x.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std).to(self.dtype)
            return self.model(x)[0].float().tolist()


class IQA:
    """A no-reference metric of pyiqa, negated where lower is better."""

    def __init__(self, metric: str, device: str = "auto"):
        from ..evaluation.iqa import Measure

        self.measure = Measure(metric, pick_device(device))
        if self.measure.full_reference:
            raise ArgumentError(
                f"scorer: 'iqa:{metric}' compares with an original; accepted: a no-reference metric of pyiqa"
            )
        self.sign = -1.0 if self.measure.lower_is_better else 1.0
        self.name = f"iqa-{metric}"

    def __call__(self, images: Sequence[np.ndarray], keys: Sequence[str]) -> list[float]:
        return [self.sign * self.measure(image) for image in images]


def make_scorer(name: str, *, weights: str = "", device: str = "auto", seed: int = 0) -> Scorer:
    """The scorer called ``name``: "compress", "icnet", "random" or "iqa:<metric of pyiqa>".

    Raises:
        ArgumentError, WeightsError, DeviceError: no such scorer, or it lacks what it needs.
    """
    if name == "compress":
        return Compress()
    if name == "random":
        return Random(seed)
    if name == "icnet":
        if not weights:
            raise ArgumentError(
                "scorer: 'icnet' needs icnet_weights, the path of IC9600's ck.pth (not shipped: it has no "
                "licence); 'compress' needs no weights"
            )
        return ICNetScorer(weights, device)
    if name.startswith("iqa:"):
        return IQA(name[4:], device)
    raise ArgumentError(f"scorer: {name!r} is not known; accepted: {', '.join(NAMES)}, iqa:<metric of pyiqa>")
