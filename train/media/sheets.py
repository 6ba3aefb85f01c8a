"""Labelled grids of pictures: previews, validation pictures, contact sheets of an evaluation."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["labelled"]

BACKGROUND, INK = (250, 250, 250), (20, 20, 20)


def labelled(images: list[np.ndarray], texts: list[list[str]], columns: int) -> Image.Image:
    """(H, W, 3) uint8 of one size in a grid, lines of text under each."""
    font, line, gap = ImageFont.load_default(13), 16, 8
    height, width = images[0].shape[:2]
    below = line * max(map(len, texts)) + gap
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + below + gap) + gap), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (image, text) in enumerate(zip(images, texts, strict=True)):
        x, y = gap + number % columns * (width + gap), gap + number // columns * (height + below + gap)
        sheet.paste(Image.fromarray(image), (x, y))
        for place, words in enumerate(text):
            while words and font.getlength(words) > width:
                words = words[:-1]
            pen.text((x, y + height + 3 + place * line), words, INK, font)
    return sheet
