"""Scripts, parts, sizes, pipes, damage, HDR: with Lanczos in the network's place."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from vsapisr.errors import VideoError
from vsapisr.video import plan, room
from vsapisr.video.chunk import run_chunk
from vsapisr.video.claim import claimed
from vsapisr.video.places import Folder
from vsapisr.video.plan import prepare
from vsapisr.video.run import upscale_video
from vsapisr.video.status import states, summary
from vsapisr.video.y4m import write_y4m

from .clips import damaged, drawing, truncated, write_clip
from .episodes import episode
from .test_video import CUTS, VFR, facts, model, wish
from .test_video_sources import lanczos, shown, sound


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for module in ("plan", "chunk", "y4m"):
        monkeypatch.setattr(f"vsapisr.video.{module}.enlarged", lanczos)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return episode(tmp_path_factory.mktemp("source") / "ep.mkv", VFR, intra=CUTS, sar=(32, 27))


def quick(model: str, **given: Any) -> Any:
    return wish(model, **{"encoder": "libx264", "pixel_format": None, "preset": "ultrafast", **given})


def first_frame(path: Path) -> Any:
    with av.open(str(path)) as file:
        return next(file.decode(video=0)), file.streams.video[0].sample_aspect_ratio


@pytest.mark.parametrize(
    ("given", "size", "sar"),
    [
        ({"size": "2x"}, (128, 96), (32, 27)),
        ({"size": "144p"}, (192, 144), (32, 27)),
        ({"size": "144p", "pixels": "square"}, (228, 144), (1, 1)),
        ({"size": "200x100"}, (200, 100), (64, 81)),
        ({"size": "4x", "pixels": "square"}, (304, 192), (1, 1)),
    ],
)
def test_sizes(model, source, tmp_path, given, size, sar):
    target = tmp_path / "out.mkv"
    upscale_video(source, target, quick(model, **given))
    frame, shape = first_frame(target)
    assert (frame.width, frame.height) == size
    assert abs(shape - Fraction(*sar)) < Fraction(1, 100)


def test_a_part(model, source, tmp_path):
    target = tmp_path / "part.mkv"
    upscale_video(source, target, quick(model, start=0.3, end=1.0))
    whole = [time for time in shown(source) if Fraction("0.3") <= time < 1]
    assert shown(target) == [time - whole[0] for time in whole]
    had, got = facts(source), facts(target)
    stop = next(time for time in shown(source) if time >= 1) - whole[0]
    cut = Fraction(647, 1000) - whole[0]
    assert [chapter[:2] for chapter in got["chapters"]] == [(0, cut), (cut, stop)]
    moved = [(stamp - whole[0], *rest) for stamp, *rest in had["packets"][1] if whole[0] <= stamp]
    assert got["packets"][1] == [one for one in moved if one[0] < stop][: len(got["packets"][1])]


def test_a_script(model, source, tmp_path):
    """With as many frames as the video has, each keeps its time; half as many come at a rate of their own."""
    script = tmp_path / "my.vpy"
    script.write_text(
        "from vapoursynth import core\nclip = core.bs.VideoSource(source, cachemode=0)\n"
        "core.std.Invert(clip).set_output()\n",
        encoding="utf-8",
    )
    upscale_video(source, tmp_path / "one.mkv", quick(model, script=str(script)))
    assert shown(tmp_path / "one.mkv") == shown(source)
    assert sound(tmp_path / "one.mkv") == sound(source)
    script.write_text(
        "from vapoursynth import core\ncore.std.BlankClip(format=core.query_video_format(3, 0, 8, 1, 1).id,"
        " width=32, height=32, length=9, fpsnum=10).set_output()\n",
        encoding="utf-8",
    )
    upscale_video(None, tmp_path / "two.mkv", quick(model, script=str(script)))
    assert shown(tmp_path / "two.mkv") == [Fraction(n, 10) for n in range(9)]
    script.write_text("raise RuntimeError('no such thing')", encoding="utf-8")
    with pytest.raises(VideoError, match=r"my.vpy failed \(RuntimeError: no such thing\)"):
        upscale_video(source, tmp_path / "three.mkv", quick(model, script=str(script)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.vpy", "one.mkv", "two.mkv"]


def test_y4m(model, source):
    out = io.BytesIO()
    assert write_y4m(source, out, quick(model, frames=5), lambda event: None) == 5
    out.seek(0)
    with av.open(out, format="yuv4mpegpipe") as file:
        frames = list(file.decode(video=0))
    assert len(frames) == 5 and (frames[0].width, frames[0].format.name) == (256, "yuv420p10le")


def test_rotation_and_cover_are_kept(model, tmp_path):
    source = write_clip(tmp_path / "turned.mp4", [drawing(1, 64, 48)] * 6, rotation=90)
    upscale_video(source, tmp_path / "big.mp4", quick(model))
    assert first_frame(tmp_path / "big.mp4")[0].rotation == first_frame(source)[0].rotation == 90
    covered = tmp_path / "covered.mkv"
    with av.open(str(source)) as file, av.open(str(covered), "w") as out:
        stream = out.add_stream_from_template(file.streams.video[0])
        picture = io.BytesIO()
        with av.open(picture, "w", format="mjpeg") as made:
            still = made.add_stream("mjpeg")
            still.width, still.height, still.pix_fmt = 32, 32, "yuvj420p"
            made.mux(still.encode(av.VideoFrame(32, 32, "yuvj420p")))
            made.mux(still.encode(None))
        out.add_attachment("cover.jpg", "image/jpeg", picture.getvalue())
        for packet in file.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    upscale_video(covered, tmp_path / "big.mkv", quick(model))
    with av.open(str(tmp_path / "big.mkv")) as file:
        assert [(s.type, s.metadata.get("filename")) for s in file.streams] == [("video", None), ("video", "cover.jpg")]
        assert bytes(next(p for p in file.demux(file.streams[1]) if p.size)) == picture.getvalue()


def test_damage_is_reported_and_the_rest_is_right(model, tmp_path):
    for codec, name, message in (
        ("mpeg2video", "a.mkv", "the source is damaged at 1 frames (0.21 s)"),
        ("libvpx-vp9", "b.mkv", "1 frames of the source are lost (at 0.21 s)"),
        ("libx264", "c.mkv", "the source is damaged at 1 frames (0.33 s)"),
    ):
        whole = episode(
            tmp_path / f"whole_{name}", VFR, codec=codec, intra=(0, 12), rich=False, rate=24, size=(320, 240)
        )
        broken = damaged(whole, tmp_path / name, 5)
        notes: list[str] = []
        target = tmp_path / f"{name}.mkv"
        upscale_video(broken, target, quick(model), told=lambda event: notes.append(event.get("text", "")))
        assert any(note.startswith(message) for note in notes), notes
        assert len(shown(target)) in (23, 24)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_source_that_is_cut_off_is_called_so(model, tmp_path, suffix):
    drawn = write_clip(tmp_path / "drawn.mkv", [drawing(n, 64, 48) for n in range(72)])
    whole = tmp_path / f"whole{suffix}"
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    with av.open(str(drawn)) as file, av.open(str(whole), "w", options=options) as out:
        stream = out.add_stream_from_template(file.streams.video[0], opaque=True)
        for packet in file.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    cut = truncated(whole, tmp_path / f"cut{suffix}", 0.5)
    for source in (whole, cut):
        notes: list[str] = []
        target = tmp_path / f"{source.stem}_2x.mkv"
        upscale_video(source, target, quick(model), told=lambda event: notes.append(event.get("text", "")))
        found = [note for note in notes if "cut off: it says that it lasts 3.0 s and ends after 1." in note]
        assert len(found) == (source == cut), notes
        count = len(shown(target))
        assert 24 <= count < 60 if source == cut else count == 72


def test_what_cannot_be_decoded_shows_its_neighbour(model, tmp_path, monkeypatch):
    source = episode(tmp_path / "s.mkv", VFR, intra=CUTS, rich=False)
    real = plan.scan
    monkeypatch.setattr(plan, "scan", lambda clip, told: real(failing(clip), told))
    notes: list[str] = []
    target = tmp_path / "t.mkv"
    upscale_video(source, target, wish(model), told=lambda event: notes.append(event.get("text", "")))
    assert "frames 0 to 1 of the source cannot be decoded: frame 2 is shown instead" in notes
    assert "frame 9 of the source cannot be decoded: frame 8 is shown instead" in notes
    with av.open(str(target)) as file:
        frames = [frame.to_ndarray() for frame in file.decode(video=0)]
    assert len(frames) == len(VFR)
    assert (frames[0] == frames[2]).all() and (frames[1] == frames[2]).all() and (frames[9] == frames[8]).all()
    assert (frames[3] != frames[2]).any() and (frames[10] != frames[8]).any()


def failing(clip: Any) -> Any:
    """Frames 0, 1 and 9 cannot be had."""

    def fail(n: int, f: Any) -> Any:
        if n in (0, 1, 9):
            raise RuntimeError("damaged")
        return f

    return clip.std.ModifyFrame(clip, fail)


def test_interlaced_is_refused_at_once(model, tmp_path):
    source = write_clip(
        tmp_path / "i.mkv",
        [drawing(n, 64, 48) for n in range(4)],
        "mpeg2video",
        options={"flags": "+ildct+ilme", "top": "1"},
    )
    with pytest.raises(VideoError, match=r"i.mkv is interlaced \(frame 0\); deinterlace it by --script"):
        upscale_video(source, tmp_path / "o.mkv", quick(model))
    assert [path.name for path in tmp_path.iterdir()] == ["i.mkv"]


def test_hdr10(model, tmp_path):
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    params = f"log-level=none:hdr10=1:master-display={display}:max-cll=1000,400"
    source = write_clip(
        tmp_path / "hdr.mkv",
        [drawing(n, 64, 48) for n in range(4)],
        "libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": params},
        colorspace=9,
        color_primaries=9,
        color_trc=16,
    )
    upscale_video(source, tmp_path / "big.mkv", quick(model, encoder="libx265"))
    small, large = first_frame(source)[0], first_frame(tmp_path / "big.mkv")[0]
    for kind in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert bytes(small.side_data[kind]) == bytes(large.side_data[kind])
    assert (large.colorspace, large.color_primaries, large.color_trc) == (9, 9, 16)
    with pytest.raises(VideoError, match="ffv1 cannot be told of HDR10's metadata; --encoder libx265"):
        upscale_video(source, tmp_path / "other.mkv", wish(model, pixel_format=None))


def test_a_full_disk_is_said_before(model, source, tmp_path, monkeypatch):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(VideoError, match="too little room at .*: about 0.0 GB is needed for chunks and result, 0.0 GB"):
        upscale_video(source, tmp_path / "o.mkv", quick(model))
    assert not list(tmp_path.iterdir())


def test_two_at_once(model, source, tmp_path):
    """The second is told; the first goes on."""
    target = tmp_path / "o.mkv"
    with (
        claimed(Folder.of(target)),
        pytest.raises(VideoError, match=rf"o.mkv.work: process {os.getpid()} on .* is at work on it"),
    ):
        upscale_video(source, target, quick(model))
    upscale_video(source, target, quick(model))
    assert [path.name for path in tmp_path.iterdir()] == ["o.mkv"]


def test_containers_by_themselves(model, source, tmp_path):
    pytest.importorskip("typer", reason="the extra cli is not installed")
    from typer.testing import CliRunner

    from vsapisr.cli.videos import app

    write_clip(tmp_path / "a.mp4", [drawing(1, 64, 48)] * 3)
    (tmp_path / "wrong.mp4").write_bytes(source.read_bytes())
    words = ["--model", model, "--device", "cpu", "--encoder", "libx264", "--preset", "ultrafast", "--json"]
    result = CliRunner().invoke(app, ["upscale", str(tmp_path), *words])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "a_4x.mp4", "wrong.mp4", "wrong_4x.mkv"]
    again = CliRunner().invoke(app, ["upscale", str(tmp_path), *words])
    assert again.exit_code == 0 and again.output.count('"already": true') == 2
    refused = CliRunner().invoke(app, ["upscale", str(tmp_path), *words, "--crf", "30"])
    events = [json.loads(line) for line in refused.stdout.splitlines()]
    assert events[-1] == {"file": "", "event": "end", "done": 0, "failed": ["a.mp4", "wrong.mp4"]}
    assert refused.exit_code == 1 and [event["event"] for event in events] == ["failed", "failed", "end"]


def test_status(model, source, tmp_path):
    work = prepare(source, tmp_path / "ep_4x.mkv", quick(model))
    run_chunk(work.folder.plan, 1)
    (state,) = states(tmp_path)
    assert (state.name, state.frames, state.chunks, state.left) == (
        "ep_4x.mkv",
        24,
        len(work.plan.chunks),
        len(work.plan.chunks) - 1,
    )
    assert state.done == work.plan.length(1) and state.running == 0
    assert summary([state])[0].startswith(f"ep_4x.mkv: {state.done}/24 frames, 1/{state.chunks} chunks, 0 in work")
    code = "import sys; from vsapisr.cli import main; sys.argv = ['vsapisr', 'status', sys.argv[1]]; main()"
    said = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == summary([state])
