"""``vsapisr reuse``: what of a clip the filter would take over from earlier frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config import UpscaleConfig
from ..needs import check_torch
from .commands import DEFAULT, Force, Overlap, Tilesize, app, console, sides
from .outputs import png, vacant
from .progress import Meter

__all__ = ["app"]


@app.command()
def reuse(
    clip: Annotated[Path, typer.Argument(help="A video file.")],
    mode: Annotated[
        int, typer.Option(help="The filter's reuse=: 1, equal tiles; 2, nearly equal ones too.")
    ] = DEFAULT.reuse,
    threshold: Annotated[float, typer.Option(help="The filter's threshold=.")] = DEFAULT.threshold,
    frames: Annotated[int | None, typer.Option(min=1, help="Look at so many from the beginning; else at all.")] = None,
    heat: Annotated[
        Path | None, typer.Option("--map", metavar="FILE.png", help="Picture: the redder, the more often computed.")
    ] = None,
    tilesize: Tilesize = "0",
    overlap: Overlap = DEFAULT.overlap,
    force: Force = False,
) -> None:
    """Print which share of a clip would be taken over, by picture type and by shot, without enlarging it."""
    config = UpscaleConfig(tilesize=sides(tilesize), overlap=overlap, device="cpu", reuse=mode, threshold=threshold)
    if heat is not None:
        vacant(png(heat), clip, force)
    check_torch()
    with console().status(f"reading {clip.name}"):
        from .report import ReuseReport, summary

        report = ReuseReport(clip, config, frames)
    shown = []
    pixels = report.clip.width * report.clip.height
    try:
        with Meter(console(), "MP", report.clip.num_frames * pixels) as meter:
            for frame in report.frames():
                shown.append(frame)
                meter.update(len(shown) * pixels, label=clip.name)
    finally:
        report.close()
    for line in summary(shown):
        typer.echo(line)
    if heat is not None:
        from PIL import Image

        from .images import finished

        with finished(heat) as part:
            Image.fromarray(report.picture()).save(part)
        typer.echo(f"{heat}: the redder, the more often computed")
