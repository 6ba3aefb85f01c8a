"""``vsapisr status``: how far videos are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ArgumentError
from .videos import app

__all__ = ["app"]


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(help="Where results go.")],
    as_json: Annotated[bool, typer.Option("--json", help="A line with a JSON object for each video.")] = False,
) -> None:
    """Print how far the videos are that vsapisr upscale is making in a folder, or had to leave."""
    if not folder.is_dir():
        raise ArgumentError(f"there is no folder {folder}")
    from ..video.status import states, summary

    found = list(states(folder))
    for line in [json.dumps(asdict(one)) for one in found] if as_json else summary(found):
        typer.echo(line)
    if not found and not as_json:
        typer.echo(f"nothing is being made in {folder}")
