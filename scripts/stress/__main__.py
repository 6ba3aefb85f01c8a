"""Try to break the project, and say what held: python -m scripts.stress [PART ...] [--minutes N] [--seed S].

All parts run when none is named (--help lists them). Every case follows from its part, the seed and its number: what a
failure prints repeats it (--only NUMBER). --json FILE writes all of it.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from train.media.progress import Progress
from vsapisr.writing import finished

from .case import Outcome
from .parts import PARTS
from .runner import Result, run_part


def show(result: Result) -> None:
    """What a part came to, for a person."""
    held = result.cases - len(result.failures)
    print(f"\n{result.part} (seed {result.seed}): {held} of {result.cases} held, {result.seconds:.0f} s")
    for kind, count in sorted(result.kinds.items()):
        print(f"  {count:6d}  {kind}")
    for name, value in sorted(result.figures.items()):
        print(f"  {value:10.4g}  {name}")
    for name, count in sorted(result.counts.items()):
        print(f"  {count:10d}  {name} in all")
    for index, outcome in result.failures:
        print(f"\nFAILED: {result.part} {index}: {outcome.what}\n{outcome.failure.rstrip()}")
        print(f"again: python -m scripts.stress {result.part} --seed {result.seed} --only {index}")
        if outcome.script:
            print(f"by itself:\n{outcome.script}")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.stress", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all when none is named")
    parser.add_argument("--minutes", type=float, help="for all parts together; else until each has run all its cases")
    parser.add_argument("--count", type=int, help="cases of each part, instead of its own number")
    parser.add_argument("--short", action="store_true", help="as few cases as the test suite runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return chosen


def main() -> int:
    chosen, results = options(), []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = chosen.parts or list(PARTS)
    for name in names:
        part, deadline = PARTS[name], None
        if chosen.minutes is not None:
            share = chosen.minutes * 60 / len(names)
            deadline = time.monotonic() + share
        count = chosen.count or (part.short if chosen.short else part.count)
        if chosen.only is not None:
            results.append(run_part(part, 1, chosen.seed, first=chosen.only))
        else:
            progress = Progress(f"{name}: {part.words}", count, "cases")

            def seen(index: int, outcome: Outcome, progress: Progress = progress) -> None:
                progress.to(index + 1)

            results.append(run_part(part, count, chosen.seed, deadline, seen=seen))
            progress.close()
        show(results[-1])
        if results[-1].stopped:
            break
    if chosen.json:
        with finished(chosen.json) as path:
            path.write_text(json.dumps([asdict(result) for result in results], indent=1), encoding="utf-8")
    return int(any(result.failures for result in results))


if __name__ == "__main__":
    sys.exit(main())
