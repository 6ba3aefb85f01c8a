"""``curate`` on the nodes of a cluster: they decode, score and write pictures; the manifest is merged where the step
was called, video by video in the order of one machine, so that its rows are the same.

What a node saw of a video is a file of ``out/parts`` until it is in the manifest: a run that is killed finds it again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from vsapisr.writing import remove_leftovers, write_words

from ..cluster import crew_for, spread
from ..media.progress import Progress
from .config import CurateConfig
from .keyframes import Unsuitable
from .pictures import Wanted, make_pictures
from .scan import Seen, look
from .scoring import Scorer, make_scorer

__all__ = ["Nodes", "nodes"]

Item = tuple[str, str, tuple[Wanted, ...]]
"""(path of a video, its fingerprint, pictures to write): none when it is to be looked through."""


@lru_cache(1)
def scorer_of(config: CurateConfig) -> Scorer:
    """Made once in a process."""
    return make_scorer(config.scorer, weights=config.icnet_weights, device=config.device, seed=config.seed)


def work(item: Item, config: CurateConfig) -> Any:
    """What a node does with one video: write its pictures, or its part."""
    path, mark, wanted = item
    if wanted:
        return make_pictures(Path(path), wanted, Path(config.out), config.threads)
    scorer = scorer_of(config)
    try:
        seen = look(Path(path), mark, config, scorer, lambda share: None)
        frames = [{**one, "thumbnail": base64.b64encode(one["thumbnail"]).decode()} for one in seen.frames]
        value = {"columns": seen.columns, "frames": frames, "scores": list(seen.scores.items())}
    except Unsuitable as error:
        value = {"unsuitable": str(error)}
    write_words(part_of(mark, scorer, config), json.dumps(value))
    return None


def part_of(mark: str, scorer: Scorer, config: CurateConfig) -> Path:
    """Where what was seen of a video lies; another scorer, stride or height sees something else."""
    key = repr((scorer.name, config.selection.stride, config.height))
    return Path(config.out) / "parts" / f"{mark}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.json"


class Nodes:
    """The cluster while a run of ``curate`` lasts."""

    def __init__(self, crew: Any, config: CurateConfig, scorer: Scorer):
        self.crew, self.config, self.scorer = crew, config, scorer
        self.parts = Path(config.out) / "parts"

    def look_through(self, videos: list[tuple[Path, str]]) -> None:
        """Have parts made of (path, fingerprint) where there are none; those of the same content count once."""
        self.parts.mkdir(exist_ok=True)
        first = {mark: path for path, mark in reversed(videos)}
        todo = {m: p for m, p in first.items() if not part_of(m, self.scorer, self.config).exists()}
        items = [(os.path.abspath(path), mark, ()) for mark, path in reversed(todo.items())]
        with Progress("curate", len(items), "videos") as progress:
            for item, _ in spread(self.crew, items, self.parts, [self.config.videos], 1):
                progress.advance(1, Path(item[0]).name)

    def look(
        self, path: Path, mark: str, config: CurateConfig, scorer: Scorer, progress: Callable[[float], None]
    ) -> Seen:
        """As :func:`.scan.look`, by what a node saw.

        Raises:
            Unsuitable: what the node raised.
        """
        part = part_of(mark, scorer, self.config)
        if not part.exists():
            return look(path, mark, config, scorer, progress)
        value = json.loads(part.read_text(encoding="utf-8"))
        if "unsuitable" in value:
            raise Unsuitable(value["unsuitable"].replace(os.path.abspath(path), str(path)))
        frames = [{**one, "thumbnail": base64.b64decode(one["thumbnail"])} for one in value["frames"]]
        return Seen(value["columns"], frames, dict(value["scores"]))

    def merged(self) -> None:
        """All parts are in the manifest."""
        for part in self.parts.glob("*.json"):
            part.unlink(missing_ok=True)
        remove_leftovers(self.parts)
        if not any(self.parts.iterdir()):
            self.parts.rmdir()

    def make_pictures(self, wanted: dict[str, list[Wanted]]) -> Iterator[tuple[str, list[Wanted], str | None]]:
        """(path of a video, pictures written, what was wrong with it) as they come."""
        items = [(path, "", tuple(pictures)) for path, pictures in wanted.items() if pictures]
        for (path, _, _), (made, note) in spread(self.crew, items, Path(self.config.out), [self.config.videos], 1):
            yield path, made, note


@contextmanager
def nodes(config: CurateConfig, scorer: Scorer) -> Iterator[Nodes | None]:
    """Those of ``config.cluster``; None without it."""
    if not config.cluster:
        yield None
        return
    device = getattr(getattr(scorer, "device", None), "type", "cpu")
    there = replace(config, out=os.path.abspath(config.out), videos=os.path.abspath(config.videos))
    if config.icnet_weights:
        there = replace(there, icnet_weights=os.path.abspath(config.icnet_weights))
    with crew_for(config.cluster, work, (there,), gpu=device == "cuda") as crew:
        yield Nodes(crew, there, scorer)
