"""The arguments of ``core.apisr.Upscale`` in words, and tile sizes out of them."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import fields

from ..config import UpscaleConfig
from ..described import described
from ..errors import ArgumentError

__all__ = ["sides", "table"]


def table(width: int | None = None) -> Iterator[str]:
    """Lines for a terminal of ``width`` columns, or of this one."""
    width = width or min(shutil.get_terminal_size().columns, 100)
    words = described(UpscaleConfig)
    yield "core.apisr.Upscale(clip, ...) -> clip, four times as wide and high. All arguments are optional:"
    for field in fields(UpscaleConfig):
        kind = str(field.type).replace(" | None", "").replace("tuple[int, ...]", "int[]")
        default = "automatic" if field.default in (None, (), 0) else field.default  # none of them is off by default
        yield f"  {field.name} ({kind}, default {default})"
        yield from textwrap.wrap(words.get(field.name, ""), width, initial_indent="      ", subsequent_indent="      ")
    yield "core.apisr.Version() -> versions of the package, its plugin, Python and torch."
    yield "On the command line: vsapisr --help. Examples and figures: README.md and docs/ of the project."


def sides(tilesize: str) -> tuple[int, ...]:
    """``N`` or ``WxH`` as the filter takes it; () where it is automatic.

    Raises:
        ArgumentError: it is something else.
    """
    if not re.fullmatch(r"-?\d+(x-?\d+)?", tilesize):
        raise ArgumentError(f"tilesize must be a number or two as in 256x192, got {tilesize!r}")
    found = tuple(int(side) for side in tilesize.split("x"))
    return found if any(found) else ()
