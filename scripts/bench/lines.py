"""Line enhancement of a 720p frame: the time of each part on one core, and a flood fill in plain Python beside it."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from train.data import pseudo_gt as lines

from .pictures import pictures

GAMMA = 0.975


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", metavar="FOLDER", help="drawings (made ones unless given)")
    parser.add_argument("--runs", type=int, default=9)


def flood_fill(raw: np.ndarray, smallest: int = 32, neighbours: int = 3) -> np.ndarray:
    """Outlier filter and passive dilation pixel by pixel, as one would write it first; the map of
    ``lines.line_map``.
    """
    height, width = raw.shape
    todo = raw.tolist()
    result = [[False] * width for _ in range(height)]
    for top in range(height):
        for left in range(width):
            if not todo[top][left]:
                continue
            todo[top][left], stack, region = False, [(top, left)], []
            while stack:
                y, x = stack.pop()
                region.append((y, x))
                for v in range(max(0, y - 1), min(height, y + 2)):
                    for u in range(max(0, x - 1), min(width, x + 2)):
                        if todo[v][u]:
                            todo[v][u] = False
                            stack.append((v, u))
            if len(region) >= smallest:
                for y, x in region:
                    result[y][x] = True
    grown = [row[:] for row in result]
    for y in range(height):
        for x in range(width):
            if not result[y][x]:
                around = sum(
                    result[v][u]
                    for v in range(max(0, y - 1), min(height, y + 2))
                    for u in range(max(0, x - 1), min(width, x + 2))
                )
                grown[y][x] = around >= neighbours
    return np.array(grown)


def seconds(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Medians of wall time and of the process's own time."""
    work()
    wall, own = [], []
    for _ in range(runs):
        start, begun = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        own.append(time.process_time() - begun)
    return statistics.median(wall), statistics.median(own)


def run(options: argparse.Namespace) -> dict:
    cv2.setNumThreads(1)
    image = pictures(options.images, 1)[0]
    _, _, thrice = lines.sharpen(image)
    raw = lines.xdog(thrice, GAMMA)
    filtered = lines.remove_outliers(raw)
    slow: list[float] = []
    for _ in range(3):
        start = time.process_time()
        expected = flood_fill(raw)
        slow.append(time.process_time() - start)
    if not np.array_equal(expected, lines.dilate(filtered)):
        raise AssertionError("the flood fill and the fast map differ")
    parts = {
        "all": lambda: lines.enhance(image, GAMMA),
        "sharpen, three rounds": lambda: lines.sharpen(image),
        "xdog": lambda: lines.xdog(thrice, GAMMA),
        "outlier filter": lambda: lines.remove_outliers(raw),
        "passive dilation": lambda: lines.dilate(filtered),
        "filter and dilation": lambda: lines.dilate(lines.remove_outliers(raw)),
    }
    result = {}
    print(
        f"{image.shape[1]}x{image.shape[0]}, {raw.mean():.1%} of the pixels in the raw map, one core, medians of "
        f"{options.runs}"
    )
    for name, work in parts.items():
        wall, own = seconds(work, options.runs)
        result[name] = {"wall": wall, "cpu": own}
        print(f"  {name:<24} {wall * 1e3:8.1f} ms wall {own * 1e3:8.1f} ms CPU")
    python = statistics.median(slow)
    ratio = python / result["filter and dilation"]["cpu"]
    result |= {"flood fill": python, "ratio": ratio}
    print(f"  {'plain Python, the same':<24} {python * 1e3:8.1f} ms CPU, {ratio:.0f} times as long")
    return result
