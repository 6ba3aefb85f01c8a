"""I-frames of real encodes: which ones, with which records and pixels, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from train.curation.frametypes import chart, measure_types
from train.curation.keyframes import Unsuitable, fetch, gop_lengths, keyframes, opened
from train.media.video import square_size, to_rgb

from .clips import damaged, drawing, truncated, write_clip

SIZE = {"width": 160, "height": 96}


def moving(count: int, cut: int = 1000) -> list[np.ndarray]:
    return [np.roll(drawing(n // cut, **SIZE), n % cut, axis=1) for n in range(count)]


def read(path: Path, minimum_height: int = 0):
    with opened(path, 2) as (container, video):
        return video, list(keyframes(container, video, minimum_height))


def decode_all(path: Path) -> dict[int, tuple[PictureType, np.ndarray]]:
    """By number in display order: type and RGB, every frame decoded."""
    with av.open(str(path)) as container:
        return {n: (f.pict_type, to_rgb(f)) for n, f in enumerate(container.decode(video=0))}


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("libx264", "mkv", {}),
        ("libx264", "mp4", {}),
        ("libx264", "264", {}),
        ("libx264", "ts", {}),
        ("libx264", "mkv", {"x264-params": "open-gop=1"}),
        ("libx265", "mkv", {}),
        ("libx265", "mp4", {"x265-params": "open-gop=1"}),
        ("libvpx-vp9", "webm", {}),
        ("libsvtav1", "mkv", {}),
        ("mpeg2video", "mkv", {"bf": "2"}),
        ("mpeg4", "avi", {"bf": "0"}),
    ],
)
def test_only_the_forced_i_frames_come_out_with_the_pixels_of_a_full_decode(tmp_path, codec, suffix, options):
    forced = [0, 9, 30, 41]
    path = write_clip(tmp_path / f"a.{suffix}", moving(48), codec, intra=forced, options=options)
    everything = decode_all(path)
    intra = [n for n, (kind, _) in everything.items() if kind == PictureType.I]
    assert set(forced) <= set(intra) and len(intra) < 12
    video, found = read(path)
    assert video.packets == 48 and not video.errors
    assert len(found) == len(intra)
    found.sort(key=lambda k: k.packet)  # decoders give open GOPs out of order when the frames between are missing
    for one, number in zip(found, intra):
        assert np.array_equal(one.image, everything[number][1])
        if suffix != "264":
            assert one.time - found[0].time == pytest.approx(number / 24, abs=0.002)
    assert sum(gop_lengths([k.packet for k in found], video.packets)) == 48
    wanted = {k.packet: k.pts for k in found[1::2]}
    again = fetch(path, wanted)
    assert again.keys() == wanted.keys()
    assert all(np.array_equal(again[k.packet], k.image) for k in found[1::2])


def test_an_i_frame_that_is_no_random_access_point_is_found(tmp_path):
    options = {"x264-params": "scenecut=100:min-keyint=40:bframes=0"}  # a cut before min-keyint makes I, not IDR
    path = write_clip(tmp_path / "a.mp4", moving(40, cut=20), options=options)
    with av.open(str(path)) as container:
        keys = [n for n, p in enumerate(container.demux(video=0)) if p.size and p.is_keyframe]
    _, found = read(path)
    assert keys == [0] and [k.packet for k in found] == [0, 20]


def test_bytes_and_gop_lengths_are_those_of_the_packets(tmp_path):
    path = write_clip(tmp_path / "a.mkv", moving(30), intra=[0, 7, 19], options={"x264-params": "bframes=0"})
    with av.open(str(path)) as container:
        sizes = [p.size for p in container.demux(video=0) if p.size]
    video, found = read(path)
    assert [k.packet for k in found] == [0, 7, 19]
    assert [k.bytes for k in found] == [sizes[0], sizes[7], sizes[19]]
    assert gop_lengths([0, 7, 19], video.packets) == [7, 12, 11]
    assert gop_lengths([19, 0, 7], 30) == [11, 7, 12]


def test_variable_frame_rate_keeps_its_times(tmp_path):
    pts = [0, 40, 90, 300, 1000, 1010, 1500, 2600, 2700, 5000]
    path = write_clip(tmp_path / "a.mkv", moving(10), intra=[0, 4, 7], pts=pts)
    assert [round(k.time, 3) for k in read(path)[1]] == [0, 1.0, 2.6]


def test_ten_bits(tmp_path):
    images = moving(6)
    path = write_clip(
        tmp_path / "a.mkv", images, "libx265", pix_fmt="yuv420p10le", intra=[0, 3], options={"x265-params": "qp=4"}
    )
    _, found = read(path)
    assert [round(24 * k.time) for k in found] == [0, 3]
    assert np.abs(found[1].image.astype(int) - images[3]).mean() < 4  # chroma subsampling and coding, no more


def test_conversion_to_rgb_has_no_bias():
    rng = np.random.default_rng(0)
    luma = np.repeat(np.repeat(rng.integers(16, 236, (6, 10), dtype=np.uint8), 8, 0), 8, 1)
    planes = np.concatenate([luma.ravel(), np.full(luma.size // 2, 128, np.uint8)]).reshape(-1, luma.shape[1])
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    grey = to_rgb(frame).astype(float)
    expected = (luma.astype(float) - 16) * 255 / 219
    assert np.abs(grey - expected[..., None]).max() <= 1.01 and abs((grey - expected[..., None]).mean()) < 0.1


def test_anamorphic_becomes_square_and_rotation_is_undone(tmp_path):
    images = [drawing(1, **SIZE)] * 3
    wide = write_clip(tmp_path / "wide.mkv", images, sample_aspect_ratio=Fraction(4, 3))
    video, found = read(wide)
    assert (video.width, video.height) == (160, 72) and found[0].image.shape == (72, 160, 3)
    assert square_size(720, 576, Fraction(3, 4)) == (540, 576)
    upright = read(write_clip(tmp_path / "plain.mp4", images))[1][0].image
    turned = write_clip(tmp_path / "turned.mp4", images, rotation=90)
    video, found = read(turned)
    assert (video.width, video.height) == (96, 160)
    assert np.array_equal(found[0].image, np.rot90(upright))


@pytest.mark.parametrize(
    ("codec", "suffix", "settings", "reason"),
    [
        ("libx264", "mkv", {"options": {"x264-params": "tff=1"}}, "interlaced"),
        ("mpeg2video", "mpg", {"options": {"flags": "+ilme+ildct"}}, "interlaced"),
        (
            "libx265",
            "mkv",
            {"options": {"x265-params": "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"}},
            "HDR: PQ",
        ),
        ("libx265", "mp4", {"color_trc": 18}, "HDR: HLG"),
        ("libx264", "mkv", {"color_primaries": 9}, "wide gamut"),
        ("libx264", "mkv", {"color_trc": 14}, "wide gamut: BT.2020 10-bit transfer"),
    ],
)
def test_unsuitable_videos_are_refused_with_the_reason(tmp_path, codec, suffix, settings, reason):
    path = write_clip(tmp_path / f"a.{suffix}", moving(4), codec, **settings)
    with pytest.raises(Unsuitable, match=reason):
        read(path)


def test_too_small_counts_square_upright_lines(tmp_path):
    path = write_clip(tmp_path / "a.mp4", moving(2))
    assert read(path, minimum_height=96)[0].height == 96
    with pytest.raises(Unsuitable, match="too small: 160x96 as shown, 97 lines"):
        read(path, minimum_height=97)
    turned = write_clip(tmp_path / "b.mp4", moving(2), rotation=-90)
    assert read(turned, minimum_height=160)[0].height == 160


def test_broken_files_are_refused_or_read_as_far_as_they_go(tmp_path):
    whole = write_clip(tmp_path / "a.mkv", moving(48), intra=[0, 10, 40])
    (tmp_path / "empty.mkv").write_bytes(b"")
    (tmp_path / "text.mkv").write_text("not a video " * 100)
    for name in ("empty.mkv", "text.mkv"):
        with pytest.raises(Unsuitable, match="broken: cannot be opened"):
            read(tmp_path / name)
    with pytest.raises(Unsuitable, match="broken"):
        read(truncated(write_clip(tmp_path / "b.mp4", moving(20)), tmp_path / "no_index.mp4"))
    video, found = read(truncated(whole, tmp_path / "tail.mkv", 0.8))
    assert [round(24 * k.time) for k in found] == [0, 10] and video.end < 0.95 * video.duration


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", "mkv"),
        ("libx264", "ts"),
        ("libx265", "mkv"),
        ("libvpx-vp9", "webm"),
        ("libsvtav1", "mkv"),
        ("mpeg2video", "mkv"),
    ],
)
def test_a_damaged_i_frame_does_not_stop_the_rest(tmp_path, codec, suffix):
    whole = write_clip(tmp_path / f"a.{suffix}", moving(36), codec, intra=[0, 12, 24])
    with av.open(str(whole)) as container:
        second = [n for n, p in enumerate(container.demux(video=0)) if p.size and p.is_keyframe][1]
    path = damaged(whole, tmp_path / f"b.{suffix}", second)
    _, good = read(whole)
    video, found = read(path)
    times = {round(k.time, 3): k for k in found}
    assert round(good[0].time, 3) in times and round(good[-1].time, 3) in times
    hit = times.get(round(good[1].time, 3))
    if codec in ("libx264", "mpeg2video"):  # these decoders notice; a wrong bit in CABAC of the others may go unseen
        assert (hit is None and video.errors) or hit.fault == "damaged"


def test_no_deadlock_when_a_decoder_of_damaged_video_is_left_half_way(tmp_path):
    whole = write_clip(tmp_path / "a.mkv", moving(48), "libx265", intra=range(0, 48, 4))
    path = whole
    for number in range(4, 48, 4):
        path = damaged(path, tmp_path / f"d{number}.mkv", number)
    for _ in range(5):  # hung within a few rounds while decoder threads needed the GIL
        with opened(path, 3) as (container, video):
            next(keyframes(container, video))
        fetch(path, {0: 0, 12: 500})


def test_figure_3a_i_pictures_are_the_largest(tmp_path):
    types = [
        measure_types(write_clip(tmp_path / f"{codec}.mkv", moving(40), codec, gop=20))
        for codec in ("libx264", "libx265")
    ]
    for one in types:
        assert sum(s.count for s in one.sizes.values()) == 40
        assert one.sizes["I"].mean > 2 * max(s.mean for t, s in one.sizes.items() if t != "I")
    assert chart(types).size[0] > 600


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels", "every"),
    [
        ("qtrle", "mov", "rgb24", 6),
        ("cinepak", "avi", "rgb24", 6),
        ("flashsv", "flv", "bgr24", 6),
        ("cfhd", "mov", "yuv422p10le", 1),
    ],
)
def test_keyframes_of_codecs_that_name_no_type_count(tmp_path, codec, suffix, pixels, every):
    images = [drawing(3) for _ in range(12)]
    for number, image in enumerate(images):  # most of it stays: else Flash Screen Video makes a key frame of each
        image[40:56, 16 * number : 16 * number + 16] = 255
    path = write_clip(tmp_path / f"a.{suffix}", images, codec, pix_fmt=pixels, gop=every)
    video, found = read(path)
    assert [one.packet for one in found] == list(range(0, 12, every)) and not video.errors
    for one in found:
        assert np.abs(one.image.astype(int) - images[one.packet]).mean() < 12
    types = measure_types(path)
    assert {kind: one.count for kind, one in types.sizes.items()} == ({"I": 2, "P": 10} if every > 1 else {"I": 12})
