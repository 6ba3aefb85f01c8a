"""The step ``ablate``: trains and evaluates the arms of the paper's ablations, one after another, and collects their
tables.
"""

from __future__ import annotations

import gc
import json
import math
import os
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vsapisr.errors import ArgumentError, VsapisrError
from vsapisr.writing import write_words

from ..curation.config import CurateConfig, PrepareConfig
from ..curation.curate import curate
from ..curation.prepare import prepare
from ..evaluation.evaluate import LICENCE, evaluate
from ..evaluation.iqa import installed
from ..evaluation.tables import csv_text, method_table
from ..export.export import ExportConfig, export
from ..fit import checkpoint
from ..fit.config import FitConfig
from ..fit.loop import LAST, Interrupted, fit
from ..losses.files import look
from ..media.cache import key_of
from ..media.places import alone, claim
from ..settings import load
from .arms import ARMS, TABLES, WHOLE, Arm, chosen
from .config import AblateConfig

__all__ = ["AblateReport", "Plan", "ablate", "plan"]

DONE = "arm.json"
MACHINE = (
    "device",
    "threads",
    "save_seconds",
    "save_every",
    "keep",
    "tensorboard",
    "compile",
    "workers",
    "cache",
    "cache_megabytes",
    "sheet",
)
"""Keys that say how something is computed, not what."""


