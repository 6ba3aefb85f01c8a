"""Reuse of tiles on made-up cel animation: frames per second, quality, and what looking for equal tiles costs.

Clips are drawn and encoded here. By default a small random network of the same kind is used, so that whole clips take
minutes on a CPU; looking costs as much as with a real one, so the gain is larger with that (``--model default``).
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs

from scripts.cel import MIXED, SHOTS, Painter
from scripts.clips import encode
from scripts.stress.networks import small_network
from scripts.worn import WEARS, wear
from train.media.progress import Progress
from vsapisr.config import UpscaleConfig
from vsapisr.libav import url
from vsapisr.picture.colour import YUV, Format
from vsapisr.reuse.hold import held
from vsapisr.reuse.signature import signature

from .timing import alternating, table, wall

YUV420 = Format(YUV, 0, 8, 1, 1)
SEGMENT = UpscaleConfig.interval
FORMS = ("reuse=0", "reuse=1", "reuse=2", "whole frames")
BARS = {"talk": {"reuse=1": 3.0}, "mixed": {"reuse=1": 1.8, "reuse=2": 2.3}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="name or file (a small random network by default)")
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--part", type=float, default=1.0, help="of each shot, from its beginning")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--crf", type=int, default=18)
    parser.add_argument("--wear", choices=WEARS, help="of the drawn clips (scripts/worn.py), instead of --crf alone")
    parser.add_argument(
        "--quality", type=int, default=0, metavar="N", help="frames to measure PSNR on, with the shipped network"
    )
    parser.add_argument("--thresholds", type=float, nargs="+", default=[1.0], help="of reuse=2, for the quality")
    parser.add_argument("--clips", nargs="+", default=["talk", "mixed", "noise"], choices=["talk", "mixed", "noise"])
    parser.add_argument("--frames", type=int, default=0, help="at most, of each clip; 0: all")
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=FORMS, help="that are compared")


def shots(name: str, options: argparse.Namespace) -> list[tuple[str, int]]:
    """(shot, frame) of each frame of a clip."""
    names = MIXED if name == "mixed" else (name,)
    places = [(shot, n) for shot in names for n in range(max(2, round(SHOTS[shot].frames * options.part)))]
    return places[: options.frames or None]


def drawn(name: str, options: argparse.Namespace, folder: Path) -> vs.VideoNode:
    """The clip, decoded into memory, so that decoding is no part of what is measured."""
    if name == "noise":
        frames, rng = [], np.random.default_rng(0)
        for _ in range(max(2, round(24 * options.part))):
            width = options.height * 16 // 9
            frames.append([rng.integers(16, 236, (options.height >> s, width >> s), dtype=np.uint8) for s in (0, 1, 1)])
        blank = vs.core.std.BlankClip(width=width, height=options.height, format=vs.YUV420P8, length=len(frames))
        clip = blank.std.ModifyFrame(blank, lambda n, f: filled(f.copy(), frames[n]))
    else:
        painter, path = Painter(options.height), folder / f"{name}.mkv"
        pictures = (painter.frame(*place) for place in shots(name, options))
        if options.wear:
            wear(path, list(pictures), WEARS[options.wear])
        else:
            encode(path, pictures, crf=options.crf, audio=False)
        clip = vs.core.bs.VideoSource(url(path), cachepath=str(folder / name))
    kept = [frame.copy() for frame in clip.frames()]
    return clip.std.ModifyFrame(clip.std.BlankClip(), lambda n, f: kept[n])


def filled(frame: vs.VideoFrame, planes: list[np.ndarray]) -> vs.VideoFrame:
    for plane, values in enumerate(planes):
        np.asarray(frame[plane])[:] = values
    return frame


def forms(clip: vs.VideoNode, model: str, names: list[str]) -> dict[str, dict]:
    """Arguments of what is compared."""
    whole = [-(-clip.width // 8) * 8, -(-clip.height // 8) * 8]
    given = {
        "reuse=0": {"reuse": 0},
        "reuse=1": {"reuse": 1},
        "reuse=2": {"reuse": 2},
        "whole frames": {"reuse": 0, "tilesize": whole},
    }
    return {name: {"model": model} | given[name] for name in names}


def speed(name: str, clip: vs.VideoNode, options: argparse.Namespace, model: str) -> dict:
    """Frames per second of each form, and the share taken over."""
    shares: dict[str, float] = {}

    def play(form: str, clip: vs.VideoNode, arguments: dict) -> None:
        shares[form] = statistics.fmean(
            frame.props["ApisrReused"] for frame in clip.apisr.Upscale(**arguments).frames(prefetch=2)
        )

    given = forms(clip, model, options.forms)
    for form, arguments in given.items():  # not measured; a whole clip would take as long as a measurement
        play(form, clip[:2], arguments)
    runs = {
        form: lambda form=form, arguments=arguments: play(form, clip, arguments) for form, arguments in given.items()
    }
    seconds = alternating(runs, options.runs, wall, name, warm=False)
    result, rows = {}, []
    for form, found in seconds.items():
        rate = clip.num_frames / statistics.median(found)
        ratio, against = (over(seconds, other, found) for other in ("reuse=0", "whole frames"))
        result[form] = {"fps": rate, "against_reuse_0": ratio, "against_whole_frames": against, "reused": shares[form]}
        bar = None if options.wear else BARS.get(name, {}).get(form)
        rows.append(
            [
                form,
                f"{rate:.3f}",
                f"{ratio:.2f}" + (f" (bar {bar})" if bar else ""),
                f"{against:.2f}",
                f"{shares[form]:.0%}",
            ]
        )
    print(f"{name}: {clip.num_frames} frames of {clip.width}x{clip.height}")
    print(table([name, "frames/s", "against reuse=0", "against whole frames", "taken over"], rows))
    return result


def over(seconds: dict[str, list[float]], other: str, found: list[float]) -> float:
    """Median of the turns' ratios: how many times as fast as ``other``; NaN where that was not asked for."""
    return statistics.median(a / b for a, b in zip(seconds.get(other, [math.nan] * len(found)), found))


