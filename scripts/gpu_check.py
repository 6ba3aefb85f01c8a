"""One command for whoever has a CUDA device: is it right, and how fast is it?

python -m scripts.gpu_check [--out FOLDER] [--quick] [--only STAGES] [--seconds N]: about eight minutes, right first,
then fast. Writes gpu_check.json and gpu_check.txt anew after every stage; each stage is a process of its own with a
time limit, so that what one breaks the others still report. Exit status 0: right, 1: something is wrong, 2: no CUDA
device. A stage that measures speed and does not get to its end is incomplete, which is said and is not wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

STAGES = {
    "environment": ("speed", 40),
    "plain": ("right", 60),
    "kernels": ("right", 150),
    "graphs": ("right", 45),
    "filter": ("right", 75),
    "network": ("speed", 90),
    "parts": ("speed", 45),
    "chain": ("speed", 75),
    "compiled": ("speed", 120),
    "training": ("speed", 60),
}
"""Name -> (module of scripts.gpu, seconds it may take). Later ones can be lost with the least harm."""
GRACE = 20  # seconds for an item that was started in time
SHORTEST = 15  # seconds: a stage with less is not begun


def write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def verdict(report: dict[str, dict]) -> tuple[int, list[str]]:
    """(number of things that are wrong, the words)."""
    words = []
    for name, stage in report.items():
        wrong = [row for row in stage["rows"] if row.get("right") is False]
        words += [f"{name}: WRONG {row['check']}: {row['value']} (at most {row['accepted']})" for row in wrong]
        words += [f"{name}: FAILED {row['failed']}: {row['error']}" for row in stage["rows"] if "failed" in row]
        if stage["ended"] != "done" and not late(name, stage):
            words.append(f"{name}: {stage['ended']}")
    wrong = len(words)
    return wrong, words + [
        f"{name}: incomplete, {stage['ended']}" for name, stage in report.items() if late(name, stage)
    ]


def late(name: str, stage: dict) -> bool:
    """Whether all that is amiss with a stage is that its time was over; a check of correctness has to get to its
    end.
    """
    return STAGES[name][0] == "speed" and stage["ended"].startswith(("killed", "not begun"))


def save(folder: Path, report: dict[str, dict]) -> None:
    from scripts.gpu.context import show

    write(folder / "gpu_check.json", json.dumps(report, indent=1))
    lines = []
    for name, stage in report.items():
        lines += [f"== {name} ({stage['seconds']:.0f} s, {stage['ended']})", *map(show, stage["rows"]), ""]
    _wrong, words = verdict(report)
    lines += words or ["nothing wrong so far"]
    write(folder / "gpu_check.txt", "\n".join(lines) + "\n")


def read_rows(path: Path) -> list[dict]:
    """What a stage wrote; a line that was cut off by a kill is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def limit_of(name: str, dry: bool, left: float) -> float:
    """Seconds within which a stage may begin things, with ``left`` seconds for it in all."""
    return min(STAGES[name][1] * (4 if dry else 1), left - GRACE)


def run_stage(name: str, options: argparse.Namespace, folder: Path, left: float = float("inf")) -> dict:
    """Run a stage in a process of its own, for ``left`` seconds at most; what it wrote counts even when it is
    killed.
    """
    rows, limit = folder / f"{name}.jsonl", limit_of(name, options.device == "cpu", left)
    if limit < SHORTEST:
        return {"rows": [], "seconds": 0.0, "ended": "not begun: the time is over"}
    command = [
        sys.executable,
        "-m",
        "scripts.gpu_check",
        "--stage",
        name,
        "--rows",
        str(rows),
        "--device",
        options.device,
    ]
    command += ["--seconds", str(limit)]
    command += ["--quick"] * options.quick
    environment = dict(os.environ) | (
        {} if options.device == "cuda" else {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    )
    start = time.monotonic()
    try:
        status = subprocess.run(command, env=environment, timeout=limit + GRACE).returncode
        ended = "done" if status == 0 else f"ended with status {status}"
    except subprocess.TimeoutExpired:
        ended = f"killed after {limit + GRACE:.0f} s"
    return {"rows": read_rows(rows), "seconds": time.monotonic() - start, "ended": ended}


def stage_process(options: argparse.Namespace) -> int:
    """The other side of :func:`run_stage`."""
    import importlib
    import logging

    import torch

    from scripts.gpu.context import Context
    from scripts.gpu.right import Warnings

    dry = options.device == "cpu"
    device = torch.device("cpu") if dry else torch.device("cuda", 0)
    context = Context(device, dry, options.quick, time.monotonic() + options.seconds, options.rows)
    logging.getLogger("vsapisr").setLevel(logging.INFO)
    logging.getLogger("vsapisr").addHandler(Warnings(context))
    if dry:
        from vsapisr.networks.cuda import grl_cuda
        from vsapisr.networks.cuda.kernels import verdict
        from vsapisr.networks.cuda.kernels.form import Tilings

        # The interpreter takes a minute for what a device does in a millisecond: only where nothing else would do.
        grl_cuda.kernels_possible, grl_cuda.TRIAL = (lambda *_: options.stage in ("kernels", "parts")), (1, 3, 8, 8)
        both = dict.fromkeys(verdict.PARTS, True)
        verdict.found = lambda *_: {"tilings": asdict(Tilings()), "right": both, "pays": both}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    module = importlib.import_module(f"scripts.gpu.{STAGES[options.stage][0]}")
    getattr(module, options.stage)(context)
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu_check", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the report (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and runs")
    parser.add_argument("--only", help=f"stages with commas between: {','.join(STAGES)}")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="for everything; what does not fit is left out (no limit)"
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help=argparse.SUPPRESS)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(STAGES)
    if unknown := [name for name in names if name not in STAGES]:
        parser.error(f"--only: {unknown[0]!r} is not a stage; they are {', '.join(STAGES)}")
    if options.stage:
        return stage_process(options)
    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print(f"no CUDA device (torch {torch.__version__})", file=sys.stderr)
            return 2
    options.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, dict] = {}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names, 1):
            print(f"== {name} ({number}/{len(names)}, {time.monotonic() - start:.0f} s so far)", flush=True)
            report[name] = run_stage(name, options, Path(folder), options.seconds - (time.monotonic() - start))
            save(options.out, report)
    wrong, words = verdict(report)
    print(
        "\n".join(
            ["", *words, f"{wrong} things wrong" if wrong else "all right", f"report: {options.out / 'gpu_check.txt'}"]
        )
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
