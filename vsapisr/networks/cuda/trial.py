"""Try the kernels on a device, in a process that may die of it: see :mod:`vsapisr.networks.cuda.kernels.verdict`.

``python -m vsapisr.networks.cuda.trial ABOUT [SKIP ...]``: a line "trying NAME" before each thing, and JSON at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch

from vsapisr.networks.cuda.grl_cuda import GRLCuda
from vsapisr.networks.cuda.kernels import tuning
from vsapisr.networks.cuda.kernels.form import Tilings
from vsapisr.networks.cuda.kernels.verdict import PARTS
from vsapisr.networks.grl import GRL, GRLConfig


def trial(
    grl: GRL, dtype: torch.dtype, device: torch.device, skip: Sequence[str], say: Callable[[str], object]
) -> dict:
    """What :func:`vsapisr.networks.cuda.kernels.verdict.tried` returns; ``say`` is told a thing's name before it is
    tried.
    """
    form = GRLCuda(grl, dtype, device, use="plain")
    parts = form.made(grl)
    right = {}
    for part in PARTS:
        right[part] = False
        if part not in skip:
            say(part)
            right |= form.agrees(parts, Tilings(), [part])
    tilings, left = Tilings(), [part for part in PARTS if right[part]]  # what died is not run again
    if left:
        chosen = tuning.measure(grl.to(device), dtype, device, tuning.Chooser(say, skip))
        say("chosen")
        if all(form.agrees(parts, chosen, left).values()):
            tilings = chosen
    say("speed")
    pays = form.what_pays(parts, tilings, tuning.milliseconds, left)
    return {"tilings": asdict(tilings), "right": right, "pays": dict.fromkeys(PARTS, False) | pays}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vsapisr.networks.cuda.trial", description=__doc__)
    parser.add_argument("about", help="JSON: hyperparameters, type and device")
    parser.add_argument("skip", nargs="*", help="what is not tried")
    options = parser.parse_args(arguments)
    about = json.loads(options.about)
    torch.manual_seed(0)
    config: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in about["config"].items()}
    grl = GRL(GRLConfig(**config)).eval().requires_grad_(False)
    device = torch.device(about["device"])
    with torch.inference_mode():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        found = trial(
            grl, getattr(torch, about["type"]), device, options.skip, lambda word: print(f"trying {word}", flush=True)
        )
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
