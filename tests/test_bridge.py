"""The plugin between VapourSynth and vsapisr.filter, with small filter modules written here in the latter's place.

Needs an installed vsapisr (also editable): the plugin is taken from where VapourSynth loads it by itself. What can bring
the process down, or happens at its end, runs in a process of its own."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import numpy as np
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
    properties, needs = (), None

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
    module = types.ModuleType("vsapisr.filter")
    module.create = create
    sys.modules["vsapisr.filter"] = module

install(Node)
'''

EXIT_TIMEOUT = 60
"""Seconds after which a process counts as hung; all take about one."""


@pytest.fixture
def fake(monkeypatch):
    """The names of FAKE, with its module installed for the time of the test."""
    monkeypatch.setitem(sys.modules, "vsapisr.filter", None)
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


# Arguments and the clip's description


def test_arguments_arrive_by_name_and_type(fake):
    seen = []
    fake.install(lambda clip, arguments: seen.append(arguments) or fake.Node(clip, arguments))
    core.apisr.Upscale(blank(), model="ä.pth", format=int(vs.RGB24), tilesize=[64, 32], overlap=-1, device="cpu")
    core.apisr.Upscale(blank(), tilesize=64, precision="fp32", batch=2)
    core.apisr.Upscale(blank())
    assert seen[0] == {
        "model": "ä.pth", "format": int(vs.RGB24), "tilesize": [64, 32], "overlap": -1, "device": "cpu"
    }
    assert seen[1] == {"tilesize": [64], "precision": "fp32", "batch": 2}
    assert seen[2] == {}


def test_name_that_is_no_utf8_survives_as_in_file_names(fake):
    seen = []
    fake.install(lambda clip, arguments: seen.append(arguments) or fake.Node(clip, arguments))
    core.apisr.Upscale(blank(), model=b"weights-\xff.pth")
    assert os.fsencode(seen[0]["model"]) == b"weights-\xff.pth"


def test_clip_is_described(fake):
    seen = []
    fake.install(lambda clip, arguments: seen.append(clip) or fake.Node(clip, arguments))
    core.apisr.Upscale(blank(width=32, height=24, length=7, format=vs.YUV420P10))
    assert seen == [{
        "width": 32, "height": 24, "num_frames": 7, "color_family": int(vs.YUV), "sample_type": int(vs.INTEGER),
        "bits_per_sample": 10, "subsampling_w": 1, "subsampling_h": 1, "threads": core.num_threads,
    }]


def test_variable_clip_is_described_by_zeros(fake):
    def create(clip, arguments):
        from vsapisr.errors import ClipError

        raise ClipError(f"{clip['width']} {clip['height']} {[clip[name] for name in fake.FORMAT]}")

    fake.install(create)
    clips = [blank(), blank(width=32, format=vs.YUV420P8)]
    text = failure(lambda: core.apisr.Upscale(core.std.Splice(clips, mismatch=True)))
    assert text == "Upscale: 0 0 [0, 0, 0, 0, 0]"


# Output


@pytest.mark.parametrize("source", [vs.GRAY8, vs.RGB24, vs.YUV420P8, vs.YUV444P8])
def test_every_plane_is_carried_both_ways(fake, source):
    clip = core.std.BlankClip(width=50, height=10, format=source, length=1)
    clip = clip.std.ModifyFrame(clip, lambda n, f: _noise(f.copy()))
    frame, result = clip.get_frame(0), core.apisr.Upscale(clip).get_frame(0)
    assert (result.width, result.height, result.format) == (100, 20, frame.format)
    for plane in range(frame.format.num_planes):
        expected = np.asarray(frame[plane]).repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(np.asarray(result[plane]), expected)


def _noise(frame):
    random = np.random.default_rng(5)
    for plane in range(frame.format.num_planes):
        pixels = np.asarray(frame[plane])
        pixels[:] = random.integers(0, 256, pixels.shape)
    return frame


def test_source_planes_are_read_only(fake):
    class Node(fake.Node):
        def render(self, n, frames, target):
            frames[n][0][0][0][0] = 1

    fake.install(Node)
    text = failure(lambda: core.apisr.Upscale(blank()).get_frame(0))
    assert text == "Upscale: internal error: TypeError: cannot modify read-only memory"


@pytest.mark.parametrize("name", ["GRAY16", "GRAYH", "RGB30", "RGBS", "YUV410P8", "YUV422P16", "YUV444PS"])
def test_node_decides_on_format_and_size(fake, name):
    wanted = core.get_video_format(getattr(vs, name))

    class Node(fake.Node):
        def __init__(self, clip, arguments):
            self.width, self.height = 48, 4
            for attribute in fake.FORMAT:
                setattr(self, attribute, int(getattr(wanted, attribute)))

        def render(self, n, frames, target):
            for plane, (view, stride) in enumerate(target):
                assert len(view) == stride * (4 >> (wanted.subsampling_h if plane else 0))
            return {"planes": len(target)}

    fake.install(Node)
    clip = core.apisr.Upscale(blank())
    frame = clip.get_frame(0)
    assert (clip.format.name, frame.format.name, frame.width, frame.height) == (wanted.name, wanted.name, 48, 4)
    assert frame.props["planes"] == wanted.num_planes
    assert (clip.num_frames, clip.fps) == (4, blank().fps)


def test_properties_are_read_copied_changed_and_deleted(fake):
    seen = {}

    class Node(fake.Node):
        properties = ("_PictType", "number", "ratio", "absent")

        def render(self, n, frames, target):
            seen.update(frames[n][1])
            return {"number": 5, "ratio": 0.25, "blob": b"\0\1", "word": "ä", "gone": None, "never": None, "_Range": 1}

    fake.install(Node)
    clip = blank().std.SetFrameProps(_PictType="I", number=-7, ratio=0.5, gone=1, kept=[1, 2])
    properties = dict(core.apisr.Upscale(clip).get_frame(2).props)
    assert seen == {"_PictType": b"I", "number": -7, "ratio": 0.5}
    expected = dict(clip.get_frame(2).props) | {"number": 5, "ratio": 0.25, "blob": b"\0\1", "word": "ä", "_Range": 1}
    del expected["gone"]
    assert properties == expected


def test_needs_decides_which_frames_come(fake):
    class Node(fake.Node):
        properties = ("number",)

        def needs(self, n):
            return [m for m in (n - 2, n, n - 1) if m >= 0] if n != 5 else [0]

        def render(self, n, frames, target):
            self.double(frames[n][0], target)
            return {"seen": repr(sorted((m, properties["number"]) for m, (planes, properties) in frames.items()))}

    fake.install(Node)
    clip = core.std.FrameEval(blank(length=9), lambda n: blank(length=9).std.SetFrameProps(number=n * n, own=n))
    result = core.apisr.Upscale(clip)
    frames = {n: result.get_frame(n).props for n in (8, 0, 5, 3)}
    assert frames[8]["seen"] == "[(6, 36), (7, 49), (8, 64)]"
    assert frames[0]["seen"] == "[(0, 0)]"
    assert frames[5]["seen"] == "[(0, 0), (5, 25)]"
    assert [frames[n]["own"] for n in (8, 0, 5, 3)] == [8, 0, 5, 3]


# Errors


def test_errors_at_creation(fake):
    from vsapisr import errors

    def create_error(error):
        def create(clip, arguments):
            raise error

        fake.install(create)
        return failure(lambda: core.apisr.Upscale(blank()))

    assert create_error(errors.ArgumentError("overlap is -1, accepted are 0 and more")) == (
        "Upscale: overlap is -1, accepted are 0 and more"
    )
    assert create_error(KeyError("x")) == "Upscale: internal error: KeyError: 'x'"
    assert create_error(ValueError()) == "Upscale: internal error: ValueError"
    assert create_error(RuntimeError("one\nC++ stack: two")) == "Upscale: internal error: RuntimeError: one"
    assert create_error(SystemExit(3)) == "Upscale: internal error: SystemExit: 3"
    long = create_error(errors.WeightsError("x" + "ä" * 5000))
    assert long.startswith("Upscale: xä") and set(long[10:]) == {"ä"} and 700 < len(long) < 1600


def test_filter_module_that_cannot_be_imported(fake, monkeypatch):
    monkeypatch.setitem(sys.modules, "vsapisr.filter", None)
    assert failure(lambda: core.apisr.Upscale(blank())) == (
        "Upscale: cannot import vsapisr.filter: ModuleNotFoundError: import of vsapisr.filter halted; None in sys.modules"
    )


@pytest.mark.parametrize(
    "attribute, value, words",
    [
        ("width", 0, "RuntimeError: no such output: 0x16, format (1, 0, 8, 0, 0)"),
        ("height", 2**40, "RuntimeError: no such output: 32x-1, format (1, 0, 8, 0, 0)"),
        ("bits_per_sample", 40, "RuntimeError: no such output: 32x16, format (1, 0, 40, 0, 0)"),
        ("color_family", 0, "RuntimeError: no such output: 32x16, format (0, 0, 8, 0, 0)"),
        ("width", "wide", "TypeError: 'str' object cannot be interpreted as an integer"),
        ("properties", 3, "TypeError: object of type 'int' has no len()"),
    ],
)
def test_node_with_impossible_output_is_refused_and_closed(fake, attribute, value, words):
    class Node(fake.Node):
        def __init__(self, clip, arguments):
            super().__init__(clip, arguments)
            setattr(self, attribute, value)

    fake.install(Node)
    assert failure(lambda: core.apisr.Upscale(blank())) == f"Upscale: internal error: {words}"
    assert len(fake.CLOSED) == 1


def test_errors_in_frames_leave_the_filter_usable(fake):
    from vsapisr.errors import DeviceError

    class Node(fake.Node):
        def render(self, n, frames, target):
            held = array = np.frombuffer(target[0][0], np.uint8)  # noqa: F841 kept by the traceback
            return [
                lambda: {"fine": 1}, lambda: 1 / 0, lambda: [], lambda: {"a b": 1}, lambda: {"a": object()},
                lambda: {"a": 2**70}, lambda: {3: 1}, self.refuse,
            ][n]()

        def refuse(self):
            raise DeviceError("no memory left on cuda:0")

    fake.install(Node)
    clip = core.apisr.Upscale(blank(length=8))
    texts = [failure(lambda: clip.get_frame(n)) for n in range(1, 8)]
    assert texts == [
        "Upscale: internal error: ZeroDivisionError: division by zero",
        "Upscale: internal error: TypeError: render must return a dict",
        "Upscale: internal error: RuntimeError: the frame property 'a b' cannot be set",
        "Upscale: internal error: TypeError: expected bytes, object found",
        "Upscale: internal error: OverflowError: int too big to convert",
        "Upscale: internal error: TypeError: bad argument type for built-in operation",
        "Upscale: no memory left on cuda:0",
    ]
    assert clip.get_frame(0).props["fine"] == 1


def test_error_in_needs(fake):
    class Node(fake.Node):
        def needs(self, n):
            return [lambda: [n, 99], lambda: 1 / 0, lambda: None, lambda: ["x"]][n]()

    fake.install(Node)
    clip = core.apisr.Upscale(blank())
    assert [failure(lambda: clip.get_frame(n)) for n in range(4)] == [
        "Upscale: internal error: RuntimeError: frame 99 does not exist",
        "Upscale: internal error: ZeroDivisionError: division by zero",
        "Upscale: internal error: TypeError: object of type 'NoneType' has no len()",
        "Upscale: internal error: TypeError: 'str' object cannot be interpreted as an integer",
    ]


@pytest.mark.parametrize("with_needs", [False, True])
def test_error_of_the_source_passes_through(fake, with_needs):
    class Node(fake.Node):
        needs = staticmethod(lambda n: [n]) if with_needs else None

    fake.install(Node)
    broken = core.std.PropToClip(blank().std.ModifyFrame(blank(), _with_frame_except_2))
    clip = core.apisr.Upscale(broken)
    clip.get_frame(1)
    text = failure(lambda: clip.get_frame(2))
    assert text == failure(lambda: broken.get_frame(2)) and "Upscale" not in text
    clip.get_frame(3)


def _with_frame_except_2(n, f):
    result = f.copy()
    if n != 2:
        result.props["_Alpha"] = f
    return result


def test_traceback_goes_to_the_log_alone(fake, caplog):
    class Node(fake.Node):
        def render(self, n, frames, target):
            held = np.frombuffer(target[0][0], np.uint8)  # noqa: F841 must not live on in the log record
            raise LookupError("lost")

    fake.install(Node)
    with caplog.at_level(logging.DEBUG, "vsapisr"):
        assert failure(lambda: core.apisr.Upscale(blank()).get_frame(0)) == (
            "Upscale: internal error: LookupError: lost"
        )
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]
    assert "Traceback" in caplog.text and "in render" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "vsapisr"):
        failure(lambda: core.apisr.Upscale(blank()).get_frame(0))
    assert not caplog.records


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


# Lifetimes


def test_nothing_is_left_of_a_frame_or_a_filter():
    """Python's own caches settle slowly, so each kind of work is repeated and the round with the least growth counts: one
    object left behind per frame, filter or refusal would be 200 or more of them in every round."""
    words = output_of("""
        import gc, psutil

        class Reader(Node):
            properties = ("number",)
            def render(self, n, frames, target):
                if n % 7 == 3:
                    raise ValueError(n)
                self.double(frames[n][0], target)
                return {"number": n, "share": 0.5, "text": b"x"}

        class Asking(Reader):
            def needs(self, n):
                return [max(0, n - 1), n]

        class Refusing(Node):
            def __init__(self, clip, arguments):
                raise ValueError("no")

        def pull(create, count, frames):
            install(create)
            for _ in range(count):
                try:
                    source = vs.core.std.BlankClip(width=16, height=16, format=vs.RGB24, length=frames, keep=True)
                    clip = source.std.SetFrameProps(number=1).apisr.Upscale(model="x", tilesize=[8, 8])
                except vs.Error:
                    continue
                for n in range(frames):
                    try:
                        clip.get_frame(n).close()
                    except vs.Error:
                        pass
            CLOSED.clear()

        def state():
            gc.collect()
            return psutil.Process().memory_info().rss, sys.getallocatedblocks()

        for work in ((Reader, 1, 700), (Asking, 1, 700), (Reader, 200, 2), (Refusing, 200, 1)):
            pull(*work)
            states = [state()]
            for _ in range(5):
                pull(*work)
                states.append(state())
            blocks = [new[1] - old[1] for old, new in zip(states, states[1:])]
            print(states[-1][0] / states[0][0], min(blocks))
    """)
    for line in words.splitlines():
        growth, blocks = line.split()
        assert float(growth) < 1.05 and int(blocks) < 120, words


ORDERS = {
    "filter dropped, then exit": """
        clip.get_frame(0)
        del clip
        assert len(CLOSED) == 1
    """,
    "exit with a live node": "pass",
    "exit with a live node and a live frame": "frame = clip.get_frame(0)",
    "exit with nodes in a cycle and in a module": """
        cycle = [clip]
        cycle.append(cycle)
        sys.kept = clip
        del clip, cycle
    """,
    "exit with a chain of filters": "clip = clip.apisr.Upscale().apisr.Upscale(); frame = clip.get_frame(0)",
    "exit through an exception": "sys.excepthook = lambda *_: None; raise SystemExit(0)",
    "exit with frames in flight": """
        clips = [clip, clip.apisr.Upscale()]
        futures = [c.get_frame_async(n) for n in range(40) for c in clips]
        futures[0].result()
    """,
    "exit with frames in flight whose clip is gone": """
        futures = [clip.get_frame_async(n) for n in range(40)]
        del clip, source
    """,
    "last reference dropped by a thread of the core": """
        future = clip.get_frame_async(0)
        del clip, source
        future.result().close()
        del future
        deadline = time.monotonic() + 20
        while not CLOSED and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(CLOSED) == 1
    """,
    "exit from a thread's point of view": """
        def pull():
            for n in range(40):
                clip.get_frame(n)
        threads = [threading.Thread(target=pull) for _ in range(3)]
        [thread.start() for thread in threads]
    """,
    "exit below a daemon thread": """
        def pull():
            while True:
                clip.get_frame(0)
        threading.Thread(target=pull, daemon=True).start()
        time.sleep(0.1)
    """,
    "a forked child exits with frames in flight in its parent": """
        import os
        futures = [clip.get_frame_async(n) for n in range(8)]
        time.sleep(0.05)
        child = os.fork()
        if not child:
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """,
}


@pytest.mark.parametrize("order", ORDERS)
def test_order_of_destruction(order):
    if "fork" in order and not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    prepare = """
