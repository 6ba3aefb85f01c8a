"""A part of the stress test whose cases end in every bad way, in order of their numbers."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from scripts.stress.case import Outcome, Part, generator

WAYS = ("good", "exit", "crash", "exception", "hang", "failure", "good")


def case(rng: random.Random, folder: Path) -> Outcome:
    drawn = rng.random()  # the case is not told its number, and does not need to be
    way = next(way for number, way in enumerate(WAYS) if generator(__name__, 0, number).random() == drawn)
    if way == "exit":
        os._exit(3)
    if way == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if way == "hang":
        time.sleep(1000)
    if way == "exception":
        raise RuntimeError("on purpose")
    return Outcome(way, "on purpose" if way == "failure" else "")


PART = Part(__name__, "bad ends", case, len(WAYS), 0, 8.0)
