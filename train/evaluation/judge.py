"""All measures of one enlarged picture: full reference with an original, the rest by itself or against its source."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from . import iqa, own
from .colour_error import colour_error, lab, reduced, spots
from .config import AUTO
from .flicker import flicker, held
from .footage import Shot
from .full_reference import psnr_y, ssim_y
from .levels import lanczos
from .restoration import find_flat, halo, noise, noise_left, repeated
from .sharpness import edge_width, find_edges, line_contrast, line_map
from .tables import COLUMNS, ORIGINAL, Column

__all__ = ["PAPER", "Judge", "perceptual"]

PAPER = ("lpips", "niqe", "maniqa", "clipiqa")
"""Of pyiqa: the paper's Table 1, and the usual full-reference one."""


Measure = iqa.Measure | own.OwnMeasure


def perceptual(names: tuple[str, ...], device: str, references: bool) -> list[Measure]:
    """The measures asked for by name: this project's own, and pyiqa's; what both know is pyiqa's where it is there.

    Raises:
        IqaError, ArgumentError: see :class:`train.evaluation.iqa.Measure`.
        WeightsError: see :func:`train.evaluation.own.own_measure`.
    """
    theirs = PAPER if iqa.installed() else ()
    usual = tuple(dict.fromkeys((*theirs, *own.automatic())))
    wanted = dict.fromkeys(one for name in names for one in (usual if name == AUTO else (name,)))
    made: list[Measure] = []
    for name in wanted:
        mine = None if name in theirs else own.own_measure(name, device)
        made.append(mine or iqa.Measure(name, device))
    return [measure for measure in made if references or not measure.full_reference or measure.name not in usual]


class Judge:
    """Measures the pictures of one clip after another, method by method.

    ``start`` gets the next picture, then ``values`` the result of every method. ``failures`` maps a measure to the
    first error it gave; the picture then has no value for it.
    """

    def __init__(self, measures: Sequence[Measure]):
        self.measures = measures
        self.failures: dict[str, str] = {}
        self.columns = {
            **COLUMNS,
            **{
                m.name: Column(m.name.upper(), "↓" if m.lower_is_better else "↑")
                for m in measures
                if m.name not in COLUMNS
            },
        }
        self.shot: Shot | None = None
        self.previous: dict[str, np.ndarray] = {}

    def start(self, shot: Shot) -> None:
        """What follows is about ``shot``."""
        before = self.shot if self.shot and (self.shot.clip, self.shot.frame + 1) == (shot.clip, shot.frame) else None
        if before is None or before.small.shape != shot.small.shape:
            before, self.previous = None, {}
        self.still = held(before.small, shot.small) if before else np.zeros((0, 0), bool)
        self.shot = shot
        guide = lanczos(shot.small) if shot.gt is None else shot.gt
        self.edges, self.lines = find_edges(guide), line_map(guide)
        self.range = repeated(shot.small) if shot.gt is None else shot.gt
        self.flat = None if shot.gt is None else find_flat(shot.gt)
        self.noise = math.nan if self.flat is None else noise(lanczos(shot.small), self.flat)

    def values(self, method: str, result: np.ndarray) -> dict[str, float]:
        """Measures of (4H, 4W, 3) uint8 by name; NaN for what cannot be measured on this picture."""
        shot = self.shot
        assert shot is not None  # begin() was called
        gt = None if method == ORIGINAL else shot.gt
        values = {} if gt is None else {"psnr_y": psnr_y(result, gt), "ssim_y": ssim_y(result, gt)}
        for measure in self.measures:
            if gt is not None or not measure.full_reference:
                values[measure.name] = self._try(measure.name, lambda: measure(result, gt))
        values["edge_width"] = edge_width(result, self.edges)
        values["line_contrast"] = line_contrast(result, self.lines)
        values["halo"] = halo(result, self.range, self.edges)
        if self.flat is not None:
            values["noise_left"] = noise_left(result, self.noise, self.flat)
        small = reduced(result)
        values["colour_error"] = colour_error(small, shot.small if shot.gt is None else reduced(shot.gt))
        if gt is not None:
            shift = lab(result).mean((0, 1)) - lab(gt).mean((0, 1))
            values["a_shift"], values["b_shift"] = float(shift[1]), float(shift[2])
        found = spots(result, shot.small, shot.gt)
        values["spots"], values["spot_clusters"] = found.share, float(found.clusters)
        if self.still.size:
            values["flicker"] = flicker(self.previous[method], result, self.still)
        self.previous[method] = result
        return values

    def _try(self, name: str, measure: Callable[[], float]) -> float:
        try:
            return measure()
        except iqa.IqaError as error:
            self.failures.setdefault(name, str(error))
            return math.nan
