"""Selection as a function of scores, times and hashes; and the measures it rests on, taken from drawings."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.curation.config import CurateConfig, PrepareConfig, SelectionConfig
from train.curation.selection import Candidate, Drawings, crop_of, expand, select, strike_lines, video_bars
from train.curation.traits import Bars, credits, distance, find_bars, luma, measure
from train.settings import add_options, build, load
from vsapisr.errors import ArgumentError

from .clips import drawing, letterboxed, lettering

RNG = np.random.default_rng(7)


def frame(number: int, score: float | None = 0.5, **other) -> Candidate:
    """A 1280x720 frame with a hash of its own, two seconds after the one before."""
    values = {
        "frame": number,
        "name": f"aaaaaaaa-{number:05}",
        "time": 2.0 * number,
        "score": score,
        "fault": None,
        "width": 1280,
        "height": 720,
        "bars": Bars(),
        "hash": int(RNG.integers(0, 2**63)),
        "brightness": 100.0,
        "spread": 40.0,
        "credits": 0.0,
    }
    return Candidate(**(values | other))


def taken(decisions) -> list[int]:
    return [d.frame for d in decisions if d.selected]


def test_topk_takes_the_best_of_the_whole_video():
    frames = [frame(n, score) for n, score in enumerate([0.1, 0.9, 0.3, 0.8, 0.7])]
    decisions = select(frames, SelectionConfig(topk=2), duration=10)
    assert taken(decisions) == [1, 3]
    assert {d.reason for d in decisions if not d.selected} == {"not among the best"}


@pytest.mark.parametrize(("minutes", "per_part"), [(29, 2), (31, 3)])
def test_partitions_are_those_of_the_public_code(minutes, per_part):
    config = SelectionConfig(method="partitions")
    assert (config.partitions, config.stride) == (8, 5)
    count, length = 400, 60 * minutes
    frames = [frame(n, float(RNG.random()) if n % 5 == 0 else None, time=n * length / count) for n in range(count)]
    decisions = select(frames, config, duration=length)
    assert len(taken(decisions)) == 8 * per_part
    for part in range(8):
        group = [f for f in frames if part * length / 8 <= f.time < (part + 1) * length / 8 and f.score is not None]
        best = sorted(group, key=lambda f: -f.score)[:per_part]
        assert {f.frame for f in best} <= set(taken(decisions))
    assert sum(d.reason == "not scored" for d in decisions) == 320


def test_near_duplicates_leave_the_best_alone():
    first = frame(0, 0.8)
    near = frame(1, 0.9, hash=first.hash ^ 0b10110)
    far = frame(2, 0.1, hash=first.hash ^ 0xFFFFF)
    decisions = select([first, near, far], SelectionConfig(topk=3, duplicate_bits=3), duration=9)
    assert taken(decisions) == [1, 2]
    assert decisions[0].reason == "near-duplicate of aaaaaaaa-00001"
    assert taken(select([first, near, far], SelectionConfig(topk=3, duplicate_bits=2), duration=9)) == [0, 1, 2]
    twin = frame(3, hash=first.hash)
    assert taken(select([first, twin], SelectionConfig(duplicate_bits=-1), duration=9)) == [0, 3]


def test_duplicates_are_found_across_videos():
    opening = frame(0, 0.9)
    seen = Drawings(8)
    config = SelectionConfig()
    assert taken(select([opening], config, duration=9, taken=seen)) == [0]
    again = replace(opening, frame=5, name="bbbbbbbb-00000")
    assert select([again], config, duration=9, taken=seen)[0].reason == "near-duplicate of aaaaaaaa-00000"


def test_what_is_struck_out_keeps_its_place_and_its_like_does_not_come_back():
    frames = [frame(n, 0.9 - 0.1 * n) for n in range(4)]
    frames[1] = replace(frames[1], hash=frames[0].hash ^ 1)
    struck = {frames[0].name}
    decisions = select(frames, SelectionConfig(topk=2), duration=9, struck=struck)
    assert taken(decisions) == [2] and decisions[0].reason == "struck out"
    assert decisions[1].reason == f"near-duplicate of {frames[0].name}"
    assert taken(select(frames, SelectionConfig(topk=2, refill=True), duration=9, struck=struck)) == [2, 3]


def test_unsuitable_frames_say_why():
    cases = {
        "blank": frame(0, brightness=3.0, spread=5.9),
        "blank ": frame(1, spread=2.0),
        "credits": frame(2, credits=0.9),
        "damaged": frame(3, fault="damaged"),
        "not scored": frame(4, None),
        "too simple (0.2 < 0.3)": frame(5, 0.2),
        "too small without its bars": frame(6, bars=Bars(left=530, right=530), height=720),
    }
    config = SelectionConfig(minimum_score=0.3, letterbox=True)
    decisions = select(list(cases.values()), config, duration=9)
    for reason, decision in list(zip(cases, decisions))[:6]:
        assert decision.reason.startswith(reason.strip()) and not decision.selected
    small = select([frame(0, width=300, height=720, bars=Bars(left=30, right=30))], config, duration=9)[0]
    assert small.reason.startswith("too small without its bars (236x720")


def test_bars_are_cut_where_they_are_bars():
    letterbox = Bars(top=90, bottom=90)
    scene = [frame(n, bars=letterbox) for n in range(20)]
    common = video_bars(scene)
    assert common == letterbox
    assert crop_of(scene[0], common) == Bars(top=92, bottom=92)
    night = frame(30, bars=Bars(top=300, bottom=200))
    assert crop_of(night, common) == Bars(top=92, bottom=92), "dark picture, not a wider bar"
    whole = frame(31)
    assert crop_of(whole, common) == Bars(), "full frames of a mixed video stay whole"
    dark_floor = frame(32, bars=Bars(bottom=200))
    assert crop_of(dark_floor, video_bars([whole, dark_floor])) == Bars()
    insert = frame(33, bars=Bars(left=160, right=160))
    assert crop_of(insert, Bars()) == Bars(left=162, right=162), "a 4:3 scene in a 16:9 video"


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 2**64 - 1),
            st.integers(0, 200),
            st.integers(0, 200),
            st.sampled_from([None, "damaged"]),
        ),
        max_size=30,
    ),
    st.sampled_from(["topk", "partitions"]),
    st.integers(-1, 63),
    st.booleans(),
)
def test_every_frame_gets_one_decision_and_quotas_hold(rows, method, bits, refill):
    frames = [frame(n, s, hash=h, bars=Bars(top=a, bottom=b), fault=f) for n, (s, h, a, b, f) in enumerate(rows)]
    struck = {f.name for f in frames[::4]}
    config = SelectionConfig(method=method, topk=5, every=1, duplicate_bits=bits, refill=refill)
    decisions = select(frames, config, duration=60, struck=struck)
    assert [d.frame for d in decisions] == [f.frame for f in frames]
    assert len(taken(decisions)) <= (5 if method == "topk" else 16)
    chosen = [f for f, d in zip(frames, decisions) if d.selected]
    assert not any(f.name in struck or f.fault for f in chosen)
    for n, one in enumerate(chosen):
        rest = np.array([f.hash for f in chosen[n + 1 :]], np.uint64)
        assert (distance(one.hash, rest) > bits).all()
    for f, d in zip(frames, decisions):
        assert d.crop.top <= f.bars.top + 2 and d.crop.bottom <= f.bars.bottom + 2


def test_strike_file_names_frames_and_whole_videos():
    names = strike_lines("# header\n\n1a-00001  # ugly\n1a-00002, 2b-*\n3c\n9z-00001\n")
    assert names == {"1a-00001": 3, "1a-00002": 4, "2b-*": 4, "3c": 5, "9z-00001": 6}
    known = ["1a-00001", "1a-00002", "1a-00003", "2b-00001", "2b-00009", "3c-00000"]
    assert expand(names, known) == ({"1a-00001", "1a-00002", "2b-00001", "2b-00009", "3c-00000"}, {"9z-00001"})
    files = strike_lines("Re_Zero.1a-00002.png\n./out/ep.1a-00003.png\nC:\\out\\ep.3c-00000\nsheets/ep.2b.png\nx.png\n")
    assert expand(files, known) == ({"1a-00002", "1a-00003", "2b-00001", "2b-00009", "3c-00000"}, {"x.png"})


def test_measures_of_drawings():
    image = drawing(3, 640, 360, 40)
    found = measure(image)
    assert found.bars == Bars() and found.spread > 20 and found.credits < 0.3
    noisy = np.clip(image + np.random.default_rng(0).normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    smaller = cv2.resize(image, (426, 240), interpolation=cv2.INTER_AREA)
    other = measure(drawing(4, 640, 360, 40))
    for version in (noisy, smaller, cv2.convertScaleAbs(image, alpha=0.8, beta=20)):
        assert distance(found.hash, np.array([measure(version).hash], np.uint64))[0] <= 8
    assert distance(found.hash, np.array([other.hash], np.uint64))[0] > 16


def test_bars_are_measured_through_coding_noise_and_do_not_change_the_hash():
    image = drawing(5, 640, 360, 40)
    boxed = letterboxed(image, 45)
    noise = np.random.default_rng(1).integers(0, 9, boxed.shape, dtype=np.uint8)
    assert find_bars(luma(np.maximum(boxed, noise))) == Bars(top=45, bottom=45)
    assert measure(boxed).hash == measure(image[45:-45]).hash
    assert find_bars(np.zeros((40, 60), np.uint8)) == Bars()


def test_lettering_is_told_from_drawings(art_dir):
    assert credits(luma(lettering(9, 640, 360))) > 0.75
    assert credits(luma(255 - lettering(9, 640, 360))) > 0.75
    from PIL import Image

    pictures = sorted(art_dir.glob("renpy/bg_*.jpg"))
    assert pictures
    for path in pictures:
        assert credits(luma(np.asarray(Image.open(path).convert("RGB")))) < 0.5, path.name


def test_configuration_errors_name_the_key(tmp_path):
    base = {"videos": "v", "out": "o"}
    for change, text in [
        ({"topk": 3}, "unknown key 'topk'"),
        ({"selection": {"top": 3}}, "unknown key 'selection.top'.* known are selection.m"),
        ({"topk": 3}, "'topk'; did you mean 'selection.topk'[?] "),
        ({"heights": 3}, "'heights'; did you mean 'height'[?] "),
        ({"selection": {"topkk": 3}}, "'selection.topkk'; did you mean 'selection.topk'[?] "),
        ({"selection": {"topk": 0}}, "^selection.topk: 0 is not accepted; accepted: 1 or more"),
        ({"selection": {"topk": "3"}}, "^selection.topk: '3' is of the wrong type; accepted: int"),
        ({"selection": {"minimum_score": "high"}}, "^selection.minimum_score: 'high' is of the wrong type"),
        ({"selection": 3}, "^selection: 3 is of the wrong type; accepted: a table"),
        ({"height": True}, "^height: True is of the wrong type"),
        ({"batch": 0}, "^batch: 0"),
        ({"selection": {"method": "best"}}, "^selection.method: 'best' is not accepted; accepted: topk, partitions"),
    ]:
        with pytest.raises(ArgumentError, match=text):
            build(CurateConfig, base | change)
    with pytest.raises(ArgumentError, match="the key 'out' is missing"):
        build(CurateConfig, {"videos": "v"})
    with pytest.raises(ArgumentError, match="gamma: 3 is of the wrong type"):
        build(PrepareConfig, {"source": "s", "out": "o", "gamma": 3})
    with pytest.raises(ArgumentError, match=r"gamma\[1\]: 'x'"):
        build(PrepareConfig, {"source": "s", "out": "o", "gamma": [0.97, "x"]})
    (tmp_path / "bad.toml").write_text("videos = \n")
    with pytest.raises(ArgumentError, match="bad.toml' is not valid TOML"):
        load(CurateConfig, tmp_path / "bad.toml")
    with pytest.raises(ArgumentError, match="none.toml' cannot be read"):
        load(CurateConfig, tmp_path / "none.toml")


def test_plain_options_win_over_the_file(tmp_path):
    (tmp_path / "c.toml").write_text('videos = "v"\nout = "o"\n[selection]\ntopk = 4\nminimum_score = 1\n')
    parser = argparse.ArgumentParser()
    add_options(parser, CurateConfig)
    options = vars(
        parser.parse_args(["--out", "elsewhere", "--selection.refill", "yes", "--selection.minimum-score", "0.5"])
    )
    config = load(CurateConfig, tmp_path / "c.toml", options)
    assert (config.out, config.videos, config.selection.topk) == ("elsewhere", "v", 4)
    assert config.selection.refill is True and config.selection.minimum_score == 0.5
    parser = argparse.ArgumentParser()
    add_options(parser, PrepareConfig)
    assert vars(parser.parse_args(["--gamma", "0.9,0.95"])) == {"gamma": [0.9, 0.95]}


@pytest.mark.parametrize("name", ["curate", "prepare"])
def test_the_example_configurations_are_valid_and_complete(name):
    path = Path(__file__).parents[1] / "train" / "configs" / f"{name}.toml"
    kind = {"curate": CurateConfig, "prepare": PrepareConfig}[name]
    config, text = load(kind, path), path.read_text()
    for key in [*kind.__dataclass_fields__, *(SelectionConfig.__dataclass_fields__ if name == "curate" else ())]:
        assert key in text, f"{key} is not in the example"
    if name == "curate":
        assert config.selection == SelectionConfig()
