"""Wheels for five platforms and the source distribution, compiled, looked into and tried out: python -m scripts.wheels

Needs Linux on x86-64 and ``pip install -e ".[wheels]"``; no compiler. What is not installed here to run the others
(Wine, qemu and a C library for arm64) is named. Exit status 1: something is not as it must be.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from scripts.wheels import tryout
from scripts.wheels.compile import compile_libraries, python_headers
from scripts.wheels.headers import inspect_names, inspect_wheel
from scripts.wheels.install import try_installed
from scripts.wheels.pack import pack_source, pack_wheel
from scripts.wheels.targets import TARGETS, Problem, Target


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m scripts.wheels", description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="PLATFORM", help=f"of {', '.join(TARGETS)}; all without")
    parser.add_argument("--output", type=Path, default=Path("dist"), help="folder for the wheels (%(default)s)")
    parser.add_argument("--no-run", action="store_true", help="look into the libraries, run nothing")
    chosen = parser.parse_args(words)
    unknown = [name for name in chosen.targets if name not in TARGETS]
    if unknown:
        parser.error(f"PLATFORM is {unknown[0]}; one of {', '.join(TARGETS)}")
    missing = [name for name in ("ziglang", "lief", "abi3info") if not find_spec(name)]
    if missing:
        parser.error(f'{", ".join(missing)} missing: pip install -e ".[wheels]"')
    return chosen


def make(target: Target, work: Path, output: Path) -> Path:
    """The wheel, looked into; what is not as it must be is not left."""
    start = time.monotonic()
    compile_libraries(target, work / target.name, python_headers(work / "headers"))
    wheel = pack_wheel(target, work / target.name, work / "source", output)
    wrong = inspect_wheel(wheel, target)
    if wrong:
        wheel.unlink()
        raise Problem("\n".join(wrong))
    print(
        f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, looked into ({time.monotonic() - start:.0f} s)", flush=True
    )
    return wheel


def try_out(target: Target, work: Path, results: dict) -> list[str]:
    """What was seen, a line each."""
    import vapoursynth

    before = tryout.runner(target)
    if isinstance(before, str):
        return [f"not run: {before}"]
    libraries = work / target.name
    return [
        "without Python: " + tryout.try_plugin(target, libraries, work, [Path(vapoursynth.get_include())], before),
        *tryout.try_kernels(target, libraries, work, before, results),
    ]


def try_source(source: Path) -> str:
    if not shutil.which("cc"):
        return "not run: no C compiler"
    return try_installed(source, "--no-build-isolation")


def try_all(target: Target, wheel: Path, source: Path, work: Path, results: dict) -> None:
    """Prints what was seen; a wheel that fails is not left."""
    try:
        for line in try_out(target, work, results):
            print(f"  {line}", flush=True)
        if tryout.runner(target) == []:
            print(f"  installed: {try_installed(wheel)}", flush=True)
            print(f"  {source.name}, built and installed: {try_source(source)}", flush=True)
    except Problem:
        wheel.unlink()
        raise


def main(words: list[str] | None = None) -> int:
    chosen = arguments(words)
    output = chosen.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    results: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        lost = inspect_names()
        if lost:
            print(f"not in the stable ABI of 3.12: {', '.join(lost)}")
            return 1
        source = pack_source(output, work)
        for target in (TARGETS[name] for name in chosen.targets or TARGETS):
            try:
                wheel = make(target, work, output)
                if not chosen.no_run:
                    try_all(target, wheel, source, work, results)
            except Problem as problem:
                failed.append(target.name)
                print(f"{target.name} failed: {problem}", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else f"all in {output}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
