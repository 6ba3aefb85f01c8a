"""The network as an ONNX graph, written node by node: a graph of a few hundred plain operators, any height and width.

Made here instead of by ``torch.onnx`` because the exporter's graph has the position bias networks in it, bakes sizes in
or needs minutes for symbolic ones. Activations are (1, H, W, C) but around convolutions; batches go image by image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from vsapisr.networks.grl import GRL, Block, CosineAttention, MixedAttention, bias_of

__all__ = ["OPSET", "build"]

OPSET = 20
"""The first with GELU, which ONNX Runtime 1.17 and TensorRT 10 know; later ones bring nothing that is used here."""
IR_VERSION = 9
"""What came with that opset, so that runtimes of its time can read the file."""


class Graph:
    """Nodes and weights being collected. Methods take and give names of values."""

    def __init__(self, dtype: torch.dtype):
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}
        self.kind = np.dtype(np.float16 if dtype == torch.float16 else np.float32)

    @property
    def type(self) -> int:
        """The element type of activations, as ONNX counts them."""
        return helper.np_dtype_to_tensor_dtype(self.kind)

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{op.lower()}_{len(self.nodes)}" + (f"_{n}" if n else "") for n in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def weight(self, value: Tensor, name: str = "", kind: np.dtype | None = None) -> str:
        name = name or f"weight_{len(self.weights)}"
        array = value.detach().cpu().numpy().astype(kind or self.kind)
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def whole(self, *values: int) -> str:
        """A vector of int64."""
        name = "int_" + "_".join(map(str, values)).replace("-", "m")
        self.weights.setdefault(name, numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def scalar(self, value: int) -> str:
        """An int64."""
        name = f"scalar_{value}"
        self.weights.setdefault(name, numpy_helper.from_array(np.array(value, np.int64), name))
        return name

    def shape(self, *sizes: int | str) -> str:
        """A shape of numbers and of names of one-element vectors."""
        return self.add("Concat", *(self.whole(s) if isinstance(s, int) else s for s in sizes), axis=0)

    def reshape(self, x: str, shape: str | Sequence[int]) -> str:
        return self.add("Reshape", x, shape if isinstance(shape, str) else self.whole(*shape))

    def turn(self, x: str, *order: int) -> str:
        return self.add("Transpose", x, perm=order)

    def linear(self, x: str, layer: nn.Linear) -> str:
        x = self.add("MatMul", x, self.weight(layer.weight.T))
        return x if layer.bias is None else self.add("Add", x, self.weight(layer.bias))

    def norm(self, x: str, layer: nn.LayerNorm) -> str:
        return self.add("LayerNormalization", x, self.weight(layer.weight), self.weight(layer.bias), epsilon=layer.eps)

    def conv(self, x: str, layer: nn.Conv2d) -> str:
        weight, bias, pads = self.weight(layer.weight), self.weight(bias_of(layer)), [int(layer.padding[0])] * 4
        return self.add("Conv", x, weight, bias, kernel_shape=layer.kernel_size, pads=pads)

    def roll(self, x: str, shift: int) -> str:
        """The cyclic shift by ``-shift`` along both sides of (1, H, W, C)."""
        for axis in (1, 2):
            cut, axes = self.whole(shift), self.whole(axis)
            tail = self.add("Slice", x, cut, self.whole(2**62), axes)
            x = self.add("Concat", tail, self.add("Slice", x, self.whole(-(2**62)), cut, axes), axis=axis)
        return x


class Body:
    """What all blocks share: the numbers of windows and the mask of shifted ones."""

    def __init__(self, graph: Graph, network: GRL, image: str):
        self.graph, self.config = graph, network.config
        window, g = network.config.window, graph
        self.sides = [g.add("Shape", image, start=axis, end=axis + 1) for axis in (2, 3)]
        self.windows = [g.add("Div", side, g.whole(window)) for side in self.sides]
        self.mask = self.shift_mask(window)

    def shift_mask(self, window: int) -> str:
        """(windows, 1, T, T): -100 where tokens of a rolled window come from two sides of the wrap. Only the last row
        and column of windows have any, so it is two constants, each times a vector that is 1 in the last place.
        """
        g, half = self.graph, window // 2
        wrapped = torch.arange(window) >= half
        parts = []
        for axis, count in enumerate(self.windows):
            side = wrapped[:, None].expand(window, window) if axis == 0 else wrapped[None].expand(window, window)
            apart = (side.reshape(-1, 1) != side.reshape(1, -1)) * -100.0
            last = g.add("Squeeze", g.add("Sub", count, g.whole(1)), g.whole(0))
            places = g.add("Range", g.scalar(0), g.add("Add", last, g.scalar(1)), g.scalar(1))
            is_last = g.add("Cast", g.add("Equal", places, last), to=g.type)
            is_last = g.reshape(is_last, (-1, 1, 1, 1, 1) if axis == 0 else (1, -1, 1, 1, 1))
            parts.append(g.add("Mul", is_last, g.weight(apart[None, None, None])))
        return g.reshape(g.add("Add", *parts), (-1, 1, window**2, window**2))

    def to_windows(self, x: str, side: int, *channels: int) -> str:
        """(1, H, W, C) -> (windows, side**2, *channels) for windows of ``side``."""
        g, row = self.graph, side * math.prod(channels)
        x = g.reshape(x, g.shape(self.windows[0], side, self.windows[1], row))
        return g.reshape(g.turn(x, 0, 2, 1, 3), (-1, side**2, *channels))

    def from_windows(self, x: str, heads: int, width: int) -> str:
        """(windows, heads, T, width) -> (1, H, W, heads * width). In two turns: one alone would be of six axes, more
        than some runtimes take.
        """
        g, window = self.graph, self.config.window
        x = g.reshape(g.turn(x, 0, 2, 1, 3), g.shape(*self.windows, window, window * heads * width))
        return g.reshape(g.turn(x, 0, 2, 1, 3), g.shape(1, *self.sides, heads * width))

    def heads(self, x: str, side: int, parts: int, heads: int, width: int) -> list[str]:
        """(1, H, W, parts * heads * width) -> ``parts`` times (windows, heads, side**2, width)."""
        g = self.graph
        x = g.turn(self.to_windows(x, side, parts, heads, width), 2, 0, 3, 1, 4)
        pieces = g.add("Split", x, axis=0, num_outputs=parts, outputs=parts) if parts > 1 else [x]
        return [g.add("Squeeze", piece, g.whole(0)) for piece in pieces]

    def unit(self, x: str, scale: Tensor | None = None) -> str:
        """``x`` over its length along the last axis, in fp32 (fp16 squares vanish), times ``scale`` (heads, 1, 1)."""
        g, half = self.graph, self.graph.kind == np.float16
        wide = g.add("Cast", x, to=TensorProto.FLOAT) if half else x
        length = g.add("ReduceL2", wide, g.whole(-1))
        wide = g.add("Div", wide, g.add("Max", length, g.weight(torch.tensor(1e-12), kind=np.dtype(np.float32))))
        if scale is not None:
            wide = g.add("Mul", wide, g.weight(scale, kind=np.dtype(np.float32)))
        return g.add("Cast", wide, to=TensorProto.FLOAT16) if half else wide

    def attend(self, attention: CosineAttention, q: str, k: str, v: str, masked: bool = False) -> str:
        g, bias = self.graph, attention.bias()
        cosine = g.add("MatMul", self.unit(q, attention.scale()), g.turn(self.unit(k), 0, 1, 3, 2))
        logits = g.add("Add", cosine, g.weight(bias - bias.amax(-1, keepdim=True)))  # the same softmax, nearer to 0
        if masked:
            logits = g.add("Add", logits, self.mask)
        return g.add("MatMul", g.add("Softmax", logits, axis=-1), v)

    def attention(self, x: str, layer: MixedAttention) -> str:
        g, config = self.graph, self.config
        window, half = config.window, config.dim // 2
        own, stripe = g.add("Split", g.linear(x, layer.qkv["body"]), axis=-1, num_outputs=2, outputs=2)
        if layer.shift:
            own = g.roll(own, layer.shift)
        width = half // config.heads_window
        q, k, v = self.heads(own, window, 3, config.heads_window, width)
        out = self.attend(layer.window_attn["attn_transform"], q, k, v, masked=layer.shift > 0)
        out = self.from_windows(out, config.heads_window, width)
        if layer.shift:
            out = g.roll(out, -layer.shift)
        down, width = config.anchor_down, half // config.heads_stripe
        pooled = g.add("AveragePool", g.turn(x, 0, 3, 1, 2), kernel_shape=(down, down), strides=(down, down))
        anchors = g.linear(g.turn(pooled, 0, 2, 3, 1), layer.anchor["body"][0]["reduction"])
        (anchor,) = self.heads(anchors, window // down, 1, config.heads_stripe, width)
        q, k, v = self.heads(stripe, window, 3, config.heads_stripe, width)
        gathered = self.attend(layer.stripe_attn["attn_transform1"], anchor, k, v)
        spread = self.attend(layer.stripe_attn["attn_transform2"], q, anchor, gathered)
        return g.linear(
            g.add("Concat", out, self.from_windows(spread, config.heads_stripe, width), axis=-1), layer.proj
        )

    def block(self, x: str, block: Block) -> str:
        g = self.graph
        x = g.add("Add", x, g.norm(self.attention(x, block.attn), block.norm1))
        hidden = g.add("Gelu", g.linear(x, block.mlp.fc1))
        return g.add("Add", x, g.norm(g.linear(hidden, block.mlp.fc2), block.norm2))


def tail(g: Graph, network: GRL, x: str) -> str:
    """(1, C, H, W) -> (1, 3, 4H, 4W), the mean not yet added."""
    x = g.add("LeakyRelu", g.conv(x, network.conv_before), alpha=0.01)
    scales = g.weight(torch.tensor([1.0, 1.0, 2.0, 2.0]), "scales", np.dtype(np.float32))
    for layer in (network.conv_up1, network.conv_up2):
        x = g.add(
            "Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )
        x = g.add("LeakyRelu", g.conv(x, layer), alpha=0.2)
    return g.conv(g.add("LeakyRelu", g.conv(x, network.conv_hr), alpha=0.2), network.conv_last)


@torch.no_grad()
def build(network: GRL, dtype: torch.dtype, metadata: dict[str, str]) -> onnx.ModelProto:
    """The graph of ``network``: "input" (1, 3, H, W) RGB in [0, 1] -> "output" (1, 3, 4H, 4W), not clamped, both of
    ``dtype`` (float32 or float16, as the weights). H and W are multiples of the window, 8.

    ``metadata`` goes into the file's properties.
    """
    g = Graph(dtype)
    mean = g.weight(network.mean, "mean")
    features = g.conv(g.add("Sub", "input", mean), network.conv_first)
    body = Body(g, network, "input")
    x = g.norm(g.turn(features, 0, 2, 3, 1), network.norm_start)
    for stage in network.layers:
        y = x
        for block in stage.blocks:
            y = body.block(y, block)
        x = g.add("Add", x, g.turn(g.conv(g.turn(y, 0, 3, 1, 2), stage.conv), 0, 2, 3, 1))
    x = g.conv(g.turn(g.norm(x, network.norm_end), 0, 3, 1, 2), network.conv_after_body)
    out = tail(g, network, g.add("Add", x, features))
    g.nodes.append(helper.make_node("Add", [out, mean], ["output"], name="output"))
    ends = [
        helper.make_tensor_value_info("input", g.type, [1, 3, "height", "width"]),
        helper.make_tensor_value_info("output", g.type, [1, 3, "four_heights", "four_widths"]),
    ]
    graph = helper.make_graph(g.nodes, "vsapisr", ends[:1], ends[1:], list(g.weights.values()))
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="vsapisr",
        producer_version=metadata.get("vsapisr", ""),
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model
