"""GRL in the form that is run: made once from the readable network, the same outputs, several times faster.

What is different from :mod:`vsapisr.networks.grl`:

- Tokens stay in window layout (windows, tokens, C) from the first block of a stage to its convolution, so nothing is
  partitioned per branch. A shifted block fetches its windows by rows of half a window through one index per image size.
- Position biases are constants. Only the last row and column of shifted windows are masked: windows are fetched in four
  classes (inside, right edge, bottom edge, corner), each with one constant bias that has the mask in it.
- Logit scales are merged into the normalisation of queries and keys; softmax ignores a constant per query, so biases
  are stored with their largest value at 0, where half precision is finest.
- On the CPU images go one at a time, so what an image gives does not depend on its place in the batch: through the
  compiled kernels of :mod:`vsapisr.networks.cpu.network` where they can be used, else in pieces whose activations stay
  in the processor's cache.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial, reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from vsapisr.errors import ArgumentError
from vsapisr.networks.cpu.network import NativeGRL
from vsapisr.networks.descriptor import Descriptor
from vsapisr.networks.grl import GRL, Block, MixedAttention, pad_to_window, shift_mask
from vsapisr.networks.tail import Tail
from vsapisr.networks.typed import Listed

CPU_CHUNK_BYTES = 1 << 19  # of one activation of a piece of the body with one thread; about eight are alive at a time
DEVICE_CHUNK_WINDOWS = 1 << 15  # attention kernels take no more than 65535 in a launch
ATTENTION = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
attention_lock = threading.Lock()


@contextmanager
def device_attention(on_device: bool) -> Iterator[None]:
    """On CUDA, attention by the kernels that take a bias of any shape; cuDNN's would build a plan for every new size.

    The switch is one for the whole process: two devices' threads must not save and restore it across each other.
    """
    if not on_device:
        yield
        return
    with attention_lock, sdpa_kernel(ATTENTION):
        yield


def cpu_chunk() -> int:
    """Bytes of one activation of a piece of the body."""
    threads = torch.get_num_threads()
    return CPU_CHUNK_BYTES * (1 if threads == 1 else 2 * threads)  # threads wait for each other: fewer, larger pieces


class ShiftPlan(NamedTuple):
    """How the windows of a shifted block are fetched, for one image size."""

    fetch: Tensor
    """Half rows of the image's windows in the order of the shifted ones; the windows sorted by class."""
    put_back: Tensor
    """The reverse of ``fetch``."""
    counts: tuple[int, int, int, int]
    """Windows in each class: inside, right edge, bottom edge, corner."""


