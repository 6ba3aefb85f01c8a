"""Configurations of the training steps: frozen dataclasses from TOML and plain options, wrong keys and values named."""

from __future__ import annotations

import argparse
import difflib
import tomllib
import types
import typing
from dataclasses import MISSING, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from vsapisr.described import described
from vsapisr.errors import ArgumentError

T = TypeVar("T")
PLAIN = (str, int, float, bool)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """``int | None`` -> (int, NoneType); a single type -> that alone."""
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _fit(value: Any, kind: Any, where: str) -> Any:
    """``value`` as ``kind``: tables become dataclasses, lists tuples, integers pass for floats; else an error."""
    for one in _alternatives(kind):
        if isinstance(one, type) and is_dataclass(one) and isinstance(value, dict):
            return build(one, value, where + ".")
        if typing.get_origin(one) is tuple and isinstance(value, (list, tuple)):
            inner = typing.get_args(one)
            if inner[-1] is Ellipsis:
                inner = (inner[0],) * len(value)
            if len(inner) == len(value):
                return tuple(_fit(v, k, f"{where}[{n}]") for n, (v, k) in enumerate(zip(value, inner)))
        if one is float and type(value) is int:
            return float(value)
        if one in PLAIN and type(value) is one:
            return value
        if one is type(None) and value is None:
            return value
        if one not in PLAIN and isinstance(one, type) and not is_dataclass(one) and isinstance(value, one):
            return value
    accepted = " or ".join(
        "a table"
        if is_dataclass(one)
        else getattr(one, "__name__", str(one))
        if typing.get_origin(one) is None
        else str(one)
        for one in _alternatives(kind)
    )
    raise ArgumentError(f"{where}: {value!r} is of the wrong type; accepted: {accepted}")


def all_keys(kind: Any, before: str = "") -> list[str]:
    """Whole keys of ``kind`` and of the tables in it: "out", "data", "data.folder", ..."""
    keys = []
    hints = typing.get_type_hints(kind)
    for one in fields(kind):
        keys.append(before + one.name)
        for inner in _alternatives(hints[one.name]):
            if isinstance(inner, type) and is_dataclass(inner):
                keys += all_keys(inner, f"{before}{one.name}.")
    return keys


def nearest(key: str, known: list[str]) -> str:
    """What of ``known`` was probably meant: a slip of the pen, or the key of another table; "" if nothing is near."""
    table, _, last = key.rpartition(".")
    beside, all_of_them = {}, {}
    for name in reversed(known):  # of several with the same last part the first counts
        all_of_them[name.rpartition(".")[2]] = name
        if name.rpartition(".")[0] == table:
            beside[name.rpartition(".")[2]] = name
    for names, likeness in ((beside, 0.6), (all_of_them, 0.75)):
        if near := difflib.get_close_matches(last, names, 1, likeness):
            return names[near[0]]
    return ""


def build[T](kind: type[T], values: dict[str, Any], where: str = "") -> T:
    """``kind(**values)`` with tables for nested dataclasses and lists for tuples.

    Raises:
        ArgumentError: a key that ``kind`` does not have, one missing that has no default, a value of the wrong type, or
            one that ``kind`` itself refuses (its message begins with the key's name).
    """
    complete = getattr(kind, "complete", None)  # of a class whose defaults depend on one of its keys, such as a preset
    if complete is not None:
        values = complete(values)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in known:
            near = nearest(where + str(key), [where + name for name in all_keys(kind)])
            meant = f"; did you mean {near!r}?" if near else ";"
            names = ", ".join(where + name for name in known)
            raise ArgumentError(f"unknown key {where + key!r}{meant} known are {names}")
    for name, one in known.items():
        if name not in values and one.default is MISSING and one.default_factory is MISSING:
            raise ArgumentError(f"the key {where + name!r} is missing and has no default")
    arguments = {key: _fit(value, hints[key], where + key) for key, value in values.items()}
    try:
        return kind(**arguments)
    except ArgumentError as error:
        raise ArgumentError(f"{where}{error}") from None


