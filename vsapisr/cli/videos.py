"""``vsapisr upscale``: pictures and whole videos."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..config import SCALE, UpscaleConfig
from ..described import described
from ..errors import ArgumentError, VideoError, VsapisrError
from ..needs import check_torch, room_for
from ..video.settings import CONTAINERS, VideoSettings, options
from .arguments import sides
from .commands import Batch, Device, Force, Guard, Model, Overlap, Precision, Tilesize, console, pictures, ready
from .commands_reuse import app
from .inputs import AUTO, Job, jobs
from .watching import Watch

__all__ = ["app"]

OWN: dict[str, tuple[Any, Any]] = {
    "inputs": (
        Annotated[list[Path] | None, typer.Argument(metavar="INPUT", help="Videos, pictures, and folders of them.")],
        None,
    ),
    "output": (
        Annotated[
            Path | None,
            typer.Option(
                metavar="FILE|FOLDER|-",
                help="Where to write; else NAME_4x.mkv or NAME_4x.png beside NAME. Several files need a folder. - "
                "writes one video as y4m to the standard output.",
            ),
        ],
        None,
    ),
    "force": (Force, False),
    "recursive": (Annotated[bool, typer.Option("--recursive", help="Folders with all that is below them.")], False),
    "container": (
        Annotated[str, typer.Option(help="Of videos: mkv, mp4, mov; auto: MP4 stays MP4, the rest is mkv.")],
        AUTO,
    ),
    "as_json": (
        Annotated[bool, typer.Option("--json", help="Of videos: a line with a JSON object for each event.")],
        False,
    ),
    "megapixels": (
        Annotated[int, typer.Option(min=1, help="Of a picture: what is larger is refused.")],
        200,
    ),
    "cluster": (
        Annotated[
            str | None,
            typer.Option(
                metavar="auto|local|HOST:PORT",
                help="Videos by the nodes of a Ray cluster: the one that this machine is part of, one of its own, or "
                "the one whose head is there.",
            ),
        ],
        None,
    ),
    "cluster_cores": (
        Annotated[int, typer.Option(min=0, help="Cores of a worker without GPU; 0: up to 8, as the node has.")],
        0,
    ),
}
"""Options that are neither the filter's nor of the video's settings: (type, default)."""
KNOWN: dict[str, Any] = {
    "model": Model,
    "size": Annotated[
        str | None,
        typer.Option(help=f"{described(VideoSettings)['size']} [default: as the network, or --scale, makes it]"),
    ],
    "tilesize": Tilesize,
    "overlap": Overlap,
    "guard": Guard,
    "device": Device,
    "precision": Precision,
    "batch": Batch,
    "encoder_options": Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="For the encoder, as FFmpeg names it; repeatable.")
    ],
    "without": Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="Leave out audio, subtitles, attachments, chapters, data."),
    ],
    "script": Annotated[
        Path | None,
        typer.Option(help="A VapourSynth script whose output is upscaled; in it, source is the path of INPUT."),
    ],
}
"""Options of the filter and of videos whose types are others than the configurations'."""
ELSE = {"size": None, "tilesize": "0", "guard": True, "encoder_options": None, "without": None}
"""Their defaults."""


def signature() -> inspect.Signature:
    """The options: our own, then every field of the video's settings and of the filter's, with the words below it."""
    found = dict(OWN)
    for kind in (VideoSettings, UpscaleConfig):
        words, types = described(kind), get_type_hints(kind)
        for field in fields(kind):
            if field.name in ("upscale", "format"):
                continue
            stated = KNOWN.get(field.name, Annotated[types[field.name], typer.Option(help=words.get(field.name))])
            found[field.name] = stated, ELSE.get(field.name, field.default)
    return inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=stated)
            for name, (stated, default) in found.items()
        ]
    )


def upscale(**given: Any) -> None:
    """Enlarge videos and pictures four times.

    Of a video all else is kept: sound, subtitles, fonts, chapters, names, and every frame's own time. Killed at any
    moment, the same command goes on. Pictures are written as PNG, animated GIF, WebP, PNG and AVIF as animated PNG
    (--frames 1 takes the first frame alone); alpha channels are enlarged by Lanczos. What cannot be read is reported,
    the others go on, and the exit status is 1.
    """
    inputs, output = given["inputs"] or [], given["output"]
    settings = settings_of(given)
    if not inputs and settings.script is None:
        raise ArgumentError("nothing to upscale: give a video, a picture or a folder")
    container = given["container"] if given["container"] == AUTO else f".{given['container']}"
    if container not in (AUTO, *CONTAINERS):
        raise ArgumentError(f"container must be one of auto, mkv, mp4, mov, got {given['container']!r}")
    if output is not None and str(output) == "-":
        return piped(inputs, settings)
    found, notes, faults = jobs(
        inputs, output, given["recursive"], f"_{settings.size}", container, settings.script is not None
    )
    for fault in faults:
        typer.echo(f"vsapisr: {fault}", err=True)
    stills = [job for job in found if not job.video]
    failed = len(faults)
    if stills:
        sources, targets = [job.source for job in stills if job.source], [job.target for job in stills]
        failed += pictures(sources, targets, settings, given["force"], given["megapixels"])
    films = [job for job in found if job.video]
    if films:
        with rendering(settings, given["cluster"], given["cluster_cores"]) as render:
            failed += videos_of(films, settings, given["force"], given["as_json"], notes, render)
    if failed:
        raise typer.Exit(1)


