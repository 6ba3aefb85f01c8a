"""Whole videos through the command: what comes out is what went in, four times as large."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vsapisr.config import UpscaleConfig
from vsapisr.errors import ArgumentError, VideoError
from vsapisr.networks.grl import GRLConfig
from vsapisr.video import chunk
from vsapisr.video.chunk import Worker, run_chunk
from vsapisr.video.join import join
from vsapisr.video.plan import Work, divide, prepare
from vsapisr.video.run import upscale_video
from vsapisr.video.settings import VideoSettings

from .episodes import episode
from .networks import perturbed, write

SMALL = GRLConfig(dim=32, depths=(1, 1), heads_window=2, heads_stripe=2, mlp_dim=32, bias_dim=8)
VFR = [sum([42, 42, 83][k % 3] for k in range(n)) for n in range(24)]
CUTS = (0, 7, 12, 19)
LOSSLESS = {"encoder": "ffv1", "pixel_format": "yuv420p"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    return str(write(perturbed(SMALL, amount=0.01), path))


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return episode(tmp_path_factory.mktemp("source") / "Re:Zero - 01.mkv", VFR, intra=CUTS, sar=(32, 27))


def wish(model: str, reuse: int = 1, **given: Any) -> VideoSettings:
    given = {**LOSSLESS, "chunk": 0.2, **given}
    return VideoSettings(upscale=UpscaleConfig(model=model, device="cpu", reuse=reuse), **given)


def facts(path: Path) -> dict[str, Any]:
    """Everything of a file but its picture's samples, by PyAV's demuxer."""
    found: dict[str, Any] = {"streams": [], "packets": {}}
    with av.open(str(path)) as file:
        found["tags"] = {k: v for k, v in file.metadata.items() if k.lower() not in ("encoder", "vsapisr")}
        found["chapters"] = [
            (c["start"] * Fraction(c["time_base"]), c["end"] * Fraction(c["time_base"]), c["metadata"])
            for c in file.chapters()
        ]
        for stream in file.streams:
            tags = {k: v for k, v in stream.metadata.items() if k not in ("DURATION", "ENCODER")}
            found["streams"].append((stream.type, tags, int(stream.disposition)))
            if stream.type == "attachment":
                found["streams"][-1] += (stream.data,)
        for packet in file.demux():
            if packet.size and packet.pts is not None:
                video = packet.stream.type == "video"
                stamp = packet.pts * Fraction(packet.time_base)
                one = stamp if video else (stamp, packet.duration, bytes(packet))
                found["packets"].setdefault(packet.stream.index, []).append(one)
        found["packets"] = {k: sorted(v) for k, v in found["packets"].items()}
    return found


def test_everything_else_is_kept(model, source, tmp_path):
    target = tmp_path / "big.mkv"
    events: list[dict[str, Any]] = []
    settings = wish(model, encoder="libx265", pixel_format=None, preset="ultrafast")
    done = upscale_video(source, target, settings, told=events.append)
    assert done.frames == len(VFR) and done.path == target
    assert facts(target) == facts(source)
    assert len([e for e in events if e["event"] == "chunk"]) > 2 and events[-1]["event"] == "done"
    with av.open(str(target)) as file:
        shown = next(file.decode(video=0))
        stream = file.streams.video[0]
        assert (shown.width, shown.height, shown.format.name) == (256, 192, "yuv420p10le")
        assert stream.sample_aspect_ratio == Fraction(32, 27)
        assert (shown.colorspace, shown.color_range) == (6, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["big.mkv"]


def test_pixels_do_not_depend_on_the_division(model, tmp_path):
    """Beside what one vspipe gives for the whole clip, with each kind of reuse."""
    source = episode(tmp_path / "short.mkv", VFR[:12], intra=(0, 5, 9), rich=False)
    script = tmp_path / "whole.vpy"
    script.write_text(
        f"""
