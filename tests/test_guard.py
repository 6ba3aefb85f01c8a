"""Colours of the result against those of the source's neighbourhood."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from tests.networks import perturbed, write
from tests.pictures import shapes
from vsapisr import upscale_image
from vsapisr.config import UpscaleConfig
from vsapisr.engine.frame import Conversion, Frame
from vsapisr.engine.upscaler import Upscaler
from vsapisr.errors import ArgumentError
from vsapisr.picture import guard
from vsapisr.picture.colour import RGB, YUV, Colour, Format
from vsapisr.picture.guard import keep_colours, keep_flat
from vsapisr.reuse.clip import ClipUpscaler

LUMA = torch.tensor([0.299, 0.587, 0.114])


def by_loops(enlarged: torch.Tensor, source: torch.Tensor, radius: int = 3) -> torch.Tensor:
    """The definition, pixel by pixel, in float64: (3, 4H, 4W), (3, H, W)."""

    def split(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = (x * LUMA.double()[:, None, None]).sum(0)
        return y, torch.stack([x[0] - y, x[2] - y])

    y, colour = split(enlarged.double())
    _, source_colour = split(source.double())
    _, height, width = source.shape
    for row in range(height):
        for column in range(width):
            rows, columns = (
                slice(max(row - radius, 0), row + radius + 1),
                slice(max(column - radius, 0), column + radius + 1),
            )
            low, high = (
                end(source_colour[:, rows, columns].flatten(1), 1)[:, None, None] for end in (torch.amin, torch.amax)
            )
            place = (slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
            room = torch.minimum(4 / 255 + y[place].clamp(0, 1) / 8, 4 * (high - low)) + (high - low) / 2
            colour[(slice(None), *place)] = torch.clamp(colour[(slice(None), *place)], low - room, high + room)
    red, blue = y + colour[0], y + colour[1]
    return torch.stack([red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 9), (13, 7), (24, 40)])
@pytest.mark.parametrize("band", [1, 1 << 12, 1 << 20])
def test_it_is_what_it_says(height: int, width: int, band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "CPU_BAND", band)
    made = torch.Generator().manual_seed(height)
    source, enlarged = (
        torch.rand(2, 3, height, width, generator=made),
        torch.randn(2, 3, 4 * height, 4 * width, generator=made),
    )
    wanted = torch.stack([by_loops(*pair) for pair in zip(enlarged, source)])
    assert (keep_colours(enlarged.clone(), source) - wanted).abs().max() < 1e-5


def test_what_is_inside_is_not_touched() -> None:
    source = torch.rand(1, 3, 12, 12)
    enlarged = source.repeat_interleave(4, 2).repeat_interleave(4, 3)
    wide = source.mean() + 0.9 * (enlarged - source.mean())
    for same in (enlarged, wide, enlarged.half()):
        assert torch.equal(keep_colours(same.clone(), source), same)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_luma_stays_and_grey_stays_grey(dtype: torch.dtype) -> None:
    made = torch.Generator().manual_seed(1)
    grey = torch.rand(1, 1, 16, 16, generator=made).expand(1, 3, 16, 16)
    enlarged = torch.rand(1, 3, 64, 64, generator=made)
    before = (enlarged * LUMA[:, None, None]).sum(1)
    after = keep_colours(enlarged.to(dtype), grey.to(dtype)).float()
    # a few roundings of values up to 1
    accepted = {torch.float32: 3e-6, torch.float16: 2e-3, torch.bfloat16: 0.02}[dtype]
    assert ((after * LUMA[:, None, None]).sum(1) - before).abs().max() < accepted
    assert (after.amax(1) - after.amin(1)).max() < accepted


def test_rows_with_gaps_between_them() -> None:
    """A network may cut its padding off, and leave a view."""
    source, wide = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 40, 48)
    wanted = keep_colours(wide[..., :32, :32].contiguous(), source)
    keep_colours(wide[..., :32, :32], source)
    assert torch.equal(wide[..., :32, :32], wanted)


def test_images_through_the_filter_s_engine(tmp_path) -> None:
    path = write(perturbed(), tmp_path / "wild.safetensors")
    small = shapes(3, 40, 32)
    grey = np.repeat(small[..., :1], 3, axis=2)
    wild, kept = (upscale_image(grey, model=str(path), device="cpu", guard=on) for on in (0, 1))
    assert np.ptp(wild.astype(int), axis=2).max() > 20 and np.ptp(kept.astype(int), axis=2).max() <= 1
    luma = LUMA.numpy()
    values = torch.from_numpy(small[..., :1].astype(np.float32)).permute(2, 0, 1)
    span = (guard.largest(values) + guard.largest(-values))[0].repeat_interleave(4, 0).repeat_interleave(4, 1).numpy()
    assert (wild != kept)[span == 0].any() and not np.ptp(kept[span == 0] - grey.repeat(4, 0).repeat(4, 1)[span == 0])
    inside = ((wild > 0) & (wild < 255) & (kept > 0) & (kept < 255)).all(2) & (span > 64)
    assert inside.any()
    assert np.abs(kept @ luma - wild @ luma)[inside].max() <= 1
    whole, tiled = (
        upscale_image(grey, model=str(path), device="cpu", tilesize=tilesize, overlap=8) for tilesize in ((), (24, 24))
    )
    assert tiled.shape == whole.shape == (small.shape[0] * 4, small.shape[1] * 4, 3)
    assert np.ptp(tiled.astype(int), axis=2).max() <= 1, "the guard sees beyond a tile's cuts"


def flat_by_loops(enlarged: torch.Tensor, source: torch.Tensor, radius: int = 3) -> torch.Tensor:
    """(3, 4H, 4W), (3, H, W)."""
    result = enlarged.clone()
    for row, column in np.ndindex(*source.shape[1:]):
        around = source[:, max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1]
        low, high = around.amin((1, 2))[:, None, None], around.amax((1, 2))[:, None, None]
        place = (slice(None), slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
        result[place] = result[place].clamp(low - 2 * (high - low), high + 2 * (high - low))
    return result


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 9), (13, 7)])
def test_values_of_flat_areas_are_kept_as_it_says(height: int, width: int) -> None:
    made = torch.Generator().manual_seed(width)
    source = torch.rand(2, 3, height, width, generator=made) / 8
    source[1] = source[1, :, :1, :1]
    wide = torch.randn(2, 3, 4 * height, 4 * width + 8, generator=made)
    enlarged = wide[..., : 4 * width]  # a view, as networks may leave one
    wanted = torch.stack([flat_by_loops(*pair) for pair in zip(enlarged, source)])
    assert not torch.equal(wanted, enlarged)
    keep_flat(enlarged, source)
    assert torch.equal(enlarged, wanted)
    assert torch.equal(enlarged[1], source[1, :, :1, :1].expand_as(enlarged[1]))


COLOURS = [*product((0, 64, 128, 191, 255), repeat=3), *((grey,) * 3 for grey in np.linspace(0, 255, 64).round())]


@pytest.mark.parametrize("model", ["default", "fidelity", "restore", "published"])
def test_flat_colours_are_exact_to_the_edge(model: str, tmp_path) -> None:
    """Without it black gets corners of (31, 31, 31), and colours move by up to 5 inside."""
    path = str(write(perturbed(), tmp_path / "wild.pth")) if model == "published" else model
    format, range_, (height, width) = Format(RGB, 0, 8), Colour(0, True), (11, 9)
    upscaler = Upscaler(UpscaleConfig(model=path, device="cpu", precision="fp32"), width, height, format, format)
    out = [np.empty((4 * height, 4 * width), np.uint8) for _ in range(3)]
    try:
        for colour in COLOURS if model == "default" else COLOURS[::9]:
            planes = [np.full((height, width), value, np.uint8) for value in colour]
            upscaler.render(Frame(planes, Conversion(format, range_, format, range_)), out)
            assert all((plane == value).all() for plane, value in zip(out, colour)), colour
    finally:
        upscaler.close()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("tilesize", [(), (24, 24)])
def test_flat_frames_of_videos_are_exact(tilesize: tuple[int, ...], precision: str) -> None:
    """4:2:0 of 8 bits with its matrix, and RGB of 16 bits; in tiles of a reused frame too."""
    for format, values in ((Format(YUV, 0, 8, 1, 1), (61, 150, 118)), (Format(RGB, 0, 16), (10_000, 65_535, 0))):
        colour = Colour(0 if format.color_family == RGB else 6, format.color_family == RGB)
        config = UpscaleConfig(device="cpu", tilesize=tilesize, precision=precision)
        clip = ClipUpscaler(config, 40, 40, format, format, 2)
        dtype = np.uint8 if format.bits_per_sample == 8 else np.uint16
        sides = [40 >> format.subsampling(number)[0] for number in range(format.planes)]
        planes = [np.full((side, side), value, dtype) for side, value in zip(sides, values)]
        try:
            for number in range(2):
                out = [np.empty((4 * side, 4 * side), dtype) for side in sides]
                clip.frame(number, {number: planes}, colour, out, colour)
                for plane, value in zip(out, values):
                    assert (plane == value).all()
        finally:
            clip.close()


def test_what_is_accepted() -> None:
    assert UpscaleConfig().guard == 1
    with pytest.raises(ArgumentError, match=r"guard must be 0 \(off\) or 1, got 2"):
        UpscaleConfig(guard=2)
