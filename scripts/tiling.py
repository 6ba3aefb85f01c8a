"""How far a tiled frame is from the untiled one, for several overlaps: the measurement behind docs/tiling.md.

python -m scripts.tiling [--pictures FOLDER] [--tile 128] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from train.progress import Progress
from vsapisr import tiles, upscale_image

from .cel import Painter

OVERLAPS = (0, 8, 16, 24, 32)


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
    return {"largest": float(np.abs(difference).max()), "psnr": float("inf") if not error else 10 * np.log10(255**2 / error)}


def stretched(whole: np.ndarray, tiled: np.ndarray) -> Image.Image:
    """The difference 64 times enlarged around grey: what a seam would show in."""
    return Image.fromarray(np.clip((whole.astype(int) - tiled) * 64 + 128, 0, 255).astype(np.uint8))


def measure(folder: Path | None, tile: int, model: str, out: Path) -> list[dict[str, float]]:
    """One row an overlap: the worst of all pictures, and how many pixels the network sees for one of the frame."""
    images = pictures(folder)
    progress, done = Progress("tiling", len(images) * (1 + len(OVERLAPS)), "pictures"), 0
    rows = {overlap: [] for overlap in OVERLAPS}
    for name, image in images.items():
        height, width = image.shape[:2]
        whole = upscale_image(image, model=model, tilesize=(tiles.padded(width), tiles.padded(height)), overlap=0)
        progress.to(done := done + 1)
        for overlap in OVERLAPS:
            tiled = upscale_image(image, model=model, tilesize=tile, overlap=overlap)
            cost = len(tiles.plan(width, height, (tile, tile), overlap)) * tile**2 / (width * height)
            rows[overlap].append({**compare(whole, tiled), "cost": cost})
            stretched(whole, tiled).save(out / f"difference {name.split('.')[0]} overlap {overlap}.png".replace(" ", "_"))
            progress.to(done := done + 1)
    progress.close()
    return [
        {"overlap": overlap, "largest": max(r["largest"] for r in found), "psnr": min(r["psnr"] for r in found),
         "cost": float(np.mean([r["cost"] for r in found]))}
        for overlap, found in rows.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.tiling", description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, help="folder with drawings of 720 rows, besides the made-up animation")
    parser.add_argument("--tile", type=int, default=128)
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path, default=Path("tiling"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = measure(options.pictures, options.tile, options.model, options.out)
    print("| overlap | largest difference, of 255 | lowest PSNR, dB | pixels computed per pixel |\n| --- | --- | --- | --- |")
    for row in rows:
        print(f"| {row['overlap']} | {row['largest']:.0f} | {row['psnr']:.1f} | {row['cost']:.2f} |")
    (options.out / "tiling.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
