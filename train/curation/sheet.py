"""Contact sheets: what was taken of a video and what was not, with scores, so that a person can strike pictures out."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vsapisr.writing import write_atomically

from ..media.progress import clock

STRIKE_HEADER = """\
# Frames written here are left out by the next run of curate. One name per line, as printed on the contact sheets in
# sheets/ or as the picture's file is called: for instance 1f0c93aa-00412, or ep01.1f0c93aa-00412.png. 1f0c93aa-* leaves
# out the whole video. Everything after # is a comment.
"""
GAP, TEXT, COLUMNS = 8, 34, 5
TAKEN, LEFT = (36, 44, 52), (62, 36, 36)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One picture of the sheet."""

    name: str
    time: float
    score: float | None
    selected: bool
    reason: str
    thumbnail: bytes
    """JPEG."""
    crop: tuple[float, float, float, float]
    """Shares of height, height, width, width cut at top, bottom, left, right; drawn as a frame."""


def draw_cell(
    draw: ImageDraw.ImageDraw, sheet: Image.Image, cell: Cell, place: tuple[int, int], width: int, lines: int
) -> None:
    """Thumbnail, name and score, reason, at ``place``."""
    x, y = place
    font, small = ImageFont.load_default(size=13), ImageFont.load_default(size=11)
    picture = Image.open(io.BytesIO(cell.thumbnail)).convert("RGB")
    draw.rectangle([x - 3, y - 3, x + width + 2, y + lines + TEXT], fill=TAKEN if cell.selected else LEFT)
    sheet.paste(picture, (x + (width - picture.width) // 2, y + (lines - picture.height) // 2))
    if any(cell.crop):
        left, top = x + (width - picture.width) // 2, y + (lines - picture.height) // 2
        cut = [
            left + cell.crop[2] * picture.width,
            top + cell.crop[0] * picture.height,
            left + (1 - cell.crop[3]) * picture.width - 1,
            top + (1 - cell.crop[1]) * picture.height - 1,
        ]
        draw.rectangle(cut, outline=(90, 220, 120))
    score = "" if cell.score is None else f"{cell.score:.3f}"
    draw.text((x, y + lines + 1), cell.name, fill="white", font=font)
    draw.text((x + width, y + lines + 1), score, fill=(255, 214, 110), font=font, anchor="ra")
    draw.text((x, y + lines + 18), f"{clock(cell.time)}  {cell.reason}"[:44], fill=(200, 200, 200), font=small)


def contact_sheet(title: str, cells: list[Cell], width: int) -> Image.Image:
    """Selected pictures first, best score first, then the others on red. ``width`` is that of the thumbnails."""
    order = sorted(cells, key=lambda c: (not c.selected, -(c.score if c.score is not None else -1e9), c.time))
    lines = max((Image.open(io.BytesIO(c.thumbnail)).height for c in cells), default=1)
    step_x, step_y = width + GAP, lines + TEXT + GAP
    taken = [c for c in order if c.selected]
    rest = order[len(taken) :]
    rows = -(-len(taken) // COLUMNS) + -(-len(rest) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * step_x + GAP, 30 + rows * step_y + GAP), (16, 16, 16))
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 6), title, fill="white", font=ImageFont.load_default(size=16))
    row = 0
    for group in (taken, rest):
        for number, cell in enumerate(group):
            place = (GAP + number % COLUMNS * step_x, 30 + (row + number // COLUMNS) * step_y)
            draw_cell(draw, sheet, cell, place, width, lines)
        row += -(-len(group) // COLUMNS)
    return sheet


def write_sheet(path: Path, sheet: Image.Image) -> None:
    """PNG of ``sheet`` under ``path``."""
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())
