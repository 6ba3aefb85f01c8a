"""Procedural cel animation: drawn, deterministic, at any resolution from the same geometry.

from scripts.cel import Painter
painter = Painter(height=360)
for picture in painter.frames("mixed"): ...      # (360, 640, 3) uint8 RGB
original = Painter(height=1440).frame("talk", 12)  # the same drawing four times larger
"""

from __future__ import annotations

from .painter import Painter, render
from .shots import MIXED, SHOTS, Actor, Shot, length

__all__ = ["MIXED", "SHOTS", "Actor", "Painter", "Shot", "length", "render"]
