"""``scale=2``: the pixels are those that ``resize.Bicubic`` makes of the whole enlarged frame, and no cut is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import vapoursynth as vs
from PIL import Image
from typer.testing import CliRunner

from scripts.cel import Painter
from vsapisr import upscale_image
from vsapisr.cli import images
from vsapisr.cli.videos import app
from vsapisr.config import UpscaleConfig
from vsapisr.errors import ArgumentError
from vsapisr.networks import forms
from vsapisr.networks.descriptor import Descriptor
from vsapisr.picture.colour import RGB, Colour, Format
from vsapisr.reuse.clip import ClipUpscaler
from vsapisr.video.clip import enlarged
from vsapisr.video.settings import VideoSettings

core = vs.core


class Rough:
    """Enlarges by ``scale``, each of the pixels that one becomes in its own way: far from smooth, and no pixel knows
    its neighbours, so that every difference between tiles is the reduction's."""

    def __init__(self, scale: int = 4):
        self.descriptor = Descriptor(scale=scale)
        made = torch.Generator().manual_seed(5)
        self.gains = torch.rand(3, scale, scale, generator=made) * 1.5

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.descriptor.scale
        height, width = x.shape[-2:]
        large = torch.nn.functional.interpolate(x, scale_factor=scale, mode="nearest")
        return large * self.gains.repeat(1, height, width).to(x)


@pytest.fixture
def rough(monkeypatch) -> Rough:
    network = Rough()
    monkeypatch.setattr(forms, "load_form", lambda *_: network)
    return network


def noise(format: int, width: int = 60, height: int = 44, length: int = 1, seed: int = 2) -> vs.VideoNode:
    """Random samples in all planes, softened a little, so that lines of all kinds are there."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 256, (length, 3, height, width), dtype=np.uint8)

    def filled(n, f):
        f = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(f[plane]), values[n, plane])
        return f

    blank = core.std.BlankClip(width=width, height=height, format=vs.RGB24, length=length)
    clip = blank.std.ModifyFrame(blank, filled)
    if format == vs.RGB24:
        return clip
    family = core.get_video_format(format).color_family
    return clip.resize.Bilinear(format=format, **({} if family == vs.RGB else {"matrix": 6}))


def worst(one: vs.VideoNode, other: vs.VideoNode) -> float:
    """Largest difference between samples of two clips, in steps of 8 bit."""
    assert (one.width, one.height, one.format.id) == (other.width, other.height, other.format.id)
    bits = one.format.bits_per_sample
    step = 1 / 255 if one.format.sample_type == vs.FLOAT else 1 << (bits - 8)
    found = 0.0
    for mine, theirs in zip(one.frames(), other.frames()):
        for a, b in zip(mine, theirs):
            found = max(found, float(np.abs(np.asarray(a).astype(float) - np.asarray(b).astype(float)).max()))
    return found / step


FORMATS = {
    "YUV420P8": 1, "YUV422P8": 1, "YUV410P8": 1, "YUV444P8": 1, "GRAY8": 1, "RGB24": 1,
    "YUV420P10": 0.25, "RGB48": 0.01, "YUV420P16": 0.01, "RGBS": 0.001, "YUV444PS": 0.001, "GRAYS": 0.001, "RGBH": 0.5,
}  # fmt: skip
"""With the largest difference, in steps of 8 bit: of rounding the large frame, and zimg's own between two axes."""


@pytest.mark.parametrize("name", FORMATS)
def test_pixels_are_those_of_bicubic(rough, name):
    clip = noise(getattr(vs, name))
    mine = clip.apisr.Upscale(scale=2, device="cpu", tilesize=32)
    assert (mine.width, mine.height) == (120, 88)
    theirs = clip.apisr.Upscale(device="cpu").resize.Bicubic(120, 88)
    assert worst(mine, theirs) <= FORMATS[name]
    plain = clip.apisr.Upscale(device="cpu").resize.Bilinear(120, 88)
    assert worst(mine, plain) > 4  # another kernel would be noticed


