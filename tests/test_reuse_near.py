"""``reuse=2``: a pure function of the clip, and nothing that moves, fades or glimmers is taken for a held drawing."""

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
from vsapisr.reuse.clip import ClipUpscaler
from vsapisr.reuse.hold import GROUPS, Held, Holder

from .test_reuse import FULL, Sensitive, cel

GREY, RGB24 = Format(GRAY, 0, 8), Format(RGB, 0, 8)
LIMIT, MEAN = 1, 0.25  # of the default threshold


@pytest.fixture(scope="module")
def drawing() -> np.ndarray:
    """(96, 128) of a face."""
    return cv2.cvtColor(Painter(180).frame("talk", 0), cv2.COLOR_RGB2GRAY)[40:136, 100:228].copy()


def held(frames: list[np.ndarray], threshold: float = 1.0) -> list[np.ndarray]:
    """One segment of grey frames."""
    clip = Held(GREY, threshold)
    return [clip.step([frame], False)[0] for frame in frames]


def worst(frames: list[np.ndarray], shown: list[np.ndarray]) -> tuple[int, float]:
    """The largest difference of a sample, and of the mean of a block."""
    difference = np.array(shown).astype(int) - np.array(frames)
    count, height, width = difference.shape
    means = difference.reshape(count, height // 8, 8, width // 8, 8).mean((2, 4))
    return int(np.abs(difference).max()), float(np.abs(means).max())


def exact(frames: list[np.ndarray], shown: list[np.ndarray]) -> float:
    """Share of blocks that are what they were in the source."""
    same = np.array(shown) == np.array(frames)
    count, height, width = same.shape
    return float(same.reshape(count, height // 8, 8, width // 8, 8).all((2, 4)).mean())


# A pure function of clip and arguments


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.generate))
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
            upscaler.holder.groups.count = 1
            with ThreadPoolExecutor(3) as pool:
                assert [got for got, _ in pool.map(lambda n: clip.frame(upscaler, n), order)] == [
                    wanted[n] for n in order
                ]
        clip.close()


def test_threshold_zero_changes_nothing(monkeypatch):
    monkeypatch.setattr(forms, "load_form", lambda *_: Sensitive())
    clip = cel(4, 8)
    plain, upscaler = clip.upscaler(reuse=0), clip.upscaler(reuse=2, threshold=0.0)
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


@pytest.mark.parametrize("said", [{"_PictType": b"I"}, {"_SceneChangePrev": 1}, {}])
def test_segments_begin_anew(said, drawing):
    """The last case: frame 6 begins one by its number."""
    noisy = [[np.where((drawing + n) % 7 == 0, drawing ^ 1, drawing)] for n in range(8)]
    properties = {n: said if n == 4 else {"_PictType": b"P"} for n in range(8)}
    holder = Holder(GREY, 1.0, 6, 1)
    start = 4 if said else 6
    for n in range(8):
        shown = holder.get(n, dict(enumerate(noisy)), properties)[0]
        assert np.array_equal(shown, noisy[n][0]) == (n in (0, start, 6)), n


def test_nothing_grows(drawing):
    holder = Holder(GREY, 1.0, 2, 1)
    for n in range(60):
        holder.get(n, {m: [drawing] for m in range(holder.first(n), n + 1)}, {})
    assert len(holder.groups.values) == GROUPS
    assert all(group.result().held is None for group in holder.groups.values.values())  # all complete: no anchors


def test_large_frames_are_kept_of_two_stretches_only():
    """What Full HD in 10 bit (4:2:0), float RGB and 4K in float RGB take with the default interval."""
    counts = [Holder(GREY, 1.0, 16, size).groups.count for size in (6_220_800, 24_883_200, 99_532_800)]
    assert counts == [4, 2, 2]


# False duplicates


def test_a_fade_is_followed(drawing):
    fade = [np.rint(drawing * (1 - n / 100)).astype(np.uint8) for n in range(100)]
    size, mean = worst(fade, held(fade))
    assert size <= LIMIT and mean <= MEAN


def test_a_fade_is_followed_by_the_shipped_network(drawing):
    """Within 1 of 255 after rounding, all through a fade over 100 frames."""
    face = np.repeat(drawing[16:72, 36:92, None], 3, axis=2)
    fade = [np.rint(face * (1 - n / 100)).astype(np.uint8) for n in range(100)]
    frames = {n: [np.ascontiguousarray(frame[..., c]) for c in range(3)] for n, frame in enumerate(fade)}
    results = []
    for reuse in (0, 2):
        upscaler = ClipUpscaler(UpscaleConfig(device="cpu", reuse=reuse), 56, 56, RGB24, RGB24, 100)
        results.append([])
        for n in (5, 31, 62, 94):
            out = [np.zeros((224, 224), np.uint8) for _ in range(3)]
            upscaler.frame(n, {m: frames[m] for m in upscaler.needs(n)}, FULL, out, FULL)
            results[-1].append(out)
        upscaler.close()
    assert np.abs(np.array(results[0]).astype(int) - results[1]).max() <= 1


def test_a_dissolve_is_followed(drawing):
    other = drawing[::-1, ::-1]
    dissolve = [np.rint(drawing + (other.astype(float) - drawing) * n / 100).astype(np.uint8) for n in range(100)]
    size, mean = worst(dissolve, held(dissolve))
    assert size <= LIMIT and mean <= MEAN


def test_a_slow_pan_of_a_soft_gradient_is_followed():
    ramp = (np.arange(128 + 60) / 6)[None].repeat(96, 0)
    pan = [np.rint(100 + ramp[:, n // 2 : n // 2 + 128]).astype(np.uint8) for n in range(100)]
    size, mean = worst(pan, held(pan))
    assert size <= LIMIT and mean <= MEAN


def test_motion_by_one_pixel_is_followed(drawing):
    motion = [np.roll(drawing, n, axis=1) for n in range(12)]
    shown = held(motion)
    assert worst(motion, shown)[0] <= LIMIT
    lines = np.abs(np.diff(motion, axis=0).astype(np.int8)) > 1
    assert lines.mean() > 0.05 and np.array_equal(np.array(shown)[1:][lines], np.array(motion)[1:][lines])


def test_a_blink_is_followed(drawing):
    shut = drawing.copy()
    shut[40:43, 50:58] = 20
    film = [drawing, drawing, shut, shut, drawing, shut]
    assert all(np.array_equal(a, b) for a, b in zip(film, held(film)))


def test_a_mouth_that_returns_takes_the_same_samples(drawing):
    """A-B-C-A: the noise of the second A is that of the first."""
    a, b, c = (drawing.copy() for _ in range(3))
    b[60:66, 40:50], c[60:66, 40:50] = 60, 200
    again = np.where((a + np.arange(128)) % 50 == 0, a ^ 1, a)
    shown = held([a, b, c, again])
    assert not np.array_equal(a, again) and np.array_equal(shown[3], a)


@pytest.mark.parametrize(("sigma", "share"), [(1.5, 0.97), (3, 0.999), (6, 1.0)])
def test_grain_is_not_frozen(drawing, sigma, share):
    noise = np.random.default_rng(0)
    grain = [
        np.clip(np.rint(drawing * 0.7 + 30 + noise.normal(0, sigma, drawing.shape)), 0, 255).astype(np.uint8)
        for _ in range(10)
    ]
    assert exact(grain, held(grain)) >= share


def test_subtle_noise_stays_within_the_threshold(drawing):
    noise = np.random.default_rng(0)
    film = [(drawing // 2 + 50 + noise.integers(0, 2, drawing.shape)).astype(np.uint8) for _ in range(30)]
    shown = held(film)
    assert worst(film, shown)[0] <= LIMIT and worst(film, shown)[1] <= MEAN


def test_small_steps_do_not_add_up(drawing):
    film, now, noise = [], drawing // 2 + 20, np.random.default_rng(0)
    for _ in range(200):
        now = now.copy()
        now[noise.random(now.shape) < 0.01] += 1
        film.append(now)
    size, mean = worst(film, held(film))
    assert size <= LIMIT and mean <= MEAN


@pytest.mark.parametrize(
    "format", [Format(YUV, 0, 10, 1, 1), Format(YUV, 1, 32, 1, 0), Format(RGB, 1, 16), Format(YUV, 0, 16, 2, 2)]
)
def test_the_threshold_means_the_same_in_every_format(format):
    scale = 1 / 255 if format.sample_type else 1 << format.bits_per_sample - 8
    kind = {8: np.uint8, 10: np.uint16, 16: np.float16 if format.sample_type else np.uint16, 32: np.float32}[
        format.bits_per_sample
    ]

    def frame(step: float) -> list[np.ndarray]:
        planes = []
        for down, right in map(format.subsampling, range(3)):
            plane = np.full((44 >> down, 60 >> right), 100 * scale, kind)
            plane[::8, ::8] += kind(step * scale)
            planes.append(plane)
        return planes

    for step, follows in ((0.75, False), (1.5, True)):
        clip = Held(format, 1.0)
        clip.step(frame(0), False)
        shown = clip.step(frame(step), False)
        assert np.array_equal(shown[0], frame(step)[0]) == follows, step


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reuse": 3}, "reuse must be 0 (off), 1 (equal tiles) or 2 (nearly equal ones too), got 3"),
        ({"threshold": -1.0}, "threshold must be 0 to 16 steps of 8 bit, got -1"),
        ({"threshold": float("nan")}, "threshold must be 0 to 16 steps of 8 bit, got nan"),
        ({"interval": 0}, "interval must be 1 to 64 frames, got 0"),
        ({"cache": -1}, "cache must not be negative, got -1"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ArgumentError) as caught:
        UpscaleConfig(**arguments)
    assert str(caught.value) == message
