"""Benchmarks of the training data: ``python -m scripts.bench_data lines|degradation|keyframes|dataset``, from a
checkout's root.
"""

from __future__ import annotations

import argparse
import json
import os
from importlib import import_module
from pathlib import Path

SECTIONS = {
    "lines": "line enhancement of a 720p frame, against a flood fill in plain Python",
    "degradation": "degrading in memory against child processes and temporary files",
    "keyframes": "I-frame extraction against decoding every frame",
    "dataset": "patches per second per worker, share of time of each part",
}
"""Each is a module of :mod:`scripts.benchmarks` with ``add_arguments(parser)`` and ``run(options) -> dict``."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_data", description=__doc__)
    sections = parser.add_subparsers(dest="section", required=True, metavar="SECTION")
    for name, words in SECTIONS.items():
        section = sections.add_parser(name, help=words, description=words)
        section.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
        import_module(f"scripts.benchmarks.{name}").add_arguments(section)
    options = parser.parse_args(arguments)
    result = import_module(f"scripts.benchmarks.{options.section}").run(options)
    if options.json:
        temporary = options.json.with_name(options.json.name + ".part")
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, options.json)


if __name__ == "__main__":
    main()
