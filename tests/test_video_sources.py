"""Videos of many kinds: each comes out with its own times, sound and shape, or is refused before anything is done."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import vapoursynth as vs

from vsapisr.errors import VideoError
from vsapisr.video.identity import versions
from vsapisr.video.run import upscale_video

from .episodes import episode
from .test_video import VFR, facts, model, wish

KINDS = {
    "h264.mp4": {"subtitles": False},
    "h264.ts": {"subtitles": False},
    "mpeg2.ts": {"codec": "mpeg2video", "rich": False, "rate": 24},
    "mpeg4.avi": {"codec": "mpeg4", "rich": False, "rate": 24},
    "h264.avi": {"rich": False, "rate": 24},
    "ten.mkv": {"codec": "libx265", "pix_fmt": "yuv420p10le", "tags": (9, 9, 1, 1), "rich": False},
    "full.mkv": {"tags": (1, 1, 1, 2), "rich": False},
    "open.mkv": {"rich": False, "options": {"x264-params": "log-level=none:open-gop=1:keyint=8:bframes=3"}},
    "vp9.mkv": {"codec": "libvpx-vp9", "rich": False},
    "av1.mkv": {"codec": "libsvtav1", "rich": False},
    "grey.mkv": {"codec": "ffv1", "pix_fmt": "gray", "rich": False},
    "rgb.mkv": {"codec": "ffv1", "pix_fmt": "bgr0", "tags": (0, 1, 13, 2), "rich": False},
}


def sound(path: Path) -> tuple[bytes, Fraction]:
    """(samples of the first track, when it begins after the picture)."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
        start = frames[0].pts * Fraction(frames[0].time_base)
    with av.open(str(path)) as file:
        picture = next(file.decode(video=0))
    samples = b"".join(np.ascontiguousarray(frame.to_ndarray()).tobytes() for frame in frames)
    return samples, start - picture.pts * Fraction(picture.time_base)


def shown(path: Path) -> list[Fraction]:
    """Times of the frames after the first."""
    with av.open(str(path)) as file:
        times = [frame.pts * Fraction(frame.time_base) for frame in file.decode(video=0)]
    return [time - times[0] for time in times]


def lanczos(clip: Any, settings: Any, size: tuple[int, int], format: int, config: Any) -> Any:
    family = {"matrix": 6, "range_s": "limited"} if clip.format.color_family == 2 else {}
    return clip.resize.Lanczos(*size, format=format, **family)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind(model, tmp_path, monkeypatch, name):
    """With Lanczos in the network's place, as an untrained one has its own colours."""
    given: dict[str, Any] = KINDS[name]
    source = episode(tmp_path / name, VFR, intra=(0, 7, 12, 19), **given)
    target = tmp_path / ("big.mp4" if name.endswith("mp4") else "big.mkv")
    for module in ("plan", "chunk"):
        monkeypatch.setattr(f"vsapisr.video.{module}.enlarged", lanczos)
    notes: list[str] = []
    settings = wish(model, encoder="libx264", pixel_format=None, preset="ultrafast")
    upscale_video(source, target, settings, told=lambda event: notes.append(event.get("text", "")))
    assert not any("damaged" in note or "lost" in note or "decoded" in note for note in notes), notes
    with av.open(str(source)) as one, av.open(str(target)) as two:
        small, large = next(one.decode(video=0)), next(two.decode(video=0))
    assert (large.width, large.height) == (256, 192)
    unit = Fraction(1, 1000)
    should = [Fraction(n, 24) for n in range(len(VFR))] if given.get("rate") else shown(source)
    assert len(should) == len(VFR)
    assert all(abs(a - b) <= unit for a, b in zip(shown(target), should, strict=True))
    if "tags" in given and name != "rgb.mkv":
        tags = [(f.colorspace, f.color_primaries, f.color_trc, f.color_range) for f in (small, large)]
        assert tags[0] == tags[1] == given["tags"]
    mean = [float(f.to_ndarray(format="gray").mean()) for f in (small, large)]
    assert abs(mean[0] - mean[1]) < 4
    if given.get("rich", True):
        (samples, start), (other, begin) = sound(source), sound(target)
        assert samples == other and abs(start - begin) <= unit


def test_a_container_that_cannot_hold_it_is_refused_at_once(model, tmp_path):
    source = episode(tmp_path / "a.mkv", VFR)
    target = tmp_path / "a.mp4"
    settings = wish(model, encoder="libx264", pixel_format=None)
    with pytest.raises(
        VideoError, match=r"mp4 cannot hold stream 3 \(subtitles, (ass|ssa)\): try --container mkv, or "
    ):
        upscale_video(source, target, settings)
    with pytest.raises(VideoError, match=r"mp4 cannot hold stream 4 \(attachments, Letters.ttf\)"):
        upscale_video(source, target, wish(model, encoder="libx264", pixel_format=None, without=("subtitles",)))
    other = wish(model, encoder="prores_ks", pixel_format=None, without=("subtitles", "attachments"))
    with pytest.raises(VideoError, match="mp4 cannot hold what prores_ks makes: --container mkv"):
        upscale_video(source, target, other)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
    without = ("attachments", "subtitles")
    upscale_video(source, target, wish(model, encoder="libx264", pixel_format=None, preset="fast", without=without))
    assert [one[0] for one in facts(target)["streams"]][:3] == ["video", "audio", "audio"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"encoder": "libx264", "encoder_options": (("colour", "1"),)}, "libx264 has no option colour"),
        ({"encoder": "libx264", "pixel_format": None, "preset": "swift"}, "libx264 does not take its options"),
        ({"encoder": "h265"}, "this PyAV has no encoder named 'h265'"),
        ({"encoder": "libx264", "pixel_format": "yuv440p"}, "libx264 does not take pixel-format 'yuv440p'"),
    ],
)
def test_what_an_encoder_does_not_take_is_said_at_once(model, tmp_path, given, message):
    source = episode(tmp_path / "a.mkv", VFR[:4], rich=False)
    with pytest.raises(Exception, match=message):
        upscale_video(source, tmp_path / "b.mkv", wish(model, **given))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_without_bestsource_nothing_is_planned(monkeypatch):
    """Whatever begins with a plan says it: upscale, compare, recipe."""
    monkeypatch.setattr(vs, "core", SimpleNamespace(apisr=vs.core.apisr))
    with pytest.raises(VideoError, match=r"^reading videos needs BestSource: pip install vapoursynth-bestsource$"):
        versions("default")
