"""The platforms that wheels are made for, and what each compiler and file is called there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["KERNELS", "PLUGIN", "TARGETS", "Problem", "Target"]

PLUGIN = "vapoursynth/plugins/apisr/libvsapisr"
KERNELS = "vsapisr/networks/cpu/libvsapisr_cpu"
"""Libraries in a wheel, without their suffix; setup.py has the same in LIBRARIES."""


class Problem(Exception):
    """Something is missing, did not compile, or is not as a wheel must be; the text is one or more lines."""


@dataclass(frozen=True)
class Target:
    name: str
    triple: str
    """Zig's name of the platform, with the oldest C library or system that the libraries are to run on."""
    tag: str
    """The wheel's."""
    system: str
    """``linux``, ``windows`` or ``macos``."""
    machine: str
    """``x86_64`` or ``arm64``."""

    @property
    def suffix(self) -> str:
        return {"linux": ".so", "windows": ".dll", "macos": ".dylib"}[self.system]

    @property
    def libraries(self) -> dict[str, PurePosixPath]:
        """Plugin and kernels, as paths in the wheel."""
        return {name: PurePosixPath(name + self.suffix) for name in (PLUGIN, KERNELS)}


# macOS 13 is what VapourSynth's own wheels need; glibc 2.17 is far older than what VapourSynth and PyTorch need.
TARGETS = {
    target.name: target
    for target in (
        Target("linux-x86_64", "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64", "linux", "x86_64"),
        Target("linux-arm64", "aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64", "linux", "arm64"),
        Target("windows-x86_64", "x86_64-windows-gnu", "win_amd64", "windows", "x86_64"),
        Target("macos-arm64", "aarch64-macos.13.0", "macosx_13_0_arm64", "macos", "arm64"),
        Target("macos-x86_64", "x86_64-macos.13.0", "macosx_13_0_x86_64", "macos", "x86_64"),
    )
}
