"""Why a test may be skipped, and how many may be for that reason. A run in which more are skipped fails."""

from __future__ import annotations

import platform
import re
from collections import Counter
from importlib.util import find_spec

import pytest

INTEL = platform.machine() in ("x86_64", "AMD64")
needs_ray = pytest.mark.skipif(
    find_spec("ray") is None or platform.system() == "Windows", reason="Ray is not installed, or not for this system"
)
SKIPS = {
    r"/art is not there": 2,  # drawings, which are not part of the repository
    r"the packages of features are not to be had here": 4,  # no npm, or no network
    r"no XPSNR in this FFmpeg": 1,  # that of older PyAVs
    r"no vszip here": 2,  # systems that it has no wheel for
    r"vsjetpack is not installed, or not for this system": 2,  # of arm64 Linux, which its plugins have no wheels for
    r"lief and abi3info are not installed": 3,
    r"PyYAML is not installed": 4,
    r"the extra onnx is not installed": 3,  # two modules and a test
    r"the extra zoo is not installed": 1,  # one module
    r"needs CUDA": 1,
    r"this machine has CUDA": 2,
    r"this processor has no such instructions": 40,  # AVX-512, bfloat16 or AMX
    r"not compiled, or not for this processor": 25 if INTEL else 50,  # half of them are for AVX-512
    r"the library of CPU kernels is not installed, or this processor has no AVX2": 0 if INTEL else 100,
    r"no signals on Windows": 1,
    r"no fork on this system|shell scripts|no limits on file sizes|no nm here|no C compiler here|no mallopt": 40,
    r"could not import 'triton'": 1,  # of systems that it has no version for
    r"no ffmpeg or mkvmerge here": 3,
    r"no Chromium or no playwright here": 8,
    r"Ray is not installed, or not for this system": 20,
    r"not a checkout": 60,  # the tests of a source distribution
}
"""Pattern of the reason: the number."""


def too_many(reasons: list[str], allowed: dict[str, int] | None = None) -> list[str]:
    """What of the ``reasons`` for skips the list has not, or not so often: a line each."""
    allowed = SKIPS if allowed is None else allowed
    counts: Counter[str] = Counter()
    found = []
    for reason in reasons:
        pattern = next((one for one in allowed if re.search(one, reason)), None)
        if pattern is None:
            found.append(f"skipped for a reason that tests/skips.py does not have: {reason}")
        else:
            counts[pattern] += 1
    found += [
        f"{count} skipped because {pattern!r}; tests/skips.py allows {allowed[pattern]}"
        for pattern, count in counts.items()
        if count > allowed[pattern]
    ]
    return found
