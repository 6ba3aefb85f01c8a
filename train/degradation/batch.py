"""The same draws applied to batches of tensors, for a GPU: blur, noise and resize there, codecs on threads of the CPU.

Each image keeps a draw of its own. At any moment the images that wait for the same kind of step at the same size go
through it together. Blur and resize give the pictures of the NumPy path within rounding; noise has the same
distribution and seed but the device's own generator.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsapisr.errors import ArgumentError

from .compression import compress
from .draws import Blur, Codec, Draw, Noise, Resize, Step
from .kernels import pad_kernel
from .resize import resize_matrix

__all__ = ["apply_batch", "blur_batch", "noise_batch", "resize_batch"]

LUMA = (0.299, 0.587, 0.114)


def _reflected(length: int, margin: int, device: torch.device) -> Tensor:
    """Indices of a line of ``length`` extended by ``margin`` on both sides, reflected about its ends as often as
    needed.
    """
    index = torch.arange(-margin, length + margin, device=device)
    if length == 1:
        return torch.zeros_like(index)
    index = index.remainder(2 * (length - 1))
    return torch.minimum(index, 2 * (length - 1) - index)


def blur_batch(x: Tensor, kernels: Tensor) -> Tensor:
    """(B, 3, H, W) float with a kernel each, (B, K, K) with K odd; borders reflected."""
    batch, channels, height, width = x.shape
    margin = kernels.shape[-1] // 2
    rows, columns = _reflected(height, margin, x.device), _reflected(width, margin, x.device)
    x = x[:, :, rows][..., columns].reshape(1, batch * channels, height + 2 * margin, width + 2 * margin)
    weight = kernels.to(x).repeat_interleave(channels, dim=0)[:, None]
    return F.conv2d(x, weight, groups=batch * channels).reshape(batch, channels, height, width)


def resize_batch(x: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    """(B, 3, H, W) float -> (B, 3, height, width) as products with OpenCV's own weights."""
    down = torch.from_numpy(resize_matrix(x.shape[2], height, interpolation)).to(x)
    across = torch.from_numpy(resize_matrix(x.shape[3], width, interpolation)).to(x)
    return down @ x @ across.T


def _poisson(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shot noise of one image (C, H, W) at its 8-bit levels, without its scale."""
    levels = (x.clamp(0, 1) * 255).round()
    used = int(torch.bincount(levels.reshape(-1).long(), minlength=256).count_nonzero())
    peak = 1 << max(used - 1, 1).bit_length()
    return torch.poisson(levels / 255 * peak, generator=generator) / peak - levels / 255


def noise_batch(x: Tensor, steps: list[Noise]) -> Tensor:
    """(B, 3, H, W) float in [0, 1] plus the noise of one step each; not clamped."""
    luma = torch.tensor(LUMA, device=x.device)
    result = []
    for image, step in zip(x, steps, strict=True):
        generator = torch.Generator(x.device).manual_seed(step.seed)
        base = torch.einsum("chw,c->hw", image, luma)[None] if step.grey else image
        if step.kind == "gaussian":
            field = torch.randn(base.shape, generator=generator, device=x.device) / 255
        else:
            field = _poisson(base, generator)
        result.append(image + step.amount * field)
    return torch.stack(result)


def _compress(image: Tensor, step: Codec) -> Tensor:
    """(3, H, W) float -> the same after ``step``."""
    small = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    result = compress(np.ascontiguousarray(small), step.name, step.quality, step.effort)
    return torch.from_numpy(result.copy()).to(image.device).permute(2, 0, 1).float() / 255


def _together(images: list[Tensor], steps: list[Step], pool: ThreadPoolExecutor) -> list[Tensor]:
    """Images of one size that wait for steps of one kind (and, for resizes, the same step)."""
    first = steps[0]
    if isinstance(first, Codec):
        return list(pool.map(_compress, images, steps))
    x = torch.stack(images)
    if isinstance(first, Blur):
        blurs = [step for step in steps if isinstance(step, Blur)]
        size = max(blur.size for blur in blurs)
        kernels = np.stack([pad_kernel(blur.kernel(), size) for blur in blurs])
        return list(blur_batch(x, torch.from_numpy(kernels)))
    if isinstance(first, Resize):
        return list(resize_batch(x, first.height, first.width, first.interpolation))
    return list(noise_batch(x, [step for step in steps if isinstance(step, Noise)]))


@torch.no_grad()
def apply_batch(images: Tensor, draws: list[Draw], threads: int = 4) -> Tensor:
    """(B, 3, H, W) uint8 RGB on any device and a draw each -> (B, 3, H/4, W/4) uint8 there."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or len(draws) != len(images):
        raise ArgumentError(
            f"images: {tuple(images.shape)} {images.dtype} with {len(draws)} draws is not accepted; accepted: "
            "(B, 3, H, W) uint8 with B draws"
        )
    if any((d.height, d.width) != tuple(images.shape[2:]) for d in draws):
        raise ArgumentError(f"draws: made for other sizes than {tuple(images.shape[2:])}")
    now, place = list(images.float() / 255), [0] * len(draws)
    with ThreadPoolExecutor(threads) as pool:
        while True:
            waiting = defaultdict(list)
            for n, record in enumerate(draws):
                if place[n] < len(record.steps):
                    step = record.steps[place[n]]
                    same = (step.height, step.width, step.interpolation) if isinstance(step, Resize) else ()
                    waiting[type(step), tuple(now[n].shape), same].append(n)
            if not waiting:
                return torch.stack([(image.clamp(0, 1) * 255).round().byte() for image in now])
            for group in waiting.values():
                done = _together([now[n] for n in group], [draws[n].steps[place[n]] for n in group], pool)
                for n, image in zip(group, done):
                    now[n], place[n] = image, place[n] + 1
