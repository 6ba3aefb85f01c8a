"""A labelled picture of source, enlarged by Lanczos, and results, whole and in detail. Needs OpenCV and Pillow."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["busiest", "comparison", "enlarge", "sheet"]

PANEL = (960, 540)
MARGIN, HEADER = 12, 44
BACK, TEXT, FRAME = (24, 24, 28), (240, 240, 240), (255, 96, 96)

Box = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""


def enlarge(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """To that size by Lanczos; (h, w) or (h, w, channels) uint8, uint16 or float32, of the same type again."""
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LANCZOS4)


def busiest(picture: np.ndarray, width: int, height: int) -> tuple[int, int]:
    """Upper left corner of the part of that size with the most line work, but not at the picture's rim."""
    lines = np.abs(cv2.Laplacian(cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 1.0), cv2.CV_32F))
    amount = cv2.boxFilter(np.minimum(lines, 30.0), -1, (width, height), normalize=True, borderType=cv2.BORDER_CONSTANT)
    rows, columns = picture.shape[0] - height + 1, picture.shape[1] - width + 1
    amount = amount[height // 2 :, width // 2 :][:rows, :columns]
    y, x = np.unravel_index(int(np.argmax(amount)), amount.shape)
    return int(x), int(y)


def comparison(
    source: np.ndarray,
    result: np.ndarray,
    name: str,
    focus: tuple[float, float] | None = None,
    crop: Box | None = None,
) -> Image.Image:
    """The sheet: above both pictures whole, below the same detail of both.

    Args:
        source: (h, w, 3) uint8 RGB.
        result: (4h, 4w, 3) uint8 RGB.
        name: what made the result, for its label.
        focus: middle of the detail as shares of width and height, found by itself if not given.
        crop: the detail in pixels of the source, instead of ``focus``.
    """
    size = (result.shape[1], result.shape[0])
    before = f"source {source.shape[1]}x{source.shape[0]}, enlarged 4x by Lanczos"
    box = None if crop is None else tuple(side * size[0] // source.shape[1] for side in crop)
    large = enlarge(source, *size)
    if box is None:
        box = _detail(large, focus)
    return sheet(
        [([large, result], [before, f"{name}, {size[0]}x{size[1]}"], box)], ("detail, before", "detail, after")
    )


def sheet(
    rows: Sequence[tuple[Sequence[np.ndarray], Sequence[str], Box | None]], details: Sequence[str] = ()
) -> Image.Image:
    """Pictures beside each other, whole and in detail; row below row.

    Args:
        rows: (h, w, 3) uint8 RGB pictures of one size, a label for each, and the detail in their pixels, the one with
        the most lines in the last of them if it is None.
        details: labels of the details.
    """
    columns, high = max(len(pictures) for pictures, _, _ in rows), 2 * (PANEL[1] + HEADER) + MARGIN
    made = Image.new("RGB", (columns * (PANEL[0] + MARGIN) + MARGIN, len(rows) * high), BACK)
    for number, (pictures, labels, box) in enumerate(rows):
        detail = box or _detail(pictures[-1], None)
        for column, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            words = details[column] if column < len(details) else "detail"
            _column(made, column, number * high, picture, detail, (label, words))
    return made


def _detail(enlarged: np.ndarray, focus: tuple[float, float] | None) -> Box:
    """A part in the proportions of a panel, two fifths as high as the picture."""
    size = (enlarged.shape[1], enlarged.shape[0])
    height = min(size[1], max(90, round(size[1] * 0.4)))
    width = min(size[0], round(height * PANEL[0] / PANEL[1]))
    if focus is None:
        x, y = busiest(enlarged, width, height)
    else:
        x, y = (int(np.clip(f * s - p / 2, 0, s - p)) for f, s, p in zip(focus, size, (width, height), strict=True))
    return x, y, width, height


def _column(
    sheet: Image.Image, column: int, upper: int, picture: np.ndarray, box: Box, labels: tuple[str, str]
) -> None:
    """One picture: whole, with the detail marked, and the detail under it."""
    x, y, width, height = box
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(24)
    left = MARGIN + column * (PANEL[0] + MARGIN)
    for row, part in enumerate((picture, picture[y : y + height, x : x + width])):
        top = upper + row * (PANEL[1] + HEADER)
        words = _short(labels[row], font)
        draw.text((left, top + HEADER / 2), words, font=font, fill=TEXT, anchor="lm")
        panel = _fit(part)
        place = (left + (PANEL[0] - panel.shape[1]) // 2, top + HEADER + (PANEL[1] - panel.shape[0]) // 2)
        sheet.paste(Image.fromarray(panel), place)
        if row == 0:
            k = panel.shape[1] / picture.shape[1]
            frame = (place[0] + x * k, place[1] + y * k, place[0] + (x + width) * k, place[1] + (y + height) * k)
            draw.rectangle(frame, outline=FRAME, width=2)


def _short(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """``words`` as far as there is room above a panel."""
    if font.getlength(words) <= PANEL[0]:
        return words
    while words and font.getlength(words + "...") > PANEL[0]:
        words = words[:-1]
    return words + "..."


def _fit(picture: np.ndarray) -> np.ndarray:
    """Into a panel, proportions kept: area averaging to make it smaller, whole pixels shown when larger."""
    k = min(PANEL[0] / picture.shape[1], PANEL[1] / picture.shape[0])
    size = (max(1, round(picture.shape[1] * k)), max(1, round(picture.shape[0] * k)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_NEAREST)
