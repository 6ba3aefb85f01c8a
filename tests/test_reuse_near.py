"""``reuse=2``: a pure function of the clip; what it holds and shows (test_reuse_false.py: what it must not hold)."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from scripts.cel import Painter
from vsapisr.config import UpscaleConfig
from vsapisr.errors import ArgumentError
from vsapisr.networks import forms
from vsapisr.picture.colour import GRAY, RGB, YUV, Format
from vsapisr.reuse.hold import SEGMENTS, Holder, held

from .test_reuse import Sensitive, cel

GREY, RGB24 = Format(GRAY, 0, 8), Format(RGB, 0, 8)


@pytest.fixture(scope="module")
def drawing() -> np.ndarray:
    """(96, 128) of a face."""
    return cv2.cvtColor(Painter(180).frame("talk", 0), cv2.COLOR_RGB2GRAY)[40:136, 100:228].copy()


def shown(frames: list[np.ndarray], threshold: float = 1.0, cuts: list[bool] | None = None) -> list[np.ndarray]:
    """One segment of grey frames."""
    return [planes[0] for planes in held([[frame] for frame in frames], GREY, threshold, cuts)]


def grainy(drawings: list[np.ndarray], sigma: float, seed: int = 0) -> list[np.ndarray]:
    noise = np.random.default_rng(seed)
    return [np.rint(d + noise.normal(0, sigma, d.shape)).clip(0, 255).astype(np.uint8) for d in drawings]


# A pure function of clip and arguments


@settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(seed=st.integers(0, 2**32), tilesize=st.sampled_from([(), (80,)]), interval=st.sampled_from([1, 3, 16]))
def test_pixels_do_not_depend_on_the_order_of_requests(seed, tilesize, interval):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "load_form", lambda *_: Sensitive())
        clip, choose, noise = cel(seed, 9), random.Random(seed), np.random.default_rng(seed)
        for frame in clip.frames:  # what a codec adds
            for plane in frame:
                plane[noise.random(plane.shape) < 0.01] += 1
        clip.properties = [
            {"_PictType": choose.choice([b"I", b"P", b"B", b"B"]), "_SceneChangePrev": int(n == 5)} for n in range(9)
        ]
        arguments = {"reuse": 2, "tilesize": tilesize, "interval": interval}
        first = clip.upscaler(**arguments)
        wanted = [clip.frame(first, n)[0] for n in range(9)]
        for order in (range(8, -1, -1), [8], [6, 2, 2, 7], random.Random(seed).sample(range(9), 9)):
            upscaler = clip.upscaler(**arguments)
            upscaler.cache.budget = choose.choice([0, 300_000, 10_000_000])
            upscaler.holder.segments.count = 1
            with ThreadPoolExecutor(3) as pool:
                assert [got for got, _ in pool.map(lambda n: clip.frame(upscaler, n), order)] == [
                    wanted[n] for n in order
                ]
        clip.close()


def test_threshold_zero_changes_nothing(monkeypatch):
    monkeypatch.setattr(forms, "load_form", lambda *_: Sensitive())
    clip = cel(4, 8)
    plain, upscaler = clip.upscaler(reuse=0, tilesize=(80,)), clip.upscaler(reuse=2, tilesize=(80,), threshold=0.0)
    assert [clip.frame(upscaler, n)[0] for n in range(8)] == [clip.frame(plain, n)[0] for n in range(8)]
    clip.close()


def test_noise_of_a_codec_is_held(monkeypatch):
    network = Sensitive()
    monkeypatch.setattr(forms, "load_form", lambda *_: network)
    clip, noise = cel(1, 1), np.random.default_rng(1)
    for _ in range(7):
        clip.frames.append([np.where(noise.random(p.shape) < 0.02, p ^ 1, p) for p in clip.frames[0]])
    clip.colours *= 8
    clip.properties *= 8
    exact, near = clip.upscaler(), clip.upscaler(reuse=2)
    assert sum(clip.frame(exact, n)[1] for n in range(8)) == 0
    assert [clip.frame(near, n)[1] for n in range(8)] == [0] + [1] * 7
    clip.close()


def test_a_drawing_is_shown_as_the_mean_of_its_frames(drawing):
    soft = drawing // 2 + 60
    frames = grainy([soft] * 16, 3)
    found = shown(frames)
    assert all(np.array_equal(frame, found[0]) for frame in found)
    assert np.array_equal(found[0], (2 * np.sum(frames, 0, dtype=np.uint32) + 16) // 32)
    assert np.mean((found[0].astype(float) - soft) ** 2) < np.mean((frames[0].astype(float) - soft) ** 2) / 10


def test_a_mouth_that_returns_takes_the_same_samples(drawing):
    """A-B-C-A, each for two frames, under grain: the places of both A look alike, and nothing of B and C is in them."""
    a = drawing // 2 + 60
    b, c = a.copy(), a.copy()
    b[60:66, 40:50], c[60:66, 40:50] = 60, 200
    found = shown(grainy([x for x in (a, b, c, a) for _ in range(2)], 2))
    for first, second in ((0, 1), (0, 6), (0, 7), (2, 3), (4, 5)):
        assert np.array_equal(found[first], found[second]), (first, second)
    for n, clean in ((0, a), (2, b), (4, c)):
        assert np.abs(found[n][60:66, 40:50].mean() - clean[60:66, 40:50].mean()) < 1


def test_a_frame_that_weaves_shows_the_drawing_where_it_belongs():
    """A frame of film that is beside its place is shown in it, and does not blur the mean."""
    picture = cv2.GaussianBlur(cv2.cvtColor(Painter(180).frame("talk", 0), cv2.COLOR_RGB2GRAY), (0, 0), 0.7)
    matrix = np.array([[1, 0, 0.35], [0, 1, -0.2]])
    off = cv2.warpAffine(picture, matrix, picture.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    frames = grainy([off if n == 5 else picture for n in range(16)], 1.5)
    found = shown(frames)
    same = np.array([(frame == found[0]).mean() for frame in found])
    assert same[5] > 0.9 and np.delete(same, 5).min() > 0.99
    others = np.mean([frame.astype(float) for n, frame in enumerate(frames) if n != 5], axis=0)
    assert np.abs(found[0] - others).mean() < 0.3  # rounding alone is 0.25


def test_flicker_is_taken_out(drawing):
    soft = drawing // 2 + 60
    found = shown([soft + (n * 7 % 3 == 0) for n in range(16)])
    assert all(np.array_equal(frame, found[0]) for frame in found)


def test_segments_and_cuts_begin_anew(drawing):
    """A segment's frames show nothing of another segment, nor of before a cut that the source tells of."""
    film = grainy([drawing // 2 + 60] * 12, 1)
    holder = Holder(GREY, 1.0, 6, 12, 1)
    source = {n: [frame] for n, frame in enumerate(film)}
    got = [holder.get(n, source, {})[0] for n in range(12)]
    assert np.array_equal(got[0], got[5]) and np.array_equal(got[6], got[11]) and not np.array_equal(got[5], got[6])
    assert holder.segment(5) == range(6) and holder.segment(6) == range(6, 12)
    cut = Holder(GREY, 1.0, 6, 12, 1).get(2, source, {2: {"_SceneChangePrev": 1}})[0]
    assert np.array_equal(cut, shown(film[2:6])[0]) and not np.array_equal(cut, got[2])


def test_nothing_grows(drawing):
    holder = Holder(GREY, 1.0, 2, 60, 1)
    for n in range(60):
        holder.get(n, {m: [drawing] for m in holder.segment(n)}, {})
    assert len(holder.segments.values) == SEGMENTS


def test_large_frames_are_kept_of_two_segments_only():
    """What Full HD in 10 bit (4:2:0), float RGB and 4K in float RGB take with the default interval."""
    counts = [Holder(GREY, 1.0, 16, 99, size).segments.count for size in (6_220_800, 24_883_200, 99_532_800)]
    assert counts == [4, 2, 2]


def test_no_memory_of_the_source_is_kept(drawing):
    frames = [[np.roll(drawing, 9 * n, axis=1)] for n in range(3)] + [[drawing.copy()] for _ in range(3)]
    found = held(frames, GREY, 1.0)
    assert not any(np.shares_memory(a, b) for planes in found for a in planes for other in frames for b in other)


@pytest.mark.parametrize(
    "format",
    [Format(YUV, 0, 10, 1, 1), Format(YUV, 1, 32, 1, 0), Format(RGB, 1, 16), Format(YUV, 0, 16, 2, 2), RGB24],
)
def test_the_same_is_held_in_every_format(drawing, format):
    """A mouth and grain, in all planes, of a size that no block divides."""
    bits = format.bits_per_sample
    scale = 1 / 255 if format.sample_type else 1 << bits - 8
    kind = {8: np.uint8, 16: np.float16 if format.sample_type else np.uint16, 10: np.uint16, 32: np.float32}[bits]
    mouth = (drawing // 2 + 60).astype(float)
    mouth[60:68, 40:52] += 60
    noise, frames = np.random.default_rng(0), []
    for n in range(12):
        clean, planes = (mouth if n in (4, 5, 6) else drawing // 2 + 60.0)[:92, :124], []
        for down, right in map(format.subsampling, range(3)):
            plane = clean[:: 1 << down, :: 1 << right][: 92 >> down, : 124 >> right]
            planes.append(((plane + noise.normal(0, 1, plane.shape)).round(0) * scale).astype(kind))
        frames.append(planes)
    found = held(frames, format, 1.0)
    for number, (down, right) in enumerate(map(format.subsampling, range(3))):
        planes = [planes[number] for planes in found]
        assert planes[0].dtype == kind and planes[0].shape == frames[0][number].shape
        assert all(np.array_equal(planes[0], planes[n]) for n in (1, 2, 3, 7, 11))
        assert np.array_equal(planes[4], planes[6]) and not np.array_equal(planes[3], planes[4])
        at = (slice(62 >> down, 66 >> down), slice(42 >> right, 50 >> right))
        change = (planes[4][at].astype(float) - planes[0][at].astype(float)).mean() / scale
        assert change == pytest.approx(60, abs=2)


def test_a_larger_threshold_holds_more(drawing):
    """A place that brightens and stays so."""
    soft = drawing // 2 + 60

    def changes(threshold: float, step: int) -> bool:
        bright = soft.copy()
        bright[32:64, 32:64] += np.uint8(step)
        found = shown([soft] * 6 + [bright] * 6, threshold)
        return not np.array_equal(found[0], found[11])

    assert [changes(1, step) for step in (1, 2, 4)] == [True] * 3
    assert [changes(8, step) for step in (1, 20)] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reuse": 3}, "reuse must be 0 (off), 1 (equal tiles) or 2 (nearly equal ones too), got 3"),
        ({"threshold": -1.0}, "threshold must be 0 to 16, got -1"),
        ({"threshold": float("nan")}, "threshold must be 0 to 16, got nan"),
        ({"interval": 0}, "interval must be 1 to 64 frames, got 0"),
        ({"cache": -1}, "cache must not be negative, got -1"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ArgumentError) as caught:
        UpscaleConfig(**arguments)
    assert str(caught.value) == message
