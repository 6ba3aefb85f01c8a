"""A real Ray cluster of three nodes on this machine; workers, nodes and the command itself are killed."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from scripts.nodes import ray_nodes
from train.curation.config import PrepareConfig
from train.curation.curate import curate
from train.curation.prepare import prepare
from train.degradation.run import DegradeConfig, run_degrade
from vsapisr.cluster import Crew, Hand
from vsapisr.cluster.crew import Member
from vsapisr.errors import ArgumentError, ClusterError, VideoError
from vsapisr.video.cluster import Renderer, asked_of, crew_for
from vsapisr.video.plan import Work
from vsapisr.video.plan import prepare as prepare_video
from vsapisr.video.run import upscale_video

from .curation import configured, videos
from .episodes import episode
from .skips import needs_ray
from .test_video import model
from .test_video_kills import asked, command, events, started

pytestmark = [needs_ray, pytest.mark.timeout(900)]  # processes start slowly on a busy machine

PTS = [sum([42, 42, 83][k % 3] for k in range(n)) for n in range(60)]
CUTS = tuple(range(0, 60, 6))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes: a head that only leads, and two of one core."""
    with ray_nodes() as made:
        yield made


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return episode(tmp_path_factory.mktemp("source") / "ep.mkv", PTS, intra=CUTS)


@pytest.fixture(scope="module")
def calm(model, source, tmp_path_factory) -> bytes:
    """What this process makes of it by itself."""
    path = tmp_path_factory.mktemp("calm") / "calm.mkv"
    upscale_video(source, path, asked(model))
    return path.read_bytes()


