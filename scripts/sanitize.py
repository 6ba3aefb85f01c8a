"""Bridge and kernels compiled with AddressSanitizer and UBSan, then a short run of tests; the kernels' threads under
ThreadSanitizer: python -m scripts.sanitize.

Exit status 0: nothing found; 77: this system has no compiler with the sanitizers. Needs gcc or clang on Linux.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = "-std=c11 -O1 -g -fPIC -shared -pthread -Wno-psabi -fno-omit-frame-pointer"
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
LIBRARIES = {
    "libvsapisr.so": "vsapisr/bridge",
    "libvsapisr_cpu.so": "vsapisr/networks/cpu/native",
    "libvsapisr_degrade.so": "train/degradation/native",
}
TESTS = (
    ["tests/test_native.py", "-k", "equals_the_readable_network or threads"],
    ["tests/test_reuse_native.py"],
    ["tests/test_degrade_compiled.py"],
    ["tests/test_bridge.py"],
)
NOTHING_TO_DO = 77


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CC") or "gcc")


def runtimes() -> list[str]:
    """The sanitizers' libraries, which a program that was not built with them has to load first; none: not here."""
    found = []
    for name in ("libasan.so", "libubsan.so"):
        try:
            shown = subprocess.run([*compiler(), f"-print-file-name={name}"], capture_output=True, text=True).stdout
        except OSError:
            return []
        if not Path(shown.strip()).is_absolute():
            return []
        found.append(shown.strip())
    return found


def build(folder: Path) -> None:
    import vapoursynth

    includes = [f"-I{vapoursynth.get_include()}", f"-I{sysconfig.get_path('include')}"]
    for name, sources in LIBRARIES.items():
        files = sorted(map(str, (ROOT / sources).glob("*.c")))
        options = [*shlex.split(FLAGS), *shlex.split(SANITIZERS), *includes, '-DVSAPISR_VERSION="0.0"']
        subprocess.run([*compiler(), *options, *files, "-o", str(folder / name), "-ldl", "-lm"], check=True)


def with_threads(folder: Path) -> int:
    """The kernels' own threads under ThreadSanitizer, in a C program, since an interpreter is not built with it."""
    program = folder / "native_threads"
    sources = [ROOT / "scripts/native_threads.c", *sorted((ROOT / LIBRARIES["libvsapisr_cpu.so"]).glob("*.c"))]
    flags = "-std=gnu11 -O2 -g -pthread -Wno-psabi -fsanitize=thread"
    made = subprocess.run([*compiler(), *shlex.split(flags), *map(str, sources), "-o", str(program), "-lm"])
    if made.returncode:
        print("no ThreadSanitizer here")
        return 0
    print("with ThreadSanitizer:", program.name, flush=True)
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []  # it does not get along with every random address
    return subprocess.run([*fixed, str(program)], env=os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}).returncode


def with_plugin(folder: Path) -> Path:
    """A copy of VapourSynth whose plugin is the one just built."""
    import vapoursynth

    source = Path(vapoursynth.get_include()).parent
    copy = folder / "site" / "vapoursynth"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("apisr", "libbestsource*", "__pycache__"))
    plugins = copy / "plugins" / "apisr"
    plugins.mkdir(parents=True)
    shutil.copy(folder / "libvsapisr.so", plugins)
    (plugins / "manifest.vs").write_text("[VapourSynth Manifest V1]\nlibvsapisr\n", encoding="utf-8")
    return copy.parent


def main() -> int:
    preload = runtimes() if sys.platform == "linux" else []
    if not preload:
        print(f"no sanitizers for {shlex.join(compiler())} here")
        return NOTHING_TO_DO
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if with_threads(folder):
            return 1
        build(folder)
        paths = [str(with_plugin(folder)), str(ROOT)]
        environ = os.environ | {
            "LD_PRELOAD": ":".join(preload),
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",  # an interpreter that exits leaks by its nature
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONMALLOC": "malloc",
            "VSAPISR_NATIVE": str(folder / "libvsapisr_cpu.so"),
            "VSAPISR_DEGRADE": str(folder / "libvsapisr_degrade.so"),
        }
        for tests in TESTS:
            print("with sanitizers:", *tests, flush=True)
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-s", *tests]
            if subprocess.run(command, cwd=ROOT, env=environ).returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
