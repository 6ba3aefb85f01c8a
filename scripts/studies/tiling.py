"""How far a tiled frame is from the untiled one, for several overlaps: the measurement behind docs/tiling.md.

python -m scripts.studies.tiling [--pictures FOLDER] [--tile 88] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from train.media.progress import Progress
from vsapisr import upscale_image
from vsapisr.picture import tiles

from ..cel import Painter

OVERLAPS = (0, 8, 16, 24, 32)
COST_TILE = 256  # the cost is that of tiles of this side, far from the frame's edge


def pictures(folder: Path | None) -> dict[str, np.ndarray]:
    """Two frames of the made-up animation at 320x180, and the first two drawings of a folder at about that size."""
    painter = Painter(180)
    found = {f"{shot} {n}": painter.frame(shot, n) for shot, n in (("talk", 12), ("pan", 30))}
    for path in sorted(folder.iterdir())[:2] if folder else []:
        with Image.open(path) as image:
            found[path.name] = np.asarray(image.convert("RGB").reduce(4))
    return found


def compare(whole: np.ndarray, tiled: np.ndarray) -> dict[str, float]:
    """Largest difference and PSNR after 8-bit rounding of (H, W, 3) uint8."""
    difference = whole.astype(np.float64) - tiled
    error = np.mean(difference**2)
    return {
        "largest": float(np.abs(difference).max()),
        "psnr": float("inf") if not error else 10 * np.log10(255**2 / error),
    }


def stretched(whole: np.ndarray, tiled: np.ndarray) -> Image.Image:
    """The difference 64 times enlarged around grey: what a seam would show in."""
    return Image.fromarray(np.clip((whole.astype(int) - tiled) * 64 + 128, 0, 255).astype(np.uint8))


def measure(folder: Path | None, tile: int, model: str, out: Path) -> list[dict[str, float]]:
    """One row an overlap: the worst of all pictures, and how many pixels the network computes for one that is kept.

    The middle of each picture is cut to the size that two tiles a side cover with exactly the overlap in question:
    tiles are spread evenly, so on other sizes they overlap more than asked.
    """
    images = pictures(folder)
    rows = {overlap: [] for overlap in OVERLAPS}
    with Progress("tiling", len(images) * len(OVERLAPS), "pictures") as progress:
        for (name, image), overlap in product(images.items(), OVERLAPS):
            side = 2 * (tile - overlap)
            top, left = ((length - side) // 2 for length in image.shape[:2])
            part = image[top : top + side, left : left + side]
            whole = upscale_image(part, model=model, tilesize=tiles.padded(side), overlap=0)
            tiled = upscale_image(part, model=model, tilesize=tile, overlap=overlap)
            rows[overlap].append(compare(whole, tiled))
            stretched(whole, tiled).save(out / f"{name.split('.')[0]} {overlap}.png".replace(" ", "_"))
            progress.advance()
    return [
        {
            "overlap": overlap,
            "largest": max(r["largest"] for r in found),
            "psnr": min(r["psnr"] for r in found),
            "cost": (COST_TILE / (COST_TILE - 2 * overlap)) ** 2,
        }
        for overlap, found in rows.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.studies.tiling", description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, help="folder with drawings of 720 rows, besides the made-up animation")
    parser.add_argument("--tile", type=int, default=88, help="at most 90: two of them cover 180 rows")
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path, default=Path("tiling"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = measure(options.pictures, options.tile, options.model, options.out)
    print(
        "| overlap | largest difference, of 255 | lowest PSNR, dB | pixels computed for one kept, tiles of 256 |\n| "
        "--- | --- | --- | --- |"
    )
    for row in rows:
        print(f"| {row['overlap']} | {row['largest']:.0f} | {row['psnr']:.1f} | {row['cost']:.2f} |")
    (options.out / "tiling.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
