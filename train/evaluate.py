"""Full-reference measures of enlarged drawings, as super-resolution papers take them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from vsapisr import upscale_image

from .degradation.compression import h264
from .images import list_images, read_image
from .metrics import psnr_y, ssim_y


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Weights against Lanczos on drawings whose originals are known."""

    data: str
    """Folder of drawings that were not trained on."""
    weights: str = "default"
    """A shipped model's name, or a path."""
    out: str = "evaluation"
    """``OUT.json`` and ``OUT.md`` are written."""
    crf: tuple[int, int] = (20, 30)
    """The quarter-size picture is an x264 intra frame of a CRF drawn from this range, inclusive."""
    seed: int = 0
    images: int = 0
    """Only the first so many; 0: all."""
    threads: int = 2


def small_pictures(config: EvaluateConfig) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, degraded quarter, original): antialiased bicubic, then H.264."""
    rng = np.random.default_rng(config.seed)
    for path in list_images(config.data)[: config.images or None]:
        gt = read_image(path)
        height, width = (side // 8 * 8 for side in gt.shape[:2])
        gt = gt[:height, :width]
        small = Image.fromarray(gt).resize((width // 4, height // 4), Image.Resampling.BICUBIC)
        yield path.name, h264(np.asarray(small), int(rng.integers(*config.crf, endpoint=True))), gt


def measures(result: np.ndarray, gt: np.ndarray) -> dict[str, float]:
    """PSNR-Y in dB, SSIM-Y, and the mean shift of a* and b* in CIELAB (0: no cast)."""
    lab = [cv2.cvtColor(x.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).mean(axis=(0, 1)) for x in (result, gt)]
    return {"psnr_y": psnr_y(result, gt), "ssim_y": ssim_y(result, gt),
            "a_shift": float(lab[0][1] - lab[1][1]), "b_shift": float(lab[0][2] - lab[1][2])}


def evaluate(config: EvaluateConfig) -> str:
    """Measure every picture; the result is the table that is also written to ``OUT.md``."""
    torch.set_num_threads(config.threads)
    rows, start = [], time.monotonic()
    total = len(list_images(config.data)[: config.images or None])
    for number, (name, small, gt) in enumerate(small_pictures(config), 1):
        ours = upscale_image(small, model=config.weights, device="auto")
        wide = Image.fromarray(small).resize(gt.shape[1::-1], Image.Resampling.LANCZOS)
        rows.append({"image": name, "ours": measures(ours, gt), "lanczos": measures(np.asarray(wide), gt)})
        rate = number / (time.monotonic() - start)
        print(f"\r{number}/{total}  {rate:.2f} images/s  {(total - number) / rate:.0f} s left ", end="", file=sys.stderr)
    print(file=sys.stderr)
    names = list(rows[0]["ours"])
    means = {who: {m: float(np.mean([row[who][m] for row in rows])) for m in names} for who in ("lanczos", "ours")}
    better = sum(row["ours"]["psnr_y"] > row["lanczos"]["psnr_y"] for row in rows)
    table = "| | PSNR-Y dB | SSIM-Y | a* shift | b* shift |\n| --- | --- | --- | --- | --- |\n"
    for who, mean in means.items():
        table += f"| {who} | {mean['psnr_y']:.3f} | {mean['ssim_y']:.4f} | {mean['a_shift']:+.3f} | {mean['b_shift']:+.3f} |\n"
    table += f"\n{len(rows)} images, CRF {config.crf[0]} to {config.crf[1]}; better than Lanczos in PSNR-Y on {better}.\n"
    report = {"config": asdict(config), "means": means, "better": better, "images": rows}
    out = Path(config.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    out.with_suffix(".md").write_text(table, encoding="utf-8")
    return table