import atexit, os, warnings
warnings.simplefilter("ignore")

class Slow(Node):
    closed = False
    def render(self, n, frames, target):
        for _ in range(4):
            time.sleep(0.005)
            if self.closed:
                os.write(2, b"closed during render")
        return super().render(n, frames, target)
    def close(self):
        assert not self.closed
        self.closed = True
        super().close()

install(Slow)
source = vs.core.std.BlankClip(width=64, height=64, format=vs.GRAY8, length=40)
made = []
def create(clip, arguments):
    made.append(Slow(clip, arguments))
    return made[-1]
install(create)
parent = os.getpid()

@atexit.register
def check():  # registered after VapourSynth's hook and before the bridge's, so it runs between them, the other way round
    if os.getpid() != parent:
        os._exit(0)  # VapourSynth's own hook waits for ever in a forked child
    print(len(made), len(CLOSED), flush=True)

clip = source.apisr.Upscale()
"""
    done = python(prepare + textwrap.dedent(ORDERS[order]))
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    made, closed = done.stdout.split()
    assert made == closed != "0"
    assert "Fatal" not in done.stderr and "closed during render" not in done.stderr


def test_core_is_freed_before_the_interpreter():
    """The library must outlive its core, which unloads it: the exit hook is in it. Two cores, one after the other."""
    assert output_of("""
        class Policy(vs.EnvironmentPolicy):
            current = None
            def on_policy_registered(self, api): self.api = api
            def on_policy_cleared(self): pass
            def get_current_environment(self): return self.current
            def set_environment(self, environment):
                previous, self.current = self.current, environment
                return previous

        policy = Policy()
        vs.register_policy(policy)
        for _ in range(2):
            environment = policy.api.create_environment()
            policy.set_environment(environment)
            clip = vs.core.std.BlankClip(length=3, format=vs.GRAY8).apisr.Upscale()
            clip.get_frame(0).close()
            del clip
            policy.set_environment(None)
            policy.api.destroy_environment(environment)
            del environment
        policy.api.unregister_policy()
        print(len(CLOSED))
    """) == "2"


def test_frames_after_the_exit_hook_are_errors():
    assert output_of("""
        import atexit
        @atexit.register
        def late():
            for call in (lambda: clip.get_frame(0), lambda: source.apisr.Upscale()):
                try:
                    call()
                except vs.Error as error:
                    print(error)
            print(vs.core.apisr.Version()["bridge"] != "")
        source = vs.core.std.BlankClip(length=2, format=vs.GRAY8)
        clip = source.apisr.Upscale()
    """).splitlines() == ["Upscale: the Python interpreter is shutting down"] * 2 + ["True"]


# Loading


def test_version():
    import vsapisr

    facts = core.apisr.Version()
    assert facts["version"] == facts["bridge"] == vsapisr.__version__
    assert facts["python"] == sys.version.split()[0]


def test_plugin_and_package_load_without_torch_and_numpy():
    code = """
        import sys, vapoursynth, vsapisr
        vapoursynth.core.apisr.Version()
        print(sorted({"torch", "numpy", "vsapisr.filter"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


HOST = r"""
#include <dlfcn.h>
#include <stdio.h>
#include "VapourSynth4.h"
int main(int argc, char **argv) {
    if (argc < 3 || !dlopen(argv[2], RTLD_NOW | RTLD_LOCAL))
        return printf("%s\n", dlerror()), 1;
    void *library = dlopen(argv[1], RTLD_NOW);
    VSGetVapourSynthAPI get = (VSGetVapourSynthAPI)dlsym(library, "getVapourSynthAPI");
    const VSAPI *vsapi = get(VAPOURSYNTH_API_VERSION);
    VSCore *core = vsapi->createCore(ccfDisableAutoLoading);
    VSPlugin *std = vsapi->getPluginByNamespace("std", core);
    VSMap *args = vsapi->createMap();
    vsapi->mapSetData(args, "path", argv[2], -1, dtUtf8, maReplace);
    VSMap *loaded = vsapi->invoke(std, "LoadPlugin", args);
    if (vsapi->mapGetError(loaded))
        return printf("%s\n", vsapi->mapGetError(loaded)), 1;
    VSPlugin *plugin = vsapi->getPluginByNamespace("apisr", core);
    vsapi->clearMap(args);
    VSMap *version = vsapi->invoke(plugin, "Version", args);
    printf("%s %d\n", vsapi->mapGetData(version, "version", 0, NULL), vsapi->mapNumElements(version, "python"));
    VSMap *blank = vsapi->invoke(std, "BlankClip", args);
    VSMap *result = vsapi->invoke(plugin, "Upscale", blank);
    printf("%s\n", vsapi->mapGetError(result));
    vsapi->freeMap(result), vsapi->freeMap(blank), vsapi->freeMap(version), vsapi->freeMap(loaded), vsapi->freeMap(args);
    vsapi->freeCore(core);
    return 0;
}
"""


def test_host_without_python(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler or sys.platform == "win32":
        pytest.skip("no C compiler here")
    (tmp_path / "host.c").write_text(HOST, encoding="utf-8")
    host, folder = tmp_path / "host", Path(vs.get_include()).parent
    command = [compiler, "-I", vs.get_include(), str(tmp_path / "host.c"), "-o", str(host), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    library = next(path for path in folder.glob("libvapoursynth.*") if path.suffix != ".a")
    done = subprocess.run([host, library, core.apisr.plugin_path], capture_output=True, text=True, timeout=EXIT_TIMEOUT)
    import vsapisr

    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    assert done.stdout.splitlines() == [
        f"{vsapisr.__version__} -1",
        "Upscale: needs a Python interpreter in this process; use python or vspipe",
    ]
