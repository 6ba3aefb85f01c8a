"""``reuse=2`` holds nothing that changed: one case after another against the known drawings, clean and under the
strongest grain (sigma 3 fine and 1.5 coarse, new in each frame).

What is shown for a stretch is a mean of its frames, so the mean of their clean drawings tells by how much what is shown
lags: the residual. It is measured in means of 2x2 and 4x4 pixels and of blocks, in levels of 255.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from scripts.cel import Painter
from scripts.worn import HEAVY, Wear, film
from vsapisr.config import UpscaleConfig
from vsapisr.picture.colour import GRAY, RGB, YUV, Colour, Format
from vsapisr.reuse.clip import ClipUpscaler
from vsapisr.reuse.grids import fine, statistics
from vsapisr.reuse.means import means
from vsapisr.reuse.stretches import analysed

GREY, FLOAT, RGB24 = Format(GRAY, 0, 8), Format(GRAY, 1, 32), Format(RGB, 0, 8)
FULL = Colour(0, True)
COUNT, SEGMENT = 32, 16
VISIBLE = 4.0
"""Levels that the mean of 4x4 pixels is off by, in a single frame."""


@cache
def face() -> np.ndarray:
    """(192, 320) float, levels of 255."""
    return cv2.cvtColor(Painter(360).frame("talk", 0), cv2.COLOR_RGB2GRAY)[40:232, 160:480].astype(np.float32)


def moved(picture: np.ndarray, right: float) -> np.ndarray:
    matrix = np.array([[1, 0, right], [0, 1, 0]], float)
    return cv2.warpAffine(
        picture, matrix, picture.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )  # fmt: skip


def changed(n: int, now: Callable[[int], bool], place: tuple[slice, slice], by: float) -> np.ndarray:
    picture = face().copy()
    if now(n):
        picture[place] = np.where(picture[place] > 128, picture[place] - by, picture[place] + by)
    return picture


def patch(n: int, step: float, frames: int) -> np.ndarray:
    """A part of the face that goes right by ``step`` pixels every ``frames`` frames."""
    picture = face().copy()
    picture[60:150, 100:220] = moved(face(), step * (n // frames))[60:150, 100:220]
    return picture


@cache
def town() -> np.ndarray:
    return cv2.cvtColor(Painter(360).frame("pan", 0), cv2.COLOR_RGB2GRAY).astype(np.float32)


def pan(n: int, step: float) -> np.ndarray:
    return moved(town(), -step * n)[60:252, 100:420]


def gradient(n: int) -> np.ndarray:
    return np.repeat((40 + (np.arange(320, dtype=np.float32) + n / 2) / 6)[None], 192, 0)


def fade(n: int, frames: int) -> np.ndarray:
    return face() * max(1 - n / frames, 0)


def dissolve(n: int, frames: int) -> np.ndarray:
    return face() + (face()[::-1, ::-1] - face()) * min(n / frames, 1)


def rain(n: int) -> np.ndarray:
    picture, drops = face().copy(), np.random.default_rng(n).integers(0, (180, 318), (40, 2))
    for y, x in drops.tolist():
        cv2.line(picture, (x, y), (x + 2, y + 11), min(float(picture[y, x]) + 45, 255), 1, cv2.LINE_AA)
    return picture


def sparkles(n: int) -> np.ndarray:
    picture = face().copy()
    for y, x in np.random.default_rng(n).integers(4, 180, (30 * (n % 2), 2)).tolist():
        picture[y - 1 : y + 2, x] = picture[y, x - 1 : x + 2] = 255
    return picture


@cache
def lettering() -> np.ndarray:
    text = np.zeros((260, 320), np.uint8)
    for k in range(8):
        cv2.putText(text, f"DIRECTED BY SOMEONE {k}", (20, 30 + 30 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    return text.astype(np.float32) / 255


def credits(n: int) -> np.ndarray:
    text = lettering()[n : n + 192]
    return face() * 0.4 * (1 - text) + 235 * text


def cursor(n: int) -> np.ndarray:
    picture, x = face().copy(), 20 + 3 * n
    picture[80:88, x : x + 6] = np.minimum(picture[80:88, x : x + 6] + 40, 255)
    return picture


def mouth(n: int, frames: int, at: int) -> np.ndarray:
    """Two by two pixels, beside the grid of 2x2 means or on it."""
    return changed(n, lambda k: bool(k // frames % 2), (slice(120 + at, 122 + at), slice(160 + at, 162 + at)), 60)


# name: drawings, then (largest residual of 2x2, of 4x4, of a block; visible blocks of 7680) clean and under grain
CASES: dict[str, tuple[Callable[[int], np.ndarray], tuple[float, ...], tuple[float, ...]]] = {
    "a blink of two frames": (
        lambda n: changed(n, lambda k: k % 8 in (4, 5), (slice(100, 103), slice(150, 158)), 90),
        (0, 0, 0, 0), (0, 0, 0, 0)),
    "a mouth of 2x2 on twos": (lambda n: mouth(n, 2, 0), (0, 0, 0, 0), (0, 0, 0, 0)),
    "a mouth of 2x2 on threes, off the grid": (lambda n: mouth(n, 3, 1), (0, 0, 0, 0), (0, 0, 0, 0)),
    "half a pixel a frame": (lambda n: patch(n, 0.5, 1), (4, 2, 1, 0), (30, 10, 4, 75)),
    "half a pixel every second": (lambda n: patch(n, 0.5, 2), (2, 1, 1, 0), (22, 9, 3, 25)),
    "a pixel a frame": (lambda n: patch(n, 1, 1), (4, 1, 1, 0), (31, 11, 5, 40)),
    "a pixel every second": (lambda n: patch(n, 1, 2), (4, 1, 1, 0), (25, 7, 3, 25)),
    "a pan of 0.03": (lambda n: pan(n, 0.03), (0, 0, 0, 0), (0, 0, 0, 0)),
    "a pan of 0.25": (lambda n: pan(n, 0.25), (0, 0, 0, 0), (0, 0, 0, 0)),
    "a pan of 1": (lambda n: pan(n, 1), (0, 0, 0, 0), (18, 8, 4, 90)),
    "a gradient that moves": (gradient, (1, 1, 1, 0), (1, 1, 1, 0)),
    "a fade of 24": (lambda n: fade(n, 24), (0, 0, 0, 0), (0, 0, 0, 0)),
    "a fade of 100": (lambda n: fade(n, 100), (0, 0, 0, 0), (0, 0, 0, 0)),
    "a fade of 200": (lambda n: fade(n, 200), (0, 0, 0, 0), (2, 2, 2, 0)),
    "a dissolve of 24": (lambda n: dissolve(n, 24), (15, 8, 5, 170), (0, 0, 0, 0)),
    "a dissolve of 100": (lambda n: dissolve(n, 100), (2, 1, 1, 0), (12, 6, 4, 40)),
    "a dissolve of 200": (lambda n: dissolve(n, 200), (5, 3, 2, 0), (11, 9, 6, 150)),
    "rain": (rain, (20, 8, 4, 100), (28, 13, 6, 500)),
    "sparkles": (sparkles, (7, 2, 1, 0), (30, 11, 4, 75)),
    "credits that scroll": (credits, (6, 2, 1, 0), (0, 0, 0, 0)),
    "a highlight of 6x8": (cursor, (0, 0, 0, 0), (14, 7, 3, 3)),
}  # fmt: skip


def residual(clean: list[np.ndarray], wear: Wear) -> np.ndarray:
    """(3, frames, rows, columns): of 2x2, 4x4 and 8x8 means."""
    source = [frame[..., 1].copy() for frame in film([np.rint(c).clip(0, 255).astype(np.uint8)[..., None].repeat(3, 2)
                                                      for c in clean], wear)]  # fmt: skip
    found = []
    for first in range(0, len(clean), SEGMENT):
        frames = [[plane] for plane in source[first : first + SEGMENT]]
        drawn = [[np.ascontiguousarray(plane) / np.float32(255)] for plane in clean[first : first + SEGMENT]]
        looked = analysed(frames, GREY, 1.0, [False] * len(frames))
        shown = means(drawn, looked.stretches, looked.counted, FLOAT)
        for (a,), (b,) in zip(shown, drawn):
            sizes = statistics(fine(a, FLOAT, 0) - fine(b, FLOAT, 0), 4, 4)
            found.append(np.abs(np.stack(sizes)))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("grain", ["clean", "grain"])
@pytest.mark.parametrize("name", CASES)
def test_what_changes_is_not_held(name, grain):
    draw, *bars = CASES[name]
    clean = [draw(n) for n in range(COUNT)]
    assert any(np.abs(clean[n] - clean[0]).max() > 0.5 for n in range(1, COUNT))
    found = residual(clean, replace(HEAVY, weave=0, flicker=0.5) if grain == "grain" else Wear())
    *largest, visible = bars[grain == "grain"]
    sizes = found.max((1, 2, 3)).tolist()
    count = int((found[1] > VISIBLE).sum())
    assert all(size <= bar + 1e-3 for size, bar in zip(sizes, largest)) and count <= visible, (sizes, count)


def test_a_still_drawing_under_the_strongest_grain_is_held():
    frames = [[frame[..., 1].copy()] for frame in film([face().astype(np.uint8)[..., None].repeat(3, 2)] * 16, HEAVY)]
    looked = analysed(frames, GREY, 1.0, [False] * 16)
    assert (looked.stretches == 0).mean() > 0.97


def test_a_fade_is_followed_by_the_shipped_network():
    """Within 1 of 255 after rounding, all through a fade over 100 frames."""
    part = np.repeat(face()[64:120, 130:186, None], 3, axis=2)
    drawn = [np.rint(part * (1 - n / 100)).astype(np.uint8) for n in range(100)]
    frames = {n: [np.ascontiguousarray(frame[..., c]) for c in range(3)] for n, frame in enumerate(drawn)}
    results = []
    for arguments in ({"reuse": 0}, {"reuse": 2}):
        upscaler = ClipUpscaler(UpscaleConfig(device="cpu", **arguments), 56, 56, RGB24, RGB24, 100)
        results.append([])
        for n in (5, 31, 62, 94):
            out = [np.zeros((224, 224), np.uint8) for _ in range(3)]
            upscaler.frame(n, {m: frames[m] for m in upscaler.needs(n)}, FULL, out, FULL)
            results[-1].append(out)
        upscaler.close()
    assert np.abs(np.array(results[0]).astype(int) - results[1]).max() <= 1


def test_colours_alone_can_change():
    """A blush that luma does not show: two chroma samples by two, in 4:2:0."""
    luma = face().astype(np.uint8)
    frames = []
    for n in range(12):
        red = np.full((96, 160), 128, np.uint8)
        red[40:44, 80:84] += 20 * (n >= 6)
        frames.append([luma.copy(), np.full((96, 160), 128, np.uint8), red])
    looked = analysed(frames, Format(YUV, 0, 8, 1, 1), 1.0, [False] * 12)
    assert (looked.stretches[5] == 0).all() and (looked.stretches[11] != 0).sum() == 1
