"""The network alone: the plain eager form against the inference form, on the CPU and on the GPU if there is one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch

from scripts.benchmarks.flops import grl_flops
from scripts.benchmarks.measure import Summary, alternating, peak_memory, table, wall
from vsapisr.networks.grl import GRL
from vsapisr.networks.grl_inference import GRLInference

BASELINE = "eager fp32 NCHW"


def build(name: str, height: int, width: int) -> Callable[[], torch.Tensor]:
    """A call of the form ``name`` on one random image. Weights are random: speed does not depend on them."""
    torch.manual_seed(0)
    net: torch.nn.Module = GRL().eval()
    if name.startswith("inference"):
        net = GRLInference(net, torch.bfloat16 if "bf16" in name else torch.float32)
    if name.endswith("compiled"):
        net = torch.compile(net)
    image = torch.rand(1, 3, height, width)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return net(image)

    return run


def cpu(sizes: list[tuple[int, int]], runs: int, names: list[str], memory: bool) -> list[dict[str, object]]:
    """One row per size and form: seconds, ratio to the baseline, rate, peak memory."""
    rows: list[dict[str, object]] = []
    flops = sum(grl_flops().values())
    for width, height in sizes:
        forms = {name: build(name, height, width) for name in names}
        seconds = alternating(forms, runs, wall, f"{width}x{height}")
        base = Summary.of(seconds[BASELINE]).median
        for name in names:
            summary = Summary.of(seconds[name])
            rows.append({
                "size": f"{width}x{height}",
                "form": name,
                **summary.as_dict(),
                "ratio": base / summary.median,
                "gflops": flops * width * height / summary.median / 1e9,
                "peak_bytes": peak_memory(partial(build, name, height, width)) if memory else None,
            })
    return rows


def show(rows: list[dict[str, object]]) -> str:
    cells = []
    for row in rows:
        peak = row.get("peak_bytes")
        cells.append([
            row["size"], row["form"], *(f"{row[key]:.4g}" for key in ("median", "minimum", "maximum")), row["runs"],
            f"{row['ratio']:.2f}", f"{row['gflops']:.0f}", "" if peak is None else f"{peak / 2**20:.0f}",
        ])
    return table(["size", "form", "median s", "min s", "max s", "runs", "times faster", "GFLOP/s *", "peak MiB"], cells)


def parse_sizes(text: str) -> list[tuple[int, int]]:
    try:
        sizes = [tuple(int(side) for side in size.split("x")) for size in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or any(len(size) != 2 or min(size) < 1 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r}: sizes are WIDTHxHEIGHT with commas between, as in 256x256,480x270")
    return sizes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=parse_sizes, default="256x256,480x270", help="of the input (%(default)s)")
    parser.add_argument("--gpu-sizes", type=parse_sizes, default="256x256,854x480,1280x720,1920x1080")
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each form")
    parser.add_argument("--compile", action="store_true", help="also torch.compile of both forms; takes minutes")
    parser.add_argument("--bf16", action="store_true", help="also bfloat16, for processors that have it")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory (one more process per form)")
    parser.add_argument("--skip-cpu", action="store_true", help="only the GPU part")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Print the tables; return what they hold."""
    result: dict[str, object] = {"flop_per_pixel": grl_flops(), "flop_per_pixel_folded": grl_flops(folded=True)}
    plain, folded = (sum(grl_flops(folded=f).values()) / 1e6 for f in (False, True))
    print(f"GRL-tiny: {plain:.2f} MFLOP per input pixel, {folded:.2f} with folded upsampling")
    if not options.skip_cpu:
        names = [BASELINE, "inference fp32"] + ["inference bf16"] * options.bf16
        names += ["eager compiled", "inference compiled"] * options.compile
        result["cpu"] = cpu(options.sizes, options.runs, names, not options.no_memory)
        print(show(result["cpu"]))
        print("* of the network as written, so that forms compare; the inference form computes less.")
    if torch.cuda.is_available():
        from scripts.benchmarks import network_gpu

        result["gpu"] = network_gpu.measure(options.gpu_sizes, options.runs)
        print(show(result["gpu"]))
    else:
        print("GPU: no CUDA device")
        result["gpu"] = "no CUDA device"
    return result
