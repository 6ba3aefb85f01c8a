"""Damage as people have it, before and after: ``python -m scripts.studies.damaged --models restore --out FILE.png``.

One row a kind of damage: the small picture (its pixels made large), every model, the original. The pictures are frames
of the procedural animation, or with ``--gt FOLDER`` drawings, of each the part with most lines in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from scripts.cel import Painter
from train.degradation.compression import h264, mpeg2, still
from train.evaluation.levels import quarter, whole
from train.media.images import read_image
from train.media.sheets import labelled
from vsapisr import upscale_image
from vsapisr.cli.images import finished

SIDE, ROOM = 80, 16
FRAMES = (("talk", 12), ("title", 20), ("slide", 8), ("talk", 30), ("pan", 10), ("title", 40))


def tape(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 as from a cassette: colours smeared to the right, soft and noisy luma."""
    luma, *chroma = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
    noise = np.random.default_rng(1).normal(0, 3, luma.shape)
    luma = np.clip(cv2.GaussianBlur(luma, (5, 1), 0.8) + cv2.GaussianBlur(noise, (0, 0), 0.6), 0, 255).astype(np.uint8)
    smeared = [np.roll(cv2.blur(plane, (9, 3)), 3, axis=1) for plane in chroma]
    return cv2.cvtColor(cv2.merge([luma, *smeared]), cv2.COLOR_YCrCb2RGB)


KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG, quality 30": lambda picture: still(picture, "JPEG", 30),
    "MPEG-2, coarse": lambda picture: mpeg2(picture, 12),
    "H.264 twice, CRF 28": lambda picture: h264(h264(picture, 28), 28),
    "video cassette": tape,
    "soft, then JPEG": lambda picture: still(cv2.GaussianBlur(picture, (0, 0), 0.8), "JPEG", 50),
    "WebP, quality 15": lambda picture: still(picture, "WEBP", 15, method=4),
}


def originals(folder: Path | None) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8, as many as there are kinds of damage, or more."""
    if folder is None:
        for shot, frame in FRAMES:
            yield Painter(720).frame(shot, frame)
        return
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for n in range(len(KINDS)):
        yield read_image(files[(n * len(files)) // len(KINDS)])


def busiest(picture: np.ndarray) -> tuple[int, int]:
    """(top, left) of the square of ``SIDE`` with most lines, away from the edges."""
    lines = np.abs(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
    sums = cv2.boxFilter(lines, -1, (SIDE, SIDE), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_REPLICATE)
    inside = sums[ROOM : -SIDE - ROOM, ROOM : -SIDE - ROOM]
    top, left = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return int(top) + ROOM, int(left) + ROOM


def row(picture: np.ndarray, kind: str, models: list[str]) -> list[tuple[str, np.ndarray]]:
    """Pictures of 4 ``SIDE`` with their captions."""
    picture = whole(np.ascontiguousarray(picture))
    small = quarter(picture)
    top, left = busiest(small)
    damaged = np.ascontiguousarray(KINDS[kind](small)[top - ROOM : top + SIDE + ROOM, left - ROOM : left + SIDE + ROOM])
    large, room = 4 * SIDE, 4 * ROOM
    shown = [(kind, np.kron(damaged[ROOM:-ROOM, ROOM:-ROOM], np.ones((4, 4, 1), np.uint8)))]
    for model in models:
        result = upscale_image(damaged, model=model, device="cpu")
        shown.append((Path(model).stem, result[room : room + large, room : room + large]))
    return [*shown, ("original", picture[4 * top : 4 * top + large, 4 * left : 4 * left + large])]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.studies.damaged", description=__doc__)
    parser.add_argument("--models", default="default,restore")
    parser.add_argument("--gt", type=Path, help="a folder of drawings")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    rows = [row(picture, kind, options.models.split(",")) for kind, picture in zip(KINDS, originals(options.gt))]
    cells = [cell for one in rows for cell in one]
    sheet = labelled([image for _, image in cells], [[text] for text, _ in cells], len(rows[0]))
    with finished(options.out) as part:
        sheet.quantize(256, dither=Image.Dither.NONE).save(part, "PNG", optimize=True)
    print(options.out)


if __name__ == "__main__":
    main()
