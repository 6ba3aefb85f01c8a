"""A real Ray cluster of three nodes on this machine; workers, nodes and the command itself are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from vsapisr.cluster import Crew, Hand
from vsapisr.errors import ArgumentError, ClusterError, VideoError
from vsapisr.video.cluster import Asked, Renderer, asked_of, crew_for, render_on
from vsapisr.video.plan import prepare
from vsapisr.video.run import upscale_video

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