def shift_plan(batch: int, rows: int, columns: int, window: int, device: torch.device) -> ShiftPlan:
    """Plan for ``batch`` images of ``rows`` x ``columns`` windows. A window has 2 * ``window`` half rows."""
    y = (torch.arange(rows * window) + window // 2) % (rows * window)
    x = (torch.arange(columns * 2) + 1) % (columns * 2)
    half_rows = (y // window * columns)[:, None] * 2 * window + (y % window)[:, None] * 2
    half_rows = half_rows + (x // 2) * 2 * window + x % 2
    half_rows = half_rows.view(rows, window, columns, 2).transpose(1, 2).reshape(1, -1, 2 * window)
    half_rows = (half_rows + torch.arange(batch)[:, None, None] * half_rows.numel()).view(-1, 2 * window)
    last_row, last_column = torch.arange(rows) == rows - 1, torch.arange(columns) == columns - 1
    classes = (last_row[:, None] * 2 + last_column).flatten().repeat(batch)
    fetch = half_rows[classes.argsort(stable=True)].flatten()
    counts = torch.bincount(classes, minlength=4).tolist()
    return ShiftPlan(fetch.to(device), fetch.argsort().to(device), tuple(counts))


def centred(bias: Tensor) -> Tensor:
    """Softmax does not see a constant per query; with the largest bias at 0 low precision costs least."""
    return bias - bias.amax(dim=-1, keepdim=True)


class InferenceAttention(nn.Module):
    """Both branches of :class:`~vsapisr.networks.grl.MixedAttention` on tokens in window layout."""

    window_weight: Tensor
    window_bias: Tensor
    window_scale: Tensor
    window_position: Tensor
    stripe_weight: Tensor
    stripe_bias: Tensor
    stripe_scale: Tensor
    gather_position: Tensor
    spread_position: Tensor
    anchor_weight: Tensor
    anchor_bias: Tensor
    proj_weight: Tensor
    proj_bias: Tensor

    def __init__(self, attention: MixedAttention):
        super().__init__()
        config = attention.config
        self.window, self.down, self.shifted = config.window, config.anchor_down, attention.shift > 0
        self.heads_window, self.heads_stripe = config.heads_window, config.heads_stripe
        window = attention.window_attn["attn_transform"]
        gather, spread = (attention.stripe_attn[f"attn_transform{i}"] for i in (1, 2))
        qkv, half = attention.qkv["body"], 3 * config.dim // 2
        for name, rows in (("window", slice(0, half)), ("stripe", slice(half, None))):
            self.register_buffer(f"{name}_weight", qkv.weight[rows])
            self.register_buffer(f"{name}_bias", qkv.bias[rows])
        reduction = attention.anchor["body"][0]["reduction"]
        self.register_buffer("anchor_weight", reduction.weight / config.anchor_down**2)  # of sums instead of means
        self.register_buffer("anchor_bias", reduction.bias)
        # Cosines are symmetric: the scale may sit on either side, so each operand is normalised once for all its uses.
        ones = torch.ones_like(window.scale())
        self.register_buffer("window_scale", torch.cat((window.scale(), ones)).view(-1, 1))
        self.register_buffer("stripe_scale", torch.cat((spread.scale(), gather.scale())).view(-1, 1))
        masks = shift_mask(2 * self.window, 2 * self.window, self.window)[:, None].to(qkv.weight.device)
        masks = masks if self.shifted else masks[:1]
        self.register_buffer("window_position", centred(window.bias() + masks))
        self.register_buffer("gather_position", centred(gather.bias()))
        self.register_buffer("spread_position", centred(spread.bias()))
        self.register_buffer("proj_weight", attention.proj.weight)
        self.register_buffer("proj_bias", attention.proj.bias)

    @staticmethod
    def unit(x: Tensor, heads: int, scale: Tensor | None = None) -> Tensor:
        """(N, T, heads * d) with each head's vector at length 1, or ``scale`` (heads, 1): (N, T, heads, d)."""
        x = x.unflatten(-1, (heads, -1))
        # In fp16 the sum of squares would not fit.
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32).clamp_min_(1e-12)
        return (x * (length.reciprocal_() if scale is None else scale / length)).to(x.dtype)

    def heads(self, qkv: Tensor, heads: int, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, T, 3 * heads * d) -> scaled queries, keys, and values, each (N, heads, T, d)."""
        third = qkv.shape[-1] // 3
        qk = self.unit(qkv[..., : 2 * third], 2 * heads, scale).transpose(1, 2)
        return qk[:, :heads], qk[:, heads:], qkv[..., 2 * third :].unflatten(-1, (heads, -1)).transpose(1, 2)

    def window_branch(self, x: Tensor, position: Tensor) -> Tensor:
        """(N, T, C) of windows as they attend, ``position`` (heads, T, T) -> (N, T, C / 2)."""
        qkv = F.linear(x, self.window_weight, self.window_bias)
        q, k, v = self.heads(qkv, self.heads_window, self.window_scale)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=position[None], scale=1.0)
        return out.transpose(1, 2).flatten(2)

    def stripe_branch(self, x: Tensor) -> Tensor:
        """(N, T, C) -> (N, T, C / 2)."""
        qkv = F.linear(x, self.stripe_weight, self.stripe_bias)
        q, k, v = self.heads(qkv, self.heads_stripe, self.stripe_scale)
        side = self.window // self.down
        squares = x.view(-1, side, self.down, side, self.down, x.shape[-1])
        sums = reduce(torch.add, reduce(torch.add, squares.unbind(2)).unbind(3)).flatten(1, 2)  # faster than sum()
        anchors = self.unit(F.linear(sums, self.anchor_weight, self.anchor_bias), self.heads_stripe).transpose(1, 2)
        gathered = F.scaled_dot_product_attention(anchors, k, v, attn_mask=self.gather_position[None], scale=1.0)
        out = F.scaled_dot_product_attention(q, anchors, gathered, attn_mask=self.spread_position[None], scale=1.0)
        return out.transpose(1, 2).flatten(2)

    def shifted_windows(self, x: Tensor, plan: ShiftPlan, chunk: int) -> Tensor:
        """The window branch of a shifted block: (N, T, C) -> half rows (N * 2 * window, C / 4 * window) as fetched."""
        source = x.view(-1, self.window // 2 * x.shape[-1])
        per_window, done, outputs = 2 * self.window, 0, []
        for position, count in zip(self.window_position, plan.counts):
            for start in range(done, done + count, chunk):
                stop = min(start + chunk, done + count)
                windows = source.index_select(0, plan.fetch[start * per_window : stop * per_window])
                outputs.append(self.window_branch(windows.view(stop - start, -1, x.shape[-1]), position))
            done += count
        return torch.cat(outputs).view(source.shape[0], -1)

    def project(self, window: Tensor, stripe: Tensor) -> Tensor:
        """Both branches' (N, T, C / 2) -> (N, T, C)."""
        return F.linear(torch.cat((window, stripe), dim=-1), self.proj_weight, self.proj_bias)


class InferenceBlock(nn.Module):
    """A block, in place on (N, T, C) in window layout."""

    def __init__(self, block: Block):
        super().__init__()
        self.attn = InferenceAttention(block.attn)
        self.norm1, self.norm2, self.fc1, self.fc2 = block.norm1, block.norm2, block.mlp.fc1, block.mlp.fc2

    def forward(self, x: Tensor, plan: ShiftPlan, chunk: int) -> None:
        attention, per_window = self.attn, 2 * self.attn.window
        shifted = attention.shifted_windows(x, plan, chunk) if attention.shifted else None
        for start in range(0, x.shape[0], chunk):
            piece = x[start : start + chunk]
            if shifted is None:
                window = attention.window_branch(piece, attention.window_position[0])
            else:
                rows = plan.put_back[start * per_window : (start + chunk) * per_window]
                window = shifted.index_select(0, rows).view(*piece.shape[:2], -1)
            piece += self.norm1(attention.project(window, attention.stripe_branch(piece)))
            piece += self.norm2(self.fc2(F.gelu(self.fc1(piece))))


class GRLInference(nn.Module):
    """(B, 3, H, W) RGB in [0, 1] -> (B, 3, 4H, 4W) like :class:`~vsapisr.networks.grl.GRL`, for inference only.

    In fp32 within 1e-4 of GRL. The result of a float32 image is float32, in low precision too, where compiled kernels
    do not even round it. Of others it has the network's own dtype. The module holds its own constants: later changes of
    that GRL do not reach it. Raises ArgumentError for a window of odd side.
    """

    scale = 4
    mean: Tensor

    def __init__(self, grl: GRL, dtype: torch.dtype = torch.float32):
        super().__init__()
        if grl.config.window % 2:
            raise ArgumentError(f"window is {grl.config.window}; the inference form takes even windows only")
        grl = copy.deepcopy(grl).float().eval().requires_grad_(False)
        self.config = grl.config
        stages: list[Listed[InferenceBlock]] = [Listed(InferenceBlock(b) for b in s.blocks) for s in grl.layers]
        self.stages: Listed[Listed[InferenceBlock]] = Listed(stages)
        self.convs: Listed[nn.Conv2d] = Listed([grl.conv_first, *(s.conv for s in grl.layers), grl.conv_after_body])
        self.norm_start, self.norm_end, self.tail = grl.norm_start, grl.norm_end, Tail(grl)
        self.register_buffer("mean", grl.mean)
        self.native = NativeGRL.of(self, dtype)
        scales = {name: value for name, value in self.named_buffers() if name.endswith("_scale")}
        self.to(dtype).to(memory_format=torch.channels_last)
        for name, value in scales.items():  # they multiply in fp32 whatever the precision is
            owner, _, last = name.rpartition(".")
            setattr(self.get_submodule(owner), last, value)
        self._plan = lru_cache(maxsize=32)(shift_plan)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor.for_window(self.config.window)

    def held(self, batch: int, height: int, width: int) -> ShiftPlan:
        """What a call with images of this size reads beside the weights: whoever records one must keep it alive."""
        side = self.config.window
        return self._plan(batch, -(-height // side), -(-width // side), side, self.mean.device)

    def to_windows(self, image: Tensor) -> Tensor:
        """(B, H, W, C) -> view (B, rows, columns, window, window, C)."""
        side = self.config.window
        b, h, w, c = image.shape
        return image.view(b, h // side, side, w // side, side, c).transpose(2, 3)

    def conv_windows(self, conv: nn.Conv2d, x: Tensor, target: Tensor) -> None:
        """Add the convolution of ``x`` to ``target``, both (B, rows, columns, window, window, C), in bands."""
        b, rows, columns, side, _, c = x.shape
        band = rows if x.is_cuda else max(1, cpu_chunk() // (x[0, 0].numel() * x.element_size()))
        for top in range(0, rows, band):
            bottom = min(top + band, rows)
            image = x.new_empty(b, (bottom - top) * side + 2, columns * side, c)
            self.to_windows(image[:, 1:-1]).copy_(x[:, top:bottom])
            for edge, row in (
                (image[:, 0], x[:, top - 1, :, -1] if top else None),
                (image[:, -1], x[:, bottom, :, 0] if bottom < rows else None),
            ):
                edge.zero_() if row is None else edge.copy_(row.flatten(1, 2))
            out = F.conv2d(image.permute(0, 3, 1, 2), conv.weight, conv.bias, padding=(0, 1)).permute(0, 2, 3, 1)
            target[:, top:bottom] += self.to_windows(out)

    def body(self, features: Tensor) -> None:
        """Add the body's output to ``features`` (B, H, W, C), H and W multiples of the window."""
        side = self.config.window
        b, h, w, c = features.shape
        grid = (b, h // side, w // side)
        chunk = DEVICE_CHUNK_WINDOWS
        if not features.is_cuda:
            chunk = max(1, cpu_chunk() // (side * side * c * features.element_size()))
        plan = self._plan(*grid, side, features.device)
        x = self.norm_start(self.to_windows(features).contiguous())
        with device_attention(features.is_cuda):
            for blocks, conv in zip(self.stages, list(self.convs)[1:-1]):
                y = x.clone()
                for block in blocks:
                    block(y.view(-1, side * side, c), plan, chunk)
                self.conv_windows(conv, y, x)
        self.conv_windows(self.convs[-1], self.norm_end(x), self.to_windows(features))

    def upscale(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        x = pad_to_window(image, self.config.window) - self.mean
        features = self.convs[0](x.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1).contiguous()
        self.body(features)
        return self.tail(features.permute(0, 3, 1, 2))[..., : height * self.scale, : width * self.scale]

    def upscale_native(self, native: NativeGRL, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padded = pad_to_window(image.float(), self.config.window)
        return native(padded - self.mean.float())[..., : height * self.scale, : width * self.scale]

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        upscale, dtype = self.upscale, self.mean.dtype
        result = torch.float32 if image.dtype == torch.float32 else dtype
        if self.native and self.native.dtype == dtype and image.device.type == self.mean.device.type == "cpu":
            upscale = partial(self.upscale_native, self.native)
        else:
            image = image.to(dtype)
        whole = image.is_cuda or image.shape[0] == 1
        out = upscale(image) if whole else torch.cat([upscale(one) for one in image.split(1)])
        return out.to(result)
