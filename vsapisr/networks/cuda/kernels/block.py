"""A whole transformer block per 8x8 window in on-chip memory: qkv, both branches, projection, norm, MLP, norm.

The feature map is (B, H, W, C), H and W multiples of the window. In an unshifted block both branches see the same
window: one kernel reads the map once and writes it once. In a shifted block the window branch has a grid of its own: a
first kernel writes its half of the channels, the second does everything else. Matrix products take the map's type and
add up in fp32; norms, softmax and residuals are fp32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from vsapisr.networks.grl import Block, GRLConfig, shift_mask

WINDOW = tl.constexpr(8)
TOKENS = tl.constexpr(64)
ANCHORS = tl.constexpr(16)
PART = tl.constexpr(64)  # hidden channels of the MLP at a time
EPS = tl.constexpr(1e-5)
NORMALIZE_EPS = tl.constexpr(1e-24)  # of a squared length
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)  # the interpreter knows no PTX


@triton.jit
def exp2(x):
    """2**x; on a device without the four instructions a value that denormal results would take."""
    if INTERPRETED:
        return tl.exp2(x)
    return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1)


@triton.jit
def reciprocal(x):
    """1 / x within one unit in the last place, without division's care for extreme values."""
    if INTERPRETED:
        return 1 / x
    return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1)


@triton.jit
def gelu(x, dtype: tl.constexpr):
    """Exact in fp32. In half precision x * sigmoid of an odd polynomial fitted to erf: at most 2.6e-5 off for any x."""
    if dtype == tl.float32:
        return 0.5 * x * (1 + tl.erf(x * 0.7071067811865476))
    square = x * x
    # Beyond |x| = 5 the polynomial would turn round; there the sigmoid is 0 or 1 in half precision.
    square = tl.minimum(square, 25.0)
    return x * reciprocal(1 + exp2(x * (-2.3011213 + square * (-0.10677574 + square * 0.0010142657))))


@triton.jit
def layer_norm(x, parameters, C: tl.constexpr):
    """(T, C) fp32; ``parameters``: C weights, then C biases."""
    columns = tl.arange(0, C)
    x = x - (tl.sum(x, 1) / C)[:, None]
    x = x * tl.rsqrt(tl.sum(x * x, 1) / C + EPS)[:, None]
    return x * tl.load(parameters + columns)[None, :] + tl.load(parameters + C + columns)[None, :]


@triton.jit
def project(x, matrices, vectors, slot, C: tl.constexpr, D: tl.constexpr):
    """(T, C) -> (T, D) fp32: the linear layer number ``slot`` of those with D outputs."""
    rows, columns = tl.arange(0, C), tl.arange(0, D)
    weight = tl.load(matrices + slot * C * D + rows[:, None] * D + columns[None, :])
    return tl.dot(x, weight, input_precision="ieee") + tl.load(vectors + slot * D + columns)[None, :]


@triton.jit
def unit(x, like):
    """Rows of (T, D) fp32 at length 1, in the type of ``like``."""
    return (x * tl.rsqrt(tl.maximum(tl.sum(x * x, 1), NORMALIZE_EPS))[:, None]).to(like.dtype)


@triton.jit
def attend(q, k, v, scale, position, Q: tl.constexpr, K: tl.constexpr):
    """Unit queries (Q, D), unit keys (K, D), values (K, D) -> (Q, D) fp32; scale and position are multiples of
    log2(e).
    """
    rows, columns = tl.arange(0, Q), tl.arange(0, K)
    bias = tl.load(position + rows[:, None] * K + columns[None, :]).to(tl.float32)
    logits = tl.dot(q, tl.trans(k), input_precision="ieee") * scale + bias
    weights = exp2(logits - tl.max(logits, 1)[:, None])
    return tl.dot(weights.to(v.dtype), v, input_precision="ieee") * reciprocal(tl.sum(weights, 1))[:, None]


