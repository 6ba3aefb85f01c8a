"""Curves of the drawings: points are float64 arrays (N, 2) in drawing units, x to the right and y down."""

from __future__ import annotations

import numpy as np

__all__ = ["Points", "arc", "bezier", "ellipse", "join", "mirror", "pts", "ribbon", "smooth"]

Points = np.ndarray


def pts(*xy: tuple[float, float]) -> Points:
    """(x, y) pairs -> array (N, 2)."""
    return np.asarray(xy, dtype=np.float64).reshape(-1, 2)


def smooth(points, closed: bool = False, steps: int = 8) -> Points:
    """Catmull-Rom curve through all points; ``closed`` returns to the first one."""
    p = np.asarray(points, dtype=np.float64)
    if closed:
        p = np.vstack([p[-1:], p, p[:2]])
    else:
        p = np.vstack([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    curve = curve.reshape(-1, 2)
    return curve if closed else np.vstack([curve, p[-2:-1]])


def bezier(start, control, end, steps: int = 12) -> Points:
    """Quadratic Bezier curve."""
    t = np.linspace(0.0, 1.0, steps)[:, None]
    p, q, r = (np.asarray(v, dtype=np.float64) for v in (start, control, end))
    return (1 - t) ** 2 * p + 2 * t * (1 - t) * q + t**2 * r


def arc(center, radii, first: float, last: float, steps: int = 24) -> Points:
    """Part of an ellipse; angles in degrees, 0 = right, 90 = down."""
    angle = np.radians(np.linspace(first, last, steps))
    return np.stack([center[0] + radii[0] * np.cos(angle), center[1] + radii[1] * np.sin(angle)], axis=1)


def ellipse(center, radii, steps: int = 36) -> Points:
    """Whole ellipse."""
    return arc(center, radii, 0.0, 360.0 * (steps - 1) / steps, steps)


def join(*parts: Points) -> Points:
    """Curves one after the other, corners kept."""
    return np.vstack(parts)


def mirror(points: Points) -> Points:
    """Mirrored at x = 0."""
    return np.asarray(points, dtype=np.float64) * (-1.0, 1.0)


def ribbon(path: Points, width: float, taper: str = "both") -> Points:
    """Outline of a pen stroke along ``path``.

    ``taper``: "both" ends thin, "start", "end", or "none". The pen never gets thinner than 12% of ``width``.
    """
    path = np.asarray(path, dtype=np.float64)
    keep = np.ones(len(path), dtype=bool)
    keep[1:] = np.abs(np.diff(path, axis=0)).sum(axis=1) > 1e-9
    path = path[keep]
    if len(path) < 2:
        return np.zeros((0, 2))
    step = np.gradient(path, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    t = length / length[-1]
    profile = {
        "both": np.sin(np.pi * t) ** 0.6,
        "start": np.sin(0.5 * np.pi * t) ** 0.8,
        "end": np.cos(0.5 * np.pi * t) ** 0.8,
        "none": np.ones_like(t),
    }[taper]
    half = 0.5 * width * np.maximum(np.nan_to_num(profile), 0.12)[:, None]
    return np.vstack([path + normal * half, (path - normal * half)[::-1]])
