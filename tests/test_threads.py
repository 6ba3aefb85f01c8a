"""Threads that die, are stuck, or do not come along into a forked child: nobody waits for them for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
import torch

from vsapisr.config import UpscaleConfig
from vsapisr.engine import streams, worker
from vsapisr.engine.frame import Conversion, Frame
from vsapisr.engine.upscaler import Upscaler
from vsapisr.engine.worker import Worker
from vsapisr.errors import DeviceError
from vsapisr.networks import forms
from vsapisr.picture.colour import RGB, Colour, Format
from vsapisr.reuse import cache
from vsapisr.reuse.cache import TileCache

RGB24, FULL, CPU = Format(RGB, 0, 8), Colour(0, True), torch.device("cpu")
IMAGE = np.random.default_rng(1).integers(0, 256, (3, 72, 104), dtype=np.uint8)
LARGE = IMAGE.repeat(4, 1).repeat(4, 2)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def nearest(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.interpolate(x, scale_factor=4, mode="nearest")


@pytest.fixture
def make(monkeypatch):
    """Upscalers of several tiles on a worker of their own."""
    monkeypatch.setattr(Worker, "workers", {})
    monkeypatch.setattr(forms, "load_form", lambda *_: nearest)
    made = []

    def one(**arguments) -> Upscaler:
        made.append(Upscaler(UpscaleConfig(device="cpu", tilesize=(48, 40), **arguments), 104, 72, RGB24, RGB24))
        return made[-1]

    yield one
    for upscaler in made:
        upscaler.close()


def enlarge(upscaler: Upscaler) -> np.ndarray:
    out = np.zeros(LARGE.shape, np.uint8)
    upscaler.render(Frame(list(IMAGE), Conversion(RGB24, FULL, RGB24, FULL)), list(out))
    return out


# Deaths


def test_a_worker_that_cannot_begin_fails_all_its_frames(make, monkeypatch):
    def broken(device):
        raise RuntimeError("no streams here")

    monkeypatch.setattr(worker, "streams_of", broken)
    one = make()
    with ThreadPoolExecutor(4) as pool:
        for frame in [pool.submit(enlarge, one) for _ in range(4)]:
            with pytest.raises(DeviceError, match="the worker of cpu failed: RuntimeError: no streams here"):
                frame.result(20)
    monkeypatch.setattr(worker, "streams_of", streams.streams_of)
    assert np.array_equal(enlarge(make()), LARGE), "a new filter gets a new worker"


def test_a_worker_that_dies_at_work_fails_what_is_in_hand_too(make, monkeypatch):
    one = make()

    def stop(self, work):
        raise SystemExit("enough")

    monkeypatch.setattr(streams.Pipeline, "start", stop)
    for _ in range(2):
        with pytest.raises(DeviceError, match="the worker of cpu failed: SystemExit: enough"):
            enlarge(one)


class Slow(streams.HostStreams):
    """A device whose results are delivered by a thread of their own."""

    asynchronous = True


def test_the_death_of_the_thread_that_delivers_fails_all_frames(make, monkeypatch):
    monkeypatch.setattr(worker, "streams_of", lambda device: Slow())
    monkeypatch.setattr(Slow, "host", lambda self, like: like.clone())

    def die(self, flight):
        raise SystemExit("no more")

    one = make(batch=1)
    monkeypatch.setattr(streams.Pipeline, "deliver", die)
    for _ in range(2):
        with pytest.raises(SystemExit, match="no more"):
            enlarge(one)


# Caches


@pytest.mark.parametrize("part", ["compact", "count"])
def test_what_cannot_be_kept_is_handed_out_and_forgotten(monkeypatch, part):
    def refuse(*_):
        raise MemoryError

    monkeypatch.setattr(*(cache, part) if part == "compact" else (TileCache, part), refuse)
    tiles, samples, computed = TileCache(1 << 20), [np.zeros((2, 2), np.uint8)], []

    def compute() -> Future:
        computed.append(Future())
        computed[-1].set_result([torch.ones(8, 8)])
        return computed[-1]

    for number in (1, 2):
        result, taken_over = tiles.get("key", samples, compute)
        assert result.result(20)[0].sum() == 64 and not taken_over and len(computed) == number
        assert not tiles.entries and tiles.used == 0


# Ends


def test_closing_waits_for_nobody_else(make, monkeypatch):
    """A device that is stuck must not hold up filters on another one, nor new ones on its own."""
    gate, entered = threading.Event(), threading.Event()

    def stuck(x):
        entered.set()
        assert gate.wait(30)
        return nearest(x)

    one = make()
    one.engine.network = stuck
    with ThreadPoolExecutor(2) as pool:
        frame = pool.submit(enlarge, one)
        assert entered.wait(20)
        closing = pool.submit(one.close)
        while one.engine.worker is not None:
            threading.Event().wait(0.001)
        assert np.array_equal(ThreadPoolExecutor(1).submit(lambda: enlarge(make())).result(20), LARGE)
        assert not closing.done()
        gate.set()
        closing.result(20)
        with pytest.raises(DeviceError, match="the filter was closed"):
            frame.result(20)


@pytest.mark.parametrize("deliverer", [False, True])
def test_a_filter_may_be_freed_on_its_own_threads(make, monkeypatch, deliverer):
    """As the garbage collector does, on whatever thread it happens to run."""
    if deliverer:
        monkeypatch.setattr(worker, "streams_of", lambda device: Slow())
        monkeypatch.setattr(Slow, "host", lambda self, like: like.clone())
        monkeypatch.setattr(Slow, "wait", lambda self, event: one.close())
    one = make(batch=1)
    if not deliverer:
        one.engine.network = lambda x: one.close() or nearest(x)
    thread = one.engine.worker.thread
    with ThreadPoolExecutor(1) as pool, pytest.raises(DeviceError, match="the filter was closed"):
        pool.submit(enlarge, one).result(20)
    thread.join(20)
    assert not thread.is_alive()


def test_a_filter_may_be_freed_while_another_is_made(make):
    """The collector may run wherever memory is asked for, also where the list of workers is locked."""
    one = make()
    with Worker.lock:
        closing = threading.Thread(target=one.close)
        one.close()
        closing.start()
    closing.join(20)
    assert not closing.is_alive()


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=100, env=os.environ | environment,
    )  # fmt: skip


def test_the_exit_does_not_wait_for_ever():
    """A frame that is stuck, of a filter and without one: after the deadline there is a word, then the end."""
    done = run("""
        import os, threading
        import numpy as np, torch
        import vsapisr
        from vsapisr.networks import forms
        entered = threading.Event()
        def stuck(x):
            entered.set()
            threading.Event().wait()
        forms.load_form = lambda *_: stuck
        image = np.zeros((8, 8, 3), np.uint8)
        threading.Thread(target=vsapisr.upscale_image, args=(image,), kwargs={"device": "cpu"}, daemon=True).start()
        assert entered.wait(20)
    """, VSAPISR_EXIT_SECONDS="0.2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "cpu is still at work after 0.2 s; leaving without it"


def test_the_exit_does_not_wait_for_ever_for_a_filter():
    """Nor does VapourSynth's own exit, which would wait for its thread that is in the filter."""
    done = run("""
        import threading
        import torch
        import vapoursynth as vs
        from vsapisr.networks import forms
        entered = threading.Event()
        def stuck(x):
            entered.set()
            threading.Event().wait()
        forms.load_form = lambda *_: stuck
        clip = vs.core.std.BlankClip(width=16, height=16, format=vs.RGB24).apisr.Upscale(device="cpu")
        frame = clip.get_frame_async(0)
        assert entered.wait(20)
    """, VSAPISR_EXIT_SECONDS="0.2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "vsapisr: 1 calls are still running after 0.2 s; leaving without them",
        "cpu is still at work after 0.2 s; leaving without it",
    ]


