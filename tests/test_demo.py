"""The demo from end to end; a plain enlargement stands in for the filter."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from scripts.cel import Painter
from scripts.clips import encode
from scripts.demo.before_after import before_after, busiest, rgb
from scripts.demo.demo import Options, main, parse, run_demo
from scripts.demo.excerpt import excerpt, inspect
from vsapisr.errors import VideoError

from .episodes import episode
from .test_video_sources import lanczos


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanczos in the network's place."""
    for module in ("plan", "chunk"):
        monkeypatch.setattr(f"vsapisr.video.{module}.enlarged", lanczos)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "my 'own' clip é.mkv"
    encode(path, Painter(90).frames("talk", 24), crf=12)
    return path


def test_demo_on_a_video_keeps_sound_and_length_and_colour(clip: Path, tmp_path: Path):
    said: list[str] = []
    target = run_demo(Options(clip, tmp_path, frames=16, device="cpu"), say=said.append)
    assert target == tmp_path / "my 'own' clip é_4x.mkv"
    with av.open(str(target)) as file:
        frames = list(file.decode(video=0))
        assert file.streams.video[0].codec_context.name == "h264"
    with av.open(str(target)) as file:
        samples = sum(frame.samples for frame in file.decode(audio=0))
    assert len(frames) == 16 and (frames[0].width, frames[0].height) == (640, 360)
    assert abs(samples / 48000 - 16 * 1001 / 24000) < 0.05
    assert sum(frame.key_frame for frame in frames) < 16  # the encoder chose the picture types, not the pipe
    # BT.601 as VapourSynth assumes for this size, and said so in the larger file.
    assert frames[0].colorspace == 6
    shown = rgb(frames[5]).astype(float).mean(axis=(0, 1))
    assert np.abs(shown - Painter(90).frame("talk", 5).mean(axis=(0, 1))).max() < 0.6
    picture = cv2.imread(str(tmp_path / "before_after.png"))
    assert picture is not None and picture.shape[0] > 1000 and picture.shape[1] > 1900
    assert "done: 16 frames 160x90 -> 640x360" in said[-1] and "sound kept" in said[-1]
    assert not list(tmp_path.glob(".*part*"))


def test_demo_draws_its_own_clip(tmp_path: Path):
    options = Options(None, tmp_path, frames=4, height=90, shot="title", device="cpu")
    target = run_demo(options, say=lambda text: None)
    assert target.name == "upscaled.mkv" and (tmp_path / "cel_title_90p.mkv").exists()
    assert inspect(target).frames == 4


def test_slow_machine_takes_fewer_frames(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("scripts.demo.demo.PROBE_SECONDS", -1.0)
    monkeypatch.setattr("scripts.demo.demo.BUDGET_SECONDS", 0.0)
    said: list[str] = []
    target = run_demo(Options(clip, tmp_path, device="cpu"), say=said.append)
    assert inspect(target).frames == 8
    assert any("taking the first 8 of 24 frames" in line for line in said)


def test_excerpt_begins_at_an_i_frame_and_is_shorter(tmp_path: Path):
    whole, part = tmp_path / "whole.mkv", tmp_path / "part.mkv"
    encode(whole, Painter(90).frames("title", 240), keyint=24, crf=30)
    excerpt(whole, part, 5.0, 1.0)
    info = inspect(part)
    assert info.audio and 72 <= info.frames <= 110
    with av.open(str(part)) as file:
        frames = list(file.decode(video=0))
    assert len(frames) == info.frames and frames[0].key_frame and 4.0 <= frames[0].time <= 5.0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.mkv", None, "there is no file"),
        ("text.mkv", b"not a video at all, only words " * 40, "is no video that can be read"),
        ("empty.mp4", b"", "is no video that can be read"),
    ],
)
def test_unusable_source(tmp_path: Path, capsys: pytest.CaptureFixture, name: str, content: bytes | None, message: str):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert main([str(path), "--output", str(tmp_path / "out"), "--device", "cpu"]) == 1
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_folder_and_sound_alone_are_refused(tmp_path: Path):
    with pytest.raises(VideoError, match="is a folder; a video file is needed"):
        inspect(tmp_path)
    path = tmp_path / "sound.mka"
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(VideoError, match="has no video in it"):
        inspect(path)


def test_options_are_checked(capsys: pytest.CaptureFixture):
    assert parse(["a.mkv", "--seconds", "2.5"]).seconds == 2.5
    for wrong in (["--frames", "0"], ["--seconds", "-1"]):
        with pytest.raises(SystemExit):
            parse(wrong)
        assert "accepted is" in capsys.readouterr().err


def test_full_range_pixels_and_times_are_kept(tmp_path: Path):
    """Each was lost by an earlier way of the demo."""
    times = [sum((42, 42, 83)[k % 3] for k in range(n)) for n in range(40)]
    source = episode(tmp_path / "s.mkv", times, sar=(32, 27), tags=(1, 1, 1, 2))
    target = run_demo(Options(source, tmp_path / "out", device="cpu"), say=lambda text: None)
    with av.open(str(target)) as file:
        frames = list(file.decode(video=0))
        assert file.streams.video[0].sample_aspect_ratio == Fraction(32, 27)
    assert [round(frame.time * 1000) for frame in frames] == times
    assert (frames[0].colorspace, frames[0].color_range) == (1, 2)
    with av.open(str(source)) as one, av.open(str(target)) as two:
        sounds = [sum(frame.samples for frame in file.decode(audio=0)) for file in (one, two)]
    assert sounds[0] == sounds[1]


def test_busiest_part_is_where_the_lines_are(tmp_path: Path):
    picture = np.full((360, 640, 3), 200, np.uint8)
    picture[100:160:4, 400:480] = 20
    x, y = busiest(picture, 160, 90)
    assert x <= 400 and x + 160 >= 480 and y <= 100 and y + 90 >= 160
    before_after(picture[::4, ::4], picture, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 5000
