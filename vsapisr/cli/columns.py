"""What is compared: the source by Lanczos, and the filter with one model or setting after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..config import UpscaleConfig
from ..errors import ArgumentError
from ..video.beside import View
from .arguments import sides

__all__ = ["Column", "columns"]

TYPES: dict[str, Any] = {"model": str, "device": str, "precision": str, "threshold": float}
"""Of values; the others are whole numbers."""
KNOWN = [field.name for field in fields(UpscaleConfig) if field.name != "format"]
LANCZOS = "Lanczos"


class Column(View):
    """One of the pictures side by side."""

    @property
    def words(self) -> str:
        """What of the settings is not the default, in a line."""
        if self.config is None:
            return "the source, enlarged by Lanczos"
        default = UpscaleConfig()
        changed = {f.name: getattr(self.config, f.name) for f in fields(UpscaleConfig)}
        changed = {name: value for name, value in changed.items() if value != getattr(default, name) or name == "model"}
        return ", ".join(f"{name}={shown(value)}" for name, value in changed.items())


def shown(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def columns(base: UpscaleConfig, models: Sequence[str], others: Sequence[str], source: bool) -> list[Column]:
    """The source where it is wanted, each of the ``models`` with the settings of ``base``, then the first of them with
    each of the ``others``, which are ``key=value,key=value``.

    Raises:
        ArgumentError: one of them is not accepted, two are the same, or there are fewer than two.
    """
    found = [Column(LANCZOS, None)] if source else []
    found += [Column(Path(model).stem, replace(base, model=model)) for model in models]
    first = replace(base, model=models[0])
    for words in others:
        given = changes(words)
        name = Path(given.get("model", first.model)).stem
        rest = ", ".join(f"{key}={shown(value)}" for key, value in given.items() if key != "model")
        found.append(Column(f"{name}, {rest}" if rest else name, replace(first, **given)))
    for number, column in enumerate(found):
        if any(column.config == other.config for other in found[:number]):
            raise ArgumentError(f"{column.label} is compared with itself; each model and setting is given once")
    if len(found) < 2:
        raise ArgumentError("there must be two pictures to compare: leave --no-source away, or give another --model")
    return apart(found)


def apart(found: list[Column]) -> list[Column]:
    """Models of the same name in different folders keep their paths."""
    labels = [column.label for column in found]
    return [replace(column, label=column.words) if labels.count(column.label) > 1 else column for column in found]


def changes(words: str) -> dict[str, Any]:
    """``guard=0,tilesize=256x192`` as arguments of the filter.

    Raises:
        ArgumentError: it is something else.
    """
    found: dict[str, Any] = {}
    for word in words.split(","):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not equals or key not in KNOWN:
            raise ArgumentError(f"with must be key=value,... with keys of {', '.join(KNOWN)}, got {words!r}")
        try:
            if key == "tilesize":
                found[key] = sides(value)
            else:
                found[key] = TYPES.get(key, int)(value)
        except ValueError:  # an ArgumentError is one
            raise ArgumentError(f"with: {key} must be a number, got {value!r}") from None
    return found
