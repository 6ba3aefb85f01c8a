"""Colours of the result against those of the source's neighbourhood."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.networks import perturbed, write
from tests.pictures import shapes
from vsapisr import upscale_image
from vsapisr.config import UpscaleConfig
from vsapisr.errors import ArgumentError
from vsapisr.picture import guard
from vsapisr.picture.guard import keep_colours

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
    inside = ((wild > 0) & (wild < 255) & (kept > 0) & (kept < 255)).all(2)
    assert np.abs(kept @ luma - wild @ luma)[inside].max() <= 1
    whole, tiled = (
        upscale_image(grey, model=str(path), device="cpu", tilesize=tilesize, overlap=8) for tilesize in ((), (24, 24))
    )
    assert tiled.shape == whole.shape == (small.shape[0] * 4, small.shape[1] * 4, 3)
    assert np.ptp(tiled.astype(int), axis=2).max() <= 1, "the guard sees beyond a tile's cuts"


def test_what_is_accepted() -> None:
    assert UpscaleConfig().guard == 1
    with pytest.raises(ArgumentError, match=r"guard must be 0 \(off\) or 1, got 2"):
        UpscaleConfig(guard=2)
