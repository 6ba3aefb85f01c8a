"""Applying a draw: sizes, types, no wrapping, errors, the steps built on it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.degradation.config import DegradationConfig, preset
from train.degradation.draws import Codec, Draw, Resize, draw, generator
from train.degradation.pipeline import apply, degrade, to_bytes
from train.degradation.presets import PRESETS
from train.degradation.resize import resize
from train.degradation.run import DegradeConfig, run_degrade
from train.preview import PreviewConfig, run_preview
from vsapisr.errors import ArgumentError

from .pictures import shapes


@pytest.mark.parametrize("name", PRESETS)
def test_presets_end_at_a_quarter_and_use_their_codecs(name):
    config = preset(name)
    assert config.preset == name
    for number in range(300):
        record = draw(generator(name, number), config, 96, 128)
        sizes = [(step.height, step.width) for step in record.steps if isinstance(step, Resize)]
        assert sizes[-1] == (24, 32)
        codecs = [step.name for step in record.steps if isinstance(step, Codec)]
        assert codecs and (name == "paper" or set(codecs) == {"jpeg"})
    assert apply(shapes(1, 96, 128), record).shape == (24, 32, 3)


def test_steps_degrade_and_preview(tmp_path):
    """Results are those of the function, a second run writes nothing, unusable files are reported, sheets have their
    size.
    """
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(2):
        cv2.imwrite(str(source / f"{number}.png"), shapes(number, 64, 96)[..., ::-1])
    (source / "broken.png").write_bytes(b"\x89PNG")
    config = DegradeConfig(source=str(source), out=str(out), variants=2, workers=1, seed=3)
    report = run_degrade(config)
    assert (report.written, report.known, len(report.refused)) == (4, 0, 1) and "broken.png" in str(report)
    small, record = degrade(shapes(1, 64, 96), DegradationConfig(), 3, 1, 1)
    assert np.array_equal(cv2.imread(str(out / "1_1.png"))[..., ::-1], small)
    lines = [json.loads(line) for line in (out / "draws.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["0.png", "0_1.png", "1.png", "1_1.png"]
    assert lines[3]["steps"] == [list(pair) for pair in record.trace()]
    (out / "0.png").write_bytes((out / "0.png").read_bytes()[:60])  # as a kill without a rename would leave it
    report = run_degrade(config)
    assert (report.written, report.known) == (1, 3)
    shown = run_preview(PreviewConfig(source=str(source), out=str(tmp_path / "see"), columns=2, rows=2, size=64))
    assert len(shown.written) == 4 and len(shown.refused) == 1
    sheet = cv2.imread(str(tmp_path / "see" / "0.lines.png"))
    assert sheet.shape[1] == 3 * 96 + 4 * 8
    assert np.array_equal(sheet[8:72, 8:104, ::-1], shapes(0, 64, 96))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**9), height=st.integers(1, 10), width=st.integers(1, 10))
def test_any_image_any_draw(seed, height, width):
    """Shape, type, determinism and an untouched input for sizes down to 8x8."""
    image = shapes(seed, 8 * height, 8 * width)
    before = image.copy()
    small, record = degrade(image, DegradationConfig(), seed, 0, 0)
    assert small.shape == (2 * height, 2 * width, 3) and small.dtype == np.uint8
    assert np.array_equal(image, before)
    assert np.array_equal(small, apply(image, record))
    assert len(record.trace()) == len(record.steps) and all(text for _, text in record.trace())


def test_nothing_wraps_around():
    """Bicubic overshoot beside black and white edges: a wrapped byte would be far from its surroundings."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 255
    wide = resize(image.astype(np.float32) / 255, 150, 150, "bicubic")
    assert wide.min() < -0.01 and wide.max() > 1.01
    levels = to_bytes(wide)
    assert levels[:, :60].max() <= 3 and levels[:, 90:].min() >= 252
    record = Draw(64, 64, (Resize(150, 150, "bicubic"), Codec("jpeg", 95), Resize(16, 16, "area"), Codec("jpeg", 95)))
    small = apply(image, record)
    assert small[:, :6].max() < 30 and small[:, 10:].min() > 225


def test_bytes_are_rounded_not_cut_off():
    assert to_bytes(np.array([[[-0.3, 0.6 / 255, 1.4 / 255]], [[254.6 / 255, 1.7, 0.5]]], np.float32)).tolist() == [
        [[0, 1, 1]],
        [[255, 255, 128]],
    ]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((12, 16, 3), np.uint8),
        np.zeros((16, 16), np.uint8),
        np.zeros((16, 16, 4), np.uint8),
        np.zeros((16, 16, 3), np.float32),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_wrong_images_are_refused(image):
    with pytest.raises(ArgumentError, match="image.*accepted"):
        degrade(image, DegradationConfig(), 0)


def test_a_draw_for_another_size_is_refused():
    with pytest.raises(ArgumentError, match="drawn for"):
        apply(np.zeros((16, 16, 3), np.uint8), draw(generator("x"), DegradationConfig(), 32, 32))
