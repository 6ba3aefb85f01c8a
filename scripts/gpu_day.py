"""Nine minutes of a GPU, used well: is it right, then weights of the highest PSNR, then weights that restore.

Before, on a machine with everything:

    python -m scripts.gpu_day pack --drawings FOLDER --held-out FOLDER --out gpu_day.pack

Then on one with PyTorch, Triton, safetensors and Pillow:

    python -m scripts.gpu_day --pack gpu_day.pack --seconds 560 [--out FOLDER]

``FOLDER``, or what ``OUT`` in the environment names, gets gpu_check.json and gpu_check.txt, gpu_day.jsonl (a line for
whatever happens), and from each goal GOAL.safetensors (the average) and GOAL-last.safetensors, anew every minute. Each
part is a process of its own that is ended when its time is over, so that what one breaks the others still give.
``--device cpu`` rehearses all of it in small. Exit status 0, or 1 when a part failed or something is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.day.training import Log

CHECKS = "kernels,plain,graphs,filter"  # what weighs most first; the rest of gpu_check measures speed
CHECK_SECONDS, CHECK_SHARE = 150.0, 0.3  # at most
FIDELITY_SHARE = 0.5  # of what is left
GRACE, ENDING = 12.0, 4.0  # seconds: for a part to come to its end, for this process
SHORTEST_CHECK = 45.0  # seconds that the one check of a rehearsal takes
MEGABYTES = 40.0


def ended(command: list[str], seconds: float, environment: dict[str, str] | None = None) -> str:
    """Run a part; "done", or how it ended. Past its time, it and all that it started is killed."""
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        status = process.wait(max(seconds, 1))
        return "done" if status == 0 else f"ended with status {status}"
    except subprocess.TimeoutExpired:
        return f"killed after {seconds:.0f} s"
    finally:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of its group have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def training(goal: str, options: argparse.Namespace, seconds: float, *more: str) -> list[str]:
    small = options.device == "cpu"
    return [
        sys.executable, "-m", "scripts.day.training", goal, "--pack", str(options.pack), "--out", str(options.out),
        "--seconds", f"{seconds:.1f}", "--begun", f"{time.time():.1f}", "--device", options.device,
        "--batch", str(1 if small else options.batch), "--patch", str(24 if small else options.patch),
        *([] if small else ["--compile"]), *more,
    ]  # fmt: skip


def check(options: argparse.Namespace, seconds: float) -> list[str]:
    return [
        sys.executable, "-m", "scripts.gpu_check", "--quick", "--out", str(options.out), "--seconds", f"{seconds:.0f}",
        "--device", options.device, "--only", "plain" if options.device == "cpu" else CHECKS,
    ]  # fmt: skip


def day(options: argparse.Namespace) -> int:
    """All parts; the number of those that did not come to their end."""
    start, log = time.monotonic(), Log(options.out, "day")

    grace = min(GRACE, options.seconds / 20)

    def left() -> float:
        return options.seconds - ENDING - (time.monotonic() - start)

    log("begin", asked=options.seconds, device=options.device, pack_bytes=options.pack.stat().st_size)
    warm, wrong = None, 0
    if options.device == "cuda":  # compilers work while the checks run: their cache is on disk
        command = training("fidelity", options, CHECK_SECONDS, "--warm")
        command[command.index("--out") + 1] = tempfile.mkdtemp(prefix="gpu_day-")
        warm = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        given = min(CHECK_SECONDS, CHECK_SHARE * options.seconds) if options.check is None else options.check
        if options.device == "cpu" and options.check is None:
            given = SHORTEST_CHECK
        how = ended(check(options, given), given + grace) if given else "left out"
        wrong += how not in ("done", "left out")
        log("check", how=how)
    finally:
        if warm:
            stop(warm)
    for goal, share in (("fidelity", FIDELITY_SHARE), ("restore", 1.0)):
        given = max(left() * share - grace * (share == 1), 0)
        how = ended(training(goal, options, given), given + grace)
        wrong += how != "done"
        log(goal, how=how)
    found = {path.name: path.stat().st_size for path in sorted(options.out.iterdir()) if path.is_file()}
    log("end", bytes=sum(found.values()), files=found)
    return wrong


def pack(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu_day pack", description="Make the pack.")
    parser.add_argument("--drawings", type=Path, required=True, help="to train on")
    parser.add_argument("--held-out", type=Path, required=True, help="to measure with; never trained on")
    parser.add_argument("--out", type=Path, default=Path("gpu_day.pack"))
    parser.add_argument("--megabytes", type=float, default=MEGABYTES, help="at most (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    from scripts.day.pack import write
    from train.losses.files import folder
    from train.losses.packages.files import PACKAGES
    from train.media.images import list_images

    features = folder() / PACKAGES["drawings"].file
    if not features.is_file():
        parser.error(f"{features} is not there; get it with: python -m train features")
    files, held_out = list_images(options.drawings), list_images(options.held_out)
    count = write(options.out, files, held_out, [features], int(options.megabytes * 1e6), options.seed)
    print(f"{options.out}: {count} of {len(files)} drawings, {options.out.stat().st_size / 1e6:.1f} MB")
    return 0 if count else 1


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["pack"]:
        return pack(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu_day", description=__doc__.splitlines()[0])
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "runs/gpu_day")))
    parser.add_argument("--seconds", type=float, default=560, help="for everything (%(default)s)")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--check", type=float, help="seconds for the checks; 0: none")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.pack.is_file():
        parser.error(f"{options.pack} is not there; make it with: python -m scripts.gpu_day pack")
    options.out.mkdir(parents=True, exist_ok=True)
    wrong = day(options)
    print(json.dumps({"parts that failed": wrong}))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