from vapoursynth import core
clip = core.bs.VideoSource({str(source)!r}, cachemode=0)
kinds = [clip.apisr.Upscale(model={model!r}, device="cpu", reuse=reuse) for reuse in (0, 1, 2)]
core.std.StackVertical(kinds).set_output()
""",
        encoding="utf-8",
    )
    vspipe = Path(sys.executable).with_name("vspipe")
    raw = subprocess.run([vspipe, script, "-"], capture_output=True, check=True).stdout
    data, place, planes = np.frombuffer(raw, np.uint8), 0, []
    for _ in VFR[:12]:
        for rows, columns in ((192, 256), (96, 128), (96, 128)):
            planes.append(data[place : place + 3 * rows * columns].reshape(3, rows, columns))
            place += 3 * rows * columns
    assert place == len(data)
    for reuse in (0, 1, 2):
        target = tmp_path / f"parts{reuse}.mkv"
        upscale_video(source, target, wish(model, reuse, chunk=0.1))
        with av.open(str(target)) as file:
            shown = [plane for frame in file.decode(video=0) for plane in frame.planes]
        parts = [np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[: p.height, : p.width] for p in shown]
        assert len(parts) == len(planes)
        assert all((one[reuse] == two).all() for one, two in zip(planes, parts, strict=True))


def test_chunks_in_any_order_and_twice(model, source, tmp_path):
    """As other processes would run them."""
    one, two = tmp_path / "one.mkv", tmp_path / "two.mkv"
    settings = wish(model, encoder="libx264", pixel_format=None, preset="ultrafast")
    upscale_video(source, one, settings)
    work = prepare(source, two, settings)
    assert len(work.plan.chunks) > 2 and [first for first, _ in work.plan.chunks] == list(CUTS[: len(work.plan.chunks)])
    run_chunk(work.folder.plan, 1)
    with pytest.raises(VideoError, match=f"{len(work.plan.chunks) - 1} of {len(work.plan.chunks)} chunks are missing"):
        join(work)
    worker = Worker(work.folder.plan)
    assert [done.index for done in worker.run_many([2, 0, 1, *range(3, len(work.plan.chunks))])][:2] == [2, 0]
    worker.close()
    join(Work.at(work.folder.plan))
    assert one.read_bytes() == two.read_bytes()


def test_what_is_whole_stays_when_a_later_frame_fails(model, source, tmp_path):
    """As when Ctrl-C comes: chunks that have all their frames are finished."""
    work = prepare(source, tmp_path / "big.mkv", wish(model))
    worker = Worker(work.folder.plan)
    real, last = worker.node, work.plan.chunks[1][1] + 1

    def fail(n, f):
        if n == last:
            raise RuntimeError("broken on purpose")
        return f

    worker.node = real.std.ModifyFrame(real, fail)
    with pytest.raises(VideoError, match=rf"^frame {last} cannot be had \(RuntimeError: broken on purpose\)$"):
        list(worker.run_many(work.missing()))
    worker.close()
    assert work.missing() == list(range(2, len(work.plan.chunks)))
    assert not list(work.folder.path.glob(".*"))


def test_another_source_or_setting_is_not_mixed(model, source, tmp_path):
    target = tmp_path / "big.mkv"
    work = prepare(source, target, wish(model))
    run_chunk(work.folder.plan, 0)
    kept = work.folder.chunk(0).read_bytes()
    with pytest.raises(VideoError, match=r"holds work of other settings \(upscale.reuse was 1, is 0\); repeat them"):
        prepare(source, target, wish(model, 0))
    other = episode(tmp_path / "other.mkv", VFR, intra=CUTS, rich=False)
    with pytest.raises(VideoError, match="the source is another one"):
        prepare(other, target, wish(model))
    assert prepare(source, target, wish(model)).missing() == list(range(1, len(work.plan.chunks)))
    assert work.folder.chunk(0).read_bytes() == kept
    assert len(prepare(source, target, wish(model, 0), force=True).missing()) == len(work.plan.chunks)
    target.write_bytes(b"a person's")
    with pytest.raises(VideoError, match="is there already and not what this call makes; --force"):
        upscale_video(source, target, wish(model))
    assert target.read_bytes() == b"a person's"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux binds processes to cores")
def test_threads_are_those_of_this_process(model, source, tmp_path):
    had = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(had)})
        assert prepare(source, tmp_path / "a.mkv", wish(model)).plan.threads == 1
    finally:
        os.sched_setaffinity(0, had)


def test_no_more_than_two_encoders_at_once(model, source, tmp_path, monkeypatch):
    alive: set[int] = set()
    most = []

    class Counted(chunk.ChunkWriter):
        def __init__(self, path, plan):
            alive.add(id(self))
            most.append(len(alive))
            super().__init__(path, plan)

        def over(self):
            return False  # as one that takes long

        def finish(self):
            super().finish()
            alive.discard(id(self))

    monkeypatch.setattr(chunk, "ChunkWriter", Counted)
    work = prepare(source, tmp_path / "b.mkv", wish(model))
    worker = chunk.Worker(work.folder.plan)
    done = [one.index for one in worker.run_many(work.missing())]
    worker.close()
    assert done == list(range(len(work.plan.chunks))) and len(done) > 2 and max(most) == 2


def test_division():
    assert list(divide(0, 100, [0, 10, 40, 95], 20, 60)) == [(0, 40), (40, 100)]
    assert list(divide(0, 200, [0], 20, 60)) == [(0, 60), (60, 120), (120, 180), (180, 200)]
    assert list(divide(5, 12, [0, 30], 20, 60)) == [(5, 12)]
    assert list(divide(10, 90, [0, 50, 95], 20, 60)) == [(10, 50), (50, 90)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": "big"}, "size must be such as 2x, 1080p or 1920x1080, got 'big'"),
        ({"kernel": "hermite"}, "kernel must be one of"),
        ({"start": 2.0, "end": 1.0}, "end must be after start (2 s), got 1"),
        ({"frames": 0}, "frames must be 1 or more, got 0"),
    ],
)
def test_wrong_settings(given, message):
    with pytest.raises(ArgumentError) as caught:
        VideoSettings(**given)
    assert str(caught.value).startswith(message)
