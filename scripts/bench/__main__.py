"""Benchmarks: ``python -m scripts.bench SECTION``, from the root of a checkout. Tables, and JSON with ``--json``."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

from vsapisr.writing import write_atomically

SECTIONS = {
    "network": "the network alone, eager against inference form, CPU and GPU",
    "chain": "decode, convert, infer, convert, pipe: vspipe against the network alone",
    "lines": "line enhancement of a 720p frame, against a flood fill in plain Python",
    "degradation": "degrading in memory against child processes and temporary files",
    "keyframes": "the I-frames of a video against every frame",
    "reuse": "frames per second with tiles taken over, on made-up animation",
    "dataset": "patches per second per worker, share of time of each part",
    "episode": "vsapisr upscale of a small episode against vspipe alone",
    "cluster": "workers of a Ray cluster, and what a thousand episodes cost who drives them",
    "step": "training steps against the plain form, waiting for data, both stages on a GPU",
}
"""Name and what it measures. Each is a module of :mod:`scripts.bench` with ``add_arguments(parser)`` and
``run(options) -> dict``, imported only when asked for."""


def write_json(path: Path, data: object) -> None:
    write_atomically(path, (json.dumps(data, indent=2) + "\n").encode())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    sections = parser.add_subparsers(dest="section", required=True, metavar="SECTION")
    for name, words in SECTIONS.items():
        section = sections.add_parser(name, help=words, description=words)
        section.add_argument("--threads", type=int, help="of the CPU for torch (its own choice by default)")
        section.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
        import_module(f"scripts.bench.{name}").add_arguments(section)
    options = parser.parse_args(arguments)

    import torch

    from scripts.bench.timing import machine

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    result = import_module(f"scripts.bench.{options.section}").run(options)
    if options.json:
        write_json(options.json, {"machine": about, options.section: result})


if __name__ == "__main__":
    main()
