"""What the networks cost, counted from hyperparameters: floating point operations of matrix products and convolutions,
2 per multiply-add, and values that pass through memory."""

from __future__ import annotations

from vsapisr.networks.grl import GRLConfig


def grl_flops(config: GRLConfig = GRLConfig(), folded: bool = False) -> dict[str, float]:
    """FLOP per input pixel of each part of GRL; ``folded`` counts upsampling as the inference form does it.

    Norms, softmax, activations and other work of one or few operations per value are left out. Input sizes that are no
    multiple of the window cost what the padded size costs.
    """
    dim, tokens, anchors = config.dim, config.window**2, (config.window // config.anchor_down) ** 2
    conv = 2 * 9 * dim * dim
    attention = {
        "qkv": 2 * dim * 3 * dim,
        "anchors": 2 * dim * (dim // 2) / config.anchor_down**2,
        "window": 2 * 2 * tokens * (dim // 2),
        "stripe": 2 * (2 * 2 * anchors * (dim // 2)),
        "proj": 2 * dim * dim,
        "mlp": 2 * 2 * dim * config.mlp_dim,
    }
    blocks = {name: value * sum(config.depths) for name, value in attention.items()}
    taps = 4 / 9 if folded else 1  # 2x2 instead of 3x3
    return blocks | {
        "conv_first": 2 * 9 * 3 * dim,
        "conv_stages": conv * (len(config.depths) + 1),
        "conv_before_upsample": conv,
        "conv_up1": 4 * conv * taps,
        "conv_up2": 16 * conv * taps,
        "conv_hr": 16 * conv,
        "conv_last": 16 * 2 * 9 * dim * 3,
    }


def grl_values(config: GRLConfig = GRLConfig(), folded: bool = False) -> dict[str, float]:
    """Values per input pixel that each layer of GRL reads and writes, each once: what layer by layer goes through
    memory.

    Weights are left out, and so are norms, activations and residuals, which a good implementation joins to their
    neighbours. A form that keeps layers' results in the cache moves less.
    """
    dim, anchors = config.dim, config.anchor_down**-2
    block = {
        "qkv": dim + 3 * dim,
        "anchors": dim + anchors * dim / 2,
        "window": 3 * dim / 2 + dim / 2,
        "stripe": 3 * dim / 2 + anchors * dim / 2 + dim / 2,
        "proj": 2 * dim,
        "mlp": 2 * dim + 2 * config.mlp_dim,
    }
    enlarged = 0 if folded else 2  # nearest x2 is written and read
    return {name: value * sum(config.depths) for name, value in block.items()} | {
        "conv_first": 3 + dim,
        "conv_stages": 2 * dim * (len(config.depths) + 1),
        "conv_before_upsample": 2 * dim,
        "conv_up1": (1 + 4 + 4 * enlarged) * dim,
        "conv_up2": (4 + 16 + 16 * enlarged) * dim,
        "conv_hr": 2 * 16 * dim,
        "conv_last": 16 * dim + 16 * 3,
    }


def rrdb_flops(blocks: int = 6, features: int = 64, growth: int = 32) -> float:
    """FLOP per input pixel of :class:`scripts.bench.rrdb.RRDB`."""
    inputs = [features + i * growth for i in range(5)]
    dense = sum(inputs[:4]) * growth + inputs[4] * features
    body = blocks * 3 * dense + features * features
    tail = (4 + 16 + 16) * features * features + 16 * 3 * features
    return 2 * 9 * (3 * features + body + tail)


def rrdb_values(blocks: int = 6, features: int = 64, growth: int = 32) -> float:
    """Values per input pixel that each convolution of :class:`scripts.bench.rrdb.RRDB` reads and writes, and
    enlarging.
    """
    dense = sum(features + (i + 1) * growth for i in range(4)) + features + 4 * growth + features
    tail = (1 + 4 * 2 + 4) * features + (4 + 16 * 2 + 16) * features + 2 * 16 * features + 16 * (features + 3)
    return 3 + features + blocks * 3 * dense + 2 * features + tail
