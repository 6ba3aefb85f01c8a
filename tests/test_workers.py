"""What worker processes set, seen from outside."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain

import pytest

from .conftest import ROOT

FAULTS = """
import resource
import cv2
import numpy as np
import torch
from train.data.workers import become_worker
from vsapisr.engine.memory import of_glibc

if {settled}:
    become_worker()
image = np.zeros((720, 1280, 3), np.uint8)

def faults(count=10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        resized = cv2.resize(image.astype(np.float32), (1600, 900))
        blurred = cv2.GaussianBlur(resized, (3, 3), 1)
        del resized, blurred
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults(), cv2.getNumThreads(), torch.get_num_threads(), of_glibc("mallopt") is not None)
"""


def run(settled: bool) -> list[str]:
    code = FAULTS.format(settled=settled)
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout.split()


def test_a_worker_has_one_thread_and_keeps_the_memory_of_its_pictures():
    plain, settled = run(False), run(True)
    assert settled[1:3] == ["1", "1"]
    if settled[3] == "False":
        pytest.skip("this C library has no mallopt")
    # glibc's heap may lie where it cannot grow in one piece, by chance of addresses: then another process is asked
    assert any(int(plain[0]) > 10 * max(int(kept), 5) for kept in chain([settled[0]], (run(True)[0] for _ in range(2))))
