"""The demo: an anime clip, upscaled four times by ``core.apisr.Upscale`` in vspipe, with its sound, and a comparison.

python -m scripts.demo [PATH]: without PATH it draws and encodes a clip of its own first.
"""

from __future__ import annotations

import argparse
import errno
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.media.progress import Progress, clock
from vsapisr.errors import ArgumentError, VsapisrError

from ..cel import Painter, length
from ..clips import encode
from .before_after import before_after, frame_of, rgb
from .course import Course
from .transcode import PipeError, SourceInfo, VSPipe, excerpt, inspect, transcode

__all__ = ["Options", "main", "run_demo"]

UPSCALE = "clip = core.apisr.Upscale(clip{arguments})"
SCRIPT = """\
import vapoursynth as vs

core = vs.core
clip = core.bs.VideoSource({source!r}, cachepath={index!r})
clip = clip[:{frames}]
{upscale}
if clip.format.color_family == vs.RGB or clip.format.sample_type == vs.FLOAT:  # y4m holds YUV and gray integers
    clip = core.resize.Bicubic(clip, format=vs.YUV444P10, matrix={matrix}, range_s="limited")
clip.set_output()
"""
FACE = (0.50, 0.52)  # of the made-up clip's first shot


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    path: Path | None
    output: Path
    frames: int | None = None
    seconds: float | None = None
    height: int | None = None
    shot: str = "mixed"
    device: str = "auto"
    model: str | None = None
    crf: int = 16
    start: float = 0.0


def pick_device(device: str) -> str:
    """ "auto" -> "cuda" if torch sees one, else "cpu"."""
    if device != "auto":
        return device
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def own_clip(folder: Path, height: int, shot: str) -> Path:
    """Draw and encode the made-up clip; it is kept for the next time."""
    path = folder / f"cel_{shot}_{height}p.mkv"
    if path.exists():
        return path
    total = length(shot)
    progress = Progress(f"drawing {path.name}", total, "frames")

    def pictures():
        for n, picture in enumerate(Painter(height).frames(shot)):
            yield picture
            progress.to(n + 1)

    encode(path, pictures(), crf=23)
    progress.close()
    return path


def write_script(options: Options, source: Path, info: SourceInfo, frames: int, device: str, upscale: str) -> Path:
    """The .vpy file that vspipe runs."""
    arguments = f', device="{device}"' + (f", model={options.model!r}" if options.model else "")
    text = SCRIPT.format(
        source=str(source),
        index=str(options.output / "index"),
        frames=frames,
        matrix=info.matrix,
        upscale=upscale.format(arguments=arguments),
    )
    script = options.output / "upscale.vpy"
    script.write_text(text, encoding="utf-8")
    return script


def run_demo(options: Options, *, upscale: str = UPSCALE, say: Callable[[str], None] = print) -> Path:
    """Do everything; returns the video. ``upscale`` is the line of the script that enlarges; tests put another."""
    start = time.monotonic()
    options.output.mkdir(parents=True, exist_ok=True)
    device = pick_device(options.device)
    own = options.path is None
    source = own_clip(options.output, options.height or 360, options.shot) if own else options.path
    source = source.resolve()
    info = inspect(source)
    total, chosen = _how_many(options, info, device, own)
    name = source.stem
    if not own and (options.start > 0 or info.frames > 4 * total + 240):
        part = options.output / f"{name}_excerpt.mkv"
        excerpt(source, part, options.start, float(total / info.fps))
        source = part.resolve()
    say(
        f"source: {source.name}, {info.width}x{info.height}, {float(info.fps):.3f} fps"
        f"{', with sound' if info.audio else ', no sound'}; device: {device}"
    )
    script = write_script(options, source, info, total, device, upscale)
    target = options.output / ("upscaled.mkv" if own else f"{name}_4x.mkv")
    # The made-up clip is compared where the mouth is open; a video of the user's after its first seconds.
    course = Course(total, chosen, 4 if own else round(2 * info.fps), say)
    say("upscaling in vspipe (the first frame takes longest: loading, indexing)")
    with VSPipe(script, options.output / "vspipe.log") as pipe:
        frames = pipe.frames()
        count = transcode(frames, source, info, target, crf=options.crf, more=course.more)
        if count == course.total and count < total:
            frames.close()  # enough; vspipe would go on
        else:
            pipe.check()
            if count < total and options.frames is not None:
                say(f"the video ends after {count} frames")
    course.progress.close()
    picture = options.output / "before_after.png"
    result = rgb(course.kept, info.matrix)
    before_after(
        frame_of(source, course.kept_index, info.matrix),
        result,
        picture,
        FACE if own and options.shot in ("mixed", "talk") else None,
    )
    say(_summary(course, info, target, picture, result, time.monotonic() - start))
    return target