def looking(clip: vs.VideoNode, result: dict) -> dict:
    """What is done besides upscaling, and its share of a frame's time."""
    found: dict[str, list[float]] = {"signature": [], "hold": []}
    frames = [[np.asarray(plane) for plane in frame] for frame in clip.frames()]
    for planes in frames:
        found["signature"].append(wall(lambda planes=planes: signature(planes, YUV420)))
    for n in range(0, len(frames), SEGMENT):
        segment = frames[n : n + SEGMENT]
        found["hold"].append(wall(lambda segment=segment: held(segment, YUV420, 1.0)) / len(segment))
    shares = {}
    for name, form in (("signature", "reuse=1"), ("hold", "reuse=2")):
        if form not in result:
            continue
        seconds = statistics.median(found[name])
        shares[name] = {"milliseconds": seconds * 1e3, "share": seconds * result[form]["fps"]}
        print(f"  {name}: {seconds * 1e3:.2f} ms a frame, {shares[name]['share']:.2%} of the time with {form}")
    return shares


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(np.float32) - b) ** 2), 1e-9)))


def quality(name: str, clip: vs.VideoNode, options: argparse.Namespace) -> dict:
    """PSNR of the luma of some frames: reuse=2 against reuse=0, and both against the clean drawings in the final
    size.
    """
    count, start = clip.num_frames, time.monotonic()
    wanted = sorted({round((k + 0.5) * count / options.quality) for k in range(options.quality)})
    original = Painter(options.height * 4)
    sums = {}
    with Progress(f"quality of {name}", len(wanted) * (1 + len(options.thresholds)), "frames") as progress:

        def enlarged(**arguments: float) -> list[np.ndarray]:
            node, got = clip.apisr.Upscale(**arguments), []
            for n in wanted:
                got.append(np.asarray(node.get_frame(n)[0]).copy())
                progress.advance()
            return got

        plain = enlarged(reuse=0)
        clean = [grey(original.frame(*shots(name, options)[n])) for n in wanted]
        before = statistics.fmean(map(psnr, plain, clean))
        for threshold in options.thresholds:
            near = enlarged(reuse=2, threshold=threshold)
            sums[threshold] = {
                "against_reuse_0": min(map(psnr, near, plain)),
                "clean": before,
                "change_against_clean": statistics.fmean(map(psnr, near, clean)) - before,
            }
    for threshold, got in sums.items():
        print(
            f"  threshold {threshold:g}: at least {got['against_reuse_0']:.1f} dB against reuse=0 on {len(wanted)} "
            f"frames; against "
            f"the drawings {got['clean']:.2f} dB, reuse=2 {got['change_against_clean']:+.3f} "
            f"({time.monotonic() - start:.0f} s)"
        )
    return {str(threshold): got for threshold, got in sums.items()}


def grey(picture: np.ndarray) -> np.ndarray:
    """Luma of BT.601 in limited range, as the clips have it."""
    return np.rint(16 + 219 / 255 * (picture @ np.array([0.299, 0.587, 0.114])))


def run(options: argparse.Namespace) -> dict:
    torch.manual_seed(0)
    result: dict = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or small_network(name)
        for clip_name in options.clips:
            clip = drawn(clip_name, options, folder)
            result[clip_name] = {"speed": speed(clip_name, clip, options, model)}
            result[clip_name]["looking"] = looking(clip, result[clip_name]["speed"])
            if options.quality and clip_name != "noise":
                result[clip_name]["quality"] = quality(clip_name, clip, options)
        vs.clear_outputs()
    return result
