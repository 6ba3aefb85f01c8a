"""``reuse=1``: bit for bit what ``reuse=0`` gives, however frames are asked for, and nothing computed twice."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from vsapisr.config import UpscaleConfig
from vsapisr.networks import forms
from vsapisr.picture.colour import GRAY, RGB, YUV, Colour, Format
from vsapisr.reuse.cache import Recent
from vsapisr.reuse.clip import ClipUpscaler
from vsapisr.reuse.pyramid import Pyramid

YUV420, GRAY8, FLOAT = Format(YUV, 0, 8, 1, 1), Format(GRAY, 0, 8), Format(RGB, 1, 32)
WIDTH, HEIGHT = 208, 152
BT601, BT709, FULL = Colour(6, False), Colour(1, False), Colour(0, True)


class Sensitive:
    """Every value of the result depends on every value of the input, so a tile taken over wrongly cannot go
    unnoticed.
    """

    def __init__(self):
        self.shapes, self.gate, self.fail = [], None, 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.gate:
            assert self.gate.wait(20)
        self.shapes.append(tuple(x.shape))
        if self.fail:
            self.fail -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        weights = torch.linspace(0.1, 1, x[0].numel(), dtype=torch.float64).view(x.shape[1:])
        mark = (x.double() * weights).mean((1, 2, 3), keepdim=True).float()
        return torch.nn.functional.interpolate(x, scale_factor=4, mode="nearest") * 0.5 + mark * 0.5


@pytest.fixture
def network(monkeypatch):
    network = Sensitive()
    monkeypatch.setattr(forms, "load_form", lambda *_: network)
    return network


class Clip:
    """Frames as lists of planes, and filters on them."""

    def __init__(self, frames: list[list[np.ndarray]], source: Format, colours: list[Colour]):
        self.frames, self.source, self.colours, self.made = frames, source, colours, []
        self.properties: list[dict] = [{} for _ in frames]

    def upscaler(self, **arguments) -> ClipUpscaler:
        height, width = self.frames[0][0].shape
        config = UpscaleConfig(device="cpu", **arguments)
        self.made.append(ClipUpscaler(config, width, height, self.source, FLOAT, len(self.frames)))
        return self.made[-1]

    def frame(self, upscaler: ClipUpscaler, n: int) -> tuple[bytes, float]:
        """Of the pixels, and the share taken over."""
        out = [np.full((4 * upscaler.height, 4 * upscaler.width), np.nan, np.float32) for _ in range(3)]
        frames = {m: self.frames[m] for m in upscaler.needs(n)}
        properties = {m: self.properties[m] for m in frames}
        share = upscaler.frame(n, frames, self.colours[n], out, FULL, properties)
        return b"".join(plane.tobytes() for plane in out), share

    def close(self) -> None:
        for upscaler in self.made:
            upscaler.close()


def cel(seed: int, count: int, source: Format = YUV420, width: int = WIDTH, height: int = HEIGHT) -> Clip:
    """Held drawings, returns to earlier ones, changes of one sample, moves of everything, two matrices."""
    choose = random.Random(seed)
    noise = np.random.default_rng(seed)

    def drawing() -> list[np.ndarray]:
        shapes = [(height >> d, width >> r) for d, r in map(source.subsampling, range(source.planes))]
        return [noise.integers(16, 236, shape).astype(np.uint8) for shape in shapes]

    seen, frames, colours = [drawing()], [], []
    for _ in range(count):
        action = choose.choice(["hold", "hold", "back", "sample", "patch", "patch", "all", "flat"])
        now = [plane.copy() for plane in (choose.choice(seen) if action == "back" else seen[-1])]
        if action == "all":
            now = drawing()
        elif action in ("sample", "patch", "flat"):
            plane = choose.choice(now)
            y, x = choose.randrange(plane.shape[0]), choose.randrange(plane.shape[1])
            size = 1 if action == "sample" else choose.randrange(1, 60)
            part = plane[y : y + size, x : x + size]
            part[:] = 16 if action == "flat" else noise.integers(16, 236, part.shape)
        seen.append(now)
        frames.append(now)
        colours.append(choose.choice([BT601, BT601, BT601, BT709]))
    return Clip(frames, source, colours)


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(
    seed=st.integers(0, 2**32),
    budget=st.sampled_from([0, 200_000, 3_000_000, None]),
    tilesize=st.sampled_from([(), (80,)]),
    workers=st.sampled_from([1, 4]),
)
def test_pixels_do_not_depend_on_reuse_nor_on_what_was_asked_before(seed, budget, tilesize, workers):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "load_form", lambda *_: Sensitive())
        clip = cel(seed, 8)
        plain = clip.upscaler(reuse=0, tilesize=tilesize)
        wanted = [clip.frame(plain, n)[0] for n in range(8)]
        for order in (range(8), range(7, -1, -1), [*range(0, 8, 3), 5, 5, 0], random.Random(seed).sample(range(8), 8)):
            upscaler = clip.upscaler(tilesize=tilesize)
            if budget is not None:
                upscaler.cache.budget = budget
            with ThreadPoolExecutor(workers) as pool:
                assert [got for got, _ in pool.map(lambda n: clip.frame(upscaler, n), order)] == [
                    wanted[n] for n in order
                ]
            assert upscaler.cache.used <= upscaler.cache.budget
        clip.close()


@pytest.mark.parametrize("source", [GRAY8, Format(YUV, 0, 8, 2, 2), Format(YUV, 0, 8, 1, 0), Format(YUV, 0, 8)])
@pytest.mark.parametrize("size", [(208, 152), (84, 68)])
def test_other_formats_and_sizes(network, source, size):
    clip = cel(5, 6, source, *size)
    plain, upscaler = clip.upscaler(reuse=0), clip.upscaler()
    for n in (0, 1, 2, 3, 4, 5, 2, 0):
        assert clip.frame(upscaler, n)[0] == clip.frame(plain, n)[0]
    clip.close()


def pyramid(upscaler: ClipUpscaler) -> Pyramid:
    return upscaler.upscaler.division.pyramid(upscaler.upscaler.plan)


def still(frames: int, **change) -> Clip:
    base = cel(1, 1).frames[0]
    return Clip([base] * frames, YUV420, [BT601] * frames)


def test_a_held_drawing_is_computed_once(network):
    clip = still(4)
    upscaler = clip.upscaler()
    shares = [clip.frame(upscaler, n)[1] for n in range(4)]
    computed = len(network.shapes)
    assert shares == [0, 1, 1, 1] and computed == len(pyramid(upscaler).cells)
    patch = [plane.copy() for plane in clip.frames[0]]
    patch[0][20, 30] += 1  # deep inside the first cell
    clip.frames[2] = patch
    other = clip.upscaler()
    shares = [clip.frame(other, n)[1] for n in range(4)]
    assert len(network.shapes) == 2 * computed + 1
    assert shares[1] == shares[3] == 1 and 0.8 < shares[2] < 1
    clip.close()


def test_what_moves_is_computed_in_one_piece(network):
    noise = np.random.default_rng(2)
    frames = [[noise.integers(0, 256, plane.shape, dtype=np.uint8) for plane in cel(1, 1).frames[0]] for _ in range(4)]
    clip = Clip(frames, YUV420, [BT601] * 4)
    upscaler = clip.upscaler()
    for n in range(4):
        clip.frame(upscaler, n)
    assert network.shapes == [(1, 3, HEIGHT, WIDTH)] * 4
    clip.close()


def test_colour_is_part_of_what_has_to_be_equal(network):
    clip = still(2)
    clip.colours[1] = BT709
    upscaler = clip.upscaler()
    (first, _), (second, share) = clip.frame(upscaler, 0), clip.frame(upscaler, 1)
    assert share == 0 and first != second
    clip.close()


def test_a_tile_in_work_is_waited_for(network):
    clip = still(8)
    upscaler = clip.upscaler()
    upscaler.cache.budget = 0
    network.gate = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(clip.frame, upscaler, n) for n in range(8)]
        assert not any(result.done() for result in waiting)
        network.gate.set()
        assert len({result.result()[0] for result in waiting}) == 1
    assert len(network.shapes) < 8 * len(pyramid(upscaler).cells)
    clip.close()


def test_failures_are_not_kept(network):
    clip = still(2)
    upscaler = clip.upscaler(batch=2)
    network.fail = 1
    broken, _ = clip.frame(upscaler, 0)
    assert upscaler.upscaler.engine.batch == 1
    assert clip.frame(upscaler, 1)[1] == 1
    plain = clip.upscaler(reuse=0)
    assert broken == clip.frame(plain, 0)[0]
    clip.close()


def test_memory_is_bounded_and_the_least_recently_used_goes_first(network):
    clip = cel(9, 300, GRAY8, 84, 68)
    upscaler = clip.upscaler()
    upscaler.cache.budget = 2_000_000
    for n in range(300):
        clip.frame(upscaler, n)
        assert upscaler.cache.used <= 2_000_000
        assert upscaler.cache.used == sum(entry.size for entry in upscaler.cache.entries.values())
    assert len(upscaler.signatures.recent.values) <= upscaler.signatures.recent.count
    before = len(network.shapes)
    clip.frame(upscaler, 299)
    assert len(network.shapes) == before
    clip.frame(upscaler, 0)
    assert len(network.shapes) > before
    clip.close()
    assert not upscaler.cache.entries and upscaler.cache.used == 0


def test_equal_keys_prove_nothing(network, monkeypatch):
    """Signatures that say nothing at all: the samples are compared, so the pixels are right all the same."""
    noise = np.random.default_rng(3)
    frames = [[noise.integers(0, 256, plane.shape, dtype=np.uint8) for plane in cel(1, 1).frames[0]] for _ in range(3)]
    clip = Clip([frames[0], frames[1], frames[2], frames[0]], YUV420, [BT601] * 4)
    plain = clip.upscaler(reuse=0, tilesize=(80,))
    wanted = [clip.frame(plain, n)[0] for n in range(4)]
    monkeypatch.setattr("vsapisr.reuse.signature.Signature.key", lambda *_: b"")
    upscaler = clip.upscaler(tilesize=(80,))
    assert [clip.frame(upscaler, n)[0] for n in range(4)] == wanted
    clip.close()


def test_a_flat_frame_has_few_different_tiles(network):
    flat = [np.full(plane.shape, 90, np.uint8) for plane in cel(1, 1, YUV420, 640, 360).frames[0]]
    clip = Clip([flat, flat], YUV420, [BT601] * 2)
    plain, upscaler = clip.upscaler(reuse=0), clip.upscaler()
    wanted, _ = clip.frame(plain, 0)
    network.shapes.clear()
    assert clip.frame(upscaler, 0)[0] == wanted
    assert len(network.shapes) < len(pyramid(upscaler).cells)
    clip.close()


def test_a_value_that_several_threads_want_is_made_once():
    recent, made, gate = Recent(2), [], threading.Event()

    def make():
        made.append(1)
        assert gate.wait(20)
        return "value"

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(recent.get, 1, make) for _ in range(4)]
        gate.set()
        assert {result.result() for result in waiting} == {"value"}
    assert made == [1]
    with pytest.raises(ZeroDivisionError):
        recent.get(2, lambda: 1 // 0)
    assert recent.get(2, lambda: "again") == "again"
    assert [recent.get(3, lambda: "third"), recent.get(1, lambda: "new")] == ["third", "new"]
