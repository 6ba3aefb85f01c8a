"""The demo: an anime clip, upscaled four times as ``vsapisr upscale`` does it, with its sound, and a comparison.

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
from typing import Any

import numpy as np

from train.media.progress import Progress, clock
from vsapisr.config import UpscaleConfig
from vsapisr.errors import ArgumentError, VsapisrError
from vsapisr.video import plan, run
from vsapisr.video.clip import from_source
from vsapisr.video.probe import probe
from vsapisr.video.settings import VideoSettings

from ..cel import Painter, length
from ..clips import encode
from .before_after import before_after, frame_of
from .excerpt import SourceInfo, excerpt, inspect

__all__ = ["Options", "main", "run_demo"]

PROBE_SECONDS, BUDGET_SECONDS, FEWEST = 10.0, 120.0, 8
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


def run_demo(options: Options, *, say: Callable[[str], None] = print) -> Path:
    """Do everything; returns the video."""
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
        short = options.output / f"{name}_excerpt.mkv"
        excerpt(source, short, options.start, float(total / info.fps))
        source = short.resolve()
        total = min(total, inspect(source).frames or total)
    say(
        f"source: {source.name}, {info.width}x{info.height}, {float(info.fps):.3f} fps"
        f"{', with sound' if info.audio else ', no sound'}; device: {device}"
    )
    say("upscaling (the first frame takes longest: loading, indexing)")
    config = UpscaleConfig(device=device, **({"model": options.model} if options.model else {}))
    if not chosen:
        total = _fitting(source, config, options, total, say)
    part = total if total < info.frames else None
    settings = VideoSettings(upscale=config, encoder="libx264", crf=options.crf, preset="medium", frames=part)
    target = options.output / ("upscaled.mkv" if own else f"{name}_4x.mkv")
    course = Course(total)
    done = run.upscale_video(source, target, settings, force=True, told=course.told)
    course.progress.close()
    if done.frames < total and options.frames is not None:
        say(f"the video ends after {done.frames} frames")
    # The made-up clip is compared where the mouth is open; a video of the user's after its first seconds.
    index = min(4 if own else round(2 * info.fps), done.frames - 1)
    picture, result = options.output / "before_after.png", frame_of(target, index)
    focus = FACE if own and options.shot in ("mixed", "talk") else None
    before_after(frame_of(source, index), result, picture, focus)
    say(_summary(course, info, target, picture, result, time.monotonic() - start))
    return target


class Course:
    """Counts frames and shows how far they are."""

    def __init__(self, total: int) -> None:
        self.progress = Progress("upscaling", total, "frames")
        self.done, self.first, self.last = 0, 0.0, 0.0

    def told(self, event: dict[str, Any]) -> None:
        if event["event"] == "frame":
            self.done += 1
            self.last = time.monotonic()
            self.first = self.first or self.last
            self.progress.to(self.done)

    @property
    def fps(self) -> float:
        """Rate after the first frame, without the start-up."""
        return (self.done - 1) / (self.last - self.first) if self.last > self.first else 0.0


def _fitting(source: Path, config: UpscaleConfig, options: Options, total: int, say: Callable[[str], None]) -> int:
    """How many of ``total`` frames a slow machine makes in two minutes, by the rate of the first ones."""
    clip = from_source(source, probe(source).track, options.output / "index")[0]
    node = plan.enlarged(clip, VideoSettings(), (4 * clip.width, 4 * clip.height), int(clip.format.id), config)
    node.get_frame(0).close()
    begin = time.monotonic()
    for n in range(1, min(total, clip.num_frames)):
        node.get_frame(n).close()
        if (spent := time.monotonic() - begin) > PROBE_SECONDS:
            fitting = max(FEWEST, round(n / spent * BUDGET_SECONDS))
            if fitting < total:
                rate = f"{n / spent:.2g} frames/s on this machine"
                say(f"{rate}: taking the first {fitting} of {total} frames (--frames N chooses)")
            return min(total, fitting)
    return total


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
    except (VsapisrError, ArgumentError, ValueError, KeyError) as error:
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
