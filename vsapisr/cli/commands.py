"""``vsapisr info | fetch``, and pictures for ``upscale``.

Torch is imported by the commands that use it, not for ``--help``."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from ..config import UpscaleConfig
from ..errors import ArgumentError, VsapisrError
from ..needs import check_torch, room_for
from ..video.settings import VideoSettings
from ..weights import published
from .arguments import sides
from .outputs import vacant
from .progress import Meter


class OneLineErrors(TyperGroup):
    """Turns the package's own errors into a line and an exit status; others are bugs and keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except VsapisrError as error:
            typer.echo(f"vsapisr: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, ArgumentError) else 1) from None
        except KeyboardInterrupt:
            typer.echo("vsapisr: stopped", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Enlarge anime four times with APISR.",
)

Model = Annotated[str, typer.Option(help="Name of a shipped or fetched model, or path of a .safetensors or .pth file.")]
Tilesize = Annotated[
    str, typer.Option(metavar="N|WxH", help="Size of a tile in pixels of the source, multiples of 8; 0 is automatic.")
]
Overlap = Annotated[
    int | None, typer.Option(help="Pixels that a tile sees beyond its own, a multiple of 8; else the network's own.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Precision = Annotated[str, typer.Option(help="auto, fp32, fp16 or bf16.")]
Guard = Annotated[
    bool,
    typer.Option(
        help="Remove spots and tints whose colour does not occur nearby in the source; keep flat areas as is."
    ),
]
Batch = Annotated[int, typer.Option(help="Tiles that go through the network at once; 0 is automatic.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
DEFAULT = UpscaleConfig()


def settings(
    model: str, tilesize: str, overlap: int | None, guard: bool, device: str, precision: str, batch: int
) -> UpscaleConfig:
    """The options as the filter knows them.

    Raises:
        ArgumentError: a value that is not accepted.
    """
    return UpscaleConfig(
        model=model,
        tilesize=sides(tilesize),
        overlap=overlap,
        guard=int(guard),
        device=device,
        precision=precision,
        batch=batch,
    )


def console() -> Console:
    """For progress and reports; results go to the standard output."""
    return Console(stderr=True)


def ready(config: UpscaleConfig) -> Any:
    """The network, loaded as long as somebody keeps it; errors of model and device come here, before any image."""
    with room_for("to load the network"):
        check_torch()
        from ..engine.devices import ready

    return ready(config)[-1]


def scale_of(network: Any) -> int:
    """How many times larger its result is."""
    from ..networks.descriptor import descriptor_of

    return descriptor_of(network).scale


def opencv() -> None:
    """OpenCV can be imported, and PyTorch before it.

    Raises:
        DeviceError: there is no PyTorch, or not enough memory for both.
    """
    check_torch()
    from ..engine.memory import check_room

    check_room()


def pictures(inputs: list[Path], targets: list[Path], wish: VideoSettings, force: bool, megapixels: int = 200) -> int:
    """Enlarge image files and write them as PNG; the number of those that failed, each with a line that says why."""
    config = wish.upscale
    with console().status("loading the model"):
        opencv()

        network = ready(config)  # kept, so that it is not loaded again for every image
    scale = scale_of(network)
    sizes = [(wish.upscale.scale or scale) ** 2 * pixels_of(path, wish) for path in inputs]  # of the results
    done, failed = 0, 0
    with Meter(console(), "MP", sum(sizes) or None) as meter:
        for n, (path, target, pixels) in enumerate(zip(inputs, targets, sizes, strict=True), 1):
            meter.update(done, label=f"{n}/{len(inputs)} {path.name}")
            try:
                vacant(target, path, force, targets[: n - 1])
                with room_for(f"for {path}"):
                    line = one(path, target, wish, megapixels, partial(forward, meter, done, pixels))
            except VsapisrError as error:
                failed += 1
                meter.say(f"vsapisr: {error}")
            except KeyboardInterrupt:
                left = len(inputs) - n + 1
                meter.say(f"vsapisr: stopped; {path.name} was not finished, {left} of {len(inputs)} are left to do")
                raise typer.Exit(130) from None
            else:
                meter.say(line)
            done += pixels
            meter.update(done)
    del network
    return failed


def pixels_of(path: Path, wish: VideoSettings) -> int:
    """Of all frames of an image file that are enlarged."""
    from . import images
    from .animation import animated

    width, height = images.size(path)
    return width * height * min(animated(path), wish.frames or 1 << 30)


def forward(meter: Meter, done: float, pixels: float, share: float) -> None:
    """``share`` of an image of ``pixels`` is done, besides what was ``done`` before it."""
    meter.update(done + share * pixels)


def one(path: Path, target: Path, wish: VideoSettings, megapixels: int, told: Any) -> str:
    """Enlarge a file; a line that says so."""
    from . import images
    from .animation import animated, animation, upscale
    from .resizing import resized, wanted

    start, most = time.monotonic(), megapixels * 10**6
    if wish.frames != 1 and animated(path) > 1:
        film = animation(path, most, wish.frames)
        (w, h), size = (film.width, film.height), wanted(film.width, film.height, wish)
        width, height = upscale(film, target, wish.upscale, size, wish.kernel, told)
        frames = f"{len(film.times)} frames of {w}x{h} -> {width}x{height}"
        return f"{path} -> {target}, {frames}, {time.monotonic() - start:.1f} s"
    source = images.read(path, most)
    size = wanted(source.rgb.shape[1], source.rgb.shape[0], wish)
    result = resized(images.upscaled(source, wish.upscale, told), size, wish.kernel)
    images.write(result, target)
    part = f" (the first of {source.frames} frames)" if source.frames > 1 else ""
    (h, w), (height, width) = source.rgb.shape[:2], result.rgb.shape[:2]
    return f"{path}{part} -> {target}, {w}x{h} -> {width}x{height}, {time.monotonic() - start:.1f} s"


@app.command()
def info(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A name or a path, to see what it holds.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Of a MODEL: all that its file says, as it says it.")] = False,
) -> None:
    """Versions, devices, models and the plugin, or what is in a MODEL."""
    check_torch()
    with console().status("looking"):
        from . import info as about

        lines = list(about.overview() if model is None else about.inside(model, raw))
    for line in lines:
        typer.echo(line)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(published.PUBLISHED)}.")],
    force: Force = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Keep a file too whose SHA-256 is not the expected one.")
    ] = False,
) -> None:
    """Download a published model, so that model=NAME works. Nothing else uses the network."""
    output = console()
    if model := published.PUBLISHED.get(name):
        typer.echo(f"{name}: {model.licence}")
    with Meter(output, "MB") as meter:
        got = published.fetch(name, lambda done, total: meter.update(done, total, name), again=force, accept=accept)
    typer.echo(f"{'fetched' if got.fresh else 'already here'}: {got.path}")
    typer.echo(f"SHA-256 {got.sha256}, {published.verdict(published.PUBLISHED[name], got)}")
