"""A wheel in a fresh environment outside the checkout, as a user has it: ``packaging/smoke.py``."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from importlib.metadata import version
from pathlib import Path

from scripts.wheels.targets import Problem

__all__ = ["try_installed"]

SMOKE = Path(__file__).resolve().parents[2] / "packaging" / "smoke.py"


def call(*command: str | Path, environ: dict[str, str], cwd: Path) -> bytes:
    done = subprocess.run(list(map(str, command)), capture_output=True, env=environ, cwd=cwd, timeout=600)
    if done.returncode:
        raise Problem(f"{' '.join(map(str, command))}: {(done.stdout + done.stderr).decode(errors='replace')[-1500:]}")
    return done.stdout


def environment(folder: Path, cwd: Path) -> tuple[Path, dict[str, str]]:
    """An empty virtual environment with its variables, VapourSynth of its own, and all else behind it. VapourSynth
    must be its own, since that is where plugins are installed to and looked for."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VSAPISR", "PIP_"))}
    environ |= {"VIRTUAL_ENV": str(folder), "PATH": f"{python.parent}{os.pathsep}{environ.get('PATH', '')}"}
    site = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))", environ=environ,
                     cwd=cwd).decode().strip())  # fmt: skip
    pip(python, "install", "--quiet", f"vapoursynth=={version('vapoursynth')}", environ=environ, cwd=cwd)
    (site / "behind.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return python, environ


def pip(python: Path, *arguments: str | Path, environ: dict[str, str], cwd: Path) -> None:
    """This environment's pip, for that one."""
    call(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, *arguments,
         environ=environ, cwd=cwd)  # fmt: skip


def try_installed(package: Path, *options: str) -> str:
    """Installs a wheel or a source distribution; what was found to work, or Problem."""
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        python, environ = environment(cwd / "env", cwd)
        options = ("--quiet", "--no-deps", "--ignore-installed", *options)
        pip(python, "install", *options, package.resolve(), environ=environ, cwd=cwd)
        return call(python, SMOKE, environ=environ, cwd=cwd).decode().strip()
