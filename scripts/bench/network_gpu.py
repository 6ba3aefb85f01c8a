"""The network alone on a CUDA device, against RRDB with 6 blocks; timed by the device's own events."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from scripts.bench.flops import grl_flops, rrdb_flops
from scripts.bench.rrdb import RRDB
from scripts.bench.timing import Summary, alternating
from vsapisr.networks.grl import GRL
from vsapisr.networks.grl_inference import GRLInference

BASELINE = "eager fp32 NCHW"
REPEATS = 5  # calls between two events


def device_seconds(run: Callable[[], object]) -> float:
    """Seconds of one call, the mean of some in a row, by CUDA events."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(REPEATS):
        run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / REPEATS


def graphed(net: nn.Module, image: Tensor) -> Callable[[], Tensor]:
    """A CUDA graph of ``net`` on ``image``: one launch for all kernels."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.inference_mode():
        for _ in range(3):
            net(image)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.inference_mode():
        out = net(image)

    def run() -> Tensor:
        graph.replay()
        return out

    return run


def called(net: nn.Module, image: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.inference_mode():
            return net(image)

    return run


def forms(height: int, width: int) -> dict[str, Callable[[], Tensor]]:
    torch.manual_seed(0)
    grl = GRL().eval()
    rrdb = RRDB().eval().half().to("cuda", memory_format=torch.channels_last)
    fast = GRLInference(grl, torch.float16).cuda()
    half = GRL().eval().half().to("cuda", memory_format=torch.channels_last)
    half.memory_format = torch.channels_last
    image = torch.rand(1, 3, height, width, device="cuda")
    small = image.half().contiguous(memory_format=torch.channels_last)
    return {
        BASELINE: called(grl.cuda(), image),
        "eager fp16 NHWC": called(half, small),
        "eager fp16 compiled": called(torch.compile(half), small),
        "inference fp16": called(fast, small),
        "inference fp16 graph": graphed(fast, small),
        "inference fp16 compiled": called(torch.compile(fast), small),
        "RRDB 6 fp16 NHWC": called(rrdb, small),
        "RRDB 6 fp16 graph": graphed(rrdb, small),
    }


def measure(sizes: list[tuple[int, int]], runs: int) -> list[dict[str, object]]:
    """One row per size and form, as in the CPU part; peak memory is the device's."""
    rows: list[dict[str, object]] = []
    for width, height in sizes:
        calls = forms(height, width)
        seconds = alternating(calls, runs, device_seconds, f"GPU {width}x{height}")
        base = Summary.of(seconds[BASELINE]).median
        for name, call in calls.items():
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
            call()
            torch.cuda.synchronize()
            summary = Summary.of(seconds[name])
            flops = rrdb_flops() if name.startswith("RRDB") else sum(grl_flops().values())
            rows.append(
                {
                    "size": f"{width}x{height}",
                    "form": name,
                    **summary.as_dict(),
                    "ratio": base / summary.median,
                    "gflops": flops * width * height / summary.median / 1e9,
                    "peak_bytes": None if name.endswith("graph") else torch.cuda.max_memory_allocated() - held,
                }
            )
        del calls
        torch.cuda.empty_cache()
    return rows
