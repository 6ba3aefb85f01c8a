"""Compile the Triton kernels for a GPU that need not be there, and say what they take of it.

python -m scripts.gpu.compile_kernels [--capability 90] [--type fp16] [--only block]: one line a kernel. Exit status 1
if one does not compile or spills registers.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from vsapisr.networks.cuda.kernels import block, conv, ends, guard, samples
from vsapisr.networks.cuda.kernels.conv import PADDED_PLANES
from vsapisr.networks.cuda.kernels.tuning import BLOCK_TILINGS, CONV_TILINGS, WINDOW_TILINGS

WIDE = {"bias", "norm", "vectors", "scales", "mean", "down", "across"}  # in fp32 whatever the map's type is
TABLES = {"positions", "gather", "spread"}  # in fp16 unless that is fp32
NUMBERS = {"slope", "red_part", "green_part", "blue_part", "scale", "offset", "most"}
TENSORS = (
    WIDE
    | TABLES
    | {
        "x",
        "out",
        "shifted",
        "matrices",
        "weight",
        "residual",
        "last",
        "planes",
        "image",
        "features",
        "normed",
        "source",
        "enlarged",
        "rgb",
    }
)


def variants(every: bool) -> Iterator[tuple[str, object, dict[str, object], dict[str, object]]]:
    """(name, kernel, constants, options); the first layout of each, or every one that is tried on a device."""
    shape = {"C": 64, "HEADS": 2}
    for tiling in WINDOW_TILINGS[: None if every else 1]:
        yield "window", block.window_kernel, shape, {"num_warps": tiling.warps, "maxnreg": tiling.registers}
    for tiling in BLOCK_TILINGS[: None if every else 1]:
        options = {"num_warps": tiling.warps, "maxnreg": tiling.registers}
        for shifted in (False, True):
            yield "block", block.block_kernel, shape | {"HIDDEN": 128, "SHIFTED": shifted}, options
    for tiling in CONV_TILINGS[: None if every else 1]:
        layout = {"C": 64, "BY": tiling.rows, "BX": tiling.columns, "STAGES": tiling.stages}
        for name, constants in {
            "conv": {"TAPS": 3, "SCALE": 1, "RESIDUAL": True, "NORM": True, "LAST": 0},
            "phases": {"TAPS": 2, "SCALE": 2, "RESIDUAL": False, "NORM": False, "LAST": 0},
            "hr": {"TAPS": 3, "SCALE": 1, "RESIDUAL": False, "NORM": False, "LAST": PADDED_PLANES},
        }.items():
            yield name, conv.conv_kernel, layout | constants, {"num_warps": tiling.warps}
    yield "first", ends.first_kernel, {"C": 64, "BLOCK": ends.PIXELS}, {"num_warps": 4}
    yield "last", ends.last_kernel, {"BLOCK": ends.COLUMNS}, {"num_warps": 4}
    for name, taps, factor in (("luma", 1, 1), ("chroma", 9, 2)):
        layout = {"DOWN": taps, "ACROSS": taps, "FACTOR_Y": factor, "FACTOR_X": factor}
        layout |= {"INTEGER": False, "BLOCK": samples.PIXELS}
        yield name, samples.plane_kernel, layout, {"num_warps": 4}
    yield "guard", guard.guard_kernel, guard.CONSTANTS, {"num_warps": 4}


def signature(kernel: object, constants: dict[str, object], kind: str) -> dict[str, str]:
    types = {}
    for name in kernel.arg_names:
        if name in constants:
            types[name] = "constexpr"
        elif name in TENSORS:
            table = "fp32" if kind == "fp32" else "fp16"
            types[name] = "*" + ("fp32" if name in WIDE else table if name in TABLES else kind)
        else:
            types[name] = "fp32" if name in NUMBERS else "i32"
    return types


def report(
    kernel: object, constants: dict[str, object], options: dict[str, object], kind: str, capability: int
) -> tuple[str, int]:
    """(words, bytes that spilled out of registers)."""
    names = kernel.arg_names
    types = signature(kernel, constants, kind)
    aligned = [i for i, name in enumerate(names) if types[name].startswith("*") or name in ("width", "kept_width")]
    # A launch finds the same: addresses are multiples of 16, and so are widths once enlarged.
    attributes = {(i,): [["tt.divisibility", 16]] for i in aligned}
    source = ASTSource(kernel, types, constexprs={(names.index(k),): v for k, v in constants.items()}, attrs=attributes)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "kernel.cubin"
        binary.write_bytes(compiled.asm["cubin"])
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        usage = subprocess.run([tool, "-res-usage", binary], capture_output=True, text=True, check=True).stdout
    registers, stack, local = (int(re.search(rf"{word}:(\d+)", usage)[1]) for word in ("REG", "STACK", "LOCAL"))
    return f"{registers} registers, {compiled.metadata.shared} bytes shared, {stack + local} spilled", stack + local


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu.compile_kernels", description=__doc__.splitlines()[0])
    parser.add_argument("--capability", type=int, default=90, help="compute capability times ten (%(default)s)")
    parser.add_argument("--type", choices=("fp16", "bf16", "fp32"), default="fp16")
    parser.add_argument(
        "--only", help="names with commas between: window,block,conv,phases,hr,first,last,guard,luma,chroma"
    )
    parser.add_argument(
        "--every", action="store_true", help="every layout that is tried on a device, not the first alone"
    )
    options = parser.parse_args(arguments)
    if triton.knobs.runtime.interpret:
        print("TRITON_INTERPRET is set: there is nothing to compile", file=sys.stderr)
        return 2
    wrong = 0
    for name, kernel, constants, layout in variants(options.every):
        if options.only and name not in options.only.split(","):
            continue
        try:
            words, spilled = report(kernel, constants, layout, options.type, options.capability)
            wrong += spilled > 0
        except Exception as error:  # a compiler fails in many ways; the others are worth seeing
            words, wrong = f"FAILED: {type(error).__name__}: {str(error).strip().splitlines()[0]}", wrong + 1
        details = {
            k: v
            for k, v in (constants | layout).items()
            if k in ("SHIFTED", "BY", "BX", "STAGES", "num_warps", "maxnreg")
        }
        print(f"{name:8}{words}  {details}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    os.environ.setdefault("TRITON_CACHE_DIR", str(Path(tempfile.gettempdir()) / "vsapisr-kernels"))
    sys.exit(main())
