"""A small filter module in the place of vsapisr.bridge.node, and processes to run it in, for the tests of the bridge.

The plugin is taken from where VapourSynth loads it by itself, so vsapisr has to be installed (editable will do)."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import vapoursynth as vs

core = vs.core

FAKE = '''
import sys, threading, time, types
import numpy as np
import vapoursynth as vs

FORMAT = ("color_family", "sample_type", "bits_per_sample", "subsampling_w", "subsampling_h")
CLOSED = []

def array(plane, height):
    """(height, stride) bytes of one plane."""
    return np.frombuffer(plane[0], np.uint8).reshape(height, plane[1])

class Node:
    """Twice the size by repeating pixels (8 bit). Subclasses change a part."""
    properties, needs, window = (), None, 0

    def __init__(self, clip, arguments):
        self.clip, self.arguments = clip, arguments
        self.width, self.height = clip["width"] * 2, clip["height"] * 2
        for name in FORMAT:
            setattr(self, name, clip[name])

    def double(self, planes, target):
        for plane, (source, out) in enumerate(zip(planes, target)):
            shift_w, shift_h = (self.subsampling_w, self.subsampling_h) if plane else (0, 0)
            width, height = self.clip["width"] >> shift_w, self.clip["height"] >> shift_h
            pixels = array(source, height)[:, :width]
            array(out, 2 * height)[:, : 2 * width] = pixels.repeat(2, 0).repeat(2, 1)

    def render(self, n, frames, target):
        self.double(frames[n][0], target)
        return {}

    def close(self, closed=CLOSED):  # bound here: vspipe clears the script's names before it frees filters
        closed.append(self)

def install(create):
    module = types.ModuleType("vsapisr.bridge.node")
    module.create = create
    sys.modules["vsapisr.bridge.node"] = module

install(Node)
'''

EXIT_TIMEOUT = 60
"""Seconds after which a process counts as hung; all take about one."""


@pytest.fixture
def fake(monkeypatch):
    """The names of FAKE, with its module installed for the time of the test."""
    monkeypatch.setitem(sys.modules, "vsapisr.bridge.node", None)
    names = {}
    exec(FAKE, names)
    return type("Fake", (), {key: staticmethod(value) if key == "install" else value for key, value in names.items()})


def blank(**changes):
    settings = {"width": 16, "height": 8, "format": vs.GRAY8, "length": 4} | changes
    return core.std.BlankClip(**settings)


def python(code: str) -> subprocess.CompletedProcess:
    """Runs FAKE and then the code in a new interpreter."""
    arguments = [sys.executable, "-c", FAKE + code]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=EXIT_TIMEOUT)


def output_of(code: str) -> str:
    """Standard output of a process that must end well and say nothing on standard error."""
    done = python(textwrap.dedent(code))
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stdout, done.stderr)
    return done.stdout.strip()


def failure(call) -> str:
    with pytest.raises(vs.Error) as caught:
        call()
    return str(caught.value)
