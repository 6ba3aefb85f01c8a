"""Every step and ``vsapisr upscale`` under faults: killed, without room, handles or memory, with a clock that jumps.

Afterwards nothing is half-written under a final name, and the same command in peace gives what it gives undisturbed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from .case import PATIENCE, Outcome
from .fixtures import drawn, place, small, video

RUN = """
import os, resource, sys, time
fault, value = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
import av, cv2, torch, train.__main__, vsapisr.cli
import train.curation.curate, train.curation.prepare, train.degradation.run, train.evaluation.evaluate
import train.export.export, train.fit.loop, vsapisr.cli.commands, vsapisr.video.run
def limit(kind, most): resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
if fault == "no room": limit(resource.RLIMIT_FSIZE, value)
if fault == "no handles": limit(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + value)
if fault == "no memory":
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    limit(resource.RLIMIT_AS, now + value * 2**20)
if fault == "clock":
    clock = time.time
    time.time = lambda: clock() + value * (int(time.perf_counter() * 7) % 3 - 1)
print("begun", file=sys.stderr, flush=True)
if sys.argv[1] == "upscale": vsapisr.cli.main()
else: sys.exit(train.__main__.main(sys.argv[1:]))
"""
FAULTS = ("killed", "killed", "killed", "no room", "no handles", "no memory", "clock", "small /dev/shm")
SECONDS = 300 * PATIENCE
DONE = "--force replaces"
"""Of what a command says that a disturbed one left nothing to do: the results are compared all the same."""


@cache
def pictures() -> Path:
    folder = place() / "pictures"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(drawn(number, 160, 120)).save(folder / f"{number}.png")
    return folder


@cache
def shots() -> Path:
    folder = place() / "shots"
    folder.mkdir()
    for name in ("h264.mkv", "vp9.webm", "mpeg2.ts"):
        shutil.copy(video(name), folder / name)
    return folder


def settings() -> Path:
    from .files_kept import training

    path = place() / "fit.toml"
    values = asdict(training(place() / "never", iterations=6, save_every=2))
    rows = [f"{key} = {json.dumps(values[key])}" for key in ("iterations", "threads", "warmup", "save_every", "device")]
    rows += ["tensorboard = false", "save_seconds = 0.1", "[network]"]
    sizes = ("dim", "depths", "heads_window", "heads_stripe", "mlp_dim", "bias_dim")
    rows += [f"{key} = {json.dumps(values['network'][key])}" for key in sizes]
    data = values["data"]
    rows += [
        "[data]",
        *(f"{key} = {json.dumps(data[key])}" for key in ("folder", "batch", "patch", "pool", "per_image")),
    ]
    rows += ["workers = 1", "[data.degradation.easy]", "probability = 1.0", 'interpolations = ["bicubic"]']
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def commands(out: Path) -> dict[str, list[object]]:
    upscale: list[object] = ["upscale", "--model", small(), "--device", "cpu", "--output"]
    return {
        "curate": ["curate", "--videos", shots(), "--out", out, "--height", 64, "--threads", 1, "--selection.topk", 2,
                   "--selection.minimum-side", 16],
        "prepare": ["prepare", "--source", pictures(), "--out", out, "--height", 100, "--minimum-side", 8,
                    "--validation", 0.3],
        "degrade": ["degrade", "--source", pictures(), "--out", out, "--workers", 1, "--variants", 2],
        "fit": ["fit", "--config", settings(), "--out", out],
        "evaluate": ["evaluate", "--gt", pictures(), "--out", out, "--models", small(), "--levels", "light",
                     "--metrics", "", "--device", "cpu"],
        "export": ["export", "--source", small(), "--target", out / "w.safetensors"],
        "upscale pictures": [*upscale, out, *sorted(pictures().glob("*.png"))],
        "upscale a video": [*upscale, out, shots() / "h264.mkv", "--encoder", "libx264", "--preset", "ultrafast",
                            "--chunk", 0.2],
    }  # fmt: skip


def started(command: list[object], fault: str = "", value: int = 0) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", RUN, fault, str(value), *map(str, command)]
    if fault == "small /dev/shm":
        words = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"', "-", *words]
    return subprocess.Popen(
        words, cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, errors="backslashreplace", start_new_session=True,
    )  # fmt: skip


def ended(child: subprocess.Popen[str], after: float | None = None) -> tuple[int, str]:
    """(status, words); SIGKILL to all of it ``after`` seconds of its work."""
    assert child.stderr is not None
    said = []
    for line in child.stderr:
        said.append(line)
        if line == "begun\n":
            break
    if after is not None:
        try:
            child.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
    try:
        said.append(child.communicate(timeout=SECONDS)[1])
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return 999, "it hangs"
    return child.returncode, "".join(said)


@cache
def calm(step: str) -> tuple[dict[str, str], float]:
    """(what the undisturbed command leaves, its seconds)."""
    out = place() / "calm" / step.replace(" ", "-")
    out.mkdir(parents=True)
    child = started(commands(out)[step])
    begun = time.monotonic()
    status, words = ended(child)
    assert status == 0, f"{step}: {words}"
    return left(out, step), time.monotonic() - begun


def left(out: Path, step: str) -> dict[str, str]:
    """Digests of what counts of a step's results."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_dir() or path.name.startswith(".") or path.suffix in (".sqlite", ".toml", ".jsonl", ".txt", ".md"):
            continue
        if step == "evaluate" and path.suffix == ".json":  # with the times it took
            continue
        if step == "fit":
            if path.name == "last.pth":
                found[name] = weights_of(path)
            continue
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def weights_of(path: Path) -> str:
    from train.fit import checkpoint

    state, digest = checkpoint.load(path), hashlib.sha256()
    for key in ("ema", "generator"):
        for name, value in sorted(state[key].items()):
            digest.update(name.encode() + value.numpy().tobytes())
    return f"{state['iteration']} {digest.hexdigest()}"


