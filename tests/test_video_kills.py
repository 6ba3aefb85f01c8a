"""The command killed at any moment: nothing is lost, nothing half-written has a final name, the result is the same."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from scripts.stress.kills import CALL
from vsapisr.config import UpscaleConfig
from vsapisr.video.run import upscale_video
from vsapisr.video.settings import VideoSettings

from .clips import damaged, drawing, truncated, write_clip
from .episodes import episode
from .test_video import CUTS, VFR, model
from .test_video_sources import lanczos, shown

pytest.importorskip("typer", reason="the extra cli is not installed")

from typer.testing import CliRunner

from vsapisr.cli.inputs import jobs
from vsapisr.cli.videos import app

STEPS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts with &
import os, sys

class Steps:
    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def write(self, text):
        self.inner.write(text)
        self.inner.flush()
        if text.endswith("\\n"):
            os.read(0, 1)
        return len(text)

sys.stdout = Steps(sys.stdout)
"""
"""Before ``CALL``: after every line that is printed a byte has to come, or the end of the input. So the command is
where a test thinks that it is, however slow the test."""


def command(model: str, *more: object) -> list[str]:
    words = ["--model", model, "--device", "cpu", "--encoder", "libx264", "--preset", "ultrafast", "--chunk", "0.2"]
    return [sys.executable, "-c", CALL, "upscale", *map(str, more), *words, "--json"]


def asked(model: str) -> VideoSettings:
    """What :func:`command` asks for."""
    config = UpscaleConfig(model=model, device="cpu")
    return VideoSettings(upscale=config, encoder="libx264", preset="ultrafast", chunk=0.2)


def started(words: list[str], **given) -> subprocess.Popen:
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **given)


def in_steps(words: list[str]) -> subprocess.Popen:
    """It waits after each event."""
    place = words.index(CALL)
    return started([*words[:place], STEPS + CALL, *words[place + 1 :]], stdin=subprocess.PIPE)


def events(process: subprocess.Popen):
    for line in process.stdout:
        yield json.loads(line)


