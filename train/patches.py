"""The (lr, gt) crops of the first weights: the light recipe on a part of each drawing, without a pseudo-GT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from .degradation.pipeline import LightConfig, degrade_light
from .images import read_image


def augment(lr: np.ndarray, gt: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same flips and transposition of both, each with probability one half."""
    if rng.random() < 0.5:
        lr, gt = lr[::-1], gt[::-1]
    if rng.random() < 0.5:
        lr, gt = lr[:, ::-1], gt[:, ::-1]
    if rng.random() < 0.5:
        lr, gt = lr.transpose(1, 0, 2), gt.transpose(1, 0, 2)
    return lr, gt


class Patches(IterableDataset):
    """Endless (lr, gt) pairs of (3, patch, patch) and (3, 4 patch, 4 patch) uint8 tensors.

    A part of an image is degraded at a time and cut into ``per_image`` crops; a pool of ``pool`` crops mixes those of
    different images so that one draw of the codec does not fill a batch. Worker w of n takes the images w, w + n, ...
    """

    def __init__(self, files: list[Path], config: LightConfig, *, patch: int, seed: int, region: int = 512,
                 per_image: int = 6, pool: int = 256):
        self.files, self.config, self.patch, self.seed = files, config, patch, seed
        self.region, self.per_image, self.pool = region, per_image, pool

    def crops(self, epoch: int, index: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All crops of one image in one epoch: a function of the seed and the two numbers alone."""
        rng = np.random.default_rng([self.seed, epoch, index])
        gt = read_image(self.files[index])
        size = min(self.region, *gt.shape[:2]) // 8 * 8
        top, left = (int(rng.integers(0, (side - size) // 8, endpoint=True)) * 8 for side in gt.shape[:2])
        gt = gt[top : top + size, left : left + size]
        lr = degrade_light(gt, rng, self.config)
        for _ in range(self.per_image):
            y, x = (int(v) for v in rng.integers(0, size // 4 - self.patch, size=2, endpoint=True))
            yield augment(lr[y : y + self.patch, x : x + self.patch],
                          gt[4 * y : 4 * (y + self.patch), 4 * x : 4 * (x + self.patch)], rng)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        offset, step = (worker.id, worker.num_workers) if worker else (0, 1)
        held: list[tuple[np.ndarray, np.ndarray]] = []
        mixer = np.random.default_rng([self.seed, offset])
        epoch = 0
        while True:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.files))
            for index in order[offset::step]:
                for pair in self.crops(epoch, int(index)):
                    held.append(pair)
                    if len(held) >= self.pool:
                        place = int(mixer.integers(len(held)))
                        held[place], held[-1] = held[-1], held[place]
                        yield tuple(torch.from_numpy(np.ascontiguousarray(a.transpose(2, 0, 1))) for a in held.pop())
            epoch += 1
