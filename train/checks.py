"""The check that configurations share; imports nothing of the project's but errors, so that any of them can import it."""

from __future__ import annotations

from typing import Any

from vsapisr.errors import ArgumentError


def check(condition: bool, key: str, value: Any, accepted: str) -> None:
    """For ``__post_init__``: unless ``condition``, ``ArgumentError`` with the key, its value and what is accepted."""
    if not condition:
        raise ArgumentError(f"{key}: {value!r} is not accepted; accepted: {accepted}")
