"""``vsapisr compare``: models and settings side by side, as a page, a picture or a video."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config import UpscaleConfig
from ..errors import ArgumentError
from ..needs import room_for
from ..video.settings import CONTAINERS, VideoSettings
from .commands import (
    DEFAULT,
    Batch,
    Device,
    Force,
    Guard,
    Overlap,
    Precision,
    Tilesize,
    app,
    console,
    opencv,
    ready,
    settings,
)
from .outputs import vacant
from .progress import Meter
from .watching import Watch

__all__ = ["app"]

Box = tuple[int, int, int, int]
Seen = tuple[UpscaleConfig, list[str], list[str], bool]
"""What :func:`.columns.columns` takes."""
MEGA = 1_000_000
PAGES = (".html", ".htm")
FRAMES = "busiest,darkest,damaged"


Inputs = Annotated[list[Path], typer.Argument(metavar="INPUT", help="Pictures and videos.")]
Output = Annotated[
    Path, typer.Option(metavar="FILE", help="A page (.html), a picture (.png), a video (.mkv, .mp4, .mov).")
]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="Name or path of a model; repeatable: each is shown.")
]
Others = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="KEY=VALUE,...", help="Also show other arguments of the filter; repeatable."),
]
Source = Annotated[bool, typer.Option(help="Show the source, enlarged by Lanczos, too.")]
Frames = Annotated[
    str | None,
    typer.Option(metavar="N,KIND,...", help=f"Of videos: numbers, busiest, darkest, damaged:3; else {FRAMES}."),
]
Crop = Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="The detail to show, in pixels of the source.")]
Wipe = Annotated[bool, typer.Option("--wipe", help="In a video: two pictures, one wiping over the other.")]
Size = Annotated[str, typer.Option(help="In a video: of each picture, such as 2x or 1080p.")]
Encoder = Annotated[str, typer.Option(help="Of a video.")]
Crf = Annotated[float | None, typer.Option(help="Quality of a video, by the encoder's own scale.")]
Preset = Annotated[str | None, typer.Option(help="Speed of the encoder, by its own names.")]
Start = Annotated[float, typer.Option(help="Seconds of the source where a video begins.")]
End = Annotated[float | None, typer.Option(help="Seconds of the source where a video ends.")]


@app.command()
def compare(
    inputs: Inputs,
    output: Output,
    models: Models = None,
    others: Others = None,
    source: Source = True,
    frames: Frames = None,
    crop: Crop = None,
    wipe: Wipe = False,
    size: Size = "4x",
    encoder: Encoder = VideoSettings.encoder,
    crf: Crf = None,
    preset: Preset = None,
    start: Start = 0.0,
    end: End = None,
    force: Force = False,
    tilesize: Tilesize = "0",
    overlap: Overlap = DEFAULT.overlap,
    guard: Guard = bool(DEFAULT.guard),
    device: Device = DEFAULT.device,
    precision: Precision = DEFAULT.precision,
    batch: Batch = DEFAULT.batch,
) -> None:
    """Show models and settings side by side: a page with a slider, a labelled picture, or a video."""
    base = settings(DEFAULT.model, tilesize, overlap, guard, device, precision, batch)
    kind, box = kind_of(output), None if crop is None else numbers(crop)
    seen = (base, models or [DEFAULT.model], others or [], source)
    for one in inputs:
        vacant(output, one, force)
    if kind == "video":
        if len(inputs) > 1 or crop or frames:
            raise ArgumentError("a video shows one video, from --start to --end: no other input, --frames or --crop")
        wish = VideoSettings(size=size, encoder=encoder, crf=crf, preset=preset, start=start, end=end)
        return film(inputs[0], output, seen, wish, wipe, force)
    if wipe:
        raise ArgumentError(f"wipe is of videos: output must end in {', '.join(CONTAINERS)}, got {output}")
    still(inputs, output, seen, frames or FRAMES, box, kind == "page")


def still(inputs: list[Path], output: Path, seen: Seen, frames: str, crop: Box | None, as_page: bool) -> None:
    """Make a page or a picture, and say what is in it.

    Raises:
        VsapisrError: it cannot be made.
    """
    from .chosen import wanted

    columns, rows = gathered(inputs, seen, wanted(frames), crop, as_page)
    if as_page:
        page(output, inputs, columns, rows)
    else:
        sheet(output, columns, rows)
    for row in rows:
        high, wide = row.pictures[0].shape[:2]
        name = inputs[0] if len(rows) == 1 == len(inputs) and row.label == inputs[0].name else row.label
        typer.echo(f"{output}: {name}, {row.size[0]}x{row.size[1]} -> {wide}x{high}")


def kind_of(output: Path) -> str:
    """page, sheet or video.

    Raises:
        ArgumentError: none of them, or there is no folder for it.
    """
    end = output.suffix.lower()
    if end not in (*PAGES, ".png", *CONTAINERS):
        raise ArgumentError(
            f"output must end in .html (a page), .png (a picture) or {', '.join(CONTAINERS)} (a video), got {output}"
        )
    if output.is_dir():
        raise ArgumentError(f"output must be a file, {output} is a folder")
    if not output.parent.is_dir():
        raise ArgumentError(f"the folder of output {output} does not exist")
    return "page" if end in PAGES else "sheet" if end == ".png" else "video"


def numbers(crop: str) -> Box:
    """``x,y,w,h``.

    Raises:
        ArgumentError: it is something else.
    """
    if not (match := re.fullmatch(r"(\d+),(\d+),([1-9]\d*),([1-9]\d*)", crop)):
        raise ArgumentError(f"crop must be x,y,w,h in pixels of the image, got {crop!r}")
    x, y, width, height = map(int, match.groups())
    return x, y, width, height


def gathered(
    inputs: Sequence[Path], seen: Seen, chosen: Any, crop: Box | None, cut: bool
) -> tuple[list[Any], list[Any]]:
    """(columns, rows) of all inputs.

    Raises:
        VsapisrError: one of them cannot be had.
    """
    with console().status("loading the models"):
        opencv()
        from .columns import columns
        from .gathered import of_picture, of_video
        from .inputs import is_picture

        found = columns(*seen)
        networks = [ready(column.config) for column in found if column.config is not None]
    rows: list[Any] = []
    with Meter(console(), "inputs", len(inputs) * MEGA) as meter:
        for number, path in enumerate(inputs):

            def told(words: str, share: float, number: int = number) -> None:
                meter.update((number + share) * MEGA, label=words)

            with room_for(f"for {path}"):
                if is_picture(path) is not False:
                    rows.append(of_picture(path, found, crop, cut, told))
                else:
                    rows += of_video(path, found, chosen, crop, cut, told)
    del networks
    return found, rows


def page(output: Path, inputs: Sequence[Path], columns: Sequence[Any], rows: Sequence[Any]) -> None:
    """Write the page."""
    from .images import finished
    from .page import write_page

    names = ", ".join(path.name for path in inputs[:3]) + (", ..." if len(inputs) > 3 else "")
    names = rows[0].label if len(rows) == 1 else names  # with no list to choose it from
    with finished(output) as part, open(part, "wb") as file:
        write_page(file, names, columns, rows)


def sheet(output: Path, columns: Sequence[Any], rows: Sequence[Any]) -> None:
    """Write the picture."""
    from .comparison import sheet
    from .images import finished

    made = []
    for row in rows:
        high, wide = row.pictures[0].shape[:2]
        source = f"source {row.size[0]}x{row.size[1]}, enlarged by Lanczos"
        labels = [
            source if column.config is None else f"vsapisr, model {column.label}, {wide}x{high}" for column in columns
        ]
        if len(rows) > 1:
            labels[0] = f"{row.label}: {labels[0]}"
        made.append((row.pictures, labels, row.detail))
    with finished(output) as part:
        sheet(made).save(part)


def film(source: Path, output: Path, seen: Seen, wish: VideoSettings, wipe: bool, force: bool) -> None:
    """Write the video.

    Raises:
        VsapisrError: it cannot be.
    """
    with console().status("loading the models"):
        opencv()
        from ..video.beside import beside_video
        from .columns import columns

        views = columns(*seen)
        filters = [view.config for view in views if view.config is not None]
        wish = replace(wish, upscale=filters[0])
        networks = [ready(config) for config in filters]
    with Watch(console(), False, [0.0]) as watch, room_for(f"for {source}"):
        watch.begin(0, str(source))
        done = beside_video(source, output, wish, views, wipe=wipe, force=force, told=watch.told)
        watch.say(f"{source} -> {done.path}, {done.frames} frames, {done.bytes / 1e6:.1f} MB")
    del networks