# Children

CHILD = """
    import multiprocessing, os, sys
    import numpy as np
    import vsapisr

    def work(path):
        image = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
        np.save(path, vsapisr.upscale_image(image, device="cpu", model="fidelity"))
"""


@needs_fork
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_upscale_too(tmp_path, method):
    """Their parent did before them; in a forked one torch has a single thread, which changes no pixel."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(CHILD) + textwrap.dedent(f"""
        if __name__ == "__main__":
            work(sys.argv[1] + "/parent.npy")
            child = multiprocessing.get_context("{method}").Process(target=work, args=(sys.argv[1] + "/child.npy",))
            child.start()
            child.join(60)
            print(child.exitcode)
            child.kill()
    """))  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path)], capture_output=True, text=True, timeout=100
    )
    assert done.stdout == "0\n", (done.stdout, done.stderr)
    assert np.array_equal(np.load(tmp_path / "parent.npy"), np.load(tmp_path / "child.npy"))
    assert ("torch's threads were not: going on with one" in done.stderr) == (method == "fork")


@pytest.mark.parametrize(("given", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_give_the_core_away_unless_told_otherwise(given, used):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    code = "import os, sys, vsapisr; print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])"
    environment |= {"OMP_WAIT_POLICY": given} if given else {}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", used]


OPEN = """
    import os, sys
    import vapoursynth as vs
    clip = vs.core.std.BlankClip(width=16, height=16, format=vs.RGB24, length=4).apisr.Upscale(device="cpu")
    clip.get_frame(0)
    child = os.fork()
    if not child:
        try:
            vs.core.std.BlankClip(width=16, height=16, format=vs.RGB24).apisr.Upscale(device="cpu")
        except vs.Error as error:
            print(error, flush=True)
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(clip.get_frame(1).width)
"""


@needs_fork
def test_a_child_of_an_open_filter_exits_cleanly():
    done = run(OPEN)
    assert done.returncode == 0, done.stderr
    words, status, width = done.stdout.splitlines()
    assert words == (
        "Upscale: VapourSynth makes no frames in a process that was forked from one where it did; "
        "start processes with spawn or forkserver"
    )
    assert (status, width) == ("7", "64"), "the parent goes on"
