"""Processes of training: they end with the one that started them, need neither shared memory nor many descriptors, and
one that is killed costs nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor

import psutil
import pytest
import torch

from train.data import workers
from train.data.batches import Batches
from train.data.crops import DatasetConfig
from train.degradation.run import DegradeConfig, run_degrade
from train.fit.loop import FeedError, fit
from train.fit.parts import Parts
from train.settings import build

from .conftest import ROOT
from .fitting import config, drawings, equal, lasting, settings

GONE = 60.0
"""Seconds until a process must have ended; they take less than one."""
FEEDING = """
import resource, sys
from tests.fitting import EASY
from train.data.batches import Batches
from train.data.crops import DatasetConfig
from train.settings import build

def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
    batches = build(DatasetConfig, {
        "folder": sys.argv[1], "batch": 4, "patch": 16, "pool": 64, "per_image": 1, "workers": 2, "degradation": EASY,
    })
    stream = iter(Batches(batches))
    for _ in range(20):
        next(stream)
    with open("/proc/self/maps") as maps:
        print("fed", sum("/torch_" in line for line in maps), flush=True)
    sys.stdin.read()

if __name__ == "__main__":
    main()
"""
DEGRADING = """
import sys, threading
from pathlib import Path
from train.degradation.run import DegradeConfig, run_degrade

def main():
    config = DegradeConfig(source=sys.argv[1], out=sys.argv[2], variants=2000, workers=2)
    done = threading.Event()
    threading.Thread(target=run_degrade, args=(config,), daemon=True).start()
    while not any(Path(sys.argv[2]).glob("*.png")):
        done.wait(0.05)
    print("fed 0", flush=True)
    sys.stdin.read()

if __name__ == "__main__":
    main()
"""
PIPING = """
import sys
from pathlib import Path
from scripts.vspipe import VSPipe

script = Path(sys.argv[2]).with_suffix(".vpy")
script.write_text("import vapoursynth as vs\\nvs.core.std.BlankClip(format=vs.YUV420P8, length=10**7).set_output()\\n")
pipe = VSPipe(script, script.with_suffix(".log"))
next(pipe.frames())
print("fed 0", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and limits are POSIX's")
@pytest.mark.parametrize("code", [FEEDING, DEGRADING, PIPING], ids=["fit", "degrade", "demo"])
def test_killed_processes_leave_no_workers(tmp_path, code):
    """And with few descriptors, and no shared memory, for a pool of 64 drawings."""
    folder, script = drawings(tmp_path / "d", 2), tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    command = [sys.executable, str(script), str(folder), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"fed 0\n"
        helpers = psutil.Process(process.pid).children(recursive=True)
        assert len(helpers) >= (1 if code == PIPING else 3)  # two workers, and a server or a tracker of resources
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(helpers, timeout=GONE)
    for one in alive:
        one.kill()
    assert not alive


def test_a_killed_worker_ends_the_run_in_a_line_after_it_was_saved(tmp_path, monkeypatch):
    folder, apply, seen = drawings(tmp_path / "d"), Parts.apply, []
    data = {"workers": 1, "pool": 2}
    fit(config(settings(folder, tmp_path / "whole", iterations=14, data={**data, "workers": 0})))

    def kill(parts: Parts) -> None:
        apply(parts)
        seen.append(parts)
        if len(seen) == 3:
            next(p for p in multiprocessing.active_children() if p.name == "data 0").kill()

    monkeypatch.setattr(Parts, "apply", kill)
    run = settings(folder, tmp_path / "run", iterations=14, data=data)
    with pytest.raises(
        FeedError, match=r"a data worker was killed by signal 9, .*; iteration \d+ is saved, and the same"
    ):
        fit(config(run))
    monkeypatch.setattr(Parts, "apply", apply)
    assert 3 <= lasting(tmp_path / "run" / "last.pth")["iteration"] < 14
    fit(config({**run, "data": {**run["data"], "workers": 0}}))
    equal(lasting(tmp_path / "whole" / "last.pth"), lasting(tmp_path / "run" / "last.pth"))


def test_what_ends_the_drawings_is_a_line_and_not_a_worker_s_traceback(tmp_path):
    folder = drawings(tmp_path / "d")
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(FeedError) as caught:
        fit(config(settings(folder, tmp_path / "run", data={"workers": 1})))
    assert str(caught.value).startswith(f"{folder}: 100 files in a row") and "Traceback" not in str(caught.value)
    assert not (tmp_path / "run" / "last.pth").exists()  # nothing to lose


def test_without_a_server_workers_are_spawned(tmp_path, monkeypatch):
    """As on Windows."""
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert workers.server().get_start_method() == "spawn"
    values = {"folder": str(drawings(tmp_path)), "patch": 16, "batch": 2, "pool": 2, "per_image": 2}
    streams = [iter(Batches(build(DatasetConfig, {**values, "workers": count}))) for count in (0, 1)]
    for one, two in (map(next, streams) for _ in range(3)):
        assert all(torch.equal(a, b) for a, b in zip(one, two))
    for stream in streams:
        stream.close()


LACKING = """
import os, resource, sys
from train.data.batches import Batches
from train.data.crops import DatasetConfig
from train.data.workers import WorkerLostError

stream = iter(Batches(DatasetConfig(folder=sys.argv[1], patch=16, batch=2, pool=2, workers=8)))
free = os.dup(0)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free + 3, free + 3))
try:
    next(stream)
except WorkerLostError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and limits are POSIX's")
def test_too_few_descriptors_for_workers_are_said(tmp_path):
    command = [sys.executable, "-c", LACKING, str(drawings(tmp_path))]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.search(r"^data.workers: 8 processes cannot be started .*ulimit -n.*workers = 0 does without$", said)


def test_a_killed_worker_of_degrade_is_a_line(tmp_path, monkeypatch):
    folder, out, submit = drawings(tmp_path / "d", 2), tmp_path / "out", ProcessPoolExecutor.submit

    def kill(pool: ProcessPoolExecutor, *arguments: object):
        future = submit(pool, *arguments)
        for process in multiprocessing.active_children():
            process.kill()
        return future

    monkeypatch.setattr(ProcessPoolExecutor, "submit", kill)
    with pytest.raises(workers.WorkerLostError, match="a worker was killed, .* the same command goes on"):
        run_degrade(DegradeConfig(source=str(folder), out=str(out), workers=1))
    monkeypatch.undo()
    report = run_degrade(DegradeConfig(source=str(folder), out=str(out), workers=1))
    assert report.written + report.known == 2
