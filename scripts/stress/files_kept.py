"""What a person or an earlier run wrote: configurations, strike lists, manifests, plans of videos, checkpoints."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from .case import Outcome
from .damage import asked, damaged, special
from .fixtures import drawn, place, small, video

__all__ = ["kept", "training"]

NONSENSE: tuple[Any, ...] = (None, -1, 0, 2**70, 0.5, "", "x\ny", "../../outside", [], [[1]], {}, {"a": 1}, True, "1")
CONFIGS = Path(__file__).parents[2] / "train" / "configs"


def spoilt(value: Any, rng: random.Random) -> Any:
    """A structure with one part taken out, or replaced by something of another kind."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value, key=str))
        if rng.random() < 0.25:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: spoilt(value[key], rng)}
    if isinstance(value, list | tuple) and value and rng.random() < 0.7:
        number = rng.randrange(len(value))
        return type(value)([*value[:number], spoilt(value[number], rng), *value[number + 1 :]])
    return rng.choice(NONSENSE)


def configuration(rng: random.Random, folder: Path) -> tuple[str, Callable[[], object]]:
    """A TOML file of one of the steps, damaged or put before another step."""
    from train.__main__ import STEPS, find
    from train.settings import load

    path, step = folder / "config.toml", rng.choice(sorted(STEPS))
    source = rng.choice(sorted(CONFIGS.glob("*.toml")))
    data = source.read_bytes()
    path.write_bytes(damaged(data, rng) if rng.random() < 0.8 else data)
    if rng.random() < 0.05:
        path.unlink()
        special(path, rng)
    return f"{source.name} for {step}", lambda: load(find(STEPS[step][0]), path)


def curated_once() -> dict[str, Any]:
    return {"videos": str(place() / "curated-videos"), "height": 64, "threads": 1,
            "selection": {"topk": 2, "minimum_side": 16}}  # fmt: skip


@cache
def curated() -> Path:
    from train.curation.config import CurateConfig
    from train.curation.curate import curate
    from train.settings import build

    videos = place() / "curated-videos"
    videos.mkdir()
    shutil.copy(video("ffv1.mkv"), videos / "a.mkv")
    out = place() / "curated"
    with contextlib.redirect_stderr(io.StringIO()):
        curate(build(CurateConfig, {**curated_once(), "out": str(out)}))
    return out


def manifest(rng: random.Random, folder: Path) -> tuple[str, Callable[[], object]]:
    """A folder of ``curate`` whose manifest or strike list is damaged, another version's, or points outside."""
    from train.curation.config import CurateConfig
    from train.curation.curate import curate
    from train.settings import build

    out, outside = folder / "deep" / "out", folder / "outside.png"
    shutil.copytree(curated(), out)
    outside.write_text("mine")
    kind = rng.choice(["bytes", "strikes", "version", "outside", "rows", "mark"])
    if kind == "bytes":
        path = out / "manifest.sqlite"
        path.write_bytes(damaged(path.read_bytes(), rng))
    elif kind == "strikes":
        path = out / "strike.txt"
        path.write_bytes(rng.choice([damaged(path.read_bytes(), rng), rng.randbytes(5000), b"../../outside.png\n"]))
    elif kind == "mark":
        (out / ".train.json").write_text(json.dumps(rng.choice(NONSENSE)), encoding="utf-8")
    else:
        with contextlib.closing(sqlite3.connect(out / "manifest.sqlite")) as db, db:
            spoil_rows(db, kind, rng)

    def run() -> None:
        try:
            curate(build(CurateConfig, {**curated_once(), "out": str(out)}))
        finally:
            assert outside.read_text() == "mine", "a file outside was touched"

    return f"manifest, {kind}", run


def spoil_rows(db: sqlite3.Connection, kind: str, rng: random.Random) -> None:
    if kind == "version":
        db.execute(f"PRAGMA user_version = {rng.choice([0, 2, 77, -1])}")
    elif kind == "outside":  # as if it had been chosen once, and were no longer
        name = rng.choice(["../../outside.png", "../outside.png", "/etc/hostname", "..", "", "a/b"])
        db.execute("INSERT INTO files VALUES (?, NULL, '', 1)", (name,))
    else:
        table = rng.choice(["videos", "frames", "scores", "decisions", "files"])
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] not in ("id", "frame")]
        value = rng.choice([1, -(2**62), 1.5, "x", "../../outside.png", b"\xff\x00", 2**62])
        with contextlib.suppress(sqlite3.Error):
            db.execute(f"UPDATE {table} SET {rng.choice(columns)} = ?", (value,))