def workers(node: Any) -> list[psutil.Process]:
    """Processes of hands on a node of the test's cluster."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [one for one in raylet.children(recursive=True) if one.name().startswith("ray::Renderer")]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below it but SQLite's."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "manifest.sqlite" not in path.name
    }


def rows(folder: Path) -> dict[str, list[Any]]:
    """Of the manifest, but for where the folder lies."""
    tables = ("videos", "frames", "scores", "scans", "decisions", "files", "prepared")
    with sqlite3.connect(folder / "manifest.sqlite") as db:
        found = {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in tables}
    found["prepared"] = [row[1:] for row in found["prepared"]]
    return found


def test_training_data_is_that_of_one_machine(cluster, videos, tmp_path):
    """curate, prepare and degrade: rows, names and bytes."""
    for place, address in (("here", ""), ("there", cluster.address)):
        out = tmp_path / place
        curated = curate(replace(configured(videos, out / "curated"), cluster=address))
        made = prepare(
            PrepareConfig(
                source=str(out / "curated"),
                out=str(out / "prepared"),
                height=180,
                minimum_side=64,
                validation=0.3,
                cluster=address,
            )
        )
        worse = run_degrade(DegradeConfig(source=str(out / "prepared/gt"), out=str(out / "degraded"), cluster=address))
        assert curated.written > 3 and made.written == curated.written and worse.written > 2
    for step in ("curated", "prepared", "degraded"):
        assert tree(tmp_path / "here" / step) == tree(tmp_path / "there" / step)
    assert rows(tmp_path / "here" / "curated") == rows(tmp_path / "there" / "curated")


class Moody(Hand):
    """Does what it is told to."""

    def here(self) -> str:
        import ray

        return ray.get_runtime_context().get_node_id()

    def check(self, asked: str) -> list[str]:
        return ["does not see /shared"] if asked == self.here() else []

    def run(self, task: tuple[str, str]) -> str:
        what, node = task
        if what == "end":
            os._exit(1)
        if what == "fail" and node in ("", self.here()):
            raise VideoError("the disk is full")
        return self.here()


def test_nodes_that_do_not_fit_and_tasks_that_fail(cluster, monkeypatch):
    """Errors name the node; one that fails alone costs nothing; a task that ends its process is given up."""
    monkeypatch.setattr("vsapisr.cluster.crew.RETRIES", 0)
    monkeypatch.setattr("vsapisr.cluster.handing.DEATHS", 1)
    notes: list[dict[str, Any]] = []
    with Crew(cluster.address, Moody, told=notes.append) as crew:
        assert len(crew.members) == 2 and notes[-1]["text"].startswith("2 workers on 2 nodes: ")
        first, second = crew.nodes.values()
        with pytest.raises(ClusterError, match=re.escape(f"node {second} does not see /shared")):
            list(crew.run("a", second.id, [("do", "")]))
        tasks = [("do", str(n)) for n in range(9)]
        done = dict(crew.run("b", "", tasks))
        assert set(done) == set(tasks) and set(done.values()) == {first.id, second.id}
        assert dict(crew.run("b", "", [("fail", first.id)])) == {("fail", first.id): second.id}
        assert notes[-1]["text"] == f"node {first}: the disk is full; another one tries it"
        with pytest.raises(VideoError, match=r"^node .*: the disk is full$"):
            list(crew.run("b", "", [("fail", "")]))
        with pytest.raises(ClusterError, match=r"workers end again and again with \('end', ''\) in work, the last on"):
            list(crew.run("b", "", [("end", "")]))
        assert dict(crew.run("b", "", tasks)).keys() == set(tasks), "a new process is there"


def test_what_a_node_is_held_against(model, source, tmp_path):
    """Without a cluster: the same question, of this process."""
    work = prepare_video(source, tmp_path / "ep.mkv", asked(model))
    hand, question = Renderer(1, asked(model).upscale), asked_of(work)
    assert hand.check(question) == []
    assert "does not see /nowhere/plan.json" in hand.check(replace(question, plan="/nowhere/plan.json"))[0]
    assert "sees another" in hand.check(replace(question, digest="0"))[0]
    assert hand.check(replace(question, package="0")) == ["has other sources of vsapisr under the same version"]
    assert hand.check(replace(question, plugins=(("a.b", "1"),))) == ["has a.b None instead of 1"]
    plan = json.loads(work.folder.plan.read_text())
    for key, value, words in (
        ("versions", {**plan["versions"], "torch": "0.1"}, "torch .* instead of 0.1"),
        ("versions", {**plan["versions"], "model": "0"}, "model .* instead of 0"),
        ("source", "/nowhere/ep.mkv", "does not see /nowhere/ep.mkv"),
        ("identity", {"source": {"bytes": 1, "hash": "0"}}, "has another .*ep.mkv or script"),
    ):
        work.folder.plan.write_text(json.dumps({**plan, key: value}))
        (fault, *_) = hand.check(asked_of(Work.at(work.folder.plan)))
        assert re.search(words, fault), fault


def test_calls_that_lead_nowhere(model, monkeypatch):
    config = asked(model).upscale
    with pytest.raises(ClusterError, match="no Ray cluster at '127.0.0.1:9': nothing answers there"):
        crew_for("127.0.0.1:9", config)
    with pytest.raises(ArgumentError, match="cluster must be auto, local or HOST:PORT of the head, got 'ray://h:1'"):
        crew_for("ray://h:1", config)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ArgumentError, match=re.escape('--cluster needs Ray: pip install "vsapisr[cluster]"')):
        crew_for("auto", config)


def test_a_node_that_dies_before_the_work_has_begun_is_no_fault_of_the_setup():
    """Ray calls its hands unavailable until it knows: they are asked again, and nothing ends. What cannot be started
    ends the command, as before."""
    import ray

    asked: list[str] = []

    def answer(promise: str) -> None:
        if promise == "first":
            raise ray.exceptions.ActorUnavailableError("connection refused", None)
        if promise == "broken":
            raise ray.exceptions.RayActorError()

    crew = Crew.__new__(Crew)
    crew.begun = False
    crew.ray = SimpleNamespace(exceptions=ray.exceptions, wait=lambda promises, timeout: (promises, []), get=answer)
    actor = SimpleNamespace(ready=SimpleNamespace(remote=lambda: asked.append("again") or "again"))
    member = Member(None, actor, "first")
    crew.members = [member]
    crew.welcome(member)
    assert member.ready == "again" and asked == ["again"] and crew.members == [member]
    crew.welcome(member)
    assert member.ready is None
    member.ready = "broken"
    with pytest.raises(ClusterError, match="no worker can be started there"):
        crew.welcome(member)


def test_driver_worker_and_node_are_killed(cluster, model, source, calm, tmp_path):
    """The command dies, then goes on while a worker and after that a node die: the same file in the end."""
    wild, work = tmp_path / "ep.mkv", tmp_path / "ep.mkv.work"
    words = [*command(model, source, "--output", wild), "--cluster", cluster.address]
    process = started(words)
    for event in events(process):
        if event["event"] == "chunk":
            break
    process.kill()
    process.communicate()
    done = len(list(work.glob("[0-9]*.json")))
    assert 0 < done < len(CUTS) and not wild.exists()
    second, third = cluster.worker_nodes
    process, killed, before = started(words), [], None
    for event in events(process):
        if event["event"] == "plan":
            before = event["done"]
        if event["event"] == "chunk" and not killed:
            killed = [one.pid for one in workers(second)]
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            cluster.remove_node(third, allow_graceful=False)
    said = process.stderr.read()
    assert process.wait() == 0, said
    assert before and killed and "2 workers on 2 nodes" in said
    assert wild.read_bytes() == calm
    assert [path.name for path in tmp_path.iterdir()] == ["ep.mkv"]
