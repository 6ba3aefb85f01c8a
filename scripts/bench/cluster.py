"""Two workers of a Ray cluster against one, each on a core of its own; and a season of a thousand episodes without
pixels: what planning and driving cost.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scripts.bench.chain import pictures
from scripts.bench.network import parse_sizes
from scripts.bench.timing import table
from scripts.clips import encode
from scripts.nodes import ray_nodes
from train.media.progress import Progress
from vsapisr.cluster.handing import Handing
from vsapisr.config import UpscaleConfig
from vsapisr.video.chunk import Place
from vsapisr.video.cluster import asked_of, crew_for, render_on
from vsapisr.video.places import Folder, write_json
from vsapisr.video.plan import Plan, Work, divide, prepare, silent
from vsapisr.video.settings import VideoSettings
from vsapisr.video.status import states
from vsapisr.video.times import Times

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", default="160x96", help="of the clip")
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--runs", type=int, default=3, help="of one worker and of two, in turn")
    parser.add_argument("--episodes", type=int, default=1000, help="planned and driven without pixels; 0 to leave out")
    parser.add_argument("--length", type=int, default=34000, help="frames of such an episode")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Both parts, as figures."""
    found: dict[str, Any] = {}
    if options.runs:
        found["workers"] = workers(options)
    if options.episodes:
        found["season"] = season(options.episodes, options.length)
    return found


def workers(options: argparse.Namespace) -> dict[str, Any]:
    """Frames per second of one worker and of two, the same hands in turn; without start, planning and joining."""
    (width, height), *_ = parse_sizes(options.size)
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name, ray_nodes(pinned=True) as cluster:
        folder = Path(name)
        encode(folder / "ep.mkv", pictures(width, height, options.frames), keyint=6)
        config = UpscaleConfig(device="cpu", reuse=0)
        settings = VideoSettings(upscale=config, encoder="libx264", preset="ultrafast", chunk=0.25)
        with crew_for(cluster.address, config) as crew:
            everyone = list(crew.members)
            for number in range(options.runs + 1):
                for count in rates:
                    work = prepare(folder / "ep.mkv", folder / f"{number}_{count}.mkv", settings)
                    crew.members = everyone[:count]
                    start = time.perf_counter()
                    render_on(crew)(work, work.missing(), Place(), silent)
                    rates[count].append(options.frames / (time.perf_counter() - start))
                    print(f"{count}: {rates[count][-1]:.3g} frames/s", flush=True)
            crew.members = everyone
    ratios = [two / one for one, two in zip(rates[1][1:], rates[2][1:])]  # the first are for warmth
    median = {count: statistics.median(found[1:]) for count, found in rates.items()}
    lines = [[f"{count}", f"{median[count]:.3g}"] for count in rates]
    print(table(["workers of one core", "frames/s"], lines))
    print(f"two against one: {statistics.median(ratios):.2f} ({', '.join(f'{one:.2f}' for one in ratios)})")
    return {"rates": rates, "ratios": ratios}


class Nowhere:
    """In Ray's place: whatever is handed out is done at once."""

    exceptions = SimpleNamespace(RayError=(), RayTaskError=(), RayActorError=())

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return refs[:1], refs[1:]

    def get(self, ref: Any) -> Any:
        return ref[1]


class Idle:
    """A crew of so many workers that do nothing."""

    def __init__(self, count: int):
        self.ray, self.looked = Nowhere(), time.monotonic()
        method = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda task=None: (object(), task)))
        self.members = [
            SimpleNamespace(node=SimpleNamespace(id=str(n)), actor=SimpleNamespace(run=method, news=method), ready=None,
                            news=None, load=0, gone=False)
            for n in range(count)
        ]  # fmt: skip

    def muster(self) -> None:
        self.looked = time.monotonic()

    def fit(self, *_: Any) -> bool:
        return True


def season(count: int, length: int) -> dict[str, Any]:
    """Plans of ``count`` episodes written, read and handed out to 64 workers, as the command does it."""
    seconds = {"plan": 0.0, "take up": 0.0, "hand out": 0.0}
    memory = []
    with tempfile.TemporaryDirectory() as name, Progress("episodes", count, "episodes") as progress:
        folder = Path(name)
        (folder / "ep.mkv").write_bytes(b"")
        for number in range(count):
            clocks = [time.perf_counter()]
            work = planned(folder, number, length)
            clocks.append(time.perf_counter())
            again = Work.at(work.folder.plan)
            missing, times = again.missing(), again.times()
            clocks.append(time.perf_counter())
            tasks = [(str(work.folder.plan), index) for index in missing]
            done = sum(1 for _ in Handing(Idle(64), "", asked_of(work), tasks, silent).run())  # type: ignore[arg-type]
            assert done == len(missing) == len(again.plan.chunks) and len(times.pts) == length
            clocks.append(time.perf_counter())
            for key, begin, end in zip(seconds, clocks, clocks[1:]):
                seconds[key] += end - begin
            memory.append(peak())
            progress.advance()
        chunks = len(again.plan.chunks)
        start = time.perf_counter()
        assert len(list(states(folder))) == count
        seconds["vsapisr status"] = time.perf_counter() - start
    lines = [[key, f"{value:.1f}", f"{value / count * 1000:.1f}"] for key, value in seconds.items()]
    print(f"{count} episodes of {length} frames, {chunks} chunks each")
    print(table(["what", "s in all", "ms for an episode"], lines))
    print(f"memory: {memory[0]:.0f} MB after the first, {memory[-1]:.0f} MB after the last")
    return {"episodes": count, "chunks": chunks, "seconds": seconds, "memory": [memory[0], memory[-1]]}


def planned(folder: Path, number: int, length: int) -> Work:
    """The plan of an episode that nobody has."""
    place = Folder.of(folder / f"ep{number:04}_4x.mkv")
    place.path.mkdir()
    settings = VideoSettings()
    pts = [round(n * 1001 / 24) for n in range(length)]
    Times(unit=Fraction(1, 1000), pts=pts, end=pts[-1] + 42).write(place.times)
    plan = Plan(
        layout=1, source=str(folder / "ep.mkv"), target=str(folder / f"ep{number:04}_4x.mkv"), identity={}, versions={},
        settings=settings, device="cpu", track=0, size=(2560, 1440), sar=(1, 1), pixel_format="yuv420p10le",
        tags={}, rate=(24000, 1001), threads=2, total=length,  # type: ignore[arg-type]
        chunks=tuple(divide(0, length, cuts(length), 120, 360)),
    )  # fmt: skip
    write_json(place.plan, plan.as_dict())
    return Work(place, replace(plan))


def cuts(length: int) -> list[int]:
    """I-frames every two seconds or so."""
    return list(range(0, length, 47))


def peak() -> float:
    """MB that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
