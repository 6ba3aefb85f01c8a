"""Names of files as libav takes them, for whatever reads or writes with it: PyAV, BestSource."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["url"]


def url(path: Path | str) -> str:
    """The name of a file for libav, which takes a word and a colon at its start (``Re:Zero - 01.mkv``) for a protocol.

    Every ``av.open`` of a path goes through this (tests/test_colons.py).
    """
    return os.path.abspath(path)
