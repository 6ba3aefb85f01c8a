"""``vsapisr upscale`` of a small episode against ``vspipe`` alone on the same clip, in turn, as whole commands.

The episode is made-up animation with a sound, ASS subtitles, a font and chapters. vspipe renders it to nowhere; the
command encodes it, copies the rest, joins and checks. What the encoder takes of the cores is part of the difference.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from scripts.cel import Painter
from scripts.clips import FILM, encode
from scripts.stress.kills import CALL
from scripts.stress.networks import small_network
from scripts.vspipe import VSPipe
from vsapisr.libav import url

from .timing import table

__all__ = ["add_arguments", "run"]

ASS = b"[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
MS = Fraction(1, 1000)
SCRIPT = """\
import vapoursynth as vs
clip = vs.core.bs.VideoSource({source!r}, cachepath={index!r})
clip.apisr.Upscale(model={model!r}, device={device!r}, format=vs.YUV420P10).set_output()
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="name or file (a small random network by default)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--seconds", type=float, default=24.0)
    parser.add_argument("--shot", default="mixed")
    parser.add_argument("--encoder", default="libx264")
    parser.add_argument("--preset", default="ultrafast")
    parser.add_argument("--runs", type=int, default=3, help="of both, in turn, after one of each")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Frames a second of both commands, from their start to their end, and of the rendering alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, count = made(folder, options)
        model = options.model or small_network(folder)
        script = folder / "pipe.vpy"
        script.write_text(
            SCRIPT.format(source=str(source), index=str(folder / "index"), model=model, device=options.device)
        )
        rates: dict[str, list[float]] = {"vspipe": [], "vsapisr upscale": [], "its rendering": []}
        for number in range(options.runs + 1):
            whole, rendering = upscaled(source, folder / f"{number}.mkv", model, options)
            for key, seconds in zip(rates, (piped(script, folder, count), whole, rendering), strict=True):
                rates[key].append(count / seconds)
            print(", ".join(f"{key} {found[-1]:.3g}" for key, found in rates.items()), "frames/s", flush=True)
        same(source, folder / "0.mkv")
    ratios = {
        key: [mine / theirs for mine, theirs in zip(found[1:], rates["vspipe"][1:])]
        for key, found in rates.items()
        if key != "vspipe"
    }
    lines = [
        [key, f"{statistics.median(found[1:]):.3g}", f"{statistics.median(ratios[key]):.3f}" if key in ratios else ""]
        for key, found in rates.items()
    ]
    print(f"{count} frames, streams and times kept")
    print(table(["what", "frames/s", "of vspipe's"], lines))
    return {"frames": count, "rates": rates, "ratios": ratios}


def made(folder: Path, options: argparse.Namespace) -> tuple[Path, int]:
    """The episode and its number of frames."""
    count = max(2, round(options.seconds * FILM))
    encode(folder / "bare.mkv", Painter(options.height).frames(options.shot, count), crf=18)
    path = folder / "episode.mkv"
    with av.open(url(folder / "bare.mkv")) as bare, av.open(url(path), "w") as out:
        streams: dict[int, Any] = {s.index: out.add_stream_from_template(s) for s in bare.streams}
        text = out.add_stream("ass")
        text.codec_context.extradata = ASS
        out.add_attachment("Letters.ttf", "application/x-truetype-font", b"\0\1\0\0" + bytes(range(256)) * 40)
        half = int(options.seconds * 500)
        parts = ((0, half, "Opening"), (half, 2 * half, "Part A"))
        out.set_chapters(
            [
                {"id": n + 1, "start": start, "end": end, "time_base": MS, "metadata": {"title": title}}
                for n, (start, end, title) in enumerate(parts)
            ]
        )
        for packet in bare.demux():
            if packet.size:  # the last one only says that there are no more
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
        for n in range(int(options.seconds)):
            line = av.Packet(f"{n},0,Default,,0,0,0,,line {n}".encode())
            line.stream, line.pts, line.dts, line.duration, line.time_base = text, 1000 * n, 1000 * n, 900, MS
            out.mux(line)
    return path, count


def piped(script: Path, folder: Path, count: int) -> float:
    """Seconds that vspipe takes for all frames."""
    start = time.perf_counter()
    with VSPipe(script, folder / "log") as pipe:
        while os.read(pipe.process.stdout.fileno(), 1 << 20):  # type: ignore[union-attr]
            pass
        pipe.check()
    return time.perf_counter() - start


def upscaled(source: Path, target: Path, model: str, options: argparse.Namespace) -> tuple[float, float]:
    """Seconds of the command, and of it those between the plan and the joining."""
    words = ["--encoder", options.encoder, "--preset", options.preset, "--pixel-format", "yuv420p10le", "--json"]
    command = [sys.executable, "-c", CALL, "upscale", str(source), "--output", str(target), "--model", str(model)]
    start, moments = time.perf_counter(), dict[str, float]()
    with subprocess.Popen([*command, "--device", options.device, *words], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            moments[json.loads(line)["event"]] = time.perf_counter()
    if child.returncode:
        raise SystemExit(f"vsapisr upscale ended with status {child.returncode}")
    return time.perf_counter() - start, moments["join"] - moments["plan"]


def same(source: Path, target: Path) -> None:
    """Streams, their packets' times and chapters are those of the source, or an error."""
    said = [about(path) for path in (source, target)]
    if said[0] != said[1]:
        raise SystemExit(f"the result differs from its source: {said[1]} instead of {said[0]}")


def about(path: Path) -> dict[str, Any]:
    """Kinds of streams, milliseconds of their packets, chapters."""
    with av.open(url(path)) as file:
        kinds = [stream.type for stream in file.streams]
        times: dict[int, list[int]] = {stream.index: [] for stream in file.streams}
        for packet in file.demux():
            if packet.pts is not None:
                times[packet.stream.index].append(round(1000 * packet.pts * packet.time_base))
        chapters = [(c["start"], c["end"], c["metadata"]) for c in file.chapters()]
    return {"kinds": kinds, "times": {index: sorted(found) for index, found in times.items()}, "chapters": chapters}