upscale.__signature__ = signature()  # type: ignore[attr-defined]
upscale.__annotations__ = {name: one.annotation for name, one in signature().parameters.items()}
app.command()(upscale)


def settings_of(given: dict[str, Any]) -> VideoSettings:
    """From the options.

    Raises:
        ArgumentError: a value that is not accepted.
    """
    own = {field.name: given[field.name] for field in fields(UpscaleConfig) if field.name in given}
    own |= {"tilesize": sides(given["tilesize"]), "guard": int(given["guard"])}
    wish = {field.name: given[field.name] for field in fields(VideoSettings) if field.name in given}
    wish["encoder_options"] = options(given["encoder_options"] or [])
    wish["without"] = tuple(sorted(set(given["without"] or [])))
    wish["script"] = None if given["script"] is None else str(given["script"].absolute())
    filter = UpscaleConfig(**own)
    wish["size"] = given["size"] or own_size(filter)
    return VideoSettings(upscale=filter, **wish)


def own_size(config: UpscaleConfig) -> str:
    """Of what the filter makes by itself.

    Raises:
        VsapisrError: the model cannot be read.
    """
    if config.scale is not None or config.model == UpscaleConfig().model:
        return f"{config.scale or SCALE}x"
    check_torch()
    from ..networks.forms import scale_of

    return f"{scale_of(config.model)}x"


@contextmanager
def rendering(settings: VideoSettings, cluster: str | None, cores: int) -> Iterator[Any]:
    """What makes chunks: this process, or a cluster's nodes.

    Raises:
        VsapisrError: the model cannot be loaded, or the cluster not be used.
    """
    with console().status("loading the model"):
        from ..video.run import render

        if cluster is None:
            network = ready(settings.upscale)  # kept, so that it is not loaded again for every video
    if cluster is None:
        yield render
        del network
        return
    from ..video.cluster import crew_for, render_on

    def told(event: dict[str, Any]) -> None:
        typer.echo(f"vsapisr: {event['text']}", err=True)

    with crew_for(cluster, settings.upscale, cores, told) as crew:
        yield render_on(crew)


def videos_of(
    found: list[Job], settings: VideoSettings, force: bool, as_json: bool, notes: list[str], render: Any
) -> int:
    """The number that failed."""
    from ..video.run import upscale_video

    lost: list[str] = []
    with Watch(console(), as_json, [length(job.source) for job in found]) as watch:
        for note in notes:
            watch.say(note)
        for number, job in enumerate(found):
            name = job.source or settings.script
            watch.begin(number, str(name))
            try:
                clash(job, found[:number])
                with room_for(f"for {name}"):
                    done = upscale_video(job.source, job.target, settings, force=force, told=watch.told, render=render)
                words = "done before" if done.already else f"{done.frames} frames"
                watch.say(f"{name} -> {done.path}, {words}, {done.bytes / 1e6:.1f} MB")
            except VsapisrError as error:
                lost.append(Path(str(name)).name)
                watch.failed(str(error))
            except KeyboardInterrupt:
                watch.say("stopped; the same command goes on where it was")
                raise typer.Exit(130) from None
        if len(found) > 1:
            watch.end(lost)
    return len(lost)


def piped(inputs: list[Path], settings: VideoSettings) -> None:
    """One video to the standard output.

    Raises:
        ArgumentError: it is not one.
    """
    if len(inputs) > 1 or (inputs and inputs[0].is_dir()):
        raise ArgumentError(f"output - takes one video, got {', '.join(map(str, inputs))}")
    if sys.stdout.isatty():
        raise ArgumentError("output - writes y4m, which a terminal cannot show: pipe it into another program")
    from ..video.y4m import write_y4m

    with Watch(console(), False, [0.0]) as watch:
        watch.begin(0, str(inputs[0] if inputs else settings.script))
        write_y4m(inputs[0] if inputs else None, sys.stdout.buffer, settings, watch.told)


def clash(job: Job, before: list[Job]) -> None:
    """
    Raises:
        VideoError: another video's result has the same place.
    """
    if any(job.target == other.target for other in before):
        raise VideoError(f"{job.source} would be written to {job.target}, as a video before it; give another --output")


def length(source: Path | None) -> float:
    """Seconds of a video, 0 if they are not known."""
    from ..video.probe import probe

    try:
        return probe(source).seconds if source is not None else 0.0
    except VideoError:
        return 0.0