def free(default: Any = MISSING, *, factory: Any = MISSING, keys: tuple[str, ...] = ()) -> Any:
    """A field that may change when a run goes on (of a table: all of it, or its ``keys`` alone)."""
    return field(default=default, default_factory=factory, metadata={"free": keys or True})


def check(condition: bool, key: str, value: Any, accepted: str) -> None:
    """For ``__post_init__``: unless ``condition``, ``ArgumentError`` with the key, its value and what is accepted."""
    if not condition:
        raise ArgumentError(f"{key}: {value!r} is not accepted; accepted: {accepted}")


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over`` in their places, table by table."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def load[T](kind: type[T], path: str | Path | None, overrides: dict[str, Any] | None = None) -> T:
    """Read ``path`` (TOML; None for nothing) as ``kind``; ``overrides`` maps dotted keys to values that win over it."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            with open(path, "rb") as file:
                values = tomllib.load(file)
        except OSError as error:
            raise ArgumentError(f"--config {str(path)!r} cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ArgumentError(f"--config {str(path)!r} is not valid TOML: {error}") from None
    for dotted, value in (overrides or {}).items():
        *tables, key = dotted.split(".")
        place = values
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise ArgumentError(
                    f"{table}: {place!r} is of the wrong type; accepted: a table, which --{dotted} is in"
                )
        place[key] = value
    return build(kind, values)


def _parser(kind: Any) -> Any:
    """Function that reads the text of an option as ``kind``."""
    if typing.get_origin(kind) is tuple:
        one = typing.get_args(kind)[0]
        return lambda text: [_parser(one)(part) for part in text.split(",")] if text else []
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

        def boolean(text: str) -> bool:
            if text.lower() not in words:
                raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
            return words[text.lower()]

        return boolean
    return kind


def _words(kind: Any) -> str:
    """A type as ``--help`` names it: INT, FLOAT, TEXT, INT,INT or INT,..."""
    if typing.get_origin(kind) is tuple:
        parts = [part for part in typing.get_args(kind) if part is not Ellipsis]
        return ",".join(map(_words, parts)) if len(parts) > 1 else f"{_words(parts[0])},..."
    names = {bool: "TRUE|FALSE", int: "INT", float: "FLOAT", str: "TEXT"}
    return names.get(kind, "VALUE")


def _default(one: Any) -> str:
    value = one.default
    if value is MISSING:
        return "required" if one.default_factory is MISSING else "see the source"
    if value is None or value == "" or value == ():
        return "default none"
    return f"default {','.join(map(str, value)) if isinstance(value, tuple) else value}"


def add_options(parser: argparse.ArgumentParser, kind: type, prefix: str = "") -> None:
    """One ``--key TYPE`` per key of ``kind``, ``--table.key TYPE`` for nested ones, in a group for each table; absent
    ones leave no trace.
    """
    hints, words = typing.get_type_hints(kind), described(kind)
    about = (kind.__doc__ or "").split("\n\n")[0].replace("\n    ", " ").replace("``", "") if prefix else None
    group = parser.add_argument_group(f"[{prefix.rstrip('.')}]" if prefix else "keys of the configuration", about)
    for one in fields(kind):
        hint = next(h for h in _alternatives(hints[one.name]) if h is not type(None))
        if isinstance(hint, type) and is_dataclass(hint):
            add_options(parser, hint, f"{prefix}{one.name}.")
            continue
        group.add_argument(
            f"--{prefix}{one.name}".replace("_", "-"),
            dest=prefix + one.name,
            type=_parser(hint),
            default=argparse.SUPPRESS,
            metavar=_words(hint),
            nargs="?" if hint is bool else None,
            const=True if hint is bool else None,
            help=" ".join(filter(None, [words.get(one.name), f"[{_default(one)}]"])).replace("%", "%%"),
        )
