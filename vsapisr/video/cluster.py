"""The chunks of a plan, handed out to a Ray cluster."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..cluster import Crew, Hand
from ..config import UpscaleConfig
from ..errors import ClusterError, VsapisrError
from .chunk import Done, Place, Worker, check
from .identity import identities
from .places import HOST, clear_leftovers
from .plan import Plan, Told, Work, silent
from .run import Render

__all__ = ["Renderer", "asked_of", "crew_for", "render_on"]

PLANS = 2  # that a worker holds open: chunks of one may still be encoded when the next begins
SEEN = 90.0  # seconds that a shared disk may take to show here what a node has written; NFS caches up to 60
Task = tuple[str, int]
"""(path of plan.json, chunk)."""


@dataclass(frozen=True)
class Asked:
    """What must be the same on a node."""

    plan: str
    digest: str
    """Of the plan's file."""
    package: str
    """Of this package's sources."""
    plugins: tuple[tuple[str, str], ...]
    """(identifier, version) of VapourSynth's, where a script may use them."""


class Renderer(Hand):
    """Renders chunks with a network that is loaded once. While the encoder finishes one, the frames of the next are
    on their way; never are those of two."""

    def __init__(self, cores: int, config: UpscaleConfig):
        super().__init__(cores)
        kind = config.device.partition(":")[0]
        self.config = replace(config, device=kind)  # Ray shows a worker its own GPU alone
        self.place = Place(None if kind == "auto" else kind, cores)
        self.loading, self.turn = threading.Lock(), threading.Lock()
        self.holder: Task | None = None
        """Whose turn it is."""
        self.network: Any = None
        self.workers: OrderedDict[str, Worker] = OrderedDict()
        self.shown: Counter[Task] = Counter()
        """Frames that are with the encoder."""

    def ready(self) -> None:
        with self.loading:
            if self.network is None:
                import torch

                from ..engine.devices import ready

                torch.set_num_threads(self.cores)
                self.network = ready(self.config)

    def check(self, asked: Asked) -> list[str]:
        """Does this node see the plan, its source and its folder, and is all the same here?"""
        plan = Path(asked.plan)
        if not plan.exists():
            return [f"does not see {plan}: source and result must be on storage that all nodes see, by the same path"]
        if digest_of(plan) != asked.digest:
            return [f"sees another {plan}: it must be on storage that all nodes share"]
        try:
            work = Work.at(plan)
            source = None if work.plan.source is None else Path(work.plan.source)
            if source and not source.exists():
                return [f"does not see {source}: sources must be on storage that all nodes see, by the same path"]
            found = []
            if identities(source, work.plan.settings) != work.plan.identity:
                found.append(f"has another {source} or script than the plan's")
            check(work, self.place)
            if package() != asked.package:
                found.append("has other sources of vsapisr under the same version")
            here = dict(plugins()) if asked.plugins else {}
            found += [f"has {key} {here.get(key)} instead of {value}" for key, value in asked.plugins
                      if here.get(key) != value]  # fmt: skip
            clear_leftovers(work.folder.path)
            probe = work.folder.path / f".check.{HOST}.{os.getpid()}.part.txt"
            probe.touch()
            probe.unlink()
        except VsapisrError as error:
            return [f"cannot do this: {error}"]
        except OSError as error:
            return [f"cannot write in {plan.parent} ({error.strerror})"]
        return found

    def run(self, task: Task) -> Done:
        plan, index = task
        self.ready()
        self.turn.acquire()
        self.holder, self.shown[task] = task, 0
        try:
            return self.worker(plan).run(index)
        finally:
            self.pass_on(task)

    def pass_on(self, task: Task) -> None:
        """The next chunk may begin; once for each."""
        if self.holder == task:
            self.holder = None
            self.turn.release()

    def frame(self, plan: str, index: int, reused: float) -> None:
        """A frame is with the encoder."""
        self.shown[plan, index] += 1
        self.words.put((index, self.shown[plan, index], reused))
        worker = self.workers[plan]
        if self.shown[plan, index] >= worker.work.plan.length(index) - worker.window:
            self.pass_on((plan, index))

    def worker(self, plan: str) -> Worker:
        """With the plan's clip open."""
        if plan not in self.workers:
            self.workers[plan] = Worker(Path(plan), self.place, partial(self.frame, plan))
            while len(self.workers) > PLANS:
                self.workers.popitem(last=False)[1].close()
        return self.workers[plan]


@cache
def package() -> str:
    """A hash of this package's Python sources."""
    digest = hashlib.blake2b(digest_size=16)
    root = Path(__file__).parent.parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def plugins() -> Iterator[tuple[str, str]]:
    """(identifier, version) of VapourSynth's plugins here."""
    import vapoursynth as vs

    for plugin in vs.core.plugins():
        yield plugin.identifier, str(plugin.version)


def digest_of(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def asked_of(work: Work) -> Asked:
    """What nodes are held against."""
    plan = work.folder.plan
    script = work.plan.settings.script is not None
    return Asked(os.path.abspath(plan), digest_of(plan), package(), tuple(sorted(plugins())) if script else ())


def crew_for(address: str, config: UpscaleConfig, cores: int = 0, told: Told = silent) -> Crew:
    """Workers on all nodes of a cluster, for videos with this configuration of the filter.

    Raises:
        ArgumentError, ClusterError: see :class:`..cluster.crew.Crew`.
    """
    kind = config.device.partition(":")[0]
    return Crew(address, Renderer, (config,), gpu=None if kind == "auto" else kind == "cuda", cores=cores, told=told)


def render_on(crew: Crew) -> Render:
    """What :func:`.run.upscale_video` takes as ``render``: the chunks that are missing, by the workers of ``crew``."""

    def render(work: Work, missing: list[int], place: Place, told: Told) -> None:
        crew.told = told
        fitting(crew, work.plan)
        plan = os.path.abspath(work.folder.plan)
        seen: Counter[int] = Counter()

        def heard(word: tuple[int, int, float]) -> None:
            index, count, reused = word
            while seen[index] < count:  # what is done again was told before
                seen[index] += 1
                told({"event": "frame", "chunk": index, "reused": reused})

        for (_, index), done in crew.run(plan, asked_of(work), [(plan, index) for index in missing], heard):
            heard((index, done.frames, done.reused))
            told({"event": "chunk", "chunk": index, "frames": done.frames, "bytes": done.bytes})
        arrive(work)

    return render


def fitting(crew: Crew, plan: Plan) -> None:
    """
    Raises:
        ClusterError: the plan is for another kind of device than the workers have.
    """
    if (plan.device == "cuda") != crew.gpu:
        have = "GPUs" if crew.gpu else "no GPUs"
        raise ClusterError(
            f"the nodes work with {have}, but the video was planned for {plan.device}, which gives other pixels: "
            "start the command on a node of that kind, or say --device cpu or --device cuda"
        )


def arrive(work: Work) -> None:
    """Wait until the disk shows here what nodes have written.

    Raises:
        ClusterError: it does not.
    """
    deadline = time.monotonic() + SEEN
    while missing := work.missing():
        if time.monotonic() > deadline:
            raise ClusterError(f"chunks {missing[:5]} were made but do not appear in {work.folder.path}: is it shared?")
        time.sleep(0.5)
