"""``vsapisr upscale --cluster`` on three nodes, of which workers, nodes, the head and the command itself are killed at
random moments: nothing lost, nothing half-written, the same file in the end."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from scripts.clips import encode
from scripts.nodes import ray_nodes
from vsapisr.config import UpscaleConfig
from vsapisr.video.run import upscale_video
from vsapisr.video.settings import VideoSettings

from .case import Outcome
from .kills import CALL, parts, pictures
from .networks import small_network

LONGEST = 25.0  # seconds before a kill; a run takes about as long
VICTIMS = ("worker", "worker", "node", "head", "command")


def strike(victim: str, cluster: Any, child: subprocess.Popen[Any]) -> None:
    """Kill one of them; another node comes for one that goes."""
    if victim == "command":
        child.kill()
    elif victim == "head":
        cluster.remove_node(cluster.head_node, allow_graceful=False)
    elif victim == "node":
        cluster.remove_node(sorted(cluster.worker_nodes, key=id)[0], allow_graceful=False)
        cluster.add_node(num_cpus=1, object_store_memory=80 << 20, wait=False)
    else:
        found = [one for one in psutil.process_iter(["name"]) if (one.info["name"] or "").startswith("ray::Renderer")]
        raylets = [node.all_processes["raylet"][0].process.pid for node in cluster.worker_nodes]
        ours = [one for one in found if one.ppid() in raylets]
        for one in ours[:1]:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)


def case(rng: random.Random, folder: Path) -> Outcome:
    """One video, one kill, then left alone on what is there, or on a new cluster."""
    victim = rng.choice(VICTIMS)
    reuse = rng.choice([0, 1, 2])
    what = f"{victim} killed, reuse {reuse}"
    model, source = small_network(folder), folder / "ep.mkv"
    encode(source, pictures(rng, rng.randint(40, 80)), keyint=rng.randint(5, 12))
    config = UpscaleConfig(model=model, device="cpu", reuse=reuse)
    settings = VideoSettings(upscale=config, encoder="libx264", preset="ultrafast", chunk=0.1)
    calm, out = folder / "calm.mkv", folder / "out"
    upscale_video(source, calm, settings)
    wild = out / "ep_4x.mkv"
    words = ["--model", model, "--device", "cpu", "--encoder", "libx264", "--preset", "ultrafast", "--chunk", "0.1"]
    words += ["--reuse", str(reuse), "--output", str(out), "--cluster"]
    command = [sys.executable, "-c", CALL, "upscale", str(source), *words]
    with ray_nodes() as cluster:
        child = subprocess.Popen([*command, cluster.address], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(rng.uniform(0, LONGEST))  # the moment is what is random here
        early = child.poll() is None
        strike(victim, cluster, child)
        said = child.communicate()[0].decode(errors="backslashreplace")
        if victim in ("worker", "node") and child.returncode:
            return Outcome(what, f"the command ended with {child.returncode}: {said[-2000:]}", kind=victim)
        if wrong := parts(out / "ep_4x.mkv.work"):
            return Outcome(what, wrong, kind=victim)
        again = None
        if victim == "command":
            again = subprocess.run([*command, cluster.address], capture_output=True, text=True)
    if victim == "head":
        with ray_nodes() as cluster:
            again = subprocess.run([*command, cluster.address], capture_output=True, text=True)
    failure = f"status {again.returncode}: {again.stderr[-2000:]}" if again and again.returncode else ""
    if not failure and (not wild.exists() or wild.read_bytes() != calm.read_bytes()):
        failure = "the result is another one than without kills"
    left = [path.name for path in out.iterdir() if path != wild]
    if not failure and left:
        failure = f"{', '.join(left)} left behind"
    return Outcome(what, failure, kind=victim, counts={"kills": int(early)})
