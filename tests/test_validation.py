"""Validation: what is measured, that it is fixed, and that it leaves the run alone."""

from __future__ import annotations

import copy
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from train.evaluation.full_reference import psnr_y
from train.evaluation.levels import lanczos
from train.fit.validation import Validation, ValidationConfig, feeding_grid
from train.media.images import NoImagesError
from train.settings import build
from vsapisr.errors import ArgumentError

from .clips import drawing


class Nearest(nn.Module):
    """Enlarges; in training mode it draws random numbers and is wrong, as dropout would be."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.rand(1), np.random.rand(1), random.random()  # as a careless network might, even when it is only measured
        return self.drop(nn.functional.interpolate(x, scale_factor=4) * self.gain)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("val")
    for n in range(3):
        cv2.imwrite(str(folder / f"{n}.png"), drawing(n, 328, 216, shapes=30))
    return folder


@pytest.fixture(scope="module")
def validation(folder: Path) -> Validation:
    return Validation(ValidationConfig(folder=str(folder), images=2, size=32, shown=2))


def test_values(validation: Validation) -> None:
    values = validation(Nearest())
    assert [p.level for p in validation.pairs] == ["light", "medium", "heavy"] * 2
    assert {"psnr_y", "ssim_y", "light/psnr_y", "heavy/ssim_y"} <= values.keys() == validation.baseline.keys()
    of_levels = [values[f"{level}/psnr_y"] for level in ("light", "medium", "heavy")]
    assert values["psnr_y"] == pytest.approx(np.mean(of_levels)) and of_levels[0] > of_levels[1] > of_levels[2] > 5
    expected = np.mean([psnr_y(lanczos(pair.lr), pair.gt) for pair in validation.pairs])
    assert validation.baseline["psnr_y"] == pytest.approx(expected) and expected > values["psnr_y"]


def test_small_and_large_show_the_same_part(validation: Validation) -> None:
    """A shift by one small pixel, or by one large one, must be worse than none."""
    pair = validation.pairs[0]
    wide = lanczos(pair.lr)
    here = psnr_y(wide, pair.gt)
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        assert psnr_y(np.roll(wide, shift, (0, 1)), pair.gt) < here


def test_leaves_the_run_alone(validation: Validation, folder: Path) -> None:
    model = Nearest().train()
    model.drop.eval()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    Validation(ValidationConfig(folder=str(folder), images=1, size=32))
    first, grid = validation(model), validation.grid(model)
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])
    assert model.training and not model.drop.training and model.gain.grad is None
    model.drop.train()
    assert validation(model) == first, "dropout was on"
    assert np.array_equal(validation.grid(model), grid)


def test_the_set_is_fixed(validation: Validation) -> None:
    again = Validation(validation.config)
    assert all(np.array_equal(a.lr, b.lr) and np.array_equal(a.gt, b.gt) for a, b in zip(validation.pairs, again.pairs))
    other = Validation(
        build(ValidationConfig, {"folder": validation.config.folder, "images": 2, "size": 32, "seed": 1})
    )
    changed = [not np.array_equal(a.lr, b.lr) for a, b in zip(validation.pairs, other.pairs)]
    assert changed == [False, False, True] * 2, "the seed is of the heavy level alone"


def test_grids(validation: Validation) -> None:
    grid = validation.grid(Nearest())
    assert grid.dtype == np.uint8 and grid.shape[1] == 4 * (128 + 8) + 8 and grid.shape[0] > 2 * 128
    assert np.array_equal(grid[8:136, 8:136], validation.pairs[0].lr.repeat(4, 0).repeat(4, 1))
    lr, gt = torch.randint(0, 256, (3, 3, 16, 16)).byte(), torch.randint(0, 256, (3, 3, 64, 64)).byte()
    fed = feeding_grid((lr, gt, gt.float() / 255))
    assert fed.shape[1] == 6 * (64 + 8) + 8
    assert np.array_equal(fed[8:72, 80:144], gt[0].permute(1, 2, 0)) and np.array_equal(
        fed[8:72, 152:216], fed[8:72, 80:144]
    )


def test_what_cannot_be_validated_on(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="sides of 512"):
        Validation(ValidationConfig(folder=str(folder), size=128))
    with pytest.raises(NoImagesError):
        Validation(ValidationConfig(folder=str(tmp_path)))
    for wrong in ({"levels": ("light", "dark")}, {"levels": ()}, {"size": 50}, {"images": 0}, {"every": 0}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            ValidationConfig(folder="x", **wrong)


class Rank:
    """A process of several, each a thread here; ``gather`` waits for the others, as a collective does."""

    def __init__(self, rank: int, held: list, meeting: threading.Barrier):
        self.rank, self.world, self.first, self.held, self.meeting = rank, len(held), rank == 0, held, meeting

    def gather(self, value: object) -> list:
        self.held[self.rank] = value
        self.meeting.wait(60)
        values = list(self.held)
        self.meeting.wait(60)
        return values


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_it_and_have_the_same_means(validation: Validation, world: int) -> None:
    held, meeting, seen, real = [None] * world, threading.Barrier(world), [], validation._measures
    shared = [copy.copy(validation) for _ in range(world)]
    for rank, one in enumerate(shared):
        one.processes = Rank(rank, held, meeting)
        one._measures = lambda result, gt, rank=rank: seen.append(rank) or real(result, gt)
    with ThreadPoolExecutor(world) as pool:
        values = list(pool.map(lambda one: one._means(lanczos), shared))
    assert all(one == validation.baseline for one in values)
    counts = [seen.count(rank) for rank in range(world)]
    assert sum(counts) == len(validation.pairs) and max(counts) - min(counts) <= 1
