"""Batches of (lr, gt, pseudo_gt) from a folder of drawings: the same for any number of workers, and after a resume.

Workers turn whole drawings into crops; the trainer's process mixes the crops of ``pool`` drawings. Sample number s has
a fixed place in a fixed block of that mix, so a position in the data is one number.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsapisr.errors import ArgumentError

from ..degradation.draws import generator
from ..media.cache import key_of
from ..media.images import list_drawings
from ..media.progress import Progress
from .crops import Crops, DatasetConfig, ImageStream
from .pool import Workers

__all__ = ["Batches", "DatasetConfig"]

log = logging.getLogger(__name__)


class Batches:
    """Endless (lr, gt, pseudo_gt): (B, 3, patch, patch) and twice (B, 3, 4 patch, 4 patch) uint8 RGB.

    ``state_dict`` and ``load_state_dict`` make a run go on with the very batches it would have seen; only the drawings
    in the pool are degraded again. ``refused`` maps unusable files to the reason. ``rank`` of ``world`` processes see
    different drawings.

    Raises:
        NoImagesError: no images in the folder.
        ImageError: while iterating, when (almost) nothing in the folder can be used.
        WorkerLostError: while iterating, when a worker was killed or cannot be started.
    """

    def __init__(self, config: DatasetConfig, *, rank: int = 0, world: int = 1, files: list[Path] | None = None):
        self.config, self.rank, self.world = config, rank, world
        self.files = list_drawings(config.folder, "data.folder") if files is None else files
        self.position = 0
        """Samples delivered so far."""
        self.refused: dict[str, str] = {}

    def _fingerprint(self) -> str:
        """Of all that decides which sample comes at which position; the number of workers and the cache do not."""
        config = self.config
        names = [Path(os.path.relpath(path, config.folder)).as_posix() for path in self.files]
        return key_of(
            names,
            config.patch,
            config.per_image,
            config.pool,
            config.seed,
            config.augment,
            config.enhance,
            bool(config.pseudo_gt),
            config.base,
            config.gamma,
            config.max_pixels,
            config.variants,
            config.degradation,
            self.rank,
            self.world,
            *([config.recolour] if config.recolour else []),
        )  # so that runs of before it existed can go on

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "fingerprint": self._fingerprint()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to the position of ``state``; takes effect with the next ``iter``. ``ArgumentError`` for other files or
        settings.
        """
        if state["fingerprint"] != self._fingerprint():
            raise ArgumentError(
                "the position was saved with other files or settings of the dataset; it cannot be continued"
            )
        if not isinstance(state["position"], int) or state["position"] < 0:
            raise ValueError(f"position {state['position']!r} in the data")
        self.position = state["position"]

    def _order(self, block: int) -> np.ndarray:
        """(per_image * pool, 2): which image of the block and which of its crops comes when; every image once per
        round.
        """
        rng = generator("mix", self.config.seed, self.rank, block)
        rounds = [rng.permutation(self.config.pool) for _ in range(self.config.per_image)]
        return np.array([(image, crop) for crop, images in enumerate(rounds) for image in images])

    def _loader(self, start: int) -> Iterator[Crops]:
        stream = ImageStream(self.files, self.config, start, self.rank, self.world)
        return Workers(stream, self.config.workers) if self.config.workers else iter(stream)

    def _next(self, loader: Iterator[Crops]) -> Crops:
        crops = next(loader)
        for path, reason in crops.refused:
            if path not in self.refused:
                self.refused[path] = reason
                log.warning("skipped: %s", reason)
        return crops

    def _filled(self, loader: Iterator[Crops]) -> list[Crops]:
        """The first pool, which takes a while."""
        held: list[Crops] = []
        with Progress("first pool", self.config.pool, "drawings") as progress:
            while len(held) < self.config.pool:
                held.append(self._next(loader))
                if self.rank == 0:
                    progress.advance()
        return held

    def _samples(self) -> Generator[tuple[Tensor, Tensor, Tensor]]:
        pool, size = self.config.pool, self.config.pool * self.config.per_image
        block, offset = divmod(self.position, size)
        loader = self._loader(block * pool)
        try:
            held = self._filled(loader)
            while True:
                coming: list[Crops] = []
                for number, (image, crop) in enumerate(self._order(block)):
                    while len(coming) < (number + 1) * pool // size:  # the next block fills as this one is used
                        coming.append(self._next(loader))
                    if number >= offset:
                        one = held[image]
                        yield one.lr[crop], one.gt[crop], one.pseudo_gt[crop]
                held, block, offset = coming, block + 1, 0
        finally:
            if isinstance(loader, Workers):
                loader.close()

    def __iter__(self) -> Generator[tuple[Tensor, Tensor, Tensor]]:
        with closing(self._samples()) as samples:
            while True:
                batch = [next(samples) for _ in range(self.config.batch)]
                self.position += self.config.batch
                lr, gt, pseudo_gt = (torch.stack(list(kind)) for kind in zip(*batch))
                yield lr, gt, pseudo_gt