@pytest.mark.skipif(os.name == "nt", reason="no signals on Windows")
def test_killed_at_any_moment(model, tmp_path):
    """By Ctrl-C before the work, then without a word after a chunk."""
    source = episode(tmp_path / "ep.mkv", VFR, intra=CUTS)
    calm, folder = tmp_path / "calm.mkv", tmp_path / "out"
    wild, work = folder / "ep_4x.mkv", folder / "ep_4x.mkv.work"
    upscale_video(source, calm, asked(model))
    done = []
    for kill, moment in ((signal.SIGINT, "plan"), (signal.SIGKILL, "chunk")):
        process, event = in_steps(command(model, source, "--output", folder)), {"event": ""}
        while event["event"] != moment:
            if event["event"]:
                process.stdin.write("\n")
                process.stdin.flush()
            event = json.loads(process.stdout.readline())
            if event["event"] == "plan":
                done.append(event["done"])
        process.send_signal(kill)
        rest, words = process.communicate()
        assert process.returncode == (130 if kill == signal.SIGINT else -kill), words
        assert kill != signal.SIGINT or "stopped; the same command goes on" in rest
        assert wild.exists() or work.exists()
        for path in work.glob("[0-9]*.mkv"):
            with av.open(str(path)) as file:
                assert len(list(file.decode(video=0))) in {7, 5, 12}
    again = subprocess.run(command(model, source, "--output", folder), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    done += [event["done"] for event in map(json.loads, again.stdout.splitlines()) if event["event"] == "plan"]
    assert done[0] == 0 and done == sorted(done) and done[-1] > 0
    assert [path.name for path in folder.iterdir()] == ["ep_4x.mkv"]
    assert wild.read_bytes() == calm.read_bytes()
    assert upscale_video(source, wild, asked(model)).already


def test_a_season(model, tmp_path, monkeypatch):
    """Of twelve episodes one is damaged, one no video, one done before, two refused: all others are right."""
    for module in ("plan", "chunk"):
        monkeypatch.setattr(f"vsapisr.video.{module}.enlarged", lanczos)
    folder, out = tmp_path / "Vol. 1", tmp_path / "out.v2"
    (folder / "extras").mkdir(parents=True)
    for n in range(12):
        episode(folder / f"ep{n}.mkv", VFR, intra=CUTS, rich=False, tags=(6, 2, 2, 1 + n % 2))
    damaged(folder / "ep6.mkv", tmp_path / "damaged.mkv", 5)
    (tmp_path / "damaged.mkv").replace(folder / "ep6.mkv")
    write_clip(folder / "ep7.mkv", [drawing(1, 64, 48)] * 4, "mpeg2video", options={"flags": "+ildct+ilme", "top": "1"})
    episode(folder / "extras" / "ep0.mkv", VFR[:5], rich=False)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "extras" / "cover.png")
    (folder / "readme.txt").write_text("not a video")
    (folder / "empty.mkv").touch()
    truncated(folder / "ep1.mkv", folder / "cut.mkv", 0.02)
    words = ["--model", model, "--device", "cpu", "--encoder", "libx264", "--preset", "ultrafast", "--chunk", "0.2"]

    def call(given=folder):
        return CliRunner().invoke(app, ["upscale", str(given), "--recursive", "--output", str(out), *words])

    assert call(folder / "ep0.mkv").exit_code == 0
    before = (out / "ep0_4x.mkv").stat().st_mtime_ns
    (out / "ep2_4x.mkv").write_bytes(b"a person's")
    first = call()
    assert first.exit_code == 1
    assert f"ep0.mkv -> {out / 'ep0_4x.mkv'}, done before" in first.stderr
    assert "ep2_4x.mkv is there already and not what this call makes" in first.stderr
    assert (out / "ep0_4x.mkv").stat().st_mtime_ns == before and (out / "ep2_4x.mkv").read_bytes() == b"a person's"
    assert f"{folder / 'ep7.mkv'} is interlaced" in first.stderr
    assert f"{folder / 'cut.mkv'} is no video that can be read" in first.stderr
    assert "1 files in the folders are neither pictures nor videos" in first.stderr
    assert re.search(r"ep6.mkv: (the source is damaged at 1|1) frames", first.stderr), first.stderr
    last = first.stderr.splitlines()[-1]
    assert last == "15 videos: 11 done, 4 failed: cut.mkv, empty.mkv, ep2.mkv, ep7.mkv"
    right = set(range(12)) - {2, 6, 7}
    assert all(shown(out / f"ep{n}_4x.mkv") == shown(folder / f"ep{n}.mkv") for n in right)
    assert len(VFR) - 1 <= len(shown(out / "ep6_4x.mkv")) <= len(VFR)
    assert len(shown(out / "extras" / "ep0_4x.mkv")) == 5 and (out / "extras" / "cover_4x.png").exists()
    for name in ("cut.mkv", "empty.mkv", "ep7.mkv"):
        (folder / name).unlink()
    for path in (out / "ep2_4x.mkv", out / "extras" / "cover_4x.png"):
        path.unlink()
    again = call()
    assert again.exit_code == 0 and again.stderr.count("done before") == 11, again.stderr
    assert shown(out / "ep2_4x.mkv") == shown(folder / "ep2.mkv") and not list(out.rglob("*.work"))


def test_results_are_no_inputs(tmp_path):
    """Of a folder, neither beside their sources nor in an output folder below it, nor parts that are being made."""
    for n, place in enumerate((".", "extras")):
        (tmp_path / place).mkdir(exist_ok=True)
        episode(tmp_path / place / f"ep.{n}.mkv", VFR[:3], rich=False)
    whole = (tmp_path / "ep.0.mkv").read_bytes()
    for made in ("ep.0_4x.mkv", "out/ep.0_4x.mkv", "out/extras/ep.1_4x.mkv", "ep.0_4x.mkv.work/000000.mkv"):
        (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made).write_bytes(whole)
    found, notes, faults = jobs([tmp_path], tmp_path / "out", True, "_4x", "auto")
    assert [job.source for job in found] == [tmp_path / "ep.0.mkv", tmp_path / "extras" / "ep.1.mkv"]
    assert [job.target for job in found] == [tmp_path / "out/ep.0_4x.mkv", tmp_path / "out/extras/ep.1_4x.mkv"]
    assert not notes and not faults