@dataclass(frozen=True)
class Plan:
    """Everything one arm does, with all configurations checked, before anything is done."""

    arm: Arm
    folder: Path
    stage1: FitConfig
    """Shared with every arm that has the same data: same folder, trained once."""
    stage2: FitConfig
    curation: tuple[CurateConfig, PrepareConfig] | None
    evaluate: Any
    mark: str
    """Stands for all settings that decide the result."""

    def result(self) -> dict[str, Any] | None:
        """What the finished arm has in its file; None while it is not finished.

        Raises:
            ArgumentError: it was made with other settings.
        """
        path = self.folder / DONE
        if not path.exists():
            return None
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            mark = found["mark"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise ArgumentError(f"{path} is damaged ({error}); delete it to evaluate the arm again") from None
        if mark != self.mark:
            raise ArgumentError(
                f"{path} was made with other settings; accepted: the settings it was made with, or another "
                "folder for out (or delete the arm's folder to train it anew)"
            )
        return found

    def state(self) -> str:
        """For people."""
        if self.result():
            return "finished"
        stages = (("stage 1", self.stage1), ("stage 2", self.stage2))
        done = [(name, iterations(config), config.iterations) for name, config in stages]
        return ", ".join(f"{name} {at}/{total}" for name, at, total in done if at) or "not begun"


def iterations(config: FitConfig) -> int:
    """Of the last checkpoint in the run's folder; 0 without one."""
    path = Path(config.out) / LAST
    return checkpoint.load(path).get("iteration", 0) if path.exists() else 0


def plan(config: AblateConfig) -> list[Plan]:
    """The arms that ``config`` asks for, the whole method first.

    Raises:
        ArgumentError: a configuration that cannot be used, or a switch that changes nothing.
    """
    out, plans = Path(config.out), []
    for arm in chosen(config.tables, config.arms):
        curation = None
        data = dict(arm.data)
        pictures = out / "pictures" / (arm.name if arm.curate else WHOLE)
        if config.curate:
            data |= {"data.folder": str(pictures / "gt"), "data.pseudo_gt": ""}
        first = out / "stage1" / (arm.name if arm.data or arm.curate else WHOLE)
        folder = out / "arms" / arm.name
        stage1 = load(FitConfig, config.stage1, {**data, "out": str(first)})
        stage2 = load(FitConfig, config.stage2, {**data, **arm.loss, "out": str(folder), "init": str(first / LAST)})
        if config.curate:
            chosen_from = load(CurateConfig, config.curate, {**arm.curate, "out": str(pictures / "curated")})
            made = load(
                PrepareConfig, config.prepare, {"source": chosen_from.out, "out": str(pictures), "validation": 0.0}
            )  # measured on is ``apart``
            apart = dict.fromkeys((*made.apart, *measured_on(config, stage1, stage2)))
            curation = (chosen_from, replace(made, apart=tuple(apart)))
        judged = replace(
            config.evaluate,
            models=(str(folder / f"{arm.name}.safetensors"),),
            out=str(folder / "evaluation"),
            baselines=config.evaluate.baselines if arm.whole else (),
        )
        settings = repr([decisive(one) for one in (stage1, stage2, *(curation or ()), judged)])
        plans.append(
            Plan(arm, folder, stage1, stage2, curation, judged, key_of(settings.replace(repr(str(out))[1:-1], "")))
        )
    check_stages(plans)
    check_switches(plans)
    return plans


def measured_on(config: AblateConfig, *stages: FitConfig) -> list[str]:
    """Where the pictures lie that no arm may be trained on: those it is evaluated and those it is validated on."""
    return [config.evaluate.gt or config.evaluate.source, *(one.validation.folder for one in stages if one.validation)]


def decisive(config: Any) -> Any:
    """A configuration as a dictionary, without what does not decide the result."""
    if is_dataclass(config) and not isinstance(config, type):
        config = asdict(config)
    if isinstance(config, dict):
        return {key: decisive(value) for key, value in config.items() if key not in MACHINE}
    return config


def check_stages(plans: list[Plan]) -> None:
    """Stage 1 must be stage 1 and stage 2 be stage 2."""
    for one in plans:
        for number, config in ((1, one.stage1), (2, one.stage2)):
            if config.stage != number:
                raise ArgumentError(f"stage{number}: stage = {config.stage} is not accepted there; accepted: {number}")


def check_files(plans: list[Plan]) -> None:
    """``WeightsError`` unless the files that the losses of all arms need are there."""
    for one in plans:
        loss = one.stage2.loss
        for name in loss.networks:
            if any(loss.layers(name)) and loss.features != "random":
                look(name, loss)


def check_switches(plans: list[Plan]) -> None:
    """No two arms may be the same training: a base configuration that has a switch turned already makes nonsense of
    it.
    """
    seen: dict[str, str] = {}
    for one in plans:
        settings = [
            replace(config, out="-", init="-", data=replace(config.data, folder="-"))
            for config in (one.stage1, one.stage2)
        ]
        key = key_of(settings, one.curation[0].scorer if one.curation else "")
        if key in seen:
            raise ArgumentError(
                f"arms: {one.arm.name} and {seen[key]} are the same training; the configurations of stage 1 "
                "and stage 2 must be the whole method, with every switch as in the paper"
            )
        seen[key] = one.arm.name


@dataclass
class AblateReport:
    """What has been measured so far; ``str`` is the tables."""

    config: AblateConfig
    plans: list[Plan]
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Arm -> what its file holds."""
    failed: dict[str, str] = field(default_factory=dict)

    def tables(self) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """Level -> table -> row -> measure -> mean."""
        found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
        for level in self.config.evaluate.measured:
            for table in self.config.tables:
                arms = [arm for arm in ARMS if arm.table == table and arm.name in self.results]
                rows = {arm.label: self._means(arm.name, level) for arm in arms}
                if rows:
                    found.setdefault(level, {})[table] = rows
        return found

    def _means(self, name: str, level: str) -> dict[str, float]:
        means = self.results[name]["means"].get(level, {}).get(name, {})
        return {key: math.nan if value is None else value for key, value in means.items()}

    def __str__(self) -> str:
        parts = []
        for level, tables in self.tables().items():
            for table, rows in tables.items():
                parts.append(f"{TABLES[table]}; {level}\n\n{method_table(rows)}\n")
        if installed() and self.config.evaluate.metrics:
            parts.append(LICENCE + "\n")
        left = [one.arm.name for one in self.plans if one.arm.name not in self.results]
        parts += [f"{name} failed: {reason}" for name, reason in self.failed.items()]
        parts += [f"not finished: {', '.join(left)}"] if left else []
        return "\n".join(parts)

    def write(self) -> None:
        """table.md and table.csv."""
        out = Path(self.config.out)
        flat = {f"{level}, {table}": rows for level, tables in self.tables().items() for table, rows in tables.items()}
        write_words(out / "table.md", str(self) + "\n")
        write_words(out / "table.csv", csv_text(flat))


def train_arm(one: Plan) -> None:
    """Pictures, stage 1 and stage 2, each as far as it is not done; then the weights as a file of the arm's name."""
    if one.curation:
        curate(one.curation[0])
        prepare(one.curation[1])
    for config in (one.stage1, one.stage2):
        if iterations(config) < config.iterations:
            Path(config.out).mkdir(parents=True, exist_ok=True)
            fit(config)
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    target = str(one.folder / f"{one.arm.name}.safetensors")
    export(ExportConfig(source=str(one.folder / LAST), target=(target,), force=True), arm=one.arm.name)


def finish_arm(one: Plan) -> dict[str, Any]:
    """Train, evaluate and record one arm."""
    train_arm(one)
    evaluate(one.evaluate)
    measured = json.loads((one.folder / "evaluation" / "results.json").read_text(encoding="utf-8"))
    result = {"arm": one.arm.name, "mark": one.mark, "means": measured["means"]}
    write_words(one.folder / DONE, json.dumps(result, indent=1))
    return result


def listing(plans: list[Plan]) -> str:
    """One line for each arm: name, tables, what is switched, how far it is.

    Raises:
        ArgumentError: after the lines were printed, when the arms could not begin.
    """
    lines = []
    for one in plans:
        tables = ", ".join(arm.table for arm in ARMS if arm.name == one.arm.name)
        turned = {**one.arm.curate, **one.arm.data, **one.arm.loss}
        switch = ", ".join(f"{key} = {value!r}" for key, value in turned.items()) or "nothing switched"
        lines.append(f"{one.arm.name}  [{tables}]  {switch}; stage 1 in {one.stage1.out}; {one.state()}")
    try:
        check_files(plans)
    except VsapisrError as error:
        print("\n".join(lines), flush=True)
        raise ArgumentError(f"not ready: {error}") from None
    return "\n".join(lines)


def ablate(config: AblateConfig) -> AblateReport | str:
    """Run every arm that is not finished. An arm that fails is reported, and the next one tried.

    Raises:
        VsapisrError: a configuration that cannot be carried out, or all arms failed.
        Interrupted: a request to stop; the same command goes on from there.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ArgumentError(
            "ablate runs in one process; for several devices give each process its own arms, after the arm "
            f"{WHOLE!r}, whose stage 1 others start from, has its stage 1"
        )
    plans = plan(config)
    if config.dry_run:
        return listing(plans)
    check_files(plans)
    with alone(Path(config.out), "ablate"):
        claim(Path(config.out), "ablate", ("table.md", "table.csv"), option=False)
        return run_arms(config, plans)


def run_arms(config: AblateConfig, plans: list[Plan]) -> AblateReport:
    """What :func:`ablate` does, with ``out`` to itself."""
    report = AblateReport(config, plans)
    for number, one in enumerate(plans, 1):
        if (result := one.result()) is None:
            print(f"arm {number}/{len(plans)}: {one.arm.name}", flush=True)
            try:
                result = finish_arm(one)
            except Interrupted:
                report.write()
                raise
            except VsapisrError as error:
                report.failed[one.arm.name] = str(error)
                continue
        report.results[one.arm.name] = result
        report.write()
    if report.failed and not report.results:
        raise ArgumentError(f"every arm failed; the first: {next(iter(report.failed.values()))}")
    report.write()
    return report
