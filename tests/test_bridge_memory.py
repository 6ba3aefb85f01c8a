"""The plugin lends plane memory to Python, and takes it back for certain; several threads render at once."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs

from .bridge import EXIT_TIMEOUT, FAKE, blank, failure, output_of

core = vs.core


STRAYS = {
    "view": lambda view: view,
    "slice": lambda view: view[1:],
    "array": np.asarray,
    "array by frombuffer": lambda view: np.frombuffer(view, np.uint8),
    "cast": lambda view: view.cast("b"),
}


@pytest.mark.parametrize("stray", STRAYS)
def test_stray_reference_to_plane_memory_is_an_error_and_safe(fake, stray):
    strays = []

    class Node(fake.Node):
        def render(self, n, frames, target):
            self.double(frames[n][0], target)
            if n < 2:
                strays.append(STRAYS[stray]((frames[n][0] if n else target)[0][0]))
            return {}

    fake.install(Node)
    clip = core.apisr.Upscale(blank(width=2048, height=1024, color=7))
    for n in range(2):
        text = failure(lambda: clip.get_frame(n))
        assert text == "Upscale: internal error: plane memory is still referenced"
    clip.get_frame(2)
    core.clear_cache()
    values = {value for array in strays for value in np.asarray(array).ravel()[:1000].tolist()}
    assert values == {7}  # the memory is still that of the frame


def test_plane_memory_cannot_be_had_again(fake):
    kept = []

    class Node(fake.Node):
        def render(self, n, frames, target):
            kept.append(target[0][0].obj)
            return {}

    fake.install(Node)
    core.apisr.Upscale(blank()).get_frame(0)
    with pytest.raises(BufferError, match="has been given back"):
        memoryview(kept[0])
    with pytest.raises(TypeError):
        type(kept[0])()


def test_dead_cycle_over_plane_memory_is_collected(fake):
    class Node(fake.Node):
        def render(self, n, frames, target):
            cycle = [np.frombuffer(target[0][0], np.uint8)]
            cycle.append(cycle)
            return {}

    fake.install(Node)
    core.apisr.Upscale(blank()).get_frame(0)


def test_node_goes_with_its_filter(fake):
    import weakref

    made = []
    fake.install(lambda clip, arguments: made.append(fake.Node(clip, arguments)) or made[-1])
    clip = core.apisr.Upscale(blank())
    clip.get_frame(0).close()
    alive = weakref.ref(made.pop())
    assert alive() and not fake.CLOSED
    del clip
    assert fake.CLOSED.pop() is alive()
    assert alive() is None


def test_close_that_raises_is_swallowed_and_logged(fake, caplog):
    class Node(fake.Node):
        def close(self):
            super().close()
            raise RuntimeError("stuck")

    fake.install(Node)
    with caplog.at_level(logging.DEBUG, "vsapisr"):
        core.apisr.Upscale(blank()).get_frame(0)
    assert len(fake.CLOSED) == 1
    assert "error while closing: RuntimeError: stuck" in caplog.text


# Threads


def test_frames_are_rendered_at_once_and_the_gil_is_free_meanwhile(fake):
    import threading

    class Node(fake.Node):
        barrier = threading.Barrier(2)

        def render(self, n, frames, target):
            self.barrier.wait(20)  # raises unless two threads get here
            return {}

    fake.install(Node)
    previous, core.num_threads = core.num_threads, max(2, core.num_threads)
    clip = core.apisr.Upscale(blank())
    for future in [clip.get_frame_async(n) for n in range(4)]:
        future.result(30)
    core.num_threads = previous


SCRIPT = """
source = vs.core.std.BlankClip(width=64, height=32, format=vs.YUV420P8, length=40)
source = vs.core.std.FrameEval(source, lambda n: vs.core.std.BlankClip(source, color=[n * 5, 128, 255 - n]))
clip = vs.core.apisr.Upscale(source)
"""


HASHES = """
import hashlib
digest = hashlib.sha256()
for frame in clip.frames(close=True):
    for plane in range(3):
        digest.update(np.ascontiguousarray(frame[plane]))
print(digest.hexdigest())
"""


def test_same_frames_in_python_and_vspipe(tmp_path):
    script = tmp_path / "script.vpy"
    script.write_text(FAKE + SCRIPT + "clip.set_output()\n", encoding="utf-8")
    expected = output_of(SCRIPT + HASHES)
    for requests in ("1", "8"):
        done = vspipe(tmp_path, "-r", requests, str(script), "-")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout) == 40 * 128 * 64 * 3 // 2
        assert hashlib.sha256(done.stdout).hexdigest() == expected


def vspipe(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess:
    """vspipe of this environment, which configures itself with the `vapoursynth` on the PATH, here into tmp_path."""
    scripts = sysconfig.get_path("scripts")
    program = shutil.which("vspipe", path=scripts)
    environment = os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path)}
    return subprocess.run([program, *arguments], capture_output=True, timeout=EXIT_TIMEOUT, env=environment)


def test_errors_in_vspipe(tmp_path):
    script = tmp_path / "script.vpy"
    broken = """
class Broken(Node):
    def render(self, n, frames, target):
        if n == 3:
            raise ValueError("third")
        return super().render(n, frames, target)
install(Broken)
"""
    script.write_text(FAKE + broken + SCRIPT + "clip.set_output()\n", encoding="utf-8")
    done = vspipe(tmp_path, "-r", "8", str(script), "-")
    assert done.returncode != 0
    assert b"Upscale: internal error: ValueError: third" in done.stderr
