"""Frames in and out of ``core.apisr.Upscale``: values against VapourSynth's own resize, and properties.

The network is replaced by nearest-neighbour enlargement, so that whatever differs comes from reading, converting,
tiling and writing.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import vapoursynth as vs

from vsapisr.networks import forms
from vsapisr.picture.colour import RGB, YUV, Colour, Format, resolve

core = vs.core
WIDTH, HEIGHT = 96, 64


@pytest.fixture(autouse=True)
def nearest(monkeypatch):
    def enlarge(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(x, scale_factor=4, mode="nearest")

    monkeypatch.setattr(forms, "load_form", lambda *_: enlarge)


def picture(width: int = WIDTH, height: int = HEIGHT) -> vs.VideoNode:
    """A smooth coloured picture in RGBS, away from the ends of the range."""
    noise = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    values = cv2.GaussianBlur(noise, (0, 0), 3)
    values = (values - values.min()) / (values.max() - values.min()) * 0.8 + 0.1
    blank = core.std.BlankClip(format=vs.RGBS, width=width, height=height, length=1, keep=True)

    def fill(n, f):
        frame = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(frame[plane]), values[..., plane])
        return frame

    return core.std.ModifyFrame(blank, blank, fill)


def planes(frame: vs.VideoFrame) -> list[np.ndarray]:
    """All planes as float64, of 255."""
    full = 1 if frame.format.sample_type == vs.FLOAT else (1 << frame.format.bits_per_sample) - 1
    return [np.asarray(frame[i]).astype(np.float64) * 255 / full for i in range(frame.format.num_planes)]


FORMATS = [
    (vs.YUV420P8, {"matrix": 6, "range": 0, "chromaloc": 0}),
    (vs.YUV420P8, {"matrix": 1, "range": 1, "chromaloc": 2}),
    (vs.YUV420P8, {"matrix": 5, "range": 0, "chromaloc": 5}),
    (vs.YUV420P10, {"matrix": 1, "range": 0}),
    (vs.YUV420P12, {"matrix": 7, "range": 0, "chromaloc": 3}),
    (vs.YUV420PS, {"matrix": 1}),
    (vs.YUV422P8, {"matrix": 4, "range": 0, "chromaloc": 1}),
    (vs.YUV422P16, {"matrix": 9, "range": 0}),
    (vs.YUV444P14, {"matrix": 1, "range": 1}),
    (vs.YUV444PH, {"matrix": 1}),
    (vs.YUV444PS, {"matrix": 6}),
    (vs.YUV440P8, {"matrix": 6, "range": 0}),
    (vs.YUV411P8, {"matrix": 6, "range": 0}),
    (vs.YUV410P8, {"matrix": 6, "range": 0}),
    (vs.RGB24, {}),
    (vs.RGB24, {"range": 0}),
    (vs.RGB30, {}),
    (vs.RGB48, {}),
    (vs.RGBH, {}),
    (vs.RGBS, {}),
    (vs.GRAY8, {"matrix": 1, "range": 0}),
    (vs.GRAY16, {"matrix": 6, "range": 1}),
    (vs.GRAYS, {"matrix": 1}),
]


@pytest.mark.parametrize(("format", "coding"), FORMATS)
def test_same_as_resize_there_and_back(format, coding):
    source = picture().resize.Bicubic(format=format, **coding)
    result = source.apisr.Upscale(device="cpu").get_frame(0)
    large = source.resize.Bicubic(format=vs.RGBS).resize.Point(width=4 * WIDTH, height=4 * HEIGHT)
    wanted = large.resize.Bicubic(format=format, **coding).get_frame(0)
    assert (result.width, result.height, result.format.id) == (4 * WIDTH, 4 * HEIGHT, format)
    for ours, theirs in zip(planes(result), planes(wanted)):
        assert np.abs(ours - theirs).mean() < 0.05
        assert np.percentile(np.abs(ours - theirs), 98) <= 1.01, "only edges of chroma may differ by more than rounding"
    for name in ("_Matrix", "_Range"):
        assert result.props[name] == wanted.props[name]
    if source.format.color_family == vs.YUV and max(source.format.subsampling_w, source.format.subsampling_h):
        assert result.props["_ChromaLocation"] == source.get_frame(0).props["_ChromaLocation"]
    else:
        assert "_ChromaLocation" not in result.props


@pytest.mark.parametrize("tag", [None, 2])
def test_unspecified_matrix_does_not_shift_colour(tag):
    source = picture().resize.Bicubic(format=vs.YUV420P8, matrix=6, range=0)
    untagged = source.std.RemoveFrameProps(["_Matrix", "_Range", "_ChromaLocation"])
    if tag:
        untagged = untagged.std.SetFrameProps(_Matrix=tag)
    result = untagged.apisr.Upscale(device="cpu").get_frame(0)
    explicit = source.resize.Bicubic(format=vs.RGBS).resize.Point(width=4 * WIDTH, height=4 * HEIGHT)
    explicit = explicit.resize.Bicubic(format=vs.YUV420P8, matrix=6, range=0).get_frame(0)
    for ours, theirs in zip(planes(result), planes(explicit)):
        assert np.abs(ours - theirs).mean() < 0.5
    assert result.props["_Matrix"] == 6, "a larger picture without it would be taken for BT.709"


@pytest.mark.parametrize(
    ("size", "matrix"), [((640, 360), 6), ((1024, 576), 6), ((1026, 576), 1), ((640, 578), 1), ((1920, 1080), 1)]
)
def test_customs_for_what_is_unspecified(size, matrix):
    yuv, rgb = Format(YUV, 0, 8, 1, 1), Format(RGB, 0, 8)
    assert resolve(yuv, {}, *size) == resolve(yuv, {"_Matrix": 2}, *size) == Colour(matrix, False, 0)
    assert resolve(rgb, {}, *size) == Colour(0, True, 0)


@pytest.mark.parametrize("format", [vs.RGB24, vs.RGBS, vs.YUV444P16, vs.YUV420P8, vs.GRAY8])
@pytest.mark.parametrize("source_format", [vs.YUV420P8, vs.RGB24, vs.GRAYS])
def test_another_format(source_format, format):
    gray = vs.GRAY in (source_format, format) or core.get_video_format(format).color_family == vs.GRAY
    coding = {} if source_format == vs.RGB24 else {"matrix": 6, "range": 0}
    source = picture().resize.Bicubic(format=source_format, **coding)
    result = source.apisr.Upscale(format=format, device="cpu")
    assert result.format.id == format
    frame = result.get_frame(0)
    back = result.resize.Bicubic(format=vs.RGBS, width=WIDTH, height=HEIGHT).get_frame(0)
    straight = source.resize.Bicubic(format=vs.RGBS).get_frame(0)
    if gray or core.get_video_format(source_format).color_family == vs.GRAY:
        weights = np.array([0.299, 0.587, 0.114])[:, None, None]
        back, straight = ([(weights * np.stack(planes(one))).sum(0)] for one in (back, straight))
    else:
        back, straight = planes(back), planes(straight)
    for a, b in zip(back, straight, strict=True):
        assert np.abs(a - b).mean() < 1.5, "the properties of the result say how it is coded"
    if result.format.color_family == vs.RGB:
        assert frame.props["_Matrix"] == 0 and frame.props["_Range"] == 1 and "_ChromaLocation" not in frame.props


def test_tiles_are_put_together_exactly():
    for format, coding in FORMATS:
        source = picture(104, 72).resize.Bicubic(format=format, **coding)
        whole = source.apisr.Upscale(device="cpu").get_frame(0)
        tiled = source.apisr.Upscale(device="cpu", tilesize=[48, 40], overlap=16).get_frame(0)
        for a, b in zip(planes(whole), planes(tiled)):
            assert np.array_equal(a, b), source.format.name


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 7), (8, 8), (9, 17), (41, 3)])
def test_any_size(size):
    source = picture(*size).resize.Point(format=vs.RGB24)
    result = source.apisr.Upscale(device="cpu").get_frame(0)
    wanted = source.resize.Point(width=4 * size[0], height=4 * size[1]).get_frame(0)
    for a, b in zip(planes(result), planes(wanted)):
        assert np.array_equal(a, b)


def test_other_properties_are_the_source_frames_own():
    source = picture().resize.Bicubic(format=vs.YUV420P8, matrix=1) * 3
    source = source.std.SetFrameProps(
        _DurationNum=1001, _DurationDen=24000, _SARNum=1, _SARDen=1, _PictType="I", mine=[1, 2]
    )
    plain = source
    source = plain.std.FrameEval(lambda n: plain.std.SetFrameProps(number=n), clip_src=plain)
    result = source.apisr.Upscale(device="cpu")
    for n in (2, 0, 1):
        ours, theirs = dict(result.get_frame(n).props), dict(source.get_frame(n).props)
        for name in ("_Matrix", "_Range", "_ChromaLocation"):
            ours.pop(name), theirs.pop(name, None)
        assert 0 <= ours.pop("ApisrReused") <= 1
        assert ours == theirs and ours["number"] == n


def test_the_matrix_may_change_between_frames():
    clips = [picture().resize.Bicubic(format=vs.YUV420P8, matrix=m, range=r) for m, r in ((1, 0), (6, 0), (9, 1))]
    joined = core.std.Splice(clips).apisr.Upscale(device="cpu")
    for n, clip in enumerate(clips):
        alone, ours = clip.apisr.Upscale(device="cpu").get_frame(0), joined.get_frame(n)
        assert ours.props["_Matrix"] == alone.props["_Matrix"] and ours.props["_Range"] == alone.props["_Range"]
        assert all(np.array_equal(a, b) for a, b in zip(planes(ours), planes(alone)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"_Matrix": 14},
            "Upscale: _Matrix=14 (ICtCp) of a YUV frame is not supported; accepted are 1, 4, 5, 6, 7, 9: convert it by "
            "resize.Bicubic(matrix=1, primaries_in=..., transfer_in=...)",
        ),
        (
            {"_FieldBased": 2},
            "Upscale: frame 0 is interlaced (_FieldBased=2): deinterlace the clip first (bwdif.Bwdif, znedi3, vivtc "
            "for telecine); where it is progressive in truth: std.SetFieldBased(0)",
        ),
    ],
)
def test_frames_that_are_refused(change, message):
    source = picture().resize.Bicubic(format=vs.YUV420P8, matrix=1).std.SetFrameProps(**change)
    with pytest.raises(vs.Error) as caught:
        source.apisr.Upscale(device="cpu").get_frame(0)
    assert str(caught.value) == message
