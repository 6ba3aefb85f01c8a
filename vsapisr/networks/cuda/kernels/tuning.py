"""The fastest layout of each kind of kernel on a device: measured once, in a process of its own
(:mod:`vsapisr.networks.cuda.trial`), kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import statistics
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor, nn

from vsapisr.errors import WeightsError
from vsapisr.networks.cuda.faults import fatal
from vsapisr.networks.cuda.kernels import block, conv, ends, guard, samples
from vsapisr.networks.cuda.kernels.block import BlockTiling, PackedBlock
from vsapisr.networks.cuda.kernels.conv import PLANES, ConvTiling, PackedConv, Rows
from vsapisr.networks.cuda.kernels.form import Tilings
from vsapisr.networks.grl import GRL
from vsapisr.weights.published import cache_folder

log = logging.getLogger("vsapisr")

CALLS, ROUNDS = 5, 5
ROUNDING = 0.02  # of the largest value: how far two layouts' results may differ
MAP = (1, 512, 512)  # batch, height, width of what is measured: several times the second-level cache when enlarged
CONV_TILINGS = (
    ConvTiling(rows=8, columns=16, warps=4, stages=3),
    ConvTiling(rows=4, columns=32, warps=4, stages=3),
    ConvTiling(rows=8, columns=32, warps=8, stages=3),
    ConvTiling(rows=8, columns=32, warps=8, stages=2),
    ConvTiling(rows=8, columns=32, warps=8, stages=1),
    ConvTiling(rows=4, columns=16, warps=4, stages=3),
)
BLOCK_TILINGS = (
    BlockTiling(warps=4),
    BlockTiling(warps=4, registers=168),
    BlockTiling(warps=4, registers=128),
)
WINDOW_TILINGS = (*BLOCK_TILINGS, BlockTiling(warps=8))
"""The block kernel in eight warps touches memory that is not its own: an H200 with Triton 3.6."""


def milliseconds(run: Callable[[], object]) -> float:
    """Of one call by the device's own clock: the median of some rounds."""
    for _ in range(3):
        run()
    times = []
    for _ in range(ROUNDS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(CALLS):
            run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / CALLS)
    return statistics.median(times)


class Chooser:
    """The fastest layout of each kind that works and agrees with the others.

    ``say`` is told "KIND NUMBER" before a layout is tried, so that whoever watches knows which one killed the process;
    ``skip`` are such words, of layouts that are left alone.
    """

    def __init__(self, say: Callable[[str], object] = str, skip: Collection[str] = ()):
        self.say, self.skip = say, skip

    def fastest[T](self, kind: str, candidates: Sequence[T], run: Callable[[T], object], out: Tensor) -> T:
        """The candidate with which ``run``, which fills ``out``, takes least; what does not compile or fit, or gives
        something else than the first that works, is passed over.

        Raises:
            RuntimeError: none works.
        """
        best: T | None = None
        wanted: Tensor | None = None
        least, failure = float("inf"), None
        for number, candidate in enumerate(candidates):
            name = f"{kind} {number}"
            if name in self.skip:
                continue
            self.say(name)
            try:
                out.zero_()
                time = milliseconds(lambda: run(candidate))
                got = out.float().clone()
            except Exception as error:  # compilers and drivers have many ways to refuse
                if fatal(error):
                    raise
                failure = error
                continue
            if wanted is None:
                wanted = got
            elif not (got - wanted).abs().max().item() <= ROUNDING * wanted.abs().max().item():  # NaN is wrong
                log.warning("a layout of the fast kernels (%s) gives wrong results here, going on without it", name)
                continue
            if time < least:
                best, least = candidate, time
        if best is None:
            raise RuntimeError(f"no layout of a kernel works here: {failure}")
        return best


def measure(grl: GRL, dtype: torch.dtype, device: torch.device, chooser: Chooser) -> Tilings:
    """Try all layouts on random data; takes seconds, and a minute when nothing has been compiled yet."""
    b, h, w = MAP
    x = torch.randn(b, h, w, grl.config.dim, device=device, dtype=dtype)
    out, rows = torch.empty_like(x), Rows(0, h)
    blocks = [PackedBlock(block, dtype, device) for block in grl.layers[0].blocks]
    shifted, plain = blocks[0], blocks[min(1, len(blocks) - 1)]
    narrow = x.new_empty(b, h, w, grl.config.dim // 2)
    window = chooser.fastest("window", WINDOW_TILINGS, lambda tiling: shifted.run_window(x, narrow, tiling), narrow)
    whole = chooser.fastest("block", BLOCK_TILINGS, lambda tiling: plain.run(x, out, tiling, window), out)
    limit = torch.cuda.get_device_properties(device).shared_memory_per_block_optin  # type: ignore[attr-defined]
    fitting = [t for t in CONV_TILINGS if t.shared_bytes(grl.config.dim, x.element_size()) <= limit]

    def of_conv(kind: str, module: nn.Conv2d, target: Tensor, **options: Any) -> ConvTiling:
        packed = PackedConv(module, dtype, device, **options)
        return chooser.fastest(kind, fitting, lambda tiling: packed.run(x, rows, target, rows, h, tiling), target)

    return Tilings(
        window=window,
        block=whole,
        conv=of_conv("conv", grl.conv_hr, out, slope=0.2),
        phases=of_conv("phases", grl.conv_up2, x.new_empty(b, 2 * h, 2 * w, grl.config.dim), scale=2, slope=0.2),
        last=of_conv("last", grl.conv_hr, x.new_empty(b, PLANES, h, w), slope=0.2, last=grl.conv_last),
    )


def key(grl: GRL, dtype: torch.dtype, device: torch.device) -> str:
    """Everything that the choice depends on: device, compiler, kernels, hyperparameters, type."""
    files = (*(str(module.__file__) for module in (block, conv, ends, guard, samples)), __file__)
    sources = b"".join(Path(file).read_bytes() for file in files)
    parts = (
        torch.cuda.get_device_name(device),
        torch.cuda.get_device_capability(device),
        triton.__version__,
        torch.__version__,
        hashlib.sha256(sources).hexdigest(),
        grl.config,
        dtype,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def cached(name: str, make: Callable[[], dict]) -> dict:
    """What ``make`` returned when it was last called for ``name``, by any process. A file that cannot be read or
    written costs time only."""
    try:
        path = cache_folder() / "kernels" / f"{name}.json"
    except WeightsError as error:
        log.warning("kernel layouts cannot be kept: %s", error)
        return make()
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        value = make()
    temporary = path.with_name(f"{path.name}.{secrets.randbelow(10**9)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(value, indent=1), encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        log.warning("kernel layouts could not be kept in %s (%s)", path, error)
        temporary.unlink(missing_ok=True)
    return value


def tilings_from(values: dict) -> Tilings:
    kinds = {"window": BlockTiling, "block": BlockTiling, "conv": ConvTiling, "phases": ConvTiling, "last": ConvTiling}
    return Tilings(**{name: kind(**values[name]) for name, kind in kinds.items()})
