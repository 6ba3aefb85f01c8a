"""A real Ray cluster of three nodes on this machine; workers, nodes and the command itself are killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from train.curation.config import PrepareConfig
from train.curation.curate import curate
from train.curation.prepare import prepare
from train.degradation.run import DegradeConfig, run_degrade
from vsapisr.errors import ArgumentError, ClusterError, VideoError
from vsapisr.video.cluster import Asked, Renderer, asked_of, crew_for, render_on
from vsapisr.video.run import upscale_video

from .curation import configured, videos
from .episodes import episode
from .skips import needs_ray
from .test_video import model
from .test_video_kills import asked, command, events, started

pytestmark = needs_ray

PTS = [sum([42, 42, 83][k % 3] for k in range(n)) for n in range(60)]
CUTS = tuple(range(0, 60, 6))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes of one core."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        for _ in range(2):
            made.add_node(wait=False, **node)
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()


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
            killed = [one.pid for one in workers(second)]
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            cluster.remove_node(third, allow_graceful=False)
    said = process.stderr.read()
    assert process.wait() == 0, said
    assert before and killed and "3 workers on 3 nodes" in said and "is gone" in said
    assert wild.read_bytes() == calm
    assert [path.name for path in tmp_path.iterdir()] == ["ep.mkv"]


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
