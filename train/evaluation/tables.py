"""Tables of an evaluation, in the shape of the paper's Table 1: a row for each method, a column for each measure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["COLUMNS", "ORIGINAL", "Column", "Row", "csv_text", "markdown", "means", "method_table"]

ORIGINAL = "original"
"""The row of the originals themselves."""


@dataclass(frozen=True)
class Column:
    """How a measure is shown."""

    label: str
    better: str = ""
    """"↑", "↓", or nothing when neither is better."""
    digits: int = 4

    @property
    def heading(self) -> str:
        return f"{self.label} {self.better}".strip()


COLUMNS = {
    "psnr_y": Column("PSNR-Y dB", "↑", 3),
    "ssim_y": Column("SSIM-Y", "↑"),
    "features": Column("feature distance", "↓"),
    "lpips": Column("LPIPS", "↓"),
    "niqe": Column("NIQE", "↓", 3),
    "brisque": Column("BRISQUE", "↓", 2),
    "piqe": Column("PIQE", "↓", 2),
    "ssimulacra2": Column("SSIMULACRA2", "↑", 2),
    "xpsnr": Column("XPSNR dB", "↑", 3),
    "maniqa": Column("MANIQA", "↑"),
    "clipiqa": Column("CLIPIQA", "↑"),
    "edge_width": Column("edge width px", "↓", 2),
    "line_contrast": Column("line contrast", "↑", 1),
    "halo": Column("halo %", "↓", 2),
    "noise_left": Column("noise left %", "↓", 1),
    "colour_error": Column("colour error", "↓", 3),
    "a_shift": Column("a* shift", "", 3),
    "b_shift": Column("b* shift", "", 3),
    "spots": Column("spots /Mpx", "↓", 1),
    "spot_clusters": Column("clusters", "↓", 2),
    "flicker": Column("flicker", "↓", 3),
}


@dataclass(frozen=True)
class Row:
    """What was measured on one picture as one method made it."""

    level: str
    clip: str
    frame: int
    method: str
    values: dict[str, float]


def means(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Method -> measure -> mean over the pictures of ``rows``.

    A picture on which some method has no value for a measure (no line in it, a measure that failed) counts for none, so
    that all means of a column are over the same pictures. The originals have no full-reference values and are left out
    of that for those.
    """
    held: dict[str, dict[tuple, dict[str, float]]] = {}
    methods: dict[str, None] = {}
    for row in rows:
        methods[row.method] = None
        for name, value in row.values.items():
            held.setdefault(name, {}).setdefault((row.level, row.clip, row.frame), {})[row.method] = value
    result: dict[str, dict[str, float]] = {method: {} for method in methods}
    for name, pictures in held.items():
        having = {method for values in pictures.values() for method in values}
        shared = [v for v in pictures.values() if v.keys() == having and not any(math.isnan(x) for x in v.values())]
        for method in having:
            result[method][name] = float(np.mean([values[method] for values in shared])) if shared else float("nan")
    return result


def markdown(headers: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, columns aligned."""
    widths = [max(len(str(row[i])) for row in [headers, *rows]) for i in range(len(headers))]
    lines = [headers, ["-" * width for width in widths], *rows]
    padded = [[str(cell).ljust(width) for cell, width in zip(line, widths)] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in padded)


def used(table: dict[str, dict[str, float]], columns: dict[str, Column]) -> list[str]:
    """The measures of ``table`` that have a value, in the order of ``columns``."""
    return [name for name in columns if any(not math.isnan(values.get(name, math.nan)) for values in table.values())]


def cell(value: float | None, column: Column, best: bool) -> str:
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:.{column.digits}f}"
    return f"**{text}**" if best else text


def method_table(table: dict[str, dict[str, float]], columns: dict[str, Column] = COLUMNS) -> str:
    """Markdown of what :func:`means` gives; the best method of each column in bold, the originals not competing."""
    names = used(table, columns)
    best = {}
    for name in names:
        values = [
            v[name] for method, v in table.items() if method != ORIGINAL and not math.isnan(v.get(name, math.nan))
        ]
        if values and columns[name].better and len(values) > 1:
            best[name] = max(values) if columns[name].better == "↑" else min(values)
    rows = [
        [
            method,
            *(
                cell(values.get(name), columns[name], method != ORIGINAL and values.get(name) == best.get(name))
                for name in names
            ),
        ]
        for method, values in table.items()
    ]
    return markdown(["method", *(columns[name].heading for name in names)], rows)


def csv_text(tables: dict[str, dict[str, dict[str, float]]], columns: dict[str, Column] = COLUMNS) -> str:
    """All levels: level, method, measures in full precision; an empty cell where there is no value."""
    names = [name for name in columns if any(name in used(table, columns) for table in tables.values())]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["level", "method", *names])
    for level, table in tables.items():
        for method, values in table.items():
            shown = (values.get(name, math.nan) for name in names)
            writer.writerow([level, method, *("" if math.isnan(value) else repr(value) for value in shown)])
    return text.getvalue()
