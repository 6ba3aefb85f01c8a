"""Twelve crops before and after, for judging weights by eye: ``python -m scripts.studies.contact_sheet --art ART --out
FILE.png``.

Each is Lanczos, the output of every model, and the original side by side. The drawings are from the validation folder
(never trained on) and from the procedural animation; each is damaged at a fixed level as :mod:`train.evaluation.levels`
does it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import vsapisr
from scripts.cel import Painter
from train.degradation.config import DegradationConfig
from train.evaluation.full_reference import psnr_y
from train.evaluation.levels import lanczos, small_picture
from train.fit.validation import enlarge, evaluating
from train.media.images import read_image
from train.media.sheets import labelled
from vsapisr.cli.images import finished

SIDE = 320
CROPS = (
    # what it shows, file of the validation folder or shot and frame of the animation, left, top of the crop, level
    ("face", "185.webp", 250, 90, "medium"),
    ("hair, brush strokes", "98.webp", 160, 60, "light"),
    ("eyes, small lines", "m122.webp", 220, 150, "medium"),
    ("hands, line art", "352.webp", 120, 780, "medium"),
    ("lettering", "45.webp", 180, 160, "medium"),
    ("fine lettering", "86.webp", 280, 340, "heavy"),
    ("foliage", "8.webp", 60, 300, "medium"),
    ("gradient", "138.webp", 560, 60, "light"),
    ("dark scene", "480.webp", 180, 260, "heavy"),
    ("background painting", "332.webp", 160, 480, "light"),
    ("flat colours, compressed", "72.webp", 40, 20, "heavy"),
    ("animation", "talk:12", 520, 180, "heavy"),
)


def picture(folder: Path, source: str) -> np.ndarray:
    """(H, W, 3) uint8, sides multiples of 8."""
    if ":" in source:
        shot, frame = source.split(":")
        return np.ascontiguousarray(Painter(720).frame(shot, int(frame)))
    return read_image(folder / source)


def around(image: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """A part with room about the crop, so that no border is judged."""
    room = 64
    left, top = (
        max(0, min(at - room, whole - side - 2 * room)) // 8 * 8
        for at, whole in zip((left, top), (image.shape[1], image.shape[0]))
    )
    return np.ascontiguousarray(image[top : top + side + 2 * room, left : left + side + 2 * room])


def make(folder: Path, models: list[str], out: Path) -> None:
    networks = {Path(name).stem: vsapisr.load_model(name) for name in models}
    images, texts = [], []
    inner = slice(64, 64 + SIDE)
    for number, (shows, source, left, top, level) in enumerate(CROPS):
        original = around(picture(folder, source), left, top, SIDE)
        small = small_picture(original, level, 0, number, DegradationConfig())
        kinds = {"Lanczos": lanczos(small)}
        for name, network in networks.items():
            with evaluating(network):
                kinds[name] = enlarge(network, small)
        whole = original[inner, inner]
        for name, image in kinds.items():
            images.append(image[inner, inner])
            texts.append(
                [f"{shows} ({level})" if name == "Lanczos" else "", f"{name} {psnr_y(images[-1], whole):.2f} dB"]
            )
        images.append(whole)
        texts.append(["", "original"])
    out.parent.mkdir(parents=True, exist_ok=True)
    with finished(out) as part:
        labelled(images, texts, 2 * (len(networks) + 2)).save(part)
    print(out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.studies.contact_sheet", description=__doc__)
    parser.add_argument("--art", type=Path, required=True, help="folder that holds illusts/val")
    parser.add_argument("--models", default="default", help="names or weight files, commas between (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("contact_sheet.png"))
    options = parser.parse_args()
    make(options.art / "illusts" / "val", options.models.split(","), options.out)


if __name__ == "__main__":
    main()
