"""``core.apisr.Upscale`` with ``reuse``, a real network, and all that may stand before it in a script."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import numpy as np
import pytest
import torch
import vapoursynth as vs

from vsapisr.networks.grl import GRL, GRLConfig

from .networks import write

core = vs.core
COUNT = 10


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    torch.manual_seed(3)
    net = GRL(GRLConfig(dim=16, depths=(1, 1), mlp_dim=16, bias_dim=16))
    return str(write(net, tmp_path_factory.mktemp("weights") / "tiny.safetensors"))


def drawn(held: int = 3) -> vs.VideoNode:
    """A mouth on threes on a held background, then a cut to something that moves."""
    noise = np.random.default_rng(7)
    back = noise.integers(30, 200, (88, 144), dtype=np.uint8).repeat(2, 0)[:88]

    def paint(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        luma = np.asarray(frame[0])
        luma[:] = back if n < 7 else np.roll(back, 5 * n, 1)
        if n < 7:
            luma[30:40, 20:34] = (60, 120, 180)[n // held % 3]
        np.asarray(frame[1])[:] = 100 + n // 7
        frame.props["number"] = n
        return frame

    blank = core.std.BlankClip(width=144, height=88, format=vs.YUV420P8, length=COUNT)
    return blank.std.ModifyFrame(blank, paint)


def digest(frame: vs.VideoFrame) -> str:
    return hashlib.sha256(b"".join(bytes(plane) for plane in map(memoryview, frame))).hexdigest()


def hashes(node: vs.VideoNode, order=None) -> list[str]:
    found = {n: digest(node.get_frame(n)) for n in order or range(node.num_frames)}
    return [found[n] for n in sorted(found)]


def test_hashes_are_those_without_reuse(tiny):
    clip = drawn()
    wanted = hashes(clip.apisr.Upscale(model=tiny, device="cpu", reuse=0))
    assert len(set(wanted)) == 6
    numbers = list(range(COUNT))
    for order in (
        numbers,
        numbers[::-1],
        random.Random(1).sample(numbers, COUNT),
        [0, 3, 6, 9, 1, 4, 7, 2, 5, 8, 2, 2],
    ):
        assert hashes(clip.apisr.Upscale(model=tiny, device="cpu"), order) == wanted
    node = clip.apisr.Upscale(model=tiny, device="cpu", cache=0)
    together = [(n, node.get_frame_async(n)) for n in numbers * 3]
    assert all(digest(frame.result()) == wanted[n] for n, frame in together)
    seek = clip.apisr.Upscale(model=tiny, device="cpu")
    assert digest(seek.get_frame(6)) == wanted[6]


@pytest.mark.parametrize(
    "edit",
    [
        lambda clip: clip[3:8],
        lambda clip: clip.std.SelectEvery(3, [0, 2]),
        lambda clip: clip.std.Reverse(),
        lambda clip: core.std.Interleave([clip, clip.std.Invert()]),
        lambda clip: clip.std.FrameEval(lambda n: clip if n % 4 else clip.std.FlipVertical()),
        lambda clip: clip[0],
        lambda clip: clip.std.RemoveFrameProps(),
    ],
    ids=["Trim", "SelectEvery", "Reverse", "Interleave", "FrameEval", "one frame", "no properties"],
)
def test_whatever_stands_before_it(tiny, edit):
    clip = edit(drawn())
    wanted = hashes(clip.apisr.Upscale(model=tiny, device="cpu", reuse=0))
    assert hashes(clip.apisr.Upscale(model=tiny, device="cpu")) == wanted


def test_several_filters_on_one_source(tiny):
    clip = drawn()
    makes = [{}, {"reuse": 0}, {"tilesize": 64}, {"tilesize": 64, "reuse": 0}]
    nodes = [clip.apisr.Upscale(model=tiny, device="cpu", **make) for make in makes]
    frames = [[node.get_frame_async(n) for n in range(COUNT)] for node in nodes]
    first, second, third, fourth = ([digest(frame.result()) for frame in row] for row in frames)
    assert first == second and third == fourth


def test_every_frame_says_what_was_reused(tiny):
    clip = drawn()
    shares = [f.props["ApisrReused"] for f in clip.apisr.Upscale(model=tiny, device="cpu").frames(prefetch=1)]
    assert shares[0] == 0 and shares[1:3] == [1, 1] and 0 < shares[3] < 1 and shares[7] == 0
    assert all(f.props["ApisrReused"] == 0 for f in clip.apisr.Upscale(model=tiny, device="cpu", reuse=0).frames())
    assert clip.apisr.Upscale(model=tiny, device="cpu").get_frame(4).props["number"] == 4


def test_words_for_bad_arguments():
    def words(**arguments) -> str:
        with pytest.raises(vs.Error) as caught:
            drawn().apisr.Upscale(**arguments)
        return str(caught.value)

    assert words(reuse=3).startswith("Upscale: reuse must be 0 (off)")
    assert words(cache=-1) == "Upscale: cache must not be negative, got -1"


@pytest.mark.parametrize("arguments", [{"reuse": 2, "interval": 64}, {"reuse": 2}, {}])
def test_in_order_every_source_frame_is_made_once(tiny, arguments):
    made, count = Counter(), 70
    blank = core.std.BlankClip(width=16, height=16, format=vs.YUV420P8, length=count, keep=True)

    def note(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        made[n] += 1
        return f

    clip = blank.std.ModifyFrame(blank, note).apisr.Upscale(model=tiny, device="cpu", **arguments)
    for frame in clip.frames(
        prefetch=2, backlog=2, close=True
    ):  # no frame can fall further behind, however busy the machine
        assert frame.width == 64
    assert len(made) == count and max(made.values()) == 1


def test_near_reuse_gives_the_same_frames_in_any_order(tiny):
    """Also through needs() of the bridge: a seek asks for the segment's beginning again."""
    clip = drawn()
    arguments = {"model": tiny, "device": "cpu", "reuse": 2, "interval": 4}
    numbers = list(range(COUNT))
    wanted = hashes(clip.apisr.Upscale(**arguments))
    for order in (numbers[::-1], random.Random(2).sample(numbers, COUNT)):
        assert hashes(clip.apisr.Upscale(**arguments), order) == wanted
    assert digest(clip.apisr.Upscale(**arguments).get_frame(7)) == wanted[7]
    node = clip.apisr.Upscale(cache=0, **arguments)
    assert [digest(frame.result()) for frame in [node.get_frame_async(n) for n in numbers]] == wanted


def test_other_users_of_the_clip_are_left_alone():
    """What reuse=2 asks of a cache is asked of a node of our own: the clip's is as with any other filter on it."""

    def asked(use) -> list[int]:
        seen: list[int] = []
        base = vs.core.std.BlankClip(width=16, height=16, format=vs.RGB24, length=8)
        source = base.std.ModifyFrame(base, lambda n, f: seen.append(n) or f.copy())
        used = use(source)
        for _ in range(3):
            source.get_frame(5)
        del used
        return seen

    assert asked(lambda clip: clip.apisr.Upscale(device="cpu", reuse=2)) == asked(lambda clip: clip.std.Invert())