def half_written(out: Path) -> str:
    """What has a final name and is not whole; empty: nothing."""
    from train.fit import checkpoint
    from vsapisr.weights import files

    checks: dict[str, Callable[[Path], Any]] = {
        ".png": lambda path: Image.open(path).load(),
        ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
        ".pth": checkpoint.load,
        ".safetensors": files.load,
    }
    for path in sorted(out.rglob("*")):
        if path.name.startswith(".") or path.suffix not in checks or path.name.endswith(".part"):
            continue
        try:
            checks[path.suffix](path)
        except Exception as error:
            return f"{path.name} is not whole: {type(error).__name__}: {error}"
    database = out / "manifest.sqlite"
    if database.exists() and database.stat().st_size:
        with closing(sqlite3.connect(database)) as db:
            if (said := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                return f"the manifest: {said}"
    return ""


def disturbed(rng: random.Random, step: str, out: Path, fault: str, seconds: float) -> str:
    """One run with a fault; what is wrong with its end, or nothing."""
    if fault == "killed":
        status, words = ended(started(commands(out)[step]), rng.uniform(0, 1.1 * seconds))
        return "" if status in (0, -signal.SIGKILL) or DONE in words else f"status {status}: {words[-3000:]}"
    value = {
        "no room": rng.choice([0, 100, 3000, 30_000, 100_000, 300_000]),
        "no handles": rng.randrange(24),
        "no memory": rng.randrange(0, 400),
        "clock": rng.choice([60, 10**5, 10**8]),
    }.get(fault, 0)
    status, words = ended(started(commands(out)[step], fault, value))
    if fault == "small /dev/shm" and "unshare" in words:
        return ""  # not allowed here
    if status == 999 or (status < 0 and fault != "no memory"):
        return f"{fault} ({value}): status {status}: {words[-3000:]}"
    if "Traceback" in words:
        return f"{fault} ({value}): a traceback: {words[-3000:]}"
    needs_peace = fault in ("clock", "small /dev/shm") and status != 0 and DONE not in words
    return f"{fault} ({value}): status {status}: {words[-3000:]}" if needs_peace else ""


def case(rng: random.Random, folder: Path) -> Outcome:
    """One step, one to three faults, then peace."""
    step = rng.choice(sorted(commands(folder)))
    faults = [rng.choice(FAULTS) for _ in range(rng.randint(1, 3))]
    what, kind = f"{step}: {', '.join(faults)}", step
    wanted, seconds = calm(step)
    out = folder / "out"
    out.mkdir()
    for fault in faults:
        wrong = disturbed(rng, step, out, fault, seconds) or half_written(out)
        if wrong:
            return Outcome(what, wrong, kind=kind)
    status, words = ended(started(commands(out)[step]))
    if status and DONE not in words:
        return Outcome(what, f"in peace again: status {status}: {words[-3000:]}", kind=kind)
    found = left(out, step)
    unlike = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    failure = f"other results than undisturbed: {unlike[:5]}" if unlike else ""
    if not failure and (rest := [path.name for path in out.rglob(".*") if ".part" in path.name]):
        failure = f"left behind: {rest[:5]}"
    return Outcome(what, failure, kind=kind, counts={"faults": len(faults)})
