"""GRL-tiny, the network of APISR, in its readable form: the form that is trained and the truth for faster ones.

Li et al., "Efficient and Explicit Modelling of Image Hierarchies for Image Restoration" (GRL, CVPR 2023), in the size
that APISR (CVPR 2024) calls "tiny2". Parameter names are those of the published checkpoint, so its ``model_state_dict``
loads as it is. Images are (B, 3, H, W) RGB in [0, 1]; inside the body activations are (B, H, W, C), one token a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsapisr.networks.typed import Listed, Named

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K; subtracted before and added after, in no checkpoint


@dataclass(frozen=True, kw_only=True)
class GRLConfig:
    """Hyperparameters of one GRL network; the defaults are the published "tiny2"."""

    dim: int = 64
    """Channels C of the body. Half of them belong to each branch of the attention."""
    depths: tuple[int, ...] = (4, 4, 4, 4)
    """Blocks in each stage."""
    heads_window: int = 2
    """Attention heads of the window branch."""
    heads_stripe: int = 2
    """Attention heads of the stripe (anchored) branch."""
    mlp_dim: int = 128
    """Hidden channels of a block's MLP."""
    bias_dim: int = 512
    """Hidden width of the MLPs that make the position biases."""
    window: int = 8
    """Side of a window, in pixels. Input is padded to a multiple of it."""
    anchor_down: int = 2
    """Anchors are averages of squares with this side."""
    drop_path: float = 0.1
    """Stochastic depth of the last block, rising linearly from 0 at the first; only in training."""


def pad_to_window(x: Tensor, window: int) -> Tensor:
    """Pad (..., H, W) at the bottom and right to multiples of ``window``: reflected, or 0 on a side too short for
    that.
    """
    for side in (-1, -2):
        size = x.shape[side]
        pad = -size % window
        if pad:
            spec = (0, pad, 0, 0) if side == -1 else (0, 0, 0, pad)
            x = F.pad(x, spec, mode="reflect" if pad < size else "constant")
    return x


def to_windows(x: Tensor, window: int) -> Tensor:
    """(B, H, W, C) -> (B * windows, window * window, C)."""
    b, h, w, c = x.shape
    x = x.view(b, h // window, window, w // window, window, c)
    return x.transpose(2, 3).reshape(-1, window * window, c)


def from_windows(x: Tensor, window: int, shape: Sequence[int]) -> Tensor:
    """The reverse of :func:`to_windows`; ``shape`` is (B, H, W)."""
    b, h, w = shape
    x = x.view(b, h // window, w // window, window, window, -1)
    return x.transpose(2, 3).reshape(b, h, w, -1)


def split_heads(x: Tensor, parts: int, heads: int) -> Tensor:
    """(N, T, parts * heads * d) -> (parts, N, heads, T, d)."""
    n, t, c = x.shape
    return x.view(n, t, parts, heads, c // (parts * heads)).permute(2, 0, 3, 1, 4)


def merge_heads(x: Tensor) -> Tensor:
    """(N, heads, T, d) -> (N, T, heads * d)."""
    return x.transpose(1, 2).flatten(2)


def shift_mask(height: int, width: int, window: int, device: torch.device | None = None) -> Tensor:
    """-100 where two tokens of a window that was rolled by half its side come from the two sides of the wrap, else 0.

    Returns (windows, window**2, window**2) for an image of ``height`` x ``width``.
    """

    def side_of_wrap(size: int) -> Tensor:
        region = torch.zeros(size, device=device)
        region[-window:] = 1  # last window: kept part ...
        region[-(window // 2) :] = 2  # ... and the part that wrapped around
        return region

    regions = side_of_wrap(height)[:, None] * 3 + side_of_wrap(width)
    regions = to_windows(regions[None, :, :, None], window).squeeze(-1)
    return (regions[:, None, :] != regions[:, :, None]) * -100.0


def bias_coordinates(low: int, high: int, device: torch.device | None = None) -> Tensor:
    """Log-spaced relative coordinates ``low..high`` in both axes, ((high - low + 1)**2, 2), scaled so that ``high`` is
    8.
    """
    steps = torch.arange(low, high + 1, dtype=torch.float32, device=device) / high * 8
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).view(-1, 2)
    return torch.sign(grid) * torch.log2(grid.abs() + 1) / math.log2(8)


def relative_index(queries: int, keys: int, offset: int, span: int, device: torch.device | None = None) -> Tensor:
    """Row of the coordinate table for each pair of a ``queries``-sided and a ``keys``-sided grid: (queries**2,
    keys**2).

    The table has ``span`` entries a side; ``offset`` makes the smallest difference 0.
    """

    def grid(side: int) -> Tensor:
        axis = torch.arange(side, device=device)
        return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).view(-1, 2)

    difference = grid(queries)[:, None] - grid(keys)[None] + offset
    return difference[..., 0] * span + difference[..., 1]


def bias_of(layer: nn.Conv2d | nn.Linear) -> Tensor:
    """The bias of a layer that has one, as all of this network have."""
    assert layer.bias is not None
    return layer.bias


class CosineAttention(nn.Module):
    """Attention on L2-normalised queries and keys with a learned scale per head and a bias per relative position."""

    def __init__(self, heads: int, bias_dim: int, queries: int, keys: int, window: int):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0)))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, bias_dim), nn.ReLU(inplace=True), nn.Linear(bias_dim, heads, bias=False)
        )
        anchors = min(queries, keys)
        margin = (window - anchors) // 2
        self.table = (-(anchors - 1) - margin, window - 1 - margin)
        self.grids = (queries, keys, keys - 1)

    def scale(self) -> Tensor:
        """(heads, 1, 1): what the cosines are multiplied by, at most 100."""
        return self.logit_scale.clamp(max=math.log(100.0)).exp()

    def bias(self) -> Tensor:
        """(heads, queries**2, keys**2): depends on the weights alone."""
        device = self.logit_scale.device
        low, high = self.table
        coordinates = bias_coordinates(low, high, device).to(self.logit_scale.dtype)
        values = 16 * torch.sigmoid(self.cpb_mlp(coordinates))
        index = relative_index(*self.grids, high - low + 1, device)
        return values[index].permute(2, 0, 1)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """``q`` (N, heads, Tq, d), ``k`` and ``v`` (N, heads, Tk, d), ``mask`` (windows, Tq, Tk) -> (N, heads, Tq,
        d).
        """
        # In fp16 the sum of squares and eps would underflow: normalise in fp32 whatever the precision is.
        cosine = F.normalize(q.float(), dim=-1).to(q.dtype) @ F.normalize(k.float(), dim=-1).to(k.dtype).transpose(
            -2, -1
        )
        logits = cosine * self.scale() + self.bias()
        if mask is not None:
            n, heads, tq, tk = logits.shape
            logits = (logits.view(-1, mask.shape[0], heads, tq, tk) + mask[:, None].to(logits.dtype)).view(
                n, heads, tq, tk
            )
        return logits.softmax(dim=-1).to(v.dtype) @ v


