"""Whether the kernels work on a device, and how they are laid out best there: found out by a process of its own.

A kernel that touches memory which is not its own ends everything that its process does on the device, and no exception
handler helps. So nothing runs in the user's process that has not run to its end elsewhere: :func:`tried` starts
:mod:`vsapisr.networks.cuda.trial`, which says on its output what it is about to try. Where it dies, it is started again
and leaves that alone.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from vsapisr.networks.grl import GRL, GRLConfig

log = logging.getLogger("vsapisr")

SECONDS = 300  # for one process; compiling everything takes about half a minute
TRIES = 8
PARTS = ("body", "tail", "guard", "samples")
ENDED = (-2, -9, -15, 130, 137, 143, 0xC000013A)
"""Exit statuses of a process that somebody ended: signals, as shells say them, Ctrl-C in Windows."""


def interpreter() -> str | None:
    """Python itself, also where another program (vspipe) has it inside; None where it cannot be found."""
    names = ("python.exe", "Scripts/python.exe") if os.name == "nt" else ("bin/python3", "bin/python")
    given = Path(sys.executable or "none")
    beside = [Path(folder, name) for folder in (sys.prefix, sys.exec_prefix, sys.base_prefix) for name in names]
    for path in ([given] if given.stem.startswith("python") else []) + beside:
        if path.is_file():
            return str(path)
    return None


def command(config: GRLConfig, dtype: torch.dtype, device: torch.device) -> list[str] | None:
    program = interpreter()
    if program is None:
        return None
    about = {"config": asdict(config), "type": str(dtype).removeprefix("torch."), "device": str(device)}
    return [program, "-m", "vsapisr.networks.cuda.trial", json.dumps(about)]


def found(grl: GRL, dtype: torch.dtype, device: torch.device) -> dict:
    """What :func:`tried` found for such a network on this device, now or when it was last asked.

    Raises:
        RuntimeError: there is no interpreter, or trying took too long or was interrupted. Nothing is kept then.
    """
    from vsapisr.networks.cuda.kernels import tuning

    program = command(grl.config, dtype, device)
    if program is None:
        raise RuntimeError("no Python interpreter was found to try them with")

    def make() -> dict:
        # A warning: nothing less is seen where nobody set up logging, and a minute of nothing needs one.
        log.warning(
            "trying the fast kernels on %s, once: this takes up to a minute", torch.cuda.get_device_name(device)
        )
        return tried(program)

    return tuning.cached(tuning.key(grl, dtype, device), make)


def tried(command: Sequence[str], seconds: float = SECONDS, tries: int = TRIES) -> dict:
    """What the process found: {"tilings": ..., "right": {part: whether it is}, "pays": {part: whether it is also
    faster}}; and "failed": why, where it came to no end whatever was left out.

    Raises:
        RuntimeError: it took longer than ``seconds``, lacked memory, or somebody ended it: no kernel is to blame.
    """
    skip: list[str] = []
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    words = ""
    for _ in range(tries):
        try:
            done = subprocess.run(
                [*command, *skip], capture_output=True, text=True, encoding="utf-8", errors="replace",
                stdin=subprocess.DEVNULL, timeout=seconds, env=environment,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"trying the kernels took longer than {seconds:.0f} s") from None
        lines = done.stdout.splitlines()
        if done.returncode == 0 and lines:
            return json.loads(lines[-1])
        if done.returncode in ENDED or "KeyboardInterrupt" in done.stderr:
            raise RuntimeError("trying the kernels was interrupted")
        if done.returncode and "out of memory" in done.stderr:
            raise RuntimeError("there was not enough memory on the device to try the kernels")
        words = ([line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"])[-1]
        last = lines[-1].removeprefix("trying ") if lines and lines[-1].startswith("trying ") else None
        if last is None or last in skip:
            break
        log.warning("a fast kernel (%s) fails on this device, going on without it: %s", last, words)
        skip.append(last)
    from vsapisr.networks.cuda.kernels.form import Tilings

    none = dict.fromkeys(PARTS, False)
    return {"tilings": asdict(Tilings()), "right": none, "pays": none, "failed": words}
