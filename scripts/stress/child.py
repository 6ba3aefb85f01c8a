"""Runs cases of one part, one after the other, and says in a line of JSON what it begins and how each ended.

The parent (runner.py) reads along, so that it knows which case ended or stopped this process.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import sys
import tempfile
import traceback
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from .case import Outcome, Part, generator


def run(part: Part, seed: int, indices: list[int]) -> None:
    faulthandler.enable()
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints meets the log, not the channel
    for index in indices:
        print(json.dumps({"begin": index}), file=channel)
        with tempfile.TemporaryDirectory(prefix="stress-", ignore_cleanup_errors=True) as folder:
            try:
                outcome = part.case(generator(part.name, seed, index), Path(folder))
            except Exception:
                outcome = Outcome("the case itself", f"an exception nobody expected:\n{traceback.format_exc()}")
        gc.collect()
        print(json.dumps({"end": index} | asdict(outcome)), file=channel)
    channel.close()


def main() -> None:
    from .parts import PARTS

    name, seed, *indices = sys.argv[1:]
    part = PARTS[name] if name in PARTS else import_module(name).PART
    run(part, int(seed), [int(index) for index in indices])


if __name__ == "__main__":
    main()