class MixedAttention(nn.Module):
    """Window attention on one half of the channels, anchored attention on the other, and a joint projection."""

    def __init__(self, config: GRLConfig, shifted: bool):
        super().__init__()
        window, anchors = config.window, config.window // config.anchor_down
        self.config, self.shift = config, window // 2 if shifted else 0
        self.qkv: Named[nn.Linear] = Named({"body": nn.Linear(config.dim, 3 * config.dim)})
        self.anchor: Named[Listed[Named[nn.Linear]]] = Named(
            {"body": Listed([Named({"reduction": nn.Linear(config.dim, config.dim // 2)})])}
        )
        self.window_attn: Named[CosineAttention] = Named(
            {"attn_transform": CosineAttention(config.heads_window, config.bias_dim, window, window, window)}
        )
        self.stripe_attn: Named[CosineAttention] = Named(
            {
                "attn_transform1": CosineAttention(config.heads_stripe, config.bias_dim, anchors, window, window),
                "attn_transform2": CosineAttention(config.heads_stripe, config.bias_dim, window, anchors, window),
            }
        )
        self.proj = nn.Linear(config.dim, config.dim)

    def anchors(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H / down, W / down, C / 2)."""
        pooled = F.avg_pool2d(x.permute(0, 3, 1, 2), self.config.anchor_down).permute(0, 2, 3, 1)
        return self.anchor["body"][0]["reduction"](pooled)

    def window_branch(self, qkv: Tensor, mask: Tensor | None) -> Tensor:
        shape, window = qkv.shape[:3], self.config.window
        if self.shift:
            qkv = qkv.roll((-self.shift, -self.shift), dims=(1, 2))
        q, k, v = split_heads(to_windows(qkv, window), 3, self.config.heads_window)
        out = merge_heads(self.window_attn["attn_transform"](q, k, v, mask if self.shift else None))
        out = from_windows(out, window, shape)
        return out.roll((self.shift, self.shift), dims=(1, 2)) if self.shift else out

    def stripe_branch(self, qkv: Tensor, anchors: Tensor) -> Tensor:
        shape, window, heads = qkv.shape[:3], self.config.window, self.config.heads_stripe
        q, k, v = split_heads(to_windows(qkv, window), 3, heads)
        (anchor,) = split_heads(to_windows(anchors, window // self.config.anchor_down), 1, heads)
        gathered = self.stripe_attn["attn_transform1"](anchor, k, v)
        out = self.stripe_attn["attn_transform2"](q, anchor, gathered)
        return from_windows(merge_heads(out), window, shape)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        window_qkv, stripe_qkv = self.qkv["body"](x).chunk(2, dim=-1)
        window = self.window_branch(window_qkv.contiguous(), mask)
        stripe = self.stripe_branch(stripe_qkv.contiguous(), self.anchors(x))
        return self.proj(torch.cat((window, stripe), dim=-1))


class MLP(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Post-norm transformer block with stochastic depth: (B, H, W, C) -> (B, H, W, C)."""

    def __init__(self, config: GRLConfig, shifted: bool, drop_path: float):
        super().__init__()
        self.attn = MixedAttention(config, shifted)
        self.norm1 = nn.LayerNorm(config.dim)
        self.mlp = MLP(config.dim, config.mlp_dim)
        self.norm2 = nn.LayerNorm(config.dim)
        self.drop_path = drop_path

    def dropped(self, x: Tensor) -> Tensor:
        """Stochastic depth: a sample's branch is left out with probability ``drop_path``, others are scaled up for
        it.
        """
        if not self.training or self.drop_path == 0:
            return x
        keep = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.drop_path
        return x * keep.to(x.dtype) / (1 - self.drop_path)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.dropped(self.norm1(self.attn(x, mask)))
        return x + self.dropped(self.norm2(self.mlp(x)))


class Stage(nn.Module):
    """Blocks, a 3x3 convolution, and a residual from the input: (B, H, W, C) -> (B, H, W, C)."""

    def __init__(self, config: GRLConfig, drop_paths: list[float]):
        super().__init__()
        self.blocks: Listed[Block] = Listed(
            Block(config, shifted=i % 2 == 0, drop_path=p) for i, p in enumerate(drop_paths)
        )
        self.conv = nn.Conv2d(config.dim, config.dim, 3, padding=1)


class GRL(nn.Module):
    """The network: (B, 3, H, W) RGB in [0, 1] -> (B, 3, 4H, 4W), not clamped. Any H and W from 1 up.

    Agrees with the public implementation within 2e-4 in fp32 (tests/test_grl.py).
    """

    scale = 4
    mean: Tensor

    def __init__(self, config: GRLConfig = GRLConfig()):
        super().__init__()
        self.config = config
        self.memory_format = torch.contiguous_format
        dim, total = config.dim, sum(config.depths)
        drops = [config.drop_path * i / max(total - 1, 1) for i in range(total)]
        self.conv_first = nn.Conv2d(3, dim, 3, padding=1)
        self.norm_start = nn.LayerNorm(dim)
        starts = [sum(config.depths[:i]) for i in range(len(config.depths))]
        self.layers: Listed[Stage] = Listed(Stage(config, drops[s : s + d]) for s, d in zip(starts, config.depths))
        self.norm_end = nn.LayerNorm(dim)
        self.conv_after_body = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1), nn.LeakyReLU(0.01))
        self.conv_up1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_up2 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_hr = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_last = nn.Conv2d(dim, 3, 3, padding=1)
        self.register_buffer("mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)

    @property
    def conv_before(self) -> nn.Conv2d:
        """The convolution of ``conv_before_upsample``, before its activation."""
        return cast(nn.Conv2d, self.conv_before_upsample[0])

    def image(self, tokens: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, C, H, W) in ``self.memory_format`` (channels-last makes this free)."""
        return tokens.permute(0, 3, 1, 2).contiguous(memory_format=self.memory_format)

    def body(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), H and W multiples of the window."""
        height, width = features.shape[-2:]
        mask = shift_mask(height, width, self.config.window, features.device)
        x = self.norm_start(features.permute(0, 2, 3, 1))
        for stage in self.layers:
            y = x
            for block in stage.blocks:
                y = block(y, mask)
            x = x + stage.conv(self.image(y)).permute(0, 2, 3, 1)
        return self.conv_after_body(self.image(self.norm_end(x)))

    def tail(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 3, 4H, 4W), the mean not yet added."""
        x = self.conv_before_upsample(x)
        for conv in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        x = pad_to_window(image, self.config.window) - self.mean
        features = self.conv_first(x.contiguous(memory_format=self.memory_format))
        out = self.tail(self.body(features) + features) + self.mean
        return out[..., : height * self.scale, : width * self.scale]
