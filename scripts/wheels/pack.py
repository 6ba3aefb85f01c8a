"""Source distribution and wheels by setuptools, with the libraries that were compiled here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from scripts.wheels.targets import Problem, Target

__all__ = ["pack_source", "pack_wheel"]

ROOT = Path(__file__).resolve().parents[2]
BUILD = "from setuptools import build_meta as b; import sys; print(b.{}(sys.argv[1]{}))"
TAGGED = ", {'--build-option': ['--plat-name', sys.argv[2]]}"


def _setuptools(call: str, *arguments: str | Path, cwd: Path, **environ: str) -> str:
    """The file name that setuptools gives."""
    commit = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    environ = {**os.environ, "SOURCE_DATE_EPOCH": commit.stdout.strip() or "1700000000", **environ}
    command = [sys.executable, "-c", call, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"setuptools failed: {(done.stdout + done.stderr).strip()[-1500:]}")
    return done.stdout.split()[-1]


def pack_source(output: Path, work: Path) -> Path:
    """The source distribution of the files that git knows, as they are now; and unpacked as ``work/source``."""
    checkout = work / "checkout"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file() and name.startswith(("vsapisr/", "train/degradation/native/", "setup.py",
                                                        "pyproject.toml", "README.md", "LICENSE")):  # fmt: skip
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
    path = output / _setuptools(BUILD.format("build_sdist", ""), output, cwd=checkout)
    with tarfile.open(path) as archive:
        archive.extractall(work, filter="data")
    shutil.rmtree(work / "source", ignore_errors=True)
    (work / path.name.removesuffix(".tar.gz")).rename(work / "source")
    return path


def pack_wheel(target: Target, libraries: Path, source: Path, output: Path) -> Path:
    """The target's wheel, from the unpacked source distribution and the libraries in a folder as in a wheel."""
    shutil.rmtree(source / "build", ignore_errors=True)  # of the target before
    call = BUILD.format("build_wheel", TAGGED)
    return output / _setuptools(call, output, target.tag, cwd=source, VSAPISR_LIBRARIES=str(libraries))
