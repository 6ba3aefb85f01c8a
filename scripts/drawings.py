"""Drawings to train on: ``python -m scripts.drawings --art ART --out FOLDER`` makes those of the shipped weights.

``ART`` holds ``illusts/train`` (CC0 illustrations) and ``renpy`` (backgrounds, and sprites with transparency, MIT).
Added are frames of the procedural animation of :mod:`scripts.cel`, from seeds that no demo, benchmark or evaluation
draws. The same arguments give the same files; what is there already is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.cel import MIXED, Painter, length
from train.media.progress import Progress
from vsapisr.writing import finished

HEIGHT = 720
FIRST_SEED = 100
"""Seeds below are left to what is shown and measured."""
Draw = Callable[[], np.ndarray]


def composites(folder: Path, count: int, rng: np.random.Generator) -> Iterator[tuple[str, Draw]]:
    """``count`` pictures of a sprite standing in front of a background: name and function that makes it."""
    backgrounds, sprites = sorted(folder.glob("bg_*")), sorted(folder.glob("*.png"))
    for number in range(count):
        background, sprite = backgrounds[rng.integers(len(backgrounds))], sprites[rng.integers(len(sprites))]
        place, mirrored = rng.uniform(0.1, 0.9), bool(rng.integers(2))
        yield f"renpy_{number:03}.webp", partial(_composite, background, sprite, place, mirrored)


def _composite(background: Path, sprite: Path, place: float, mirrored: bool) -> np.ndarray:
    picture, figure = Image.open(background).convert("RGBA"), Image.open(sprite).convert("RGBA")
    picture = picture.resize((round(picture.width * HEIGHT / picture.height), HEIGHT), Image.Resampling.LANCZOS)
    if figure.height > HEIGHT:
        figure = figure.resize((round(figure.width * HEIGHT / figure.height), HEIGHT), Image.Resampling.LANCZOS)
    if mirrored:
        figure = figure.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    layer = Image.new("RGBA", picture.size)
    layer.paste(figure, (round(place * (picture.width - figure.width)), HEIGHT - figure.height))
    return np.asarray(Image.alpha_composite(picture, layer).convert("RGB"))


def cels(count: int, rng: np.random.Generator, first: int = 0) -> Iterator[tuple[str, Draw]]:
    """``count`` frames of the animation from number ``first`` on, over all shots; one seed serves eight in a row, so
    that its paintings are kept.
    """
    painter = Painter(HEIGHT, FIRST_SEED + first // 8)
    for number in range(first, first + count):
        if number % 8 == 0:
            painter = Painter(HEIGHT, FIRST_SEED + number // 8)
        shot = MIXED[number % len(MIXED)]
        yield f"cel_{number:03}.webp", partial(painter.frame, shot, int(rng.integers(length(shot))))


def write(target: Path, picture: np.ndarray) -> None:
    sides = (side // 8 * 8 for side in picture.shape[:2])
    height, width = sides
    with finished(target) as part:
        Image.fromarray(np.ascontiguousarray(picture[:height, :width])).save(part, "WEBP", lossless=True, method=2)


def make(art: Path | None, out: Path, renpy: int, cel: int, seed: int, first: int = 0) -> int:
    """Number of drawings in ``out`` afterwards. Illustrations are linked, not copied."""
    rng = np.random.default_rng(seed)
    drawn = list(composites(art / "renpy", renpy, rng)) if art and (art / "renpy").is_dir() else []
    drawn += cels(cel, rng, first)
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted((art / "illusts" / "train").glob("*")) if art else ():
        link = out / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    with Progress("drawings", len(drawn), "pictures") as progress:
        for name, draw in drawn:
            if not (out / name).exists():
                write(out / name, draw())
            progress.advance(note=name)
    return sum(1 for _ in out.glob("*.*"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.drawings", description=__doc__)
    parser.add_argument("--art", type=Path, help="without it, the animation alone")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--renpy", type=int, default=60, help="composites of sprites and backgrounds (%(default)s)")
    parser.add_argument("--cel", type=int, default=120, help="frames of the procedural animation (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first of these frames (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        make(options.art, options.out, options.renpy, options.cel, options.seed, options.first),
        "drawings in",
        options.out,
    )


if __name__ == "__main__":
    main()
