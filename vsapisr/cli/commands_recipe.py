"""``vsapisr recipe``: the same by other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config import UpscaleConfig
from ..video.settings import VideoSettings
from .commands import Model
from .commands_status import app

__all__ = ["app"]


@app.command()
def recipe(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    encoder: Annotated[str, typer.Option(help="Of ffmpeg.")] = "libx265",
    crf: Annotated[float | None, typer.Option(help="Quality, by the encoder's own scale.")] = 17,
    preset: Annotated[str | None, typer.Option(help="Speed of the encoder, by its own names.")] = None,
    model: Model = "default",
) -> None:
    """Print a script and commands of vspipe, ffmpeg and mkvmerge that keep what a bare pipe loses.

    Colour tags, the shape of pixels, every frame's own time, sound, subtitles, fonts, chapters. vsapisr upscale does
    all that by itself; this is for who wants other programs in between.
    """
    from ..video.recipe import recipe as lines

    settings = VideoSettings(upscale=UpscaleConfig(model=model), encoder=encoder, crf=crf, preset=preset)
    typer.echo(lines(video, settings))
