"""Clips: real files, decoded again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from scripts.cel import Painter
from scripts.clips import EXACT, FILM, encode, main, soundtrack
from vsapisr.errors import ArgumentError


def test_clip_has_every_frame_and_sound_of_the_same_length(tmp_path: Path):
    path = tmp_path / "clip.mkv"
    pictures = list(Painter(90).frames("talk", 30))
    assert encode(path, pictures, crf=10, keyint=12, matrix="bt709") == 30
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
        assert file.streams.video[0].average_rate == FILM and frames[0].colorspace == 1
    with av.open(str(path)) as file:
        samples = sum(frame.samples for frame in file.decode(audio=0))
    assert len(frames) == 30 and sum(frame.key_frame for frame in frames) >= 3
    assert abs(samples / 48000 - 30 / FILM) < 0.05
    shown = frames[7].reformat(format="rgb24", src_colorspace=1, interpolation=EXACT).to_ndarray().astype(float)
    assert np.abs(shown.mean(axis=(0, 1)) - pictures[7].mean(axis=(0, 1))).max() < 0.5


def test_default_clip_says_nothing_of_its_matrix(tmp_path: Path):
    encode(tmp_path / "a.mp4", Painter(90).frames("title", 2), audio=False, fps=Fraction(25), pix_fmt="yuv444p")
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert not file.streams.audio and file.streams.video[0].average_rate == 25
        frame = next(file.decode(video=0))
    assert frame.colorspace == 2 and frame.format.name == "yuv444p"


def test_failure_leaves_neither_the_file_nor_a_part_of_it(tmp_path: Path):
    def pictures():
        yield np.zeros((90, 160, 3), np.uint8)
        yield np.zeros((90, 162, 3), np.uint8)

    with pytest.raises(ArgumentError, match=r"frame 1 is uint8 \(90, 162, 3\); the first one was uint8 \(90, 160, 3\)"):
        encode(tmp_path / "a.mkv", pictures())
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_say_what_is_accepted(tmp_path: Path):
    picture = [np.zeros((90, 160, 3), np.uint8)]
    with pytest.raises(ArgumentError, match="matrix is 'bt2020'; accepted are 'bt709', 'bt601' and None"):
        encode(tmp_path / "a.mkv", picture, matrix="bt2020")
    with pytest.raises(ArgumentError, match="no encoder named 'x264'"):
        encode(tmp_path / "a.mkv", picture, codec="x264")
    with pytest.raises(ArgumentError, match="a.gif ends in '.gif'; accepted are .mkv"):
        encode(tmp_path / "a.gif", picture)
    with pytest.raises(ArgumentError, match="the folder .*missing does not exist"):
        encode(tmp_path / "missing" / "a.mkv", picture)
    with pytest.raises(ArgumentError, match="no frames for a.mkv"):
        encode(tmp_path / "a.mkv", [])


def test_sound_is_the_same_in_blocks_and_at_once():
    whole = soundtrack(0, 4096)
    blocks = np.concatenate([soundtrack(first, 1024) for first in range(0, 4096, 1024)], axis=1)
    assert np.array_equal(whole, blocks) and 0.01 < np.abs(soundtrack(0, 96000)).max() < 1.0


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    path = tmp_path / "slide.mkv"
    assert main(["--out", str(path), "--height", "90", "--shot", "slide", "--seconds", "0.5"]) == 0
    assert "12 frames, 160x90" in capsys.readouterr().out and path.exists()
    assert main(["--out", str(path), "--height", "100"]) == 1
    assert "clips: height is 100" in capsys.readouterr().err
