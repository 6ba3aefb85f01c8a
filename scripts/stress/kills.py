"""``vsapisr upscale`` killed at random moments: nothing lost, nothing half-written, the same file in the end."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from scripts.clips import encode
from vsapisr.config import UpscaleConfig
from vsapisr.libav import url
from vsapisr.video.run import upscale_video
from vsapisr.video.settings import VideoSettings

from .case import Outcome
from .networks import small_network

CALL = "import sys; from vsapisr.cli import main; sys.argv = ['vsapisr', *sys.argv[1:]]; main()"
ENCODERS = {"libx264": "ultrafast", "libx265": "ultrafast", "ffv1": None}
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
LONGEST = 12.0  # seconds before a kill; a run takes about as long
ROUNDS = 6


def pictures(rng: random.Random, count: int) -> Iterator[np.ndarray]:
    """A square that moves on twos before a ground that changes now and then."""
    ground = 0
    for n in range(count):
        ground = rng.randrange(40, 200) if n % rng.randint(5, 9) == 0 else ground
        frame = np.full((48, 64, 3), ground, np.uint8)
        frame[10:30, n // 2 % 40 : n // 2 % 40 + 16] = 255 - ground
        yield frame


def parts(work: Path) -> str:
    """What is wrong with a folder that a killed command left, or nothing."""
    plan = work / "plan.json"
    if not plan.exists():
        return ""
    chunks = json.loads(plan.read_text())["chunks"]
    for path in work.glob("[0-9]*.mkv"):
        first, stop = chunks[int(path.stem)]
        try:
            with av.open(url(path)) as file:
                count = len(list(file.decode(video=0)))
        except av.error.FFmpegError as error:
            return f"{path.name} cannot be read: {error}"
        if count != stop - first:
            return f"{path.name} has {count} frames instead of {stop - first}"
    return ""


def case(rng: random.Random, folder: Path) -> Outcome:
    """One video, killed up to six times, then left alone."""
    encoder = rng.choice(list(ENCODERS))
    what = f"{encoder}, reuse {(reuse := rng.choice([0, 1, 2]))}"
    model, source = small_network(folder), folder / "ep.mkv"
    encode(source, pictures(rng, rng.randint(20, 60)), keyint=rng.randint(5, 20))
    config = UpscaleConfig(model=model, device="cpu", reuse=reuse)
    settings = VideoSettings(upscale=config, encoder=encoder, preset=ENCODERS[encoder], chunk=rng.choice([0.1, 0.3]))
    calm, out = folder / "calm.mkv", folder / "out"
    upscale_video(source, calm, settings)
    wild, kills = out / "ep_4x.mkv", 0
    words = ["--model", model, "--device", "cpu", "--encoder", encoder, "--chunk", str(settings.chunk)]
    words += ["--reuse", str(reuse), *(["--preset", settings.preset] if settings.preset else [])]
    command = [sys.executable, "-c", CALL, "upscale", str(source), "--output", str(out), *words]
    for _ in range(rng.randint(1, ROUNDS)):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, LONGEST))  # the moment is what is random here
        child.send_signal(rng.choice(SIGNALS))
        kills += child.wait() != 0
        if wild.exists() and wild.read_bytes() != calm.read_bytes():
            return Outcome(what, f"after {kills} kills the result is another one", kind=encoder)
        if wrong := parts(out / "ep_4x.mkv.work"):
            return Outcome(what, wrong, kind=encoder)
    done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace")
    failure = "" if done.returncode == 0 else f"status {done.returncode}: {done.stderr[-2000:]}"
    if not failure and wild.read_bytes() != calm.read_bytes():
        failure = "the result is another one than without kills"
    left = [path.name for path in out.iterdir() if path != wild]
    if not failure and left:
        failure = f"{', '.join(left)} left behind"
    return Outcome(what, failure, kind=encoder, counts={"kills": kills})
