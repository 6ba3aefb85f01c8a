"""A comparison as one HTML file that needs nothing else and asks nothing of a network. Needs Pillow.

Pictures lie in it without loss, as WebP, or as PNG where they are too large for that. The slider is
img-comparison-slider (MIT, its licence beside it and in the page); the rest is page.html, page.css and page.js.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ... import __version__
from ..columns import Column
from ..gathered import Row

__all__ = ["write_page"]

WEBP_MOST = 16383  # pixels of a side


def part(name: str) -> str:
    """Text of a file of this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def write_page(out: BinaryIO, title: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """The page, UTF-8, to ``out``; one picture after the other is coded."""
    slots = {
        "TITLE": html.escape(title),
        "VERSION": html.escape(__version__),
        "STYLE": part("page.css"),
        "SLIDER": f"/* {part('img-comparison-slider.LICENSE')} */\n{part('img-comparison-slider.js')}",
        "SCRIPT": part("page.js"),
        "DATA": safe(json.dumps(told(columns, rows), ensure_ascii=False)),
    }
    for number, piece in enumerate(part("page.html").split("%%")):
        if number % 2 == 0:
            out.write(piece.encode())
        elif piece == "PICTURES":
            for line in pictures(rows):
                out.write(line.encode())
        else:
            out.write(slots[piece].encode())


def safe(text: str) -> str:
    """JSON that ends no element of a page."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def told(columns: Sequence[Column], rows: Sequence[Row]) -> dict[str, Any]:
    """What the page's script knows of the pictures."""
    return {
        "columns": [{"label": column.label, "words": column.words} for column in columns],
        "rows": [
            {
                "label": row.label,
                "source": list(row.size),
                "width": row.pictures[0].shape[1],
                "height": row.pictures[0].shape[0],
            }
            for row in rows
        ],
    }


def pictures(rows: Sequence[Row]) -> Iterator[str]:
    """Elements that hold them."""
    for number, row in enumerate(rows):
        for column, picture in enumerate(row.pictures):
            kind, data = coded(picture)
            text = base64.b64encode(data).decode("ascii")
            yield f'<script type="text/plain" id="picture-{number}-{column}" data-kind="{kind}">{text}</script>\n'


def coded(picture: np.ndarray) -> tuple[str, bytes]:
    """(kind, file) of (h, w, 3) uint8 RGB, without loss."""
    made = io.BytesIO()
    if max(picture.shape) <= WEBP_MOST:
        Image.fromarray(picture).save(made, "WEBP", lossless=True, quality=50, method=2)
        return "image/webp", made.getvalue()
    Image.fromarray(picture).save(made, "PNG")
    return "image/png", made.getvalue()
