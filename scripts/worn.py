"""Clips as television left them: film grain, weave, flicker, MPEG-2 and x264 over clean drawings that stay known.

``python -m scripts.worn --out clip.mkv`` writes one and says how it differs from frame to frame.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from train.media.progress import Progress
from vsapisr.errors import VsapisrError
from vsapisr.libav import url

from .cel import MIXED, SHOTS, Painter
from .clips import EXACT, encode

__all__ = ["GRAINY", "HEAVY", "LIGHT", "TELEVISION", "WEARS", "Wear", "changes", "drawings", "film", "sprites", "wear"]

BLOCK, CELL = 8, 64


@dataclass(frozen=True)
class Wear:
    """What happened to a clip. Levels are of 255."""

    grain: float = 0.0
    """Standard deviation of fine grain, new in every frame."""
    coarse: float = 0.0
    """The same of grain that is a few pixels large."""
    weave: float = 0.0
    """Largest shift of a whole frame, in pixels; about every sixth frame has one."""
    flicker: float = 0.0
    """Largest change of brightness of a whole frame, up or down."""
    mpeg2: int = 0
    """bit/s of MPEG-2 as it was broadcast, for 640x360 and in proportion for other sizes; 0: never was."""
    crf: int = 18
    """Of x264, the last generation."""
    soft: float = 0.0
    """Standard deviation in pixels of the blur of lens and scan."""
    options: tuple[tuple[str, str], ...] = ()
    """Of x264 besides."""


TELEVISION = Wear(0.7, 0.3, 0.2, 0.15, 4_000_000, 26, 0.6)
"""With it the shot "talk" differs from frame to frame as ``REAL`` says."""
LIGHT = Wear(0.7, 0.0, 0.0, 0.25, 0, 20)
GRAINY = Wear(1.5, 1.0, 0.3, 0.5, 4_000_000, 22, 0.5)
HEAVY = Wear(3.0, 1.5, 0.5, 0.5, 4_000_000, 20)
WEARS = {"television": TELEVISION, "light": LIGHT, "grainy": GRAINY, "heavy": HEAVY, "clean": Wear()}


def film(clean: Iterable[np.ndarray], wear: Wear, seed: int = 0) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 RGB frames as they come from the scanner: blurred, shifted, with grain and flicker."""
    rng = np.random.default_rng(seed)
    for picture in clean:
        frame = picture.astype(np.float32)
        if wear.soft:
            frame = cv2.GaussianBlur(frame, (0, 0), wear.soft)
        shift = rng.uniform(-wear.weave, wear.weave, 2) * (rng.random() < 1 / 6)
        if shift.any():
            matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
            size = frame.shape[1::-1]
            frame = cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        noise = rng.normal(0, 1, (2, *frame.shape[:2])).astype(np.float32)
        coarse = cv2.GaussianBlur(noise[1], (0, 0), 1.5)
        grain = wear.grain * noise[0] + wear.coarse / max(float(coarse.std()), 1e-6) * coarse
        frame += grain[..., None] + rng.uniform(-wear.flicker, wear.flicker)
        yield np.rint(frame).clip(0, 255).astype(np.uint8)


