"""What the levels of ``evaluate`` leave to win: Lanczos without the damage, colours with parts of the original put
back.

python -m scripts.studies.limits --gt some/drawings [--levels light,medium,heavy]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np

from train.degradation.config import DegradationConfig
from train.degradation.resize import resize
from train.evaluation.colour_error import colour_error, reduced
from train.evaluation.full_reference import psnr_y
from train.evaluation.levels import LEVELS, check_levels, lanczos, quarter, small_picture, whole
from train.evaluation.tables import markdown
from train.media.images import list_images, read_image
from vsapisr.errors import VsapisrError
from vsapisr.picture.colour import KR_KB

KR, KB = KR_KB[6]  # BT.601
WEIGHTS = np.array([KR, 1 - KR - KB, KB])
AS_IT_IS, LUMA, CHROMA, HALF = (
    "the source as it is",
    "luma of the original, chroma of the source",
    "luma of the source, chroma of the original",
    "the original with chroma at half the size",
)


def split(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 -> luma (H, W, 1) and what each channel has beyond it (H, W, 3), floats."""
    y = (rgb @ WEIGHTS)[..., None]
    return y, rgb - y


def joined(y: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """The reverse of :func:`split`, of parts that need not belong together."""
    return np.clip(np.round(y + chroma), 0, 255).astype(np.uint8)


def at_half(chroma: np.ndarray) -> np.ndarray:
    """4:2:0 without a codec: (H, W, 3) floats averaged over 2x2 and enlarged by bicubic interpolation."""
    height, width = chroma.shape[:2]
    return resize(resize(chroma, max(1, height // 2), max(1, width // 2), "area"), height, width, "bicubic")


def colours(gt: np.ndarray, source: np.ndarray) -> dict[str, float]:
    """Colour errors at the small size, of (4H, 4W, 3) and (H, W, 3)."""
    truth = reduced(gt)
    (y, chroma), (source_y, source_chroma) = split(truth), split(source)
    mixed = {
        AS_IT_IS: source,
        LUMA: joined(y, source_chroma),
        CHROMA: joined(source_y, chroma),
        HALF: joined(y, at_half(chroma)),
    }
    return {name: colour_error(image, truth) for name, image in mixed.items()}


def measure(paths: list[Path], levels: tuple[str, ...], seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """(level, values of one picture) with "lanczos", "untouched" (Lanczos without damage) in dB and the colour
    errors.
    """
    heavy = DegradationConfig()
    for index, path in enumerate(paths):
        gt = whole(read_image(path))
        untouched = psnr_y(lanczos(quarter(gt)), gt)
        for level in levels:
            source = small_picture(gt, level, seed, index, heavy)
            yield level, {"lanczos": psnr_y(lanczos(source), gt), "untouched": untouched, **colours(gt, source)}


def report(found: dict[str, list[dict[str, float]]]) -> str:
    """Two Markdown tables, means over the pictures."""

    def row(title: str, name: str) -> list[str]:
        return [title, *(f"{fmean(values[name] for values in pictures):.2f}" for pictures in found.values())]

    psnr = [row("Lanczos", "lanczos"), row("Lanczos from the undamaged quarter", "untouched")]
    colour = [row(name, name) for name in (AS_IT_IS, LUMA, CHROMA, HALF)]
    return f"{markdown(['PSNR-Y, dB', *found], psnr)}\n\n{markdown(['colour error', *found], colour)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.studies.limits", description=__doc__.splitlines()[0])
    parser.add_argument("--gt", required=True, help="folder of drawings")
    parser.add_argument("--levels", default=",".join(LEVELS), help="as in evaluate")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    levels = tuple(options.levels.split(","))
    found: dict[str, list[dict[str, float]]] = {level: [] for level in levels}
    try:
        check_levels(levels)
        for level, values in measure(list_images(options.gt), levels, options.seed):
            found[level].append(values)
    except VsapisrError as error:
        parser.error(str(error))
    print(report(found))


if __name__ == "__main__":
    main()
