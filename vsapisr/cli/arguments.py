"""The arguments of ``core.apisr.Upscale`` in words."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import fields

from ..config import UpscaleConfig
from ..described import described

__all__ = ["table"]


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
