"""The before/after picture: the source enlarged by Lanczos beside the result, whole and in detail, with labels."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .clips import EXACT, finished

__all__ = ["before_after", "busiest", "frame_of", "rgb"]

PANEL = (960, 540)
MARGIN, HEADER = 12, 44


def rgb(frame: av.VideoFrame, matrix: int) -> np.ndarray:
    """(H, W, 3) uint8 of a YUV or gray frame; ``matrix`` is an H.273 number."""
    space = {1: 1, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}.get(matrix, 5)  # swscale's numbers
    frame.colorspace = space
    return frame.reformat(format="rgb24", src_colorspace=space, interpolation=EXACT).to_ndarray()


def frame_of(path: Path, index: int, matrix: int) -> np.ndarray:
    """Frame ``index`` of a video as RGB, counted from the start in display order."""
    with av.open(str(path)) as file:
        for n, frame in enumerate(file.decode(video=0)):
            if n == index:
                return rgb(frame, matrix)
    raise IndexError(f"{path} has no frame {index}")


def busiest(picture: np.ndarray, width: int, height: int) -> tuple[int, int]:
    """Upper left corner of the part of that size with the most line work, but not at the picture's rim."""
    lines = np.abs(cv2.Laplacian(cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 1.0), cv2.CV_32F))
    amount = cv2.boxFilter(np.minimum(lines, 30.0), -1, (width, height), normalize=True, borderType=cv2.BORDER_CONSTANT)
    rows, columns = picture.shape[0] - height + 1, picture.shape[1] - width + 1
    amount = amount[height // 2 :, width // 2 :][:rows, :columns]
    y, x = np.unravel_index(int(np.argmax(amount)), amount.shape)
    return int(x), int(y)


def before_after(
    source: np.ndarray, result: np.ndarray, target: Path, focus: tuple[float, float] | None = None
) -> None:
    """Write the comparison as PNG.

    ``source`` (h, w, 3) and ``result`` (4h, 4w, 3) uint8 RGB; ``focus`` is the middle of the detail as shares of width
    and height, found by itself if not given.
    """
    size = (result.shape[1], result.shape[0])
    enlarged = cv2.resize(source, size, interpolation=cv2.INTER_LANCZOS4)
    height = min(size[1], max(90, round(size[1] * 0.4)))
    width = min(size[0], round(height * PANEL[0] / PANEL[1]))
    if focus is None:
        x, y = busiest(enlarged, width, height)
    else:
        x, y = (int(np.clip(f * s - p / 2, 0, s - p)) for f, s, p in zip(focus, size, (width, height), strict=True))
    sheet = Image.new("RGB", (2 * PANEL[0] + 3 * MARGIN, 2 * (PANEL[1] + HEADER) + MARGIN), (24, 24, 28))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(24)
    shown = f"{source.shape[1]}x{source.shape[0]}"
    for column, (picture, name) in enumerate(
        ((enlarged, f"source {shown}, enlarged 4x by Lanczos"), (result, f"core.apisr.Upscale, {size[0]}x{size[1]}"))
    ):
        left = MARGIN + column * (PANEL[0] + MARGIN)
        detail = picture[y : y + height, x : x + width]
        for row, (part, text) in enumerate(
            ((picture, name), (detail, f"detail, {'before' if column == 0 else 'after'}"))
        ):
            top = row * (PANEL[1] + HEADER)
            draw.text((left, top + HEADER / 2), text, font=font, fill=(240, 240, 240), anchor="lm")
            panel = _fit(part)
            place = (left + (PANEL[0] - panel.shape[1]) // 2, top + HEADER + (PANEL[1] - panel.shape[0]) // 2)
            sheet.paste(Image.fromarray(panel), place)
            if row == 0:
                k = panel.shape[1] / size[0]
                box = (place[0] + x * k, place[1] + y * k, place[0] + (x + width) * k, place[1] + (y + height) * k)
                draw.rectangle(box, outline=(255, 96, 96), width=2)
    with finished(target) as part_path:
        sheet.save(part_path)


def _fit(picture: np.ndarray) -> np.ndarray:
    """Into a panel, proportions kept: area averaging to make it smaller, whole pixels shown when larger."""
    k = min(PANEL[0] / picture.shape[1], PANEL[1] / picture.shape[0])
    size = (max(1, round(picture.shape[1] * k)), max(1, round(picture.shape[0] * k)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_NEAREST)
