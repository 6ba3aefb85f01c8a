"""Halos, noise that is left, and the measures by name that need no package of weights."""

from __future__ import annotations

import math
from fractions import Fraction

import av
import av.filter
import cv2
import numpy as np
import pytest
import vapoursynth as vs

from train.evaluation.judge import perceptual
from train.evaluation.levels import lanczos, quarter
from train.evaluation.natural import brisque, niqe, piqe
from train.evaluation.own import OWN, one_frame, vszip_there
from train.evaluation.restoration import find_flat, halo, noise, noise_left, repeated
from train.evaluation.sharpness import find_edges
from vsapisr.errors import ArgumentError

from .clips import drawing

LEVEL = 219 / 255  # of luma for one of grey


def step(low: int = 60, high: int = 180) -> np.ndarray:
    image = np.full((64, 96, 3), low, np.uint8)
    image[:, 48:] = high
    return image


def test_halo_by_hand() -> None:
    """Lines of 12 levels beyond either side of a step of 120 are 20% of it."""
    clean = step()
    edges = find_edges(clean)
    assert halo(clean, clean, edges) == 0
    ringing = clean.copy()
    ringing[:, 50:53] += 12
    assert halo(ringing, clean, edges) == pytest.approx(10, abs=0.2)
    ringing[:, 43:46] -= 12
    assert halo(ringing, clean, edges) == pytest.approx(20, abs=0.4)
    blurred = cv2.GaussianBlur(clean, (0, 0), 2)
    assert halo(blurred, clean, edges) == pytest.approx(0, abs=0.5)
    assert halo(lanczos(quarter(clean)), clean, edges) > 3  # its lobes
    assert math.isnan(halo(clean, clean, find_edges(np.full_like(clean, 7))))


def test_halo_without_an_original() -> None:
    small = step()[::4, ::4]
    wide = repeated(small)
    assert wide.shape == (64, 96, 3) and (wide == step()).all()
    assert halo(lanczos(small), wide, find_edges(lanczos(small))) > 3


def test_noise_that_is_left() -> None:
    clean = step().repeat(2, 0).repeat(2, 1)
    flat = find_flat(clean)
    assert flat[:, :60].all() and not flat[:, 90:102].any()
    rng = np.random.default_rng(0)
    grain = np.repeat(rng.normal(0, 8, clean.shape[:2])[..., None], 3, 2)
    noisy, half = ((clean + share * grain).round().clip(0, 255).astype(np.uint8) for share in (1, 0.5))
    source = noise(noisy, flat)
    assert source == pytest.approx(8 * LEVEL, rel=0.05)
    assert noise_left(noisy, source, flat) == pytest.approx(100)
    assert noise_left(half, source, flat) == pytest.approx(50, abs=1)
    assert noise_left(clean, source, flat) < 1
    assert math.isnan(noise_left(noisy, noise(clean, flat), flat))
    assert math.isnan(noise(noisy, find_flat(noisy)))


def texture(seed: int) -> np.ndarray:
    """Noise of four sizes, like a photograph to these measures."""
    rng = np.random.default_rng(seed)
    sizes = (0.6, 1.5, 4, 12)
    x = sum(cv2.GaussianBlur(rng.normal(size=(200, 290, 3)), (0, 0), size) * size for size in sizes)
    return np.clip(128 + x * 40 / x.std(), 0, 255).astype(np.uint8)


def test_as_other_implementations_measure_it() -> None:
    """What scikit-video 1.1.11, brisque 0.2.0 and pypiqe 1.2 give for the same pictures (the last for BGR)."""
    known = [
        (76.708145, 23.22665, 27.257957),
        (45.148148, 23.68991, 29.434900),
        (58.161263, 20.94588, 27.987039),
    ]
    for seed, (first, second, third) in enumerate(known):
        image = texture(seed)
        assert niqe(image) == pytest.approx(first, rel=1e-4)
        assert brisque(image) == pytest.approx(second, abs=0.1)
        assert piqe(image) == pytest.approx(third, abs=0.1)


def test_worse_pictures_measure_worse() -> None:
    image = texture(0)
    noisy = np.clip(image + np.random.default_rng(1).normal(0, 40, image.shape), 0, 255).astype(np.uint8)
    for measure in (brisque, piqe):
        assert measure(noisy) > measure(image) + 5


def test_flat_pictures_have_no_statistics() -> None:
    flat = np.full((200, 200, 3), 90, np.uint8)
    assert math.isnan(niqe(flat)) and math.isnan(niqe(flat[:96, :100]))
    assert piqe(flat) == 100 and math.isfinite(brisque(flat))


@pytest.mark.skipif(not vszip_there(), reason="no vszip here")
def test_by_the_plugin() -> None:
    image = drawing(3, 128, 160, shapes=20)
    blurred, more = (cv2.GaussianBlur(image, (0, 0), sigma) for sigma in (1, 3))
    for name, equal in (("ssimulacra2", 99.9), ("xpsnr", 60)):
        measure = OWN[name]
        assert measure.full_reference and not measure.lower_is_better
        assert measure(image, image) >= equal
        assert measure(blurred, image) > measure(more, image) + 3
        with pytest.raises(ArgumentError, match="compares with an original"):
            measure(image)


def by_ffmpeg(image: np.ndarray, gt: np.ndarray) -> float:
    """XPSNR of BT.709 luma of 10 bits, by the filter of FFmpeg."""
    graph, frames = av.filter.Graph(), []
    for picture in (gt, image):
        height, width = picture.shape[:2]
        frame = av.VideoFrame(width, height, "yuv444p10le")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        with one_frame(picture).resize.Bicubic(format=vs.YUV444P10, matrix=1).get_frame(0) as planes:
            for plane, values in zip(frame.planes, planes, strict=True):
                rows = np.zeros((height, plane.line_size // 2), np.uint16)
                rows[:, :width] = values
                plane.update(rows.tobytes())
        frames.append(frame)
    ends = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base)
        for frame in frames
    ]
    measure, sink = graph.add("xpsnr"), graph.add("buffersink")
    for place, end in enumerate(ends):
        end.link_to(measure, 0, place)
    measure.link_to(sink)
    graph.configure()
    for end, frame in zip(ends, frames):
        end.push(frame)
        end.push(None)
    return float(sink.pull().metadata["lavfi.xpsnr.xpsnr.y"])


@pytest.mark.skipif(not vszip_there(), reason="no vszip here")
@pytest.mark.skipif("xpsnr" not in av.filter.filters_available, reason="no XPSNR in this FFmpeg")
def test_xpsnr_is_that_of_ffmpeg() -> None:
    image = drawing(3, 320, 180, shapes=30)
    for sigma in (0.7, 3):
        blurred = cv2.GaussianBlur(image, (0, 0), sigma)
        assert OWN["xpsnr"](blurred, image) == pytest.approx(by_ffmpeg(blurred, image), abs=1e-4)


def test_names() -> None:
    usual = [measure.name for measure in perceptual(("auto",), "cpu", references=False)]
    assert {"niqe", "brisque", "piqe"} <= set(usual) and "ssimulacra2" not in usual
    assert [m.name for m in perceptual(("piqe", "niqe"), "cpu", references=True)] == ["piqe", "niqe"]
