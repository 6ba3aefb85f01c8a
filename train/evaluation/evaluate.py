"""The step ``evaluate``: weights and interpolations side by side, with a table, all figures and a contact sheet."""

from __future__ import annotations

import io
import json
import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from vsapisr import __version__, upscale_image
from vsapisr.cli.comparison import busiest
from vsapisr.config import SCALE, UpscaleConfig
from vsapisr.engine.devices import ready
from vsapisr.errors import ArgumentError, VsapisrError
from vsapisr.writing import write_atomically, write_words

from ..media.places import alone, claim
from ..media.progress import Progress
from ..media.sheets import labelled
from .config import EvaluateConfig
from .footage import Files, Shot, length, material, one_of, shots
from .full_reference import psnr_y
from .iqa import Measure
from .judge import Judge, perceptual
from .levels import bicubic, lanczos
from .tables import ORIGINAL, Row, csv_text, means, method_table

__all__ = ["EvaluateConfig", "Evaluation", "evaluate"]

Enlarge = Callable[[np.ndarray], np.ndarray]
CROP = 288  # pixels of the result that the contact sheet shows
LICENCE = (
    "LPIPS, NIQE, MANIQA, CLIPIQA and the like by pyiqa, whose licence (PolyForm Noncommercial 1.0.0, by its package "
    "metadata) and weights (CC BY-NC-SA 4.0) allow no commercial use."
)


@dataclass
class Evaluation:
    """What was measured; ``str`` is the table as text."""

    config: EvaluateConfig
    rows: list[Row] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """File -> why it, or the rest of it, was left out."""
    failures: dict[str, str] = field(default_factory=dict)
    """Measure -> its first error."""
    columns: dict = field(default_factory=dict)
    licence: str = ""

    def tables(self) -> dict[str, dict[str, dict[str, float]]]:
        """Level -> method -> measure -> mean."""
        levels = [level for level in self.config.measured if any(row.level == level for row in self.rows)]
        return {level: means(row for row in self.rows if row.level == level) for level in levels}

    def __str__(self) -> str:
        parts = []
        for level, table in self.tables().items():
            pictures = len({(row.clip, row.frame) for row in self.rows if row.level == level})
            parts.append(f"{level}: {pictures} pictures\n\n{method_table(table, self.columns)}\n")
        if self.licence:
            parts.append(self.licence + "\n")
        parts += [f"{name} failed: {reason}\n" for name, reason in self.failures.items()]
        parts += [f"left out: {reason}\n" for reason in self.refused.values()]
        return "\n".join(parts)

    def as_json(self) -> str:
        """Configuration, versions, means and every picture; values that are no finite number are null."""

        def plain(value: object) -> object:
            if isinstance(value, dict):
                return {key: plain(inner) for key, inner in value.items()}
            return None if isinstance(value, float) and not math.isfinite(value) else value

        versions = {"vsapisr": __version__, "torch": torch.__version__, "python": platform.python_version()}
        pictures = [plain(asdict(row)) for row in self.rows]
        return json.dumps(
            {
                "config": asdict(self.config),
                "versions": versions,
                "means": plain(self.tables()),
                "refused": self.refused,
                "failures": self.failures,
                "pictures": pictures,
            },
            indent=1,
        )


def methods(config: EvaluateConfig) -> tuple[dict[str, Enlarge], list[torch.nn.Module]]:
    """Name -> function from (H, W, 3) uint8 to (4H, 4W, 3), and the networks, which stay loaded while they are held.

    Raises:
        WeightsError, DeviceError: a model cannot be loaded, or not there.
    """
    made: dict[str, Enlarge] = {name: {"lanczos": lanczos, "bicubic": bicubic}[name] for name in config.baselines}
    stems = [Path(model).stem for model in config.models]
    networks = []
    for model, stem in zip(config.models, stems):
        networks.append(ready(UpscaleConfig(model=model, device=config.device, precision=config.precision))[-1])
        name = model if stems.count(stem) > 1 or stem in made or stem == ORIGINAL else stem
        made[name] = network_method(model, config)
    return made, networks


def network_method(model: str, config: EvaluateConfig) -> Enlarge:
    arguments = {"guard": int(config.guard), "device": config.device, "precision": config.precision}
    return lambda small: upscale_image(small, model=model, **arguments)


FILES = ("table.md", "table.csv", "results.json")