@triton.jit
def gather_anchors(anchors, k, v, scale, position):
    """Unit anchors (A, D) attend to unit keys and values (T, D) -> (A, D) in their type; ``position`` is (T, A).

    Logits are made transposed: 16 rows alone would have every warp do the same work.
    """
    rows, columns = tl.arange(0, TOKENS), tl.arange(0, ANCHORS)
    bias = tl.load(position + rows[:, None] * ANCHORS + columns[None, :]).to(tl.float32)
    logits = tl.dot(k, tl.trans(anchors), input_precision="ieee") * scale + bias
    weights = exp2(logits - tl.max(logits, 0)[None, :])
    weights = weights * reciprocal(tl.sum(weights, 0))[None, :]
    return tl.dot(tl.trans(weights.to(v.dtype)), v, input_precision="ieee").to(v.dtype)


@triton.jit
def window_head(x, matrices, vectors, scales, position, head, HEADS: tl.constexpr, C: tl.constexpr, D: tl.constexpr):
    """One head of the window branch: (T, C) -> (T, D) fp32."""
    q = unit(project(x, matrices, vectors, head, C, D), x)
    k = unit(project(x, matrices, vectors, HEADS + head, C, D), x)
    v = project(x, matrices, vectors, 2 * HEADS + head, C, D).to(x.dtype)
    return attend(q, k, v, tl.load(scales + head), position + head * TOKENS * TOKENS, TOKENS, TOKENS)


@triton.jit
def stripe_head(
    x, sums, matrices, vectors, scales, gather, spread, head, HEADS: tl.constexpr, C: tl.constexpr, D: tl.constexpr
):
    """One head of the anchored branch: (T, C) and sums of 2x2 tokens (A, C) -> (T, D) fp32."""
    q = unit(project(x, matrices, vectors, 3 * HEADS + head, C, D), x)
    k = unit(project(x, matrices, vectors, 4 * HEADS + head, C, D), x)
    v = project(x, matrices, vectors, 5 * HEADS + head, C, D).to(x.dtype)
    anchors = unit(project(sums, matrices, vectors, 6 * HEADS + head, C, D), x)
    scale = tl.load(scales + HEADS + head)
    gathered = gather_anchors(anchors, k, v, scale, gather + head * ANCHORS * TOKENS)
    scale = tl.load(scales + 2 * HEADS + head)
    return attend(q, anchors, gathered, scale, spread + head * TOKENS * ANCHORS, TOKENS, ANCHORS)


