"""Many threads, filters and cores; ends in the middle: each case is a program of its own under a watchdog."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from .case import PATIENCE, Outcome
from .networks import small_network

SECONDS = 60.0 * PATIENCE
HEAD = """
import os, random, signal, sys, threading, vapoursynth as vs
core = vs.core
core.num_threads = {threads}
def noise(length=40, width={width}, height={height}, hold=2):
    clip = core.std.BlankClip(width=width, height=height, format=vs.{format}, length=length, keep=True)
    drawn = lambda n: clip.std.BlankClip(color=[16 + (n // hold * 37) % 200] + [128] * (clip.format.num_planes - 1))
    return clip.std.FrameEval(drawn)
def upscale(clip, **more):
    return clip.apisr.Upscale(model={model!r}, device="cpu", **({{"reuse": {reuse}}} | more))
"""
PLAIN = {
    "dropped while others render": """
nodes = [upscale(noise()) for _ in range(4)]
futures = [node.get_frame_async(n) for node in nodes for n in range(6)]
del nodes[::2]
[f.result().close() for f in futures]
""",
    "requests abandoned": """
node = upscale(noise())
[node.get_frame_async(n) for n in range(20)]
del node
node = upscale(noise()); node.get_frame(3).close()
""",
    "exit with frames in flight": """
node = upscale(noise())
futures = [node.get_frame_async(n) for n in range(20)]
futures[0].result()
""",
    "os._exit with frames in flight": """
node = upscale(noise())
futures = [node.get_frame_async(n) for n in range(20)]
futures[0].result()
print("done", flush=True); os._exit(0)
""",
    "made and thrown away": """
for n in range(20):
    upscale(noise(width=16 + n))
""",
    "threads of Python": """
node, failed = upscale(noise()), []
def ask(seed):
    rng = random.Random(seed)
    try:
        for _ in range(6): node.get_frame(rng.randrange(40)).close()
    except Exception as error: failed.append(error)
threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert not failed, failed
""",
    "made and dropped in threads": """
def work(seed):
    for n in range(4): upscale(noise(width=24 + 8 * seed)).get_frame(n).close()
threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
[t.start() for t in threads]; [t.join() for t in threads]
""",
    "a source that fails in the middle": """
clip = noise()
first = {0: 0, 1: 0, 2: 16}[REUSE]  # a frame of reuse=2 needs all 16 of its segment
def broken(n, f):
    if n >= first and n % 5 == 3: raise RuntimeError("broken on purpose")
    return f
bad, good = 0, 0
node = upscale(clip.std.ModifyFrame(clip, broken))
for n in range(20):
    try: node.get_frame(n).close(); good += 1
    except vs.Error as error:
        assert "broken on purpose" in str(error), error
        bad += 1
assert bad >= 4 and good >= {0: 4, 1: 4, 2: 15}[REUSE], (bad, good)
""",
    "fork": """
node = upscale(noise()); node.get_frame(0).close()
child = os.fork()
if not child:
    signal.alarm(PATIENCE)
    try: upscale(noise()).get_frame(1)
    except vs.Error as error: assert "spawn" in str(error), error
    sys.exit(0)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert code == 0, f"the child ended with {code}"
node.get_frame(2).close()
""",
    "evaluated again in one host": """
for again in range(5):
    scope = {"upscale": upscale, "noise": noise, "vs": vs}
    exec("upscale(noise()).set_output()", scope)
    vs.get_output(0).clip.get_frame(again).close()
    vs.clear_outputs()
""",
    "exceptions that keep frames": """
try:
    node = upscale(noise()); frame = node.get_frame(1); raise ValueError("kept")
except ValueError as error: kept = error
""",
    "threads that outlive the script": """
node = upscale(noise())
def ask():
    for n in range(40):
        try: node.get_frame(n).close()
        except Exception: return
threading.Thread(target=ask, daemon=True).start()
node.get_frame(0).close()
""",
}


@cache
def model() -> str:
    return small_network(tempfile.mkdtemp(prefix="stress-model-"))


def head(rng: random.Random, reuse: int) -> str:
    return HEAD.format(
        threads=rng.choice([1, 2, 3, 8, 32]),
        width=rng.choice([16, 40, 96, 200]),
        height=rng.choice([16, 48, 90]),
        format=rng.choice(["GRAY8", "YUV444P8", "YUV444P16"]),
        model=model(),
        reuse=reuse,
    )


def environ() -> dict[str, str]:
    """As in an active environment, by which VSScript finds its Python."""
    folder = str(Path(sys.executable).parent)
    return dict(os.environ, VIRTUAL_ENV=sys.prefix, PATH=os.pathsep.join((folder, os.environ.get("PATH", ""))))


def run(command: list[str], end: Callable[[subprocess.Popen[str]], object] | None = None) -> tuple[int, str]:
    """(exit status, words) of a program; ``end`` may do something to it while it runs. A hang has status 999."""
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="backslashreplace", start_new_session=True, env=environ(),
    )  # fmt: skip
    try:
        if end is not None:
            end(child)
        words, _ = child.communicate(timeout=SECONDS)
        return child.returncode, words[-2000:]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGABRT)
        words, _ = child.communicate()
        return 999, words[-6000:]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def plain(rng: random.Random, folder: Path, name: str) -> Outcome:
    """A Python program that must end by itself with status 0."""
    reuse = rng.choice([0, 1, 2])
    program = head(rng, reuse) + PLAIN[name].replace("REUSE", str(reuse)).replace("PATIENCE", str(round(SECONDS / 2)))
    status, words = run([sys.executable, "-X", "faulthandler", "-c", program])
    failure = "" if status == 0 else f"{'hangs' if status == 999 else f'status {status}'}: {words}"
    return Outcome(name, failure, program if failure else "", kind=name)


def script(rng: random.Random, folder: Path) -> Path:
    path = folder / "script.vpy"
    path.write_text(head(rng, rng.choice([0, 1, 2])) + "upscale(noise(length=400)).set_output()\n", encoding="utf-8")
    return path


def vspipe() -> str:
    return str(Path(sys.executable).with_name("vspipe"))


def piped(rng: random.Random, folder: Path) -> Outcome:
    """``vspipe | head``: the reader goes away; whatever it says, it ends and does not crash."""
    path = script(rng, folder)
    taken = rng.choice([1, 1000, 100000, 1000000])
    command = f"{vspipe()} -c y4m {path} - | head -c {taken} >/dev/null; exit ${{PIPESTATUS[0]}}"
    status, words = run(["bash", "-c", command])
    crashed = status == 999 or status in (128 + signal.SIGSEGV, 128 + signal.SIGABRT, 128 + signal.SIGBUS)
    crashed = crashed or "Failed to init" in words or "Script evaluation failed" in words  # then nothing was tried
    return Outcome(
        "vspipe | head", f"status {status}: {words}" if crashed else "", path.read_text(), kind="vspipe | head"
    )


def interrupted(rng: random.Random, folder: Path) -> Outcome:
    """SIGINT or SIGTERM at a random moment of a ``vspipe`` run."""
    path, number = script(rng, folder), rng.choice([signal.SIGINT, signal.SIGINT, signal.SIGTERM])
    wait = rng.uniform(0, 4)

    def end(child: subprocess.Popen[str]) -> None:
        time.sleep(wait)  # the moment is what is random here
        child.send_signal(number)

    status, words = run([vspipe(), "-p", str(path), "."], end)
    crashed = status == 999 or status in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)
    crashed = crashed or "Failed to init" in words  # then nothing was tried
    what = f"vspipe, {signal.Signals(number).name}"
    return Outcome(
        f"{what} after {wait:.2f} s", f"status {status}: {words}" if crashed else "", path.read_text(), kind=what
    )


def case(rng: random.Random, folder: Path) -> Outcome:
    """One way to end, chosen at random."""
    name = rng.choice([*PLAIN, "piped", "interrupted", "interrupted"])
    if name == "piped":
        return piped(rng, folder)
    if name == "interrupted":
        return interrupted(rng, folder)
    return plain(rng, folder, name)