class Sheet:
    """Cells of the contact sheet of one level: the busiest part of chosen pictures, as each method made it.

    Of a clip it is the picture numbered ``middle``, or the last before it.
    """

    def __init__(self, files: Files, rows: int, middle: int):
        names = [one_of(small, gt).name for small, gt in files]
        count = min(rows, len(names))
        self.wanted = {names[round(n)] for n in np.linspace(0, len(names) - 1, count)} if count else set()
        self.last = middle
        self.cells: dict[str, tuple[list[np.ndarray], list[list[str]]]] = {}

    def add(self, shot: Shot, results: dict[str, np.ndarray]) -> None:
        """A cell of ``shot``, if it is one that is wanted; the latest of a clip stays."""
        if shot.clip not in self.wanted or shot.frame > self.last:
            return
        large = cv2.resize(shot.small, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST)
        guide = lanczos(shot.small) if shot.gt is None else shot.gt
        sides = [min(CROP, side) for side in guide.shape[:2]]
        x, y = (value // SCALE * SCALE for value in busiest(guide, sides[1], sides[0]))
        pictures = {"source": large, **results}
        parts = [framed(p[y : y + sides[0], x : x + sides[1]]) for p in pictures.values()]
        texts = [
            [name] if shot.gt is None or name in ("source", ORIGINAL) else [f"{name} {psnr_y(p, shot.gt):.2f} dB"]
            for name, p in pictures.items()
        ]
        texts[0] = [f"{shot.clip} {shot.frame}"]
        self.cells[shot.clip] = parts, texts

    def draw(self) -> Image.Image | None:
        if not self.cells:
            return None
        parts = [part for cell in self.cells.values() for part in cell[0]]
        texts = [text for cell in self.cells.values() for text in cell[1]]
        return labelled(parts, texts, len(next(iter(self.cells.values()))[0]))


def framed(part: np.ndarray) -> np.ndarray:
    """On white, to the size of a cell."""
    cell = np.full((CROP, CROP, 3), 255, np.uint8)
    cell[: part.shape[0], : part.shape[1]] = part
    return cell


def one_shot(shot: Shot, level: str, ways: dict[str, Enlarge], judge: Judge, sheet: Sheet) -> list[Row]:
    """Every method on one picture."""
    judge.start(shot)
    results = {name: enlarge(shot.small) for name, enlarge in ways.items()}
    if shot.gt is not None:
        results[ORIGINAL] = shot.gt
    sheet.add(shot, results)
    return [Row(level, shot.clip, shot.frame, name, judge.values(name, image)) for name, image in results.items()]


def evaluate(config: EvaluateConfig, others: Mapping[str, Enlarge] | None = None) -> Evaluation:
    """Measure every picture at every level with every method; files are written at the end, whole or not at all.

    ``others`` are more methods by name: functions from (H, W, 3) uint8 RGB to (4H, 4W, 3).

    A picture or clip that cannot be read is reported and the others go on.

    Raises:
        VsapisrError: nothing to measure, nothing that could be, weights, device or measure not there.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        with alone(Path(config.out), "evaluate"):
            names = [*FILES, *(f"sheet-{level}.png" for level in config.measured)]
            claim(Path(config.out), "evaluate", names, config.force)
            return measured(config, others or {})
    finally:
        torch.set_num_threads(threads)  # what runs after it in this process must not depend on it


def measured(config: EvaluateConfig, others: Mapping[str, Enlarge]) -> Evaluation:
    """What :func:`evaluate` does."""
    files, (ways, _networks) = material(config), methods(config)
    if twice := ways.keys() & others.keys():
        raise ArgumentError(f"others: {', '.join(sorted(twice))} is the name of a model or baseline too")
    ways |= others
    judge = Judge(
        perceptual(
            config.metrics,
            "cuda" if config.device == "auto" and torch.cuda.is_available() else config.device.replace("auto", "cpu"),
            references=bool(config.gt),
        )
    )
    report = Evaluation(
        config,
        columns=judge.columns,
        failures=judge.failures,
        licence=LICENCE if any(isinstance(measure, Measure) for measure in judge.measures) else "",
    )
    expected = [length(one_of(small, gt), config.frames) for small, gt in files]
    sheets = {level: Sheet(files, config.sheet, max(expected) // 2) for level in config.measured}
    with Progress("evaluate", sum(expected) * len(sheets), "pictures") as progress:
        done = 0
        for level, sheet in sheets.items():
            for index, (small, gt) in enumerate(files):
                try:
                    for number, shot in enumerate(shots(small, gt, index, level, config)):
                        report.rows += one_shot(shot, level, ways, judge, sheet)
                        progress.to(done + min(number + 1, expected[index]), f"{level} {shot.clip}")
                except VsapisrError as error:
                    report.refused[f"{level} {one_of(small, gt).name}"] = str(error)
                done += expected[index]
    if not report.rows:
        raise ArgumentError(f"nothing could be measured: {next(iter(report.refused.values()))}")
    save(report, {level: sheet.draw() for level, sheet in sheets.items()})
    return report


def save(report: Evaluation, sheets: dict[str, Image.Image | None]) -> None:
    """table.md, table.csv, results.json and a contact sheet for each level."""
    out = Path(report.config.out)
    write_words(out / "table.md", str(report))
    write_words(out / "table.csv", csv_text(report.tables(), report.columns))
    write_words(out / "results.json", report.as_json())
    for level, sheet in sheets.items():
        if sheet is not None:
            data = io.BytesIO()
            sheet.save(data, "PNG")
            write_atomically(out / f"sheet-{level}.png", data.getvalue())
