"""Compiles libraries and programs for any platform with Zig's C compiler, which comes from PyPI (``ziglang``)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from scripts.wheels.targets import KERNELS, PLUGIN, Problem, Target
from vsapisr import __version__

__all__ = ["compile_libraries", "compile_program", "python_headers"]

ROOT = Path(__file__).resolve().parents[2]
NATIVE = Path(__file__).parent / "native"
FLAGS = ["-std=c11", "-g0", "-s", "-mcpu=baseline", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
SOURCES = {PLUGIN: "vsapisr/bridge", KERNELS: "vsapisr/networks/cpu/native"}
SYSTEM_FLAGS = {"linux": ["-fPIC", "-Wl,-z,defs", "-ldl", "-pthread"], "windows": [], "macos": ["-fPIC"]}
"""Of libraries: nothing may be left undefined, for a Python in the process to resolve."""


def zig(target: Target, *arguments: str | Path) -> None:
    """Raises Problem with the compiler's words."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target.triple, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "No module named ziglang" in done.stderr:
        raise Problem('the compiler is missing: pip install -e ".[wheels]"')
    if done.returncode:
        raise Problem(f"{target.name}: {done.stderr.strip()[:4000]}")


def python_headers(folder: Path) -> Path:
    """A copy of this Python's headers, but that the one about this machine is ours, which asks the compiler."""
    if not folder.exists():
        shutil.copytree(sysconfig.get_path("include"), folder)
        shutil.copy(NATIVE / "pyconfig.h", folder)
    return folder


def compile_libraries(target: Target, folder: Path, headers: Path) -> None:
    """Plugin and kernels below ``folder``, at their places in a wheel."""
    import vapoursynth

    for name, path in target.libraries.items():
        output = folder / path
        output.parent.mkdir(parents=True, exist_ok=True)
        options = ["-O3"]
        if name == PLUGIN:
            options = ["-O2", f"-I{headers}", f"-I{vapoursynth.get_include()}", f'-DVSAPISR_VERSION="{__version__}"']
        if target.system == "macos":
            options.append(f"-Wl,-install_name,@rpath/{output.name}")
        sources = sorted((ROOT / SOURCES[name]).glob("*.c"))
        zig(target, *FLAGS, *options, "-shared", *sources, "-o", output, *SYSTEM_FLAGS[target.system])
        for left in output.parent.iterdir():  # import libraries and what debuggers read
            if left.suffix in (".lib", ".pdb"):
                os.remove(left)


def compile_program(target: Target, source: Path, output: Path, options: Sequence[str | Path] = ()) -> Path:
    """One of the programs that try the libraries out."""
    output = output.with_suffix(".exe") if target.system == "windows" else output
    libraries = {"linux": ["-ldl"], "windows": ["-lshell32"], "macos": []}[target.system]
    zig(target, "-std=c11", "-O1", "-g0", "-Wall", "-Wextra", *options, source, "-o", output, *libraries)
    return output
