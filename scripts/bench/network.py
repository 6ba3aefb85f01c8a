"""The network alone: the plain eager form, the inference form and RRDB, on the CPU and on the GPU if there is one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from scripts.bench.flops import grl_flops, grl_values, rrdb_flops, rrdb_values
from scripts.bench.rrdb import RRDB
from scripts.bench.timing import Summary, alternating, ceilings, machine, peak_memory, table, wall
from vsapisr.networks.grl import GRL
from vsapisr.networks.grl_inference import GRLInference
from vsapisr.writing import write_atomically

BASELINE = "eager fp32 NCHW"


def precision(name: str) -> torch.dtype:
    return torch.bfloat16 if "bf16" in name else torch.float32


def build(name: str, height: int, width: int) -> Callable[[], torch.Tensor]:
    """A call of the form ``name`` on one random image. Weights are random: speed does not depend on them."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, height, width)
    if name.startswith("RRDB"):
        net: torch.nn.Module = RRDB().eval().to(precision(name), memory_format=torch.channels_last)
        image = image.to(precision(name), memory_format=torch.channels_last)
    else:
        net = GRL().eval()
    if name.startswith("inference"):
        net = GRLInference(net, precision(name))
    if name.endswith("operators"):
        net.native = None
    if name.endswith("compiled"):
        net = torch.compile(net)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return net(image)

    return run


def cost(name: str) -> tuple[float, float]:
    """FLOP and bytes per input pixel that a form computes and, layer by layer, moves."""
    folded, size = name.startswith("inference"), precision(name).itemsize
    if name.startswith("RRDB"):
        return rrdb_flops(), rrdb_values() * size
    return sum(grl_flops(folded=folded).values()), sum(grl_values(folded=folded).values()) * size


def cpu(sizes: list[tuple[int, int]], runs: int, names: list[str], memory: bool) -> list[dict[str, object]]:
    """One row per size and form: seconds, ratio to the baseline, rates and their share of the machine's, peak
    memory.
    """
    rows: list[dict[str, object]] = []
    limits = {dtype: ceilings(dtype) for dtype in dict.fromkeys(map(precision, names))}
    for width, height in sizes:
        forms = {name: build(name, height, width) for name in names}
        seconds = alternating(forms, runs, wall, f"{width}x{height}")
        base = Summary.of(seconds[BASELINE]).median
        for name in names:
            summary = Summary.of(seconds[name])
            flop, moved = (each * width * height for each in cost(name))
            products, copies = limits[precision(name)]
            rows.append(
                {
                    "size": f"{width}x{height}",
                    "form": name,
                    **summary.as_dict(),
                    "ratio": base / summary.median,
                    "flop": flop,
                    "bytes": moved,
                    "gflops": flop / summary.median / 1e9,
                    "product_share": flop / summary.median / products,
                    "copy_share": moved / summary.median / copies,
                    "peak_bytes": peak_memory(partial(build, name, height, width)) if memory else None,
                }
            )
        print(show(rows[-len(names) :]), flush=True)
    for dtype, (products, copies) in limits.items():
        print(f"{dtype}: products {products / 1e9:.0f} GFLOP/s, copies {copies / 1e9:.1f} GB/s (read and written)")
    return rows


def show(rows: list[dict[str, object]]) -> str:
    """Columns whose figures no row has are left out."""
    columns: dict[str, tuple[str, Callable]] = {
        "size": ("size", str), "form": ("form", str), "median": ("median s", "{:.4g}".format),
        "minimum": ("min s", "{:.4g}".format), "percentile_90": ("90% s", "{:.4g}".format),
        "maximum": ("max s", "{:.4g}".format), "runs": ("runs", str), "ratio": ("times faster", "{:.2f}".format),
        "gflops": ("GFLOP/s", "{:.0f}".format), "product_share": ("of products", "{:.0%}".format),
        "bytes": ("GB layer by layer", lambda value: f"{value / 1e9:.1f}"), "copy_share": ("of copies",
        "{:.0%}".format),
        "peak_bytes": ("peak MiB", lambda value: f"{value / 2**20:.0f}"),
    }  # fmt: skip
    kept = {key: column for key, column in columns.items() if any(row.get(key) is not None for row in rows)}
    cells = [["" if row.get(key) is None else text(row[key]) for key, (_, text) in kept.items()] for row in rows]
    return table([title for title, _ in kept.values()], cells)


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
    parser.add_argument("--operators", action="store_true", help="also the inference form by torch's operators")
    parser.add_argument("--rrdb", action="store_true", help="also RRDB with 6 blocks, channels last")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory (one more process per form)")
    parser.add_argument("--skip-cpu", action="store_true", help="only the GPU part")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table there, with the machine in words"
    )


def chosen(options: argparse.Namespace) -> list[str]:
    """Names of the forms for the CPU."""
    precisions = ["fp32", *["bf16"] * options.bf16]
    names = [BASELINE, *(f"inference {precision}" for precision in precisions)]
    names += [f"inference {precision} operators" for precision in precisions] * options.operators
    names += [f"RRDB 6 {precision} NHWC" for precision in precisions] * options.rrdb
    return names + ["eager compiled", "inference operators compiled"] * options.compile


def run(options: argparse.Namespace) -> dict[str, object]:
    """Print the tables; return what they hold."""
    result: dict[str, object] = {"flop_per_pixel": grl_flops(), "flop_per_pixel_folded": grl_flops(folded=True)}
    plain, folded = (sum(grl_flops(folded=f).values()) / 1e6 for f in (False, True))
    print(f"GRL-tiny: {plain:.2f} MFLOP per input pixel, {folded:.2f} with folded upsampling")
    if not options.skip_cpu:
        result["cpu"] = cpu(options.sizes, options.runs, chosen(options), not options.no_memory)
    if torch.cuda.is_available():
        from scripts.bench import network_gpu

        result["gpu"] = network_gpu.measure(options.gpu_sizes, options.runs)
        print(show(result["gpu"]))
    else:
        print("GPU: no CUDA device")
        result["gpu"] = "no CUDA device"
    if options.markdown:
        tables = [show(rows) for rows in (result.get("cpu"), result["gpu"]) if isinstance(rows, list)]
        about = ", ".join(f"{key} {value}" for key, value in machine().items())
        write_atomically(options.markdown, "\n\n".join([*tables, about, ""]).encode())
    return result