def wear(path: Path, clean: Sequence[np.ndarray], wear: Wear, seed: int = 0) -> None:
    """Write the clip to ``path`` after all its generations; no sound."""
    pixels = clean[0].shape[0] * clean[0].shape[1]
    with tempfile.TemporaryDirectory() as folder:
        frames = film(clean, wear, seed)
        if wear.mpeg2:
            tape, rate = Path(folder, "tape.ts"), str(wear.mpeg2 * pixels // (640 * 360))
            encode(tape, frames, codec="mpeg2video", keyint=12, audio=False, options={"b": rate, "bf": "2"})
            frames = decoded(tape)
        encode(path, frames, crf=wear.crf, audio=False, options=dict(wear.options))


def decoded(path: Path) -> Iterator[np.ndarray]:
    """RGB frames of a file of :func:`scripts.clips.encode`, BT.601."""
    with av.open(url(path)) as file:
        for frame in file.decode(video=0):
            yield frame.reformat(format="rgb24", src_colorspace=5, interpolation=EXACT).to_ndarray()


def sprites(art: Path, count: int, height: int = 360, pan: int = 0, seed: int = 0) -> Iterator[np.ndarray]:
    """Figures of ``art``/renpy on a background, held for two and three frames in turn; ``pan`` pixels a frame."""
    rng = np.random.default_rng(seed)
    backgrounds = sorted(art.glob("bg_*.jpg"))
    name = str(rng.choice(["eileen", "sylvie_blue", "sylvie_green"]))
    width = height * 16 // 9
    back = Image.open(backgrounds[rng.integers(len(backgrounds))]).convert("RGB")
    whole = back.resize((width + pan * count, round((width + pan * count) * back.height / back.width)), Image.LANCZOS)
    drawn = []
    for file in sorted(art.glob(f"{name}_*.png")):
        figure = Image.open(file).convert("RGBA")
        drawn.append(figure.resize((round(figure.width * height / figure.height), height), Image.LANCZOS))
    shown, left = int(rng.integers(len(drawn))), 0
    for n in range(count):
        if left == 0:
            shown, left = (shown + int(rng.integers(1, len(drawn)))) % len(drawn), int(rng.integers(2, 4))
        left -= 1
        picture = whole.crop((pan * n, 0, pan * n + width, height))
        picture.paste(drawn[shown], ((width - drawn[shown].width) // 2, 0), drawn[shown])
        yield np.asarray(picture)


def drawings(clean: Sequence[np.ndarray]) -> np.ndarray:
    """(frames, H/8, W/8): which drawing each block shows, the number of the first frame that had just the same."""
    rows, columns = clean[0].shape[0] // BLOCK, clean[0].shape[1] // BLOCK
    shown = np.zeros((len(clean), rows, columns), np.int32)
    seen: list[dict[bytes, int]] = [{} for _ in range(rows * columns)]
    for n, frame in enumerate(clean):
        blocks = frame[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, -1).swapaxes(1, 2)
        parts = np.ascontiguousarray(blocks).reshape(rows * columns, -1)
        shown[n].flat = [known.setdefault(part.tobytes(), n) for known, part in zip(seen, parts)]
    return shown


def changes(luma: Sequence[np.ndarray]) -> dict[str, float]:
    """How frames of (H, W) uint8 differ from the one before: mean in levels, and shares of cells of 64x64.

    ``equal``: bit for bit; ``within 3``: no sample differs by more; ``means 1``, ``means 1.5``: no mean of 8x8 moves by
    more; ``means 1, samples 16``: nor does a sample by more than that.
    """
    rows, columns = luma[0].shape[0] // CELL * CELL, luma[0].shape[1] // CELL * CELL
    found: dict[str, list[float]] = {}
    for before, after in pairwise(luma):
        change = (after.astype(np.int16) - before)[:rows, :columns]
        cells = change.reshape(rows // CELL, CELL, columns // CELL, CELL).swapaxes(1, 2)
        largest = np.abs(cells).max((2, 3))
        blocks = cells.reshape(*cells.shape[:2], CELL // BLOCK, BLOCK, CELL // BLOCK, BLOCK)
        means = np.abs(blocks.mean((3, 5))).max((2, 3))
        for name, value in (
            ("mean change", np.abs(change).mean()),
            ("equal", (largest == 0).mean()),
            ("within 3", (largest <= 3).mean()),
            ("means 1", (means <= 1).mean()),
            ("means 1, samples 16", ((means <= 1) & (largest <= 16)).mean()),
            ("means 1.5", (means <= 1.5).mean()),
        ):
            found.setdefault(name, []).append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}


REAL = {"equal": 0.065, "within 3": 0.44, "means 1": 0.65, "means 1, samples 16": 0.63, "means 1.5": 0.79}
"""Of a real television clip: film scan, 640x480, H.264 at a low rate, drawings held for two and three frames. Its
mean change was 0.1 to 0.3."""


def pictures(options: argparse.Namespace) -> Iterator[np.ndarray]:
    """The clean frames that the command line asks for."""
    places = [(s, n) for s in options.shots for n in range(max(2, round(SHOTS[s].frames * options.part)))]
    painter = Painter(options.height)
    drawn: Iterator[np.ndarray] = (painter.frame(*place) for place in places)
    if options.sprites:
        drawn = sprites(options.sprites, len(places), options.height, options.pan, options.seed)
    with Progress("drawing", len(places), "frames") as progress:
        for picture in drawn:
            yield picture
            progress.advance()


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.worn", description="Write a clip as television left it.")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="a .mkv or .mp4 file")
    parser.add_argument("--wear", default="television", choices=WEARS)
    parser.add_argument("--shots", nargs="+", default=list(MIXED), choices=SHOTS)
    parser.add_argument("--sprites", type=Path, metavar="FOLDER", help="figures and backgrounds (renpy) instead")
    parser.add_argument("--pan", type=int, default=0, help="of their background, pixels a frame")
    parser.add_argument("--part", type=float, default=1.0, help="of each shot, from its beginning")
    parser.add_argument("--height", type=int, default=360, help="a multiple of 18 (default 360)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    try:
        clean = list(pictures(options))
        wear(options.out, clean, WEARS[options.wear], options.seed)
    except (VsapisrError, ValueError, OSError) as error:
        print(f"worn: {error}", file=sys.stderr)
        return 1
    with av.open(url(options.out)) as file:
        luma = [frame.to_ndarray()[: options.height] for frame in file.decode(video=0)]
    for name, value in changes(luma).items():
        print(f"{name}: {value:.3f}" + (f" (the real clip: {REAL[name]:.3f})" if name in REAL else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
