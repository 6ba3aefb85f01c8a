"""Everything the plugin holds is freed, in any order, and it loads in any host. What can bring a process down runs in
its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import vapoursynth as vs

from .bridge import EXIT_TIMEOUT, output_of, python

core = vs.core


# Lifetimes


def test_nothing_is_left_of_a_frame_or_a_filter():
    """Python's own caches settle slowly, so each kind of work is repeated and the round with the least growth counts:
    one object left behind per frame, filter or refusal would be 200 or more of them in every round."""
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
def check():  # registered after VapourSynth's hook and before the bridge's, so it runs between them
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
    assert (
        output_of("""
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
    """)
        == "2"
    )


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
        print(sorted({"torch", "numpy", "vsapisr.bridge.node"} & set(sys.modules)))
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
    vsapi->freeMap(result), vsapi->freeMap(blank), vsapi->freeMap(version), vsapi->freeMap(loaded);
    vsapi->freeMap(args), vsapi->freeCore(core);
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