@triton.jit
def place(height, width):
    """This program's window: (number of its image's first pixel, first row, first column)."""
    columns = width // WINDOW
    windows = (height // WINDOW) * columns
    index = tl.program_id(0)
    image, window = index // windows, index % windows
    return image.to(tl.int64) * height * width, window // columns * WINDOW, window % columns * WINDOW


@triton.jit(do_not_specialize=["height", "width"])
def window_kernel(x, out, matrices, vectors, positions, scales, height, width, C: tl.constexpr, HEADS: tl.constexpr):
    """The window branch on the grid shifted by half a window: (B, H, W, C) -> (B, H, W, C / 2)."""
    D: tl.constexpr = C // 2 // HEADS
    base, top, left = place(height, width)
    token, columns, narrow = tl.arange(0, TOKENS), tl.arange(0, C), tl.arange(0, D)
    y = (top + WINDOW // 2 + token // WINDOW) % height
    x_ = (left + WINDOW // 2 + token % WINDOW) % width
    pixel = base + y * width + x_
    tokens = tl.load(x + pixel[:, None] * C + columns[None, :])
    edge = (top + WINDOW >= height).to(tl.int32) * 2 + (left + WINDOW >= width).to(tl.int32)
    position = positions + edge * HEADS * TOKENS * TOKENS
    for head in tl.static_range(HEADS):
        values = window_head(tokens, matrices, vectors, scales, position, head, HEADS, C, D)
        place_ = out + pixel[:, None] * (C // 2) + head * D + narrow[None, :]
        tl.store(place_, values.to(out.dtype.element_ty))


@triton.jit(do_not_specialize=["height", "width"])
def block_kernel(
    x,
    out,
    shifted,
    matrices,
    vectors,
    positions,
    scales,
    gather,
    spread,
    height,
    width,
    C: tl.constexpr,
    HEADS: tl.constexpr,
    HIDDEN: tl.constexpr,
    SHIFTED: tl.constexpr,
):
    """A block on (B, H, W, C); with ``SHIFTED`` its window branch has been computed: ``shifted`` (B, H, W, C / 2).

    A program touches its own window alone, so ``out`` may be ``x``.
    """
    D: tl.constexpr = C // 2 // HEADS
    base, top, left = place(height, width)
    token, columns, narrow = tl.arange(0, TOKENS), tl.arange(0, C), tl.arange(0, D)
    pixel = base + (top + token // WINDOW) * width + left + token % WINDOW
    tokens = tl.load(x + pixel[:, None] * C + columns[None, :])

    anchor = tl.arange(0, ANCHORS)
    corner = base + (top + anchor // 4 * 2) * width + left + anchor % 4 * 2
    sums = tl.zeros((ANCHORS, C), tl.float32)
    for i in tl.static_range(4):
        square = corner + (i // 2) * width + i % 2
        sums += tl.load(x + square[:, None] * C + columns[None, :]).to(tl.float32)
    sums = sums.to(tokens.dtype)

    joint: tl.constexpr = 7 * HEADS * D  # what follows the heads' own layers in ``vectors``
    weight = matrices + joint * C
    attention = tl.zeros((TOKENS, C), tl.float32) + tl.load(vectors + joint + columns)[None, :]
    for head in tl.static_range(HEADS):
        if SHIFTED:
            half = tl.load(shifted + pixel[:, None] * (C // 2) + head * D + narrow[None, :])
        else:
            half = window_head(tokens, matrices, vectors, scales, positions, head, HEADS, C, D).to(tokens.dtype)
        rows = head * D + narrow
        attention = tl.dot(
            half, tl.load(weight + rows[:, None] * C + columns[None, :]), attention, input_precision="ieee"
        )
    for head in tl.static_range(HEADS):
        half = stripe_head(tokens, sums, matrices, vectors, scales, gather, spread, head, HEADS, C, D).to(tokens.dtype)
        rows = C // 2 + head * D + narrow
        attention = tl.dot(
            half, tl.load(weight + rows[:, None] * C + columns[None, :]), attention, input_precision="ieee"
        )

    vectors += joint + C
    total = tokens.to(tl.float32) + layer_norm(attention, vectors, C)
    middle = total.to(tokens.dtype)
    vectors += 2 * C
    weight += C * C
    mixed = tl.zeros((TOKENS, C), tl.float32) + tl.load(vectors + HIDDEN + columns)[None, :]
    part = tl.arange(0, PART)
    for start in tl.static_range(0, HIDDEN, PART):
        first = tl.load(weight + columns[:, None] * HIDDEN + start + part[None, :])
        hidden = tl.dot(middle, first, input_precision="ieee") + tl.load(vectors + start + part)[None, :]
        hidden = gelu(hidden, tokens.dtype)
        second = tl.load(weight + HIDDEN * C + (start + part)[:, None] * C + columns[None, :])
        mixed = tl.dot(hidden.to(tokens.dtype), second, mixed, input_precision="ieee")
    total += layer_norm(mixed, vectors + HIDDEN + C, C)
    tl.store(out + pixel[:, None] * C + columns[None, :], total.to(out.dtype.element_ty))


def fits(config: GRLConfig) -> bool:
    """Whether the kernels are written for such a network."""
    width = config.dim // 2 // config.heads_window
    powers = all(number >= 16 and number & (number - 1) == 0 for number in (config.dim, width))
    same = config.heads_window == config.heads_stripe
    return powers and same and config.window == 8 and config.anchor_down == 2 and config.mlp_dim % PART.value == 0


@dataclass(frozen=True, kw_only=True)
class BlockTiling:
    """How a program is laid out on a multiprocessor."""

    warps: int = 4
    registers: int | None = None
    """Of a thread at most: fewer let more programs share a multiprocessor; None is the compiler's choice."""


class PackedBlock:
    """A block's constants as the kernels read them, and their launches."""

    def __init__(self, block: Block, dtype: torch.dtype, device: torch.device):
        attention, config = block.attn, block.attn.config
        heads, dim = config.heads_window, config.dim
        self.dim, self.hidden, self.heads, self.shift = dim, config.mlp_dim, heads, attention.shift > 0
        qkv, anchor = attention.qkv["body"], attention.anchor["body"][0]["reduction"]
        # Rows of qkv go by branch, then q, k, v, then head; the anchors' follow as a seventh of the same kind.
        layers = torch.cat((qkv.weight, anchor.weight / config.anchor_down**2)).view(7 * heads, -1, dim).transpose(1, 2)
        matrices = (layers, attention.proj.weight.t(), block.mlp.fc1.weight.t(), block.mlp.fc2.weight.t())
        vectors = (
            qkv.bias,
            anchor.bias,
            attention.proj.bias,
            block.norm1.weight,
            block.norm1.bias,
            block.mlp.fc1.bias,
            block.mlp.fc2.bias,
            block.norm2.weight,
            block.norm2.bias,
        )
        window = attention.window_attn["attn_transform"]
        gather, spread = (attention.stripe_attn[f"attn_transform{i}"] for i in (1, 2))
        masks = shift_mask(2 * config.window, 2 * config.window, config.window)[:, None].to(qkv.weight.device)
        masks = masks if self.shift else masks[:1]
        scales = torch.cat([part.scale().flatten() for part in (window, gather, spread)]) * math.log2(math.e)
        self.matrices = torch.cat([matrix.reshape(-1) for matrix in matrices]).to(device, dtype)
        self.vectors = torch.cat(vectors).float().to(device)
        self.scales = scales.float().to(device)
        self.positions, self.gather, self.spread = (
            position(bias, dtype).to(device) for bias in (window.bias() + masks, gather.bias(), spread.bias())
        )
        self.gather = self.gather.transpose(1, 2).contiguous()

    def run_window(self, x: Tensor, out: Tensor, tiling: BlockTiling) -> None:
        """``out`` (B, H, W, C / 2) = the window branch of a shifted block."""
        b, h, w, c = x.shape
        window_kernel[(b * (h // 8) * (w // 8),)](
            x,
            out,
            self.matrices,
            self.vectors,
            self.positions,
            self.scales,
            h,
            w,
            C=c,
            HEADS=self.heads,
            num_warps=tiling.warps,
            maxnreg=tiling.registers,
        )

    def run(self, x: Tensor, out: Tensor, tiling: BlockTiling, window_tiling: BlockTiling) -> None:
        """``out`` = the block of ``x``, both contiguous (B, H, W, C); ``out`` may be ``x``."""
        b, h, w, c = x.shape
        grid = (b * (h // 8) * (w // 8),)
        shifted = x
        if self.shift:
            shifted = x.new_empty(b, h, w, c // 2)
            self.run_window(x, shifted, window_tiling)
        block_kernel[grid](
            x,
            out,
            shifted,
            self.matrices,
            self.vectors,
            self.positions,
            self.scales,
            self.gather,
            self.spread,
            h,
            w,
            C=c,
            HEADS=self.heads,
            HIDDEN=self.hidden,
            SHIFTED=self.shift,
            num_warps=tiling.warps,
            maxnreg=tiling.registers,
        )


def position(bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Biases as powers of 2, the largest of a query at 0, where low precision is finest: softmax does not see a
    constant per query. bfloat16 would be coarse for no reason: the range of fp16 suffices."""
    bias = (bias - bias.amax(dim=-1, keepdim=True)) * math.log2(math.e)
    return bias.to(torch.float32 if dtype == torch.float32 else torch.float16).contiguous()