class Stopped(Exception):
    """As a kill would leave it."""


def enlarge(target: Path, stop: bool = False) -> None:
    from vsapisr.config import UpscaleConfig
    from vsapisr.video.run import render, upscale_video
    from vsapisr.video.settings import VideoSettings

    def first(work: Any, missing: list[int], where: Any, told: Any) -> None:
        render(work, missing[:1], where, told)
        raise Stopped

    settings = VideoSettings(
        upscale=UpscaleConfig(model=str(small()), device="cpu"), encoder="libx264", preset="ultrafast", chunk=0.2
    )
    upscale_video(video("h264.mkv"), target, settings, render=first if stop else render)


@cache
def half_done() -> Path:
    """The folder beside a video's result, after the first of its chunks."""
    target = place() / "half" / "large.mkv"
    target.parent.mkdir()
    with contextlib.suppress(Stopped):
        enlarge(target, stop=True)
    return target.parent


def plan(rng: random.Random, folder: Path) -> tuple[str, Callable[[], object]]:
    """The parts of a video's work, one of them damaged, spoilt or gone; then the command again."""
    out = folder / "out"
    shutil.copytree(half_done(), out)
    path = rng.choice(sorted(path for path in out.rglob("*") if path.is_file()))
    kind = rng.choice(["spoilt", "spoilt", "damaged", "gone", "special"])
    if kind == "spoilt" and path.suffix == ".json":
        path.write_text(json.dumps(spoilt(json.loads(path.read_text()), rng)), encoding="ascii")
    elif kind == "gone":
        path.unlink()
    elif kind == "special":
        path.unlink()
        kind = special(path, rng)
    else:
        path.write_bytes(damaged(path.read_bytes(), rng))

    def run() -> None:
        import av

        from vsapisr.libav import url

        target = out / "large.mkv"
        try:
            enlarge(target)
        finally:
            if target.exists():
                with av.open(url(target)) as file:
                    assert len(list(file.decode(video=0))) == 16, "frames are missing"

    return f"{path.name}, {kind}", run


def training(out: Path, **more: Any) -> Any:
    """The configuration of a run of two iterations."""
    from train.fit.config import FitConfig
    from train.settings import build, merged

    drawings = place() / "drawings"
    if not drawings.exists():
        drawings.mkdir()
        for number in range(2):
            Image.fromarray(drawn(number, 136, 128)).save(drawings / f"{number}.png")
    network = {"dim": 8, "depths": [1], "heads_window": 1, "heads_stripe": 1, "mlp_dim": 8, "bias_dim": 8}
    data = {"folder": str(drawings), "batch": 2, "patch": 16, "pool": 1, "per_image": 2, "workers": 0,
            "degradation": {"easy": {"probability": 1.0, "interpolations": ["bicubic"]}}}  # fmt: skip
    values = {"out": str(out), "iterations": 2, "threads": 1, "warmup": 1, "save_every": 100, "tensorboard": False,
              "network": network, "data": data, "device": "cpu"}  # fmt: skip
    return build(FitConfig, merged(values, more))


@cache
def trained() -> Path:
    from train.fit.loop import fit

    with contextlib.redirect_stderr(io.StringIO()):
        return Path(fit(training(place() / "run"))).parent


def checkpoint(rng: random.Random, folder: Path) -> tuple[str, Callable[[], object]]:
    """A run whose checkpoint is damaged or lacks parts, gone on with, or shown by ``--dry-run``."""
    import torch

    from train.fit.loop import fit
    from train.fit.plan import plan as planned

    out = folder / "run"
    shutil.copytree(trained(), out)
    path = out / "last.pth"
    if (kind := rng.choice(["spoilt", "spoilt", "damaged", "special"])) == "spoilt":
        torch.save(spoilt(torch.load(path, weights_only=True), rng), path)
    elif kind == "special":
        path.unlink()
        kind = special(path, rng)
    else:
        path.write_bytes(damaged(path.read_bytes(), rng))
    run = rng.choice([fit, planned])
    return f"last.pth, {kind}, {run.__name__}", lambda: run(training(out, iterations=3))


KINDS = {
    "configuration": (configuration, 3),
    "manifest": (manifest, 2),
    "plan": (plan, 2),
    "checkpoint": (checkpoint, 2),
}


def kept(rng: random.Random, folder: Path) -> Outcome:
    """One file of these, and who reads it."""
    (name,) = rng.choices(list(KINDS), [weight for _, weight in KINDS.values()])
    words, run = KINDS[name][0](rng, folder)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        result, failure = asked(run)
    return Outcome(f"{name}: {words}", failure, kind=f"{name} {result}")
