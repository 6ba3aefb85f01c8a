"""``python -m train STEP``: the steps of training, each with ``--config FILE.toml``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .config import FitConfig, load


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    fit = steps.add_parser("fit", help="train weights; goes on from the last checkpoint")
    fit.add_argument("--config", required=True, metavar="FILE.toml")
    for name, text in (("degrade", "a folder of drawings -> degraded ones"), ("preview", "pictures of lines and degradations")):
        steps.add_parser(name, help=text).add_argument("--config", required=True, metavar="FILE.toml")
    export = steps.add_parser("export", help="write a checkpoint's weights for the filter")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("target", type=Path)
    arguments = parser.parse_args()
    if arguments.step == "fit":
        from .loop import fit as run

        print(run(load(FitConfig, arguments.config)))
    elif arguments.step == "degrade":
        from .degradation.run import DegradeConfig, run_degrade

        print(run_degrade(load(DegradeConfig, arguments.config)))
    elif arguments.step == "preview":
        from .preview import PreviewConfig, run_preview

        print(run_preview(load(PreviewConfig, arguments.config)))
    else:
        from .export import export as write

        write(arguments.checkpoint, arguments.target, {})


if __name__ == "__main__":
    main()
