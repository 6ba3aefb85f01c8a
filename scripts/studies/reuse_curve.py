"""The threshold of ``reuse=2``: what it saves and what it costs, the measurement behind docs/reuse.md and
docs/reuse.png.

python -m scripts.studies.reuse_curve [--part 0.25] [--crf 18 23] [--out docs/reuse.png]: no network runs; pixels that
it would see are counted, and the held source is compared with the source as coded and with the drawings before coding.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from train.media.progress import Progress
from vsapisr.cli.report import ReuseReport
from vsapisr.config import UpscaleConfig
from vsapisr.picture.colour import resolve

from ..bench.reuse import grey, psnr, shots
from ..cel import Painter
from ..clips import encode

THRESHOLDS = (0, 1, 2, 3, 4, 6, 8)
COLOURS = ((40, 110, 200), (210, 80, 50), (60, 150, 70))


def measure(path: Path, clean: list[np.ndarray], threshold: float | None, tick: Progress) -> dict[str, float]:
    """One threshold; None is reuse=1."""
    config = UpscaleConfig(device="cpu", **({} if threshold is None else {"reuse": 2, "threshold": float(threshold)}))
    report, preview = (lambda r: (r, r.preview))(ReuseReport(path, config))
    frames = [frame.copy() for frame in report.clip.frames()]
    planes = {n: [np.asarray(plane) for plane in frame] for n, frame in enumerate(frames)}
    properties = {
        n: {
            "_PictType": frame.props["_PictType"].encode()
            if isinstance(frame.props["_PictType"], str)
            else frame.props["_PictType"]
        }
        for n, frame in enumerate(frames)
    }
    against, original, flicker, before = [], [], [], None
    for n in range(len(frames)):
        needed = preview.needs(n)
        colour = resolve(report.format, {}, report.clip.width, report.clip.height)
        preview.frame(n, {m: planes[m] for m in needed}, colour, [], colour, {m: properties[m] for m in needed})
        shown = preview.holder.get(n, planes, properties)[0] if preview.holder else planes[n][0]
        against.append(np.mean((shown.astype(float) - planes[n][0]) ** 2))
        original.append(psnr(shown, clean[n]))
        if before is not None and (still := clean[n] == clean[n - 1]).any() and still.mean() > 0.3:
            flicker.append(np.abs(shown.astype(float) - before)[still].mean())
        before = shown
        tick.advance()
    report.close()
    return {
        "network": preview.pixels / len(frames) / clean[0].size,
        "against": 10 * np.log10(255**2 / max(np.mean(against), 1e-9)),
        "clean": float(np.mean(original)),
        "flicker": float(np.mean(flicker)),
    }


def plot(rows: dict[int, list[dict[str, float]]]) -> Image.Image:
    """Three panels over the threshold, one line for each CRF."""
    panels = (
        ("pixels the network sees, of one whole frame each", "network"),
        ("PSNR against the drawings, change, dB", "change"),
        ("flicker where the drawings hold still, of 255", "flicker"),
    )
    sheet = Image.new("RGB", (1500, 420), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, (title, key) in enumerate(panels):
        left, top, width, height = 60 + 490 * number, 60, 410, 290
        values = [row[key] for found in rows.values() for row in found]
        low, high = min(0.0, *values), max(0.0, *values)
        draw.text((left, 20), title, "black", font)
        draw.rectangle((left, top, left + width, top + height), outline=(160, 160, 160))
        for value in np.linspace(low, high, 5):
            y = top + height - (value - low) / (high - low) * height
            draw.text((left - 6, y), f"{value:.3g}", "black", font, anchor="rm")
            draw.line((left, y, left + width, y), (230, 230, 230))
        for colour, (crf, found) in zip(COLOURS, rows.items()):
            points = [
                (left + t / max(THRESHOLDS) * width, top + height - (row[key] - low) / (high - low) * height)
                for t, row in zip(THRESHOLDS, found)
            ]
            draw.line(points, colour, 3)
            for x, y in points:
                draw.ellipse((x - 4, y - 4, x + 4, y + 4), colour)
            draw.text((left + width - 80, top + 10 + 22 * list(rows).index(crf)), f"CRF {crf}", colour, font)
        for t in THRESHOLDS:
            draw.text((left + t / max(THRESHOLDS) * width, top + height + 8), str(t), "black", font, anchor="ma")
        draw.text((left + width / 2, top + height + 30), "threshold, of 255", "black", font, anchor="ma")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.studies.reuse_curve", description=__doc__.splitlines()[0])
    parser.add_argument("--part", type=float, default=0.25, help="of each shot")
    parser.add_argument("--crf", type=int, nargs="+", default=[18, 23])
    parser.add_argument("--out", type=Path, default=Path("reuse.png"))
    options = parser.parse_args()
    painter, places, rows = Painter(360), shots("mixed", options.part), {}
    total = len(options.crf) * (len(THRESHOLDS) + 1) * len(places)
    with tempfile.TemporaryDirectory() as folder, Progress("curve", total, "frames") as tick:
        clean = [grey(painter.frame(*place)) for place in places]
        for crf in options.crf:
            path = Path(folder, f"{crf}.mkv")
            encode(path, (painter.frame(*place) for place in places), crf=crf, audio=False)
            exact = measure(path, clean, None, tick)
            rows[crf] = [measure(path, clean, t, tick) for t in THRESHOLDS]
            for row in [exact, *rows[crf]]:
                row["change"] = row["clean"] - exact["clean"]
            print(
                f"CRF {crf}, {len(places)} frames\n| threshold | network | dB against the source | change against "
                f"the drawings, dB "
                "| flicker |\n| --- | --- | --- | --- | --- |"
            )
            for name, row in zip(("reuse=1", *THRESHOLDS), [exact, *rows[crf]]):
                print(
                    f"| {name} | {row['network']:.3f} | {min(row['against'], 99):.1f} | {row['change']:+.3f} "
                    f"| {row['flicker']:.3f} |",
                    flush=True,
                )
    plot(rows).save(options.out)
    options.out.with_suffix(".json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
