"""``python -m train STEP``: the steps of training. Each takes ``--config FILE.toml`` and options that win over it."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from vsapisr.errors import VsapisrError

from .settings import add_options, load

STEPS = {
    # name: (configuration, function, help)
    "curate": ("curation.config:CurateConfig", "curation.curate:curate", "videos -> chosen I-frames, contact sheets"),
    "prepare": (
        "curation.config:PrepareConfig",
        "curation.prepare:prepare",
        "chosen I-frames -> 720p GT and pseudo-GT",
    ),
    "degrade": (
        "degradation.run:DegradeConfig",
        "degradation.run:run_degrade",
        "a folder of drawings -> degraded ones",
    ),
    "preview": ("preview:PreviewConfig", "preview:run_preview", "pictures of lines and degradations"),
    "fit": ("fit.config:FitConfig", "fit.loop:fit", "train weights; goes on from the last checkpoint"),
    "export": (
        "export.export:ExportConfig",
        "export.export:export",
        "weights for the filter, the published layout, ONNX",
    ),
    "evaluate": (
        "evaluation.config:EvaluateConfig",
        "evaluation.evaluate:evaluate",
        "weights and interpolations side by side",
    ),
    "ablate": (
        "ablation.config:AblateConfig",
        "ablation.ablate:ablate",
        "the paper's ablations: train and evaluate every arm",
    ),
}
PLANS = {"fit": "fit.plan:plan"}
"""What ``--dry-run`` calls instead."""


def find(place: str) -> Any:
    """ "module:name" of this package, imported when it is asked for."""
    module, name = place.split(":")
    return getattr(import_module(f".{module}", __package__), name)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name, (config, _, text) in STEPS.items():
        step = steps.add_parser(name, help=text, description=text)
        step.add_argument("--config", metavar="FILE.toml", default=argparse.SUPPRESS)
        if name in arguments[:1]:  # only the step asked for is imported
            add_options(step, find(config))
        if name in PLANS:
            step.add_argument(
                "--dry-run", action="store_true", help="print the whole plan with estimates, write nothing"
            )
    types = steps.add_parser("frametypes", help="mean coded size of I, P and B pictures of videos, as a chart")
    types.add_argument("videos", type=Path, nargs="+")
    types.add_argument("--out", type=Path, default=Path("frametypes.png"))
    options = vars(parser.parse_args(arguments))
    step = options.pop("step")
    try:
        if step == "frametypes":
            print(find("curation.frametypes:chart_videos")(options["videos"], options["out"]))
        else:
            config, run, _ = STEPS[step]
            run = PLANS[step] if step in PLANS and options.pop("dry_run") else run
            result = find(run)(load(find(config), options.pop("config", None), options))
            if os.environ.get("RANK", "0") == "0":  # of several processes under torchrun one speaks
                print(result)
    except VsapisrError as error:
        print(f"train {step}: {error}", file=sys.stderr)
        return 2
    except (
        OSError
    ) as error:  # a full disk, a folder that may not be written: nothing that a traceback would make clearer
        where = f"{error.filename}: " if error.filename else ""
        print(f"train {step}: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
