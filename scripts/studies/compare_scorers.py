"""How the weight-free complexity score ranks a folder of drawings, next to other measures, and what grain does to it.

    python scripts/studies/compare_scorers.py FOLDER [--icnet ck.pth] [--limit 200]

Prints Spearman's rank correlations. With ICNet's weights its column is added.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from train.curation.scoring import Compress, make_scorer
from train.curation.traits import luma
from train.media.images import read_image


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(np.float64)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def edge_density(grey: np.ndarray) -> float:
    """Share of pixels whose Sobel gradient exceeds 64 of 255 levels per pixel pair."""
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return float((np.hypot(dx, dy) > 64).mean())


def entropy(grey: np.ndarray) -> float:
    """Shannon entropy of the luma histogram in bits."""
    p = np.bincount(grey.ravel(), minlength=256) / grey.size
    return float(-(p[p > 0] * np.log2(p[p > 0])).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--icnet", default="", help="path of IC9600's ck.pth")
    parser.add_argument("--limit", type=int, default=200, help="number of pictures, spread over the folder")
    arguments = parser.parse_args()
    files = sorted(p for p in arguments.folder.rglob("*") if p.suffix in (".webp", ".png", ".jpg"))
    files = files[:: max(1, len(files) // arguments.limit)]
    scorers = {f"jpeg {q}": Compress(q) for q in (30, 50, 75)}
    if arguments.icnet:
        scorers["icnet"] = make_scorer("icnet", weights=arguments.icnet)
    columns: dict[str, list[float]] = {}
    rng = np.random.default_rng(0)
    for path in files:
        image = read_image(path)
        grey = luma(image)
        grain = np.clip(image + rng.normal(0, 3, image.shape[:2])[..., None], 0, 255).astype(np.uint8)
        row = {
            "edges": edge_density(grey),
            "entropy": entropy(grey),
            "png": len(cv2.imencode(".png", image)[1]) / grey.size,
            "webp 50": len(cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 50])[1]) / grey.size,
        }
        for name, scorer in scorers.items():
            row[name] = scorer([image], [path.name])[0]
            row[name + " grain"] = scorer([grain], [path.name])[0]
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    table = {name: np.array(values) for name, values in columns.items()}
    rows = [name for name in table if not name.endswith(" grain")]
    print(f"{len(files)} pictures; Spearman's rank correlation")
    print(f"{'':10}" + "".join(f"{name:>10}" for name in rows))
    for a in rows:
        print(f"{a:10}" + "".join(f"{spearman(table[a], table[b]):10.3f}" for b in rows))
    for name in scorers:
        lift = np.median(table[name + " grain"] / table[name])
        print(
            f"grain of sigma 3 of 255: {name} rank correlation {spearman(table[name], table[name + ' grain']):.3f}, "
            f"median score x{lift:.2f}"
        )


if __name__ == "__main__":
    main()
