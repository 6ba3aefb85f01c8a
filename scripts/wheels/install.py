"""A wheel in a fresh environment outside the checkout, as a user has it: a frame through vspipe."""

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

SCRIPT = """
import vapoursynth as vs
import vsapisr
clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=2, color=[90, 100, 160])
print(vsapisr.__file__, flush=True)
clip.apisr.Upscale().set_output()
"""
PROBE = """
import vapoursynth as vs
from vsapisr.networks.cpu import network
print(vs.core.apisr.plugin_path, vs.core.apisr.Version()["bridge"], network.load_library() is not None)
"""
Y4M = (len("FRAME\n") + 256 * 192 * 3 // 2) * 2


def call(*command: str | Path, environ: dict[str, str], cwd: Path) -> bytes:
    done = subprocess.run(list(map(str, command)), capture_output=True, env=environ, cwd=cwd, timeout=600)
    if done.returncode:
        raise Problem(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).decode(errors='replace')[-1500:]}")
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
    """Installs a wheel or a source distribution; what the plugin and vspipe say is right, or Problem."""
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        python, environ = environment(cwd / "env", cwd)
        pip(
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--ignore-installed",
            *options,
            package.resolve(),
            environ=environ,
            cwd=cwd,
        )
        plugin, bridge, kernels = call(python, "-c", PROBE, environ=environ, cwd=cwd).decode().split()
        if not Path(plugin).resolve().is_relative_to((cwd / "env").resolve()):
            raise Problem(f"{package.name}: the plugin that was loaded is {plugin}")
        script = cwd / "plain.vpy"
        script.write_text(SCRIPT, encoding="utf-8")
        out = call(python.with_name("vspipe"), "-c", "y4m", script, "-", environ=environ, cwd=cwd)
        module, _, video = out.partition(b"\n")
        if not Path(module.decode()).is_relative_to(cwd / "env"):
            raise Problem(f"{package.name}: vsapisr was imported from {module.decode()}")
        head, _, frames = video.partition(b"\n")
        if b" W256 H192 " not in head or len(frames) != Y4M:
            raise Problem(f"{package.name}: vspipe wrote {head.decode(errors='replace')} and {len(frames)} bytes")
    return f"version {bridge}, {'with' if kernels == 'True' else 'without'} kernels, two frames through vspipe"