def _how_many(options: Options, info: SourceInfo, device: str, own: bool) -> tuple[int, bool]:
    """(frames to ask for, whether the number stands). On a CPU it is settled once the rate is known."""
    known = info.frames or 1_000_000
    if options.frames is not None:
        return min(known, options.frames), True
    if options.seconds is not None:
        return min(known, max(1, round(options.seconds * info.fps))), True
    if own:
        return known, device != "cpu"
    return min(known, round(10 * info.fps)), device != "cpu"


def _summary(course: Course, info: SourceInfo, target: Path, picture: Path, result: np.ndarray, spent: float) -> str:
    size = f"{info.width}x{info.height} -> {result.shape[1]}x{result.shape[0]}"
    return (
        f"done: {course.done} frames {size}, {course.fps:.3g} frames/s after the first, {clock(spent)} in all\n"
        f"  video:      {target} ({target.stat().st_size / 1e6:.1f} MB{', sound kept' if info.audio else ''})\n"
        f"  comparison: {picture}"
    )


def parse(argv: list[str] | None) -> Options:
    """Command line -> Options."""
    parser = argparse.ArgumentParser(prog="demo", description="Upscale an anime clip four times through VapourSynth.")
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a video of yours (default: a made-up clip)")
    root = Path(__file__).resolve().parents[2]
    parser.add_argument(
        "--output", type=Path, default=root / "demo", metavar="FOLDER", help="default: demo/ in the checkout"
    )
    parser.add_argument(
        "--frames",
        type=int,
        help="how many frames (default: all of the made-up clip, 10 s of your video; "
        "on a CPU what takes about two minutes)",
    )
    parser.add_argument("--seconds", type=float, help="the same in seconds of video")
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="where in your video to begin")
    parser.add_argument(
        "--scale-height",
        type=int,
        dest="height",
        metavar="ROWS",
        help="height of the made-up clip (default 360)",
    )
    parser.add_argument("--shot", default="mixed", help="part of the made-up clip: talk, slide, pan, title or mixed")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    parser.add_argument("--model", help="as in core.apisr.Upscale")
    parser.add_argument("--crf", type=int, default=16, help="x264 quality of the result (default 16)")
    args = parser.parse_args(argv)
    if args.frames is not None and args.frames < 1:
        parser.error(f"--frames is {args.frames}; accepted is 1 or more")
    if args.seconds is not None and not args.seconds > 0:
        parser.error(f"--seconds is {args.seconds}; accepted is more than 0")
    return Options(**vars(args))


def main(argv: list[str] | None = None) -> int:
    """Command line; 1 and one clear message if something fails."""
    options = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of the clean-up, so nothing half-written stays
    try:
        run_demo(options, say=lambda text: print(text, flush=True))
    except (PipeError, VsapisrError, ArgumentError, ValueError, KeyError) as error:
        print(f"demo: {error.args[0] if error.args else error}", file=sys.stderr)
        return 1
    except OSError as error:
        full = error.errno == errno.ENOSPC
        print(f"demo: {'the disk is full; nothing half-written was kept' if full else error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