@pytest.mark.parametrize("place", [1, 2, 5])
@pytest.mark.parametrize("name", ["YUV420PS", "YUV411P8"])
def test_wherever_chroma_lies(rough, name, place):
    format = core.query_video_format(vs.YUV, vs.FLOAT, 32, 1, 1).id if name == "YUV420PS" else getattr(vs, name)
    clip = noise(format).std.SetFrameProps(_ChromaLocation=place)
    theirs = clip.apisr.Upscale(device="cpu").resize.Bicubic(120, 88)
    assert worst(clip.apisr.Upscale(scale=2, device="cpu", tilesize=[40, 32]), theirs) <= (
        0.001 if name == "YUV420PS" else 1
    )


@pytest.mark.parametrize("name", ["YUV420P16", "RGBS", "YUV410P8", "GRAY16"])
def test_no_seams(rough, name):
    width, height = (68, 36) if name.startswith("YUV") else (67, 35)
    clip = noise(getattr(vs, name), width, height)
    whole = clip.apisr.Upscale(scale=2, device="cpu", tilesize=[72, 64])
    for tile in ([40, 32], [24, 64]):
        assert worst(whole, clip.apisr.Upscale(scale=2, device="cpu", tilesize=tile)) == 0, tile


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (9, 3)])
def test_frames_that_are_smaller_than_the_kernel(rough, size):
    clip = noise(vs.RGBS, *size)
    large = clip.apisr.Upscale(device="cpu")
    theirs = large.resize.Bicubic(2 * size[0], 2 * size[1])
    mine = clip.apisr.Upscale(scale=2, device="cpu")
    if min(size) > 1:
        assert worst(mine, theirs) <= 0.001
    else:  # zimg has its own mind on what is beyond both ends
        assert np.isfinite(np.asarray(mine.get_frame(0)[0])).all()


def test_the_shipped_network_in_tiles():
    clip = pictures(1)
    large = clip.apisr.Upscale(device="cpu", tilesize=[48, 40])
    small = clip.apisr.Upscale(device="cpu", tilesize=[48, 40], scale=2)
    assert worst(small, large.resize.Bicubic(2 * clip.width, 2 * clip.height)) <= 1


