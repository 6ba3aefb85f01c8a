"""Frames through an engine: plan tiles, hand them over, put the results together; smaller tiles when memory runs
out.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import torch
from torch import Tensor

from ..config import UpscaleConfig
from ..errors import DeviceError
from ..networks import forms
from ..picture import tiles
from ..picture.colour import Colour, Format
from ..picture.planes import read_tile, write_tile
from ..picture.tiles import Tile
from .engine import SCALE, Engine, Job, OutOfMemory, choose_device, choose_precision
from .memory import free_memory

log = logging.getLogger("vsapisr")

SHARE = 4  # a tile's activations may take this part of the free memory
CPU_PIXELS = 640 * 360  # more at once gains nothing on a CPU and makes progress jerky


def ready(config: UpscaleConfig) -> tuple[torch.device, torch.dtype, torch.nn.Module]:
    """Device, precision and network of every upscaler with this configuration; loaded as long as somebody keeps it.

    Raises:
        WeightsError, DeviceError: the weights or the device cannot be used.
    """
    device = choose_device(config.device)
    dtype = choose_precision(config.precision, device)
    return device, dtype, forms.load_form(config.model, device, dtype)


class Upscaler:
    """Everything about frames of one size and format, whoever asks for them.

    Raises:
        VsapisrError: the weights or the device cannot be used, or the tile size does not fit the overlap.
    """

    def __init__(self, config: UpscaleConfig, width: int, height: int, source: Format, target: Format):
        self.config, self.source, self.target = config, source, target
        self.width, self.height = width, height
        self.device, self.dtype, network = ready(config)
        self.engine = Engine(network, self.device, self.dtype, config.batch, config.num_streams, bool(config.guard))
        self.lock = threading.Lock()
        self.tile = self.first_tile()
        self.plan = tiles.plan(width, height, self.tile, config.overlap)

    def first_tile(self) -> tuple[int, int]:
        """The asked for tile size; a side of 0 is the largest for which a batch fits the free memory, see
        docs/tiling.md.
        """
        width, height = self.config.tile
        if width and height:
            return width, height
        pixels = free_memory(self.device) // SHARE // (forms.bytes_per_pixel(self.dtype) * self.engine.batch)
        if self.device.type == "cpu":
            pixels = min(pixels, CPU_PIXELS)
        automatic = tiles.automatic(self.width, self.height, pixels, self.config.overlap)
        return width or automatic[0], height or automatic[1]

    def render(self, planes: list[np.ndarray], colour: Colour, out: list[np.ndarray], out_colour: Colour) -> None:
        """Read the source's ``planes``, fill ``out``. All tiles of a frame come from one plan."""
        self.in_memory(
            lambda plan: self.run(plan, lambda tile: self.start(self.job(tile, planes, colour, out_colour)), out)
        )

    def in_memory[T](self, work: Callable[[tuple[Tile, ...]], T]) -> T:
        """``work`` with the plan of tiles, again with less when memory ran out."""
        while True:
            plan, batch = self.plan, self.engine.batch
            try:
                return work(plan)
            except OutOfMemory as error:
                self.take_less(plan, batch, error)

    def job(self, tile: Tile, planes: list[np.ndarray], colour: Colour, out_colour: Colour) -> Job:
        return Job(
            self.engine, read_tile(planes, self.source, tile), self.source, colour, self.target, out_colour, tile
        )

    def start(self, job: Job) -> Future:
        return self.engine.submit(job)

    def run(self, plan: tuple[Tile, ...], start: Callable[[Tile], Future], out: list[np.ndarray]) -> None:
        """A few tiles more than a batch are on their way at a time, so that memory stays bounded for any frame."""
        pending: deque[tuple[Tile, Future]] = deque()

        def collect() -> None:
            tile, result = pending.popleft()
            samples: list[Tensor] = result.result()
            write_tile(out, self.target, tile, SCALE, samples)

        for tile in plan:
            pending.append((tile, start(tile)))
            if len(pending) >= 2 * self.engine.batch:
                collect()
        while pending:
            collect()

    def take_less(self, plan: tuple[Tile, ...], batch: int, error: OutOfMemory) -> None:
        """After running out of memory with these: smaller batches first, then smaller tiles, then give up."""
        with self.lock:
            if self.plan is not plan or self.engine.batch != batch:
                return  # another frame, which had a tile in the same batch, has already seen to it
            if self.engine.batch > 1:
                self.engine.batch = max(self.engine.batch // 2, 1)
                log.warning("out of memory on %s: going on with batches of %d", self.device, self.engine.batch)
                return
            y, x = plan[0].y, plan[0].x
            pixels = (y.stop - y.start) * (x.stop - x.start) // 2
            smaller = tiles.automatic(self.width, self.height, pixels, self.config.overlap)
            if tiles.plan(self.width, self.height, smaller, self.config.overlap) == plan:
                raise DeviceError(f"out of memory on {self.device} with tiles of {smaller[0]}x{smaller[1]}: {error}")
            log.warning("out of memory on %s: going on with tiles of %dx%d", self.device, *smaller)
            self.tile, self.plan = smaller, tiles.plan(self.width, self.height, smaller, self.config.overlap)

    def close(self) -> None:
        self.engine.close()
