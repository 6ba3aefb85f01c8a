"""Whether an installation works, as a user has it: python packaging/smoke.py, with the Python it was installed for.

Imports nothing of a checkout. Prints what it found; the exit status is 1 if something is wrong.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import vapoursynth as vs

import vsapisr
from vsapisr.networks.cpu import network

SCRIPT = """
import vapoursynth as vs
clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=2, color=[90, 100, 160])
clip.apisr.Upscale(device="cpu").set_output()
"""
SIZE = len("FRAME\n") + 256 * 192 * 3 // 2
NEAR = 3
"""Steps of 255 that a plain area may be off."""


def own(path: str) -> bool:
    return Path(path).resolve().is_relative_to(Path(sys.prefix).resolve())


def wrong_in_process() -> str:
    """A frame of one colour keeps it; what is wrong otherwise."""
    source = vs.core.std.BlankClip(format=vs.RGB24, width=40, height=24, length=1, color=[200, 120, 40])
    with source.apisr.Upscale(device="cpu").get_frame(0) as frame:
        if (frame.width, frame.height) != (160, 96):
            return f"the frame has {frame.width}x{frame.height}"
        for plane, value in enumerate((200, 120, 40)):
            worst = max(abs(frame[plane][y, x] - value) for y in range(0, 96, 5) for x in range(0, 160, 5))
            if worst > NEAR:
                return f"plane {plane} is off by {worst} steps"
    return ""


def wrong_in_vspipe() -> str:
    program = shutil.which("vspipe", path=str(Path(sys.executable).parent)) or shutil.which("vspipe")
    if program is None:
        return "there is no vspipe"
    environ = os.environ | {"VIRTUAL_ENV": sys.prefix}
    environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + environ.get("PATH", "")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "plain.vpy")
        script.write_text(SCRIPT, encoding="utf-8")
        done = subprocess.run([program, "-c", "y4m", str(script), "-"], capture_output=True, env=environ, timeout=600)
    head, _, frames = done.stdout.partition(b"\n")
    if done.returncode or b" W256 H192 " not in head or len(frames) != 2 * SIZE:
        return (
            f"vspipe: exit status {done.returncode}, {len(frames)} bytes, {done.stderr.decode(errors='replace')[-500:]}"
        )
    return ""


def main() -> int:
    plugin = vs.core.apisr.plugin_path
    bridge = vs.core.apisr.Version()["bridge"]
    kernels = "with" if network.load_library() is not None else "without"
    wrong = [f"{path} is not of this environment" for path in (plugin, vsapisr.__file__) if not own(path)]
    if bridge != vsapisr.__version__:
        wrong.append(f"the plugin is {bridge}, vsapisr {vsapisr.__version__}")
    wrong += [text for text in (wrong_in_process(), wrong_in_vspipe()) if text]
    print("\n".join(wrong) or f"version {bridge}, {kernels} kernels; a frame in Python, two frames through vspipe")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