def pictures(length: int) -> vs.VideoNode:
    """Of the made-up animation, two frames each."""
    painter = Painter(90)
    shown = [painter.frame("talk", 12 + 3 * (n // 2)) for n in range(length)]
    height, width = (side // 2 * 2 for side in shown[0].shape[:2])

    def filled(n, f):
        f = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(f[plane]), shown[n][:height, :width, plane])
        return f

    blank = core.std.BlankClip(width=width, height=height, format=vs.RGB24, length=length)
    return blank.std.ModifyFrame(blank, filled).resize.Bicubic(format=vs.YUV420P8, matrix=1)


def bits(clip: vs.VideoNode) -> list[list[bytes]]:
    return [[bytes(memoryview(plane)) for plane in frame] for frame in clip.frames()]


def test_reuse_and_guard(rough):
    still = noise(vs.YUV420P8).std.Loop(4)
    assert bits(still.apisr.Upscale(scale=2, device="cpu", reuse=0)) == bits(
        still.apisr.Upscale(scale=2, device="cpu", reuse=1)
    )
    held = still.apisr.Upscale(scale=2, device="cpu", reuse=2, interval=4)
    assert [frame.props["ApisrReused"] > 0 for frame in held.frames()].count(True) >= 3
    for guard in (0, 1):
        large = still.apisr.Upscale(device="cpu", guard=guard).resize.Bicubic(120, 88)
        assert worst(still.apisr.Upscale(scale=2, device="cpu", guard=guard), large) <= 1
    assert worst(
        still.apisr.Upscale(scale=2, device="cpu", guard=0), still.apisr.Upscale(scale=2, device="cpu", guard=1)
    ) > 1  # fmt: skip


def test_the_cache_holds_a_quarter(rough):
    format, colour = Format(RGB, 0, 8), Colour(0, True)
    planes = [np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8) for _ in range(3)]
    used = {}
    for scale in (2, 4):
        upscaler = ClipUpscaler(UpscaleConfig(device="cpu", scale=scale, cache=64), 64, 64, format, format, 1)
        out = [np.empty((64 * scale, 64 * scale), np.uint8) for _ in range(3)]
        upscaler.frame(0, {0: planes}, colour, out, colour)
        used[scale] = upscaler.cache.used - sum(plane.nbytes for plane in planes)
        upscaler.close()
    assert used[4] == 4 * used[2] == 3 * 256**2


def test_a_network_of_two(monkeypatch):
    monkeypatch.setattr(forms, "load_form", lambda *_: Rough(2))
    clip = noise(vs.YUV420P8)
    own = clip.apisr.Upscale(device="cpu")
    assert (own.width, own.height) == (120, 88)
    assert bits(own) == bits(clip.apisr.Upscale(device="cpu", scale=2))
    with pytest.raises(vs.Error, match="Upscale: scale must be 2 with this model, which enlarges no more, got 4"):
        clip.apisr.Upscale(device="cpu", scale=4)


def test_what_is_refused(rough):
    clip = noise(vs.RGB24)
    for scale in (0, 1, 3, 8):
        with pytest.raises(vs.Error, match=f"scale must be 2 or 4, got {scale}"):
            clip.apisr.Upscale(device="cpu", scale=scale)
    with pytest.raises(vs.Error, match="overlap must be 8 or more with scale=2, .*, got 0"):
        clip.apisr.Upscale(device="cpu", scale=2, overlap=0)
    assert clip.apisr.Upscale(device="cpu", scale=4, overlap=0).width == 4 * 60
    odd = noise(vs.RGB24, 61, 45)
    with pytest.raises(vs.Error, match="format is subsampled by 4, which 122x90 is no multiple of"):
        odd.apisr.Upscale(device="cpu", scale=2, format=vs.YUV410P8)


def test_gray_keeps_what_lies_beyond(rough):
    """As masks and differences have it."""
    clip = noise(vs.GRAYS).std.Expr("x 3 * 1 -")
    theirs = clip.apisr.Upscale(device="cpu").resize.Bicubic(120, 88)
    mine = clip.apisr.Upscale(scale=2, device="cpu", tilesize=32)
    assert np.asarray(mine.get_frame(0)[0]).min() < -0.5 and worst(mine, theirs) <= 0.001


def test_pictures(rough, tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (24, 40, 4), dtype=np.uint8)
    assert upscale_image(image[..., :3], scale=2, device="cpu").shape == (48, 80, 3)
    config = UpscaleConfig(scale=2, device="cpu")
    cut = images.upscaled(images.Picture(rgb=image[..., :3], alpha=image[..., 3]), config)
    assert cut.rgb.shape == (48, 80, 3) and cut.alpha.shape == (48, 80)
    Image.fromarray(image).save(tmp_path / "cut.png")
    done = CliRunner().invoke(app, ["upscale", str(tmp_path / "cut.png"), "--scale", "2", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    made = np.asarray(Image.open(tmp_path / "cut_2x.png"))
    assert np.array_equal(made, np.dstack([cut.rgb, cut.alpha]))


def test_videos_of_twice_the_size_are_not_resized(rough):
    clip = noise(vs.YUV420P8)
    config = UpscaleConfig(scale=2, device="cpu")
    made = enlarged(clip, VideoSettings(upscale=config, size="2x"), (120, 88), int(vs.YUV420P10), config)
    assert bits(made) == bits(clip.apisr.Upscale(scale=2, device="cpu", format=vs.YUV420P10))


def test_the_words_of_the_configuration():
    with pytest.raises(ArgumentError, match="scale must be 2 or 4, got 3"):
        UpscaleConfig(scale=3)
