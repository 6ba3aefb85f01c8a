"""The step ``preview``: pictures to look at before training: lines beside their drawing, degradations with what was
drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from vsapisr.errors import ArgumentError, VsapisrError
from vsapisr.writing import finished, no_room

from .data import pseudo_gt as lines
from .degradation.config import DegradationConfig
from .degradation.draws import Draw, draw, generator
from .degradation.pipeline import apply
from .media.images import list_images, read_image
from .media.places import alone, apart, claim
from .media.progress import Progress
from .media.sheets import labelled

__all__ = ["PreviewConfig", "PreviewReport", "degradation_sheet", "lines_sheet", "run_preview"]


@dataclass(frozen=True, kw_only=True)
class PreviewConfig:
    """What to look at."""

    source: str
    """Folder of drawings (PNG, WebP, JPEG, AVIF, BMP, TIFF)."""
    out: str
    """Folder for the pictures: NAME.lines.png and NAME.degradation.png."""
    what: tuple[str, ...] = ("lines", "degradation")
    count: int = 4
    """Drawings, evenly spread over the folder."""
    columns: int = 4
    rows: int = 3
    """Degradations per drawing: columns x rows, the first cell is the drawing itself."""
    size: int = 384
    """Side of the part of a drawing that is shown for degradations, in its own pixels."""
    seed: int = 0
    force: bool = False
    """Replace files that are in the way and that this step did not write."""
    base: str = "sharpened"
    gamma: tuple[float, float] = lines.GAMMA
    degradation: DegradationConfig = field(default_factory=DegradationConfig)

    def __post_init__(self) -> None:
        if not self.what or not set(self.what) <= {"lines", "degradation"}:
            raise ArgumentError(f"what: {self.what!r} is not accepted; accepted: 'lines', 'degradation' or both")
        for name, least in (("count", 1), ("columns", 1), ("rows", 1), ("size", 64), ("seed", 0)):
            if getattr(self, name) < least:
                raise ArgumentError(f"{name}: {getattr(self, name)!r} is not accepted; accepted: {least} or more")


@dataclass(kw_only=True)
class PreviewReport:
    written: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(
            [f"wrote    {path}" for path in self.written] + [f"refused  {r}" for r in self.refused.values()]
        )


def lines_sheet(image: np.ndarray, gamma: float, base: str) -> Image.Image:
    """Drawing | line map | pseudo-GT, (H, W, 3) uint8 in."""
    made = lines.enhance(image, gamma, base)
    map_picture = np.repeat(np.where(made.map, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    changed = np.abs(made.pseudo_gt.astype(int) - image).mean()
    texts = [
        ["drawing"],
        [f"line map, gamma {gamma:.4f}, {made.map.mean():.1%} of the pixels"],
        [f"pseudo-GT on {base}, mean change {changed:.2f} of 255"],
    ]
    return labelled([image, map_picture, made.pseudo_gt], texts, 3)


def degradation_sheet(image: np.ndarray, draws: list[Draw], columns: int, size: int) -> Image.Image:
    """The middle of the drawing, then the same part of each degraded whole drawing, enlarged four times pixel by
    pixel.
    """
    side = min(size, *image.shape[:2]) // 8 * 8
    top, left = ((whole - side) // 2 // 8 * 8 for whole in image.shape[:2])
    images, texts = [np.ascontiguousarray(image[top : top + side, left : left + side])], [["drawing"]]
    for record in draws:
        small = apply(image, record)[top // 4 : (top + side) // 4, left // 4 : (left + side) // 4]
        images.append(cv2.resize(small, (side, side), interpolation=cv2.INTER_NEAREST))
        texts.append([text for _, text in record.trace()])
    return labelled(images, texts, columns)


def _save(sheet: Image.Image, path: Path) -> str:
    with finished(path) as part:
        sheet.save(part, "PNG")
    return str(path)


def _one(path: Path, index: int, config: PreviewConfig) -> list[str]:
    """The sheets of one drawing; returns the paths written."""
    image, out, written = read_image(path), Path(config.out), []
    height, width = (side // 8 * 8 for side in image.shape[:2])
    image = np.ascontiguousarray(image[:height, :width])
    if "lines" in config.what:
        gamma = float(generator("gamma", config.seed, index).uniform(*config.gamma))
        written.append(_save(lines_sheet(image, gamma, config.base), out / f"{path.stem}.lines.png"))
    if "degradation" in config.what:
        number = config.columns * config.rows - 1
        draws = [
            draw(generator("degrade", config.seed, n, index), config.degradation, height, width) for n in range(number)
        ]
        written.append(
            _save(degradation_sheet(image, draws, config.columns, config.size), out / f"{path.stem}.degradation.png")
        )
    return written


def run_preview(config: PreviewConfig) -> PreviewReport:
    """Sheets of ``config.count`` drawings. The draws are those a dataset with the same seed and folder has in its first
    epochs.
    """
    files, report = list_images(config.source), PreviewReport()
    chosen = sorted({round(n) for n in np.linspace(0, len(files) - 1, min(config.count, len(files)))})
    out = Path(config.out)
    apart(config.source, out)
    names = [f"{files[index].stem}.{what}.png" for index in chosen for what in config.what]
    with alone(out, "preview"), Progress("preview", len(chosen), "drawings") as progress:
        claim(out, "preview", names, config.force)
        for index in chosen:
            try:
                report.written += _one(files[index], index, config)
            except (VsapisrError, OSError, cv2.error, av.FFmpegError, MemoryError) as error:
                if isinstance(error, OSError) and no_room(error):
                    raise
                report.refused[str(files[index])] = str(error) or type(error).__name__
            progress.advance(note=files[index].name)
    return report
