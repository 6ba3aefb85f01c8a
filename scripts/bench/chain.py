"""The whole chain, from a file through BestSource and the filter to a pipe, against the network alone in turn with
it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import psutil
import torch

from scripts.bench.network import parse_sizes
from scripts.bench.timing import table
from scripts.clips import encode
from scripts.stress.networks import small_network
from scripts.vspipe import VSPipe
from vsapisr.config import SCALE, UpscaleConfig
from vsapisr.engine.frame import Conversion, Job
from vsapisr.engine.upscaler import Upscaler
from vsapisr.picture.colour import Format, resolve
from vsapisr.picture.planes import read_tile, write_tile

SOURCE = Format(3, 0, 8, 1, 1)  # YUV420P8
SCRIPT = """\
import vapoursynth as vs

clip = vs.core.bs.VideoSource({source!r}, cachepath={index!r})
{upscale}
clip.set_output()
"""


def pictures(width: int, height: int, count: int) -> Iterator[np.ndarray]:
    """No two alike anywhere, so that nothing can be taken over from an earlier frame."""
    y, x = np.mgrid[:height, :width]
    for n in range(count):
        waves = [127 + 120 * np.sin(x / (9 + c) + y / (13 - c) + 0.9 * n + c) for c in range(3)]
        yield np.stack(waves, axis=-1).astype(np.uint8)


def planes(width: int, height: int, scale: int = 1) -> list[np.ndarray]:
    """Of a gray YUV420P8 frame."""
    sides = [(height, width)] + [((height + 1) // 2, (width + 1) // 2)] * 2
    return [np.full((h * scale, w * scale), 128, np.uint8) for h, w in sides]


class Pipe:
    """vspipe on a script; ``intervals`` gives the seconds between frames, ``peak`` bytes of it and what it launched."""

    def __init__(self, folder: Path, source: Path, upscale: str):
        script = folder / "chain.vpy"
        script.write_text(
            SCRIPT.format(source=str(source), index=str(folder / "index"), upscale=upscale), encoding="utf-8"
        )
        self.pipe, self.peak, self.ended = VSPipe(script, folder / "vspipe.log"), 0, threading.Event()

    def watch(self) -> None:
        while not self.ended.wait(0.05):
            try:
                own = psutil.Process(self.pipe.process.pid)
                resident = sum(process.memory_info().rss for process in [own, *own.children(recursive=True)])
            except psutil.Error:
                continue
            self.peak = max(self.peak, resident)

    def intervals(self, size: int) -> list[float]:
        """``size``: bytes of a frame. The first frame, before which all is loaded, is not among them."""
        watcher, stamps, out = threading.Thread(target=self.watch), [], self.pipe.process.stdout
        watcher.start()
        try:
            out.readline()
            while out.readline():
                if len(out.read(size)) == size:
                    stamps.append(time.perf_counter())
            self.pipe.check()
        finally:
            self.ended.set()
            watcher.join()
            self.pipe.close()
        return list(np.diff(stamps))


def parts(upscaler: Upscaler, width: int, height: int, frames: int) -> dict[str, float]:
    """Seconds a frame of each part of the filter, one after the other, in this process; the median of ``frames``."""
    source, target = planes(width, height), planes(width, height, SCALE)
    colour, large = resolve(SOURCE, {}, width, height), resolve(SOURCE, {}, width * SCALE, height * SCALE)
    engine, seen = upscaler.engine, []

    def timed(name: str, step: Callable, *arguments: object) -> object:
        start = time.perf_counter()
        result = step(*arguments)
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
        return result

    with torch.inference_mode():
        for _ in range(frames + 1):
            seconds: dict[str, float] = {}
            for tile in upscaler.plan:
                samples = timed("planes to tiles", read_tile, source, SOURCE, tile)
                job = Job(engine, samples, Conversion(SOURCE, colour, SOURCE, large), tile)
                rgb = timed("to RGB", engine.prepare, job, samples)
                enlarged = timed("network", engine.network, rgb)
                out = timed("from RGB", engine.finish, job, samples, enlarged)
                timed("tiles to planes", write_tile, target, SOURCE, tile, SCALE, out)
            seen.append(seconds)
    return {name: statistics.median(seconds[name] for seconds in seen[1:]) for name in seen[0]}


def measure(width: int, height: int, model: str, options: argparse.Namespace) -> dict[str, object]:
    frames, rounds = options.frames, options.rounds
    config = UpscaleConfig(model=model, device=options.device, precision=options.precision)
    upscaler = Upscaler(config, width, height, SOURCE, SOURCE)
    filter_call = (
        f"clip = clip.apisr.Upscale(model={model!r}, device={options.device!r}, precision={options.precision!r})"
    )
    size = width * height * 3 // 2
    figures: dict[str, list[float]] = {"decode": [], "network": [], "whole": []}
    peak = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source.mkv"
        encode(source, pictures(width, height, frames), audio=False, preset="ultrafast")
        Pipe(folder, source, "").intervals(size)  # makes BestSource's index
        for n in range(rounds):
            print(f"round {n + 1} of {rounds}", flush=True)
            own = parts(upscaler, width, height, max(frames // 4, 1))
            figures["network"].append(own["network"])
            figures["decode"] += Pipe(folder, source, "").intervals(size)
            whole = Pipe(folder, source, filter_call)
            figures["whole"] += whole.intervals(size * SCALE**2)
            figures["network"].append(parts(upscaler, width, height, max(frames // 4, 1))["network"])
            peak = max(peak, whole.peak)
    upscaler.close()
    # Frames come in bursts where several are on their way: the mean of all intervals, not their median.
    seconds = {name: statistics.mean(values) for name, values in figures.items()}
    seconds["network"] = statistics.median(figures["network"])
    return {
        "size": f"{width}x{height}", "seconds": seconds, "parts": own, "share": seconds["network"] / seconds["whole"],
        "peak_bytes": peak, "frame_bytes": size, "output_bytes": size * SCALE**2, "tiles": len(upscaler.plan),
    }  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=parse_sizes, default="320x180", help="of the source (%(default)s)")
    parser.add_argument("--frames", type=int, default=8, help="of the clip, at least 2")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="default")
    parser.add_argument("--tiny", action="store_true", help="a small random network: for the memory of large frames")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Print the tables; return what they hold."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # for vspipe's torch
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, threads):
        model = small_network(folder) if options.tiny else options.model
        rows = [measure(*size, model, options) for size in options.sizes]
    for row in rows:
        print(
            f"{row['size']}, {row['tiles']} tiles: vspipe at {row['share']:.0%} of the network's own rate; "
            f"peak of its process {row['peak_bytes'] / 2**20:.0f} MiB; a frame is {row['frame_bytes'] / 2**20:.1f} MiB "
            f"in, {row['output_bytes'] / 2**20:.1f} MiB out"
        )
        lines = [[name, f"{value * 1e3:.1f}", f"{1 / value:.2f}"] for name, value in row["seconds"].items()]
        print(table(["chain", "ms a frame", "fps"], lines))
        total = sum(row["parts"].values())
        print(
            table(
                ["part of the filter, one after the other", "ms a frame", "share"],
                [[name, f"{value * 1e3:.1f}", f"{value / total:.1%}"] for name, value in row["parts"].items()],
            )
        )
    return {"rows": rows}
