"""``vsapisr reuse``: what of a clip the filter would take over from earlier frames, and what that is worth."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..config import UpscaleConfig
from ..errors import ArgumentError
from .arguments import sides
from .commands import DEFAULT, Force, Overlap, Tilesize, console, opencv
from .commands_compare import app
from .outputs import png, vacant
from .progress import Meter

__all__ = ["app"]


@app.command()
def reuse(
    clip: Annotated[Path, typer.Argument(help="A video file.")],
    mode: Annotated[
        int | None,
        typer.Option(help="Count for this reuse= of the filter (0, 1, 2), by picture type; else compare by shot."),
    ] = None,
    threshold: Annotated[float, typer.Option(help="The filter's threshold=.")] = DEFAULT.threshold,
    frames: Annotated[int | None, typer.Option(min=1, help="Look at so many from the beginning; else at all.")] = None,
    heat: Annotated[
        Path | None, typer.Option("--map", metavar="FILE.png", help="Picture: the redder, the more often computed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line with a JSON object for each shot.")] = False,
    tilesize: Tilesize = "0",
    overlap: Overlap = DEFAULT.overlap,
    force: Force = False,
) -> None:
    """Say for each shot of a clip how noisy it is, what of it holds still, and which reuse to take."""
    if as_json and mode is not None:
        raise ArgumentError("--json is about shots; it does not go with --mode")
    chosen = DEFAULT.reuse if mode is None else mode
    config = UpscaleConfig(tilesize=sides(tilesize), overlap=overlap, device="cpu", reuse=chosen, threshold=threshold)
    if heat is not None:
        vacant(png(heat), clip, force)
    opencv()
    if mode is not None or heat is not None:
        counted(clip, config, frames, heat, mode is not None, as_json)
    if mode is None:
        compared(clip, config, frames, as_json)


def compared(clip: Path, config: UpscaleConfig, frames: int | None, as_json: bool) -> None:
    """Print the shots."""
    from .report import opened
    from .shots import lines, shots

    video = opened(clip)
    pixels = video.width * video.height
    with Meter(console(), "MP", 3 * min(video.num_frames, frames or video.num_frames) * pixels) as meter:
        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            meter.update(done * pixels, label=clip.name)

        found = shots(clip, config, frames, tick)
    for line in [json.dumps(asdict(shot)) for shot in found] if as_json else lines(found):
        typer.echo(line)


def counted(
    clip: Path, config: UpscaleConfig, frames: int | None, heat: Path | None, told: bool, as_json: bool
) -> None:
    """Count for one ``reuse``: print it where ``told``, draw ``heat``."""
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
    for line in summary(shown) if told else ():
        typer.echo(line)
    if heat is not None:
        from PIL import Image

        from .images import finished

        with finished(heat) as part:
            Image.fromarray(report.picture()).save(part)
        typer.echo(f"{heat}: the redder, the more often computed", err=as_json)
