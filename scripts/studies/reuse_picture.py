"""docs/reuse.png: a frame of a grainy clip, what of it is held, and where the network computes.

python -m scripts.studies.reuse_picture [--out docs/reuse.png]; no network runs.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from vsapisr.cli.report import ReuseReport
from vsapisr.config import UpscaleConfig
from vsapisr.reuse.stretches import analysed

from ..cel import Painter
from ..worn import WEARS, wear

HEIGHT, FRAMES, BLOCK = 360, UpscaleConfig.interval, 8
GREEN = np.array([60, 200, 90])


def panels(path: Path) -> list[np.ndarray]:
    """(height, width, 3) each: source, held in green (blocks that show one drawing in half of the frames or more), and
    the redder, the more often computed."""
    report = ReuseReport(path, UpscaleConfig(device="cpu", reuse=2))
    try:
        for _ in report.frames():
            pass
        frames = [[np.array(plane) for plane in frame] for frame in report.clip.frames()]
        found = analysed(frames, report.format, 1.0, [False] * len(frames))
        heat = report.picture()[::2, ::2]
    finally:
        report.close()
    middle = len(frames) // 2
    held = (found.stretches == found.stretches[middle]).sum(0) >= len(frames) / 2
    source = np.repeat(frames[middle][0][..., None], 3, 2).astype(np.float32)
    wide = np.kron(held, np.ones((BLOCK, BLOCK)))[: source.shape[0], : source.shape[1], None]
    return [source.astype(np.uint8), (source * (1 - 0.4 * wide) + GREEN * 0.4 * wide).astype(np.uint8), heat]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.studies.reuse_picture", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=Path("reuse.png"))
    options = parser.parse_args()
    painter = Painter(HEIGHT)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "grainy.mkv")
        wear(path, [painter.frame("talk", n) for n in range(FRAMES)], WEARS["grainy"])
        sheet = np.concatenate(panels(path), axis=1)
    small = cv2.resize(sheet, None, fx=2 / 3, fy=2 / 3, interpolation=cv2.INTER_AREA)
    Image.fromarray(small).quantize(128).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
