"""Runs the libraries of a wheel where something here can: Linux itself, qemu for arm64, Wine for Windows."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import torch

from scripts.wheels import job
from scripts.wheels.compile import NATIVE, compile_program
from scripts.wheels.targets import KERNELS, PLUGIN, Problem, Target
from vsapisr import __version__
from vsapisr.networks.cpu.network import LEVELS

__all__ = ["check_plugin", "compare", "runner", "try_kernels", "try_plugin"]

NEAR, NEAR_BF16 = 1e-4, -37.0
"""As in tests/test_native.py: the largest difference from the readable network in float32, decibels in bfloat16."""
SAME = 1e-6
"""Largest difference between two systems, whose compilers are the same."""
ARM64 = Path("/usr/aarch64-linux-gnu")
"""Where Debian's libc6-arm64-cross has the C library."""
TIMEOUT = 300


def runner(target: Target) -> list[str] | str:
    """The command before a program's own, or why there is none."""
    here = platform.system() == "Linux" and platform.machine()
    if target.system == "linux" and here == {"arm64": "aarch64"}.get(target.machine, target.machine):
        return []
    if target.system == "linux" and target.machine == "arm64":
        if not shutil.which("qemu-aarch64") or not ARM64.exists():
            return "qemu-aarch64 or the C library for it is not installed (Debian: qemu-user, libc6-arm64-cross)"
        return ["qemu-aarch64", "-L", str(ARM64)]
    if target.system == "windows":
        return ["wine"] if shutil.which("wine") else "wine is not installed (Debian: wine)"
    return "nothing here runs programs of macOS"


def run(command: list[str | Path]) -> str:
    """Its output; Problem unless it ends well."""
    environ = {**os.environ, "WINEDEBUG": "-all", "DISPLAY": ""}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=TIMEOUT, env=environ)
    if done.returncode:
        raise Problem(
            f"{' '.join(map(str, command))}: exit status {done.returncode}: {done.stdout}{done.stderr[-800:]}"
        )
    return done.stdout.replace("\r", "")


def try_plugin(target: Target, libraries: Path, work: Path, headers: list[Path], before: list[str]) -> str:
    """The plugin in a host without Python: registers itself, tells its version, refuses with its own words."""
    program = compile_program(target, NATIVE / "host.c", work / f"host-{target.name}", [f"-I{h}" for h in headers])
    place = work / f"{target.name} é ü 動画" / target.libraries[PLUGIN].name  # as a user's folder may be called
    place.parent.mkdir(exist_ok=True)
    shutil.copy(libraries / target.libraries[PLUGIN], place)
    return check_plugin(target.name, run([*before, program, place]))


def check_plugin(name: str, said: str) -> str:
    """The refusal among what the host printed; Problem if that is not what it must be."""
    wanted = [
        r"plugin io\.github\.vsapisr apisr \d+\.\d+ api 4: .+",
        r"function Upscale\(clip:vnode;model:data:opt;.*\) -> clip:vnode;",
        r"function Version\(\) -> version:data;.*",
        "call Upscale",
        "error Upscale: needs a Python interpreter in this process; use python or vspipe",
        "call Version",
        re.escape(f"value version={__version__}"),
        re.escape(f"value bridge={__version__}"),
        "freed 1",
    ]
    lines = said.splitlines()
    if len(lines) != len(wanted) or not all(map(re.fullmatch, wanted, lines)):
        raise Problem(f"{name}: the plugin says what is not expected:\n{said}")
    return lines[4].removeprefix("error ")


def compare(name: str, result: np.ndarray, others: dict[str, np.ndarray]) -> str:
    """With the readable network, and with what another system computed."""
    grl = job.network()
    with torch.inference_mode():
        expected = grl(job.picture()).numpy()
    result = result.reshape(expected.shape)
    worst = float(np.abs(result - expected).max())
    error = float(10 * np.log10(np.square(result - expected).mean() / np.square(expected).mean()))
    if not (error < NEAR_BF16 if "bf16" in name else worst < NEAR):
        raise Problem(f"{name}: {worst:.2e} from the readable network, {error:.1f} dB")
    text = f"{name}: {worst:.1e} from the readable network"
    if name in others:
        apart = float(np.abs(result.ravel() - others[name]).max())
        if not apart <= SAME:
            raise Problem(f"{name}: {apart:.2e} from what Linux computes")
        text += f", {apart:.1e} from Linux"
    return text


def try_kernels(
    target: Target, libraries: Path, work: Path, before: list[str], others: dict[str, np.ndarray]
) -> list[str]:
    """The kernels on a picture, at all instruction sets that this processor has, against the readable network; results
    are left in ``others`` for the next system to be compared with."""
    program = compile_program(target, NATIVE / "kernels.c", work / f"kernels-{target.name}")
    library = libraries / target.libraries[KERNELS]
    facts = dict(line.split(" ", 1) for line in run([*before, program, library, "facts"]).splitlines())
    best, best_bf16 = int(facts["level"]), int(facts["level_bf16"])
    if target.machine != "x86_64":
        if best or best_bf16:
            raise Problem(f"{target.name}: the library says that it has kernels: {facts}")
        return ["has no kernels and says so: torch's operators are used"]
    said = [f"abi {facts['abi']}, level {best}, {best_bf16} in bfloat16"]
    for name, level in LEVELS.items():
        if level <= min(best, LEVELS["avx512"]) or (level <= best_bf16 and "bf16" in name):
            task, result = work / f"job-{name}", work / f"result-{target.name}-{name}"
            if not task.exists():
                job.write_job(task, name)
            run([*before, program, library, str(level), task, result])
            values = np.fromfile(result, np.float32)
            said.append(compare(name, values, others))
            others.setdefault(name, values)
    return said
