"""What the characters look like (data) and what they do in one drawing (pose)."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas import RGB

__all__ = ["AOI", "HARU", "Look", "Pose"]

XY = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """Model sheet of one character. Heads are drawn in units of half a face's width, (0, 0) between the temples."""

    line: RGB
    skin: RGB
    skin_shade: RGB
    hair: RGB
    hair_shade: RGB
    hair_light: RGB
    hair_line: RGB
    iris: tuple[RGB, RGB, RGB]
    """Top, bottom and bright lower edge of the iris."""
    outfit: str
    """"sailor" or "blazer"."""
    cloth: RGB
    cloth_shade: RGB
    trim: RGB
    ribbon: RGB
    ribbon_shade: RGB
    bangs: tuple[tuple[XY, XY, float], ...]
    """Clumps from left to right: tip, the notch after it, and how far the clump leans (in units)."""
    first_notch: XY
    lock_tip: XY
    """Tip of the right side lock; the left one mirrors it."""
    back: tuple[XY, ...]
    """Right half of the hair behind the head, from the crown down to the middle."""
    tufts: tuple[tuple[XY, XY, XY], ...] = ()
    """What stands out from the cap: root, tip, root."""
    eye_size: float = 1.0
    long_lashes: bool = True


@dataclass(frozen=True)
class Pose:
    """One drawing: what differs from the model sheet."""

    mouth: int = 0
    """0 closed, 1 half, 2 open."""
    eyes: float = 1.0
    """1 open, 0 shut."""
    turn: float = 0.0
    """-1 to 1: face to the left or right."""
    tilt: float = 0.0
    """Degrees, clockwise."""
    look: float = 0.0
    """Where the irises point, -1 to 1."""
    brows: float = 0.0
    """-1 troubled, 1 raised."""
    sway: float = 0.0
    """Hair and ribbon moved by the wind, -1 to 1."""
    smile: float = 0.6


AOI = Look(
    line=(74, 48, 58),
    skin=(253, 229, 213),
    skin_shade=(235, 184, 174),
    hair=(92, 104, 176),
    hair_shade=(62, 66, 132),
    hair_light=(172, 192, 236),
    hair_line=(36, 34, 78),
    iris=((58, 30, 92), (150, 96, 206), (236, 178, 250)),
    outfit="sailor",
    cloth=(246, 246, 250),
    cloth_shade=(190, 196, 222),
    trim=(44, 58, 112),
    ribbon=(214, 58, 74),
    ribbon_shade=(152, 34, 62),
    first_notch=(-0.85, -0.20),
    bangs=(
        ((-0.76, 0.10), (-0.60, -0.22), -0.10),
        ((-0.46, 0.16), (-0.30, -0.26), -0.07),
        ((-0.16, 0.19), (0.02, -0.30), -0.03),
        ((0.10, 0.02), (0.20, -0.30), 0.03),
        ((0.42, 0.17), (0.56, -0.20), 0.09),
        ((0.74, 0.10), (0.85, -0.20), 0.11),
    ),
    lock_tip=(0.93, 1.42),
    back=(
        (0.62, -1.38),
        (1.12, -0.86),
        (1.30, -0.1),
        (1.34, 0.8),
        (1.40, 1.7),
        (1.52, 2.5),
        (1.62, 3.25),
        (1.30, 2.95),
        (1.16, 3.5),
        (0.85, 3.0),
        (0.62, 3.45),
        (0.3, 3.0),
    ),
    tufts=(
        ((-0.10, -1.48), (-0.42, -1.82), (0.06, -1.50)),
        ((0.02, -1.50), (0.40, -1.74), (0.12, -1.46)),
        ((1.12, -0.72), (1.38, 0.02), (1.18, -0.42)),
        ((-1.06, -0.92), (-1.38, -0.12), (-1.17, -0.5)),
    ),
)

HARU = Look(
    line=(66, 44, 40),
    skin=(250, 222, 200),
    skin_shade=(226, 174, 154),
    hair=(196, 122, 66),
    hair_shade=(140, 74, 46),
    hair_light=(244, 192, 124),
    hair_line=(80, 38, 28),
    iris=((30, 62, 52), (66, 146, 110), (178, 232, 178)),
    outfit="blazer",
    cloth=(66, 78, 104),
    cloth_shade=(42, 48, 74),
    trim=(240, 240, 244),
    ribbon=(176, 48, 56),
    ribbon_shade=(120, 28, 46),
    first_notch=(-0.90, -0.22),
    bangs=(
        ((-0.80, 0.20), (-0.64, -0.16), 0.06),
        ((-0.36, 0.12), (-0.36, -0.22), 0.16),
        ((0.02, 0.20), (-0.02, -0.26), 0.18),
        ((0.34, 0.06), (0.30, -0.30), 0.14),
        ((0.66, 0.14), (0.62, -0.20), 0.10),
        ((0.86, 0.16), (0.86, -0.16), 0.06),
    ),
    lock_tip=(0.98, 0.62),
    back=(
        (0.62, -1.42),
        (1.14, -0.95),
        (1.42, -0.62),
        (1.26, -0.35),
        (1.46, 0.02),
        (1.24, 0.2),
        (1.34, 0.62),
        (1.08, 0.66),
        (1.04, 1.06),
        (0.8, 0.95),
        (0.6, 1.25),
        (0.3, 1.1),
    ),
    tufts=(
        ((-0.72, -1.28), (-0.98, -1.54), (-0.30, -1.50)),
        ((-0.36, -1.44), (-0.52, -1.74), (0.04, -1.50)),
        ((0.02, -1.48), (0.56, -1.72), (0.50, -1.40)),
        ((0.48, -1.40), (1.04, -1.42), (0.86, -1.12)),
        ((0.84, -1.16), (1.36, -0.94), (1.10, -0.7)),
        ((-0.84, -1.12), (-1.30, -1.06), (-1.08, -0.72)),
        ((1.12, -0.6), (1.44, 0.02), (1.19, -0.06)),
        ((-1.10, -0.66), (-1.46, -0.18), (-1.18, -0.1)),
    ),
    eye_size=0.88,
    long_lashes=False,
)
