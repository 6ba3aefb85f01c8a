"""Freed memory is kept by processes that ask for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .conftest import ROOT

FAULTS = """
import resource
import torch
from train.allocator import keep_freed_memory

taken, large = {taken}, torch.zeros(16, 1024, 1024)

def faults(count=10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        large + 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(3)
print(taken, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_large_blocks_stop_costing_page_faults():
    def run(taken: str) -> list[str]:
        code = FAULTS.format(taken=taken)
        return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()

    plain, (taken, kept) = run("False")[1], run("keep_freed_memory()")
    if taken == "False":
        pytest.skip("this C library has no mallopt")
    assert int(plain) > 10 * max(int(kept), 10)
