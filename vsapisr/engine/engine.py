"""A network on a device: tiles in, tiles out.

What shares a batch never changes a tile's numbers: all tiles of a batch have one shape, and on CUDA short batches are
padded to the full size so that the same kernels run, unless the network's own kernels make that needless. Batches are
made in :mod:`vsapisr.engine.worker`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future

import torch
from torch import Tensor

from ..errors import DeviceError
from ..networks.descriptor import descriptor_of
from ..networks.grl import pad_to_window
from ..picture.colour import GRAY, beyond, from_rgb, to_rgb
from ..picture.guard import keep
from ..picture.planes import read_tile
from ..picture.tiles import Tile
from .forked import usable_here
from .frame import Frame, Job
from .graphs import GraphedNetwork
from .room import graph_bytes
from .worker import Worker

__all__ = ["Engine"]

FLIGHTS = 3  # batches on their way on CUDA: one uploaded, one computed, one downloaded


class Engine:
    """Computes every tile that it is asked for.

    ``flights`` is how many batches may be on their way at once on CUDA, 0 for as many as it takes to keep it busy;
    ``scale`` that of the result, the network's own when not given.

    Raises:
        ArgumentError: the network does not enlarge so much.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        device: torch.device,
        dtype: torch.dtype,
        batch: int = 0,
        flights: int = 0,
        guard: bool = True,
        scale: int | None = None,
    ):
        cuda = device.type == "cuda"
        self.descriptor = descriptor_of(network)
        self.scale = self.descriptor.result_scale(scale)
        self.network = GraphedNetwork(network, room=graph_bytes(device)) if cuda else network
        self.device, self.dtype, self.guard = device, dtype, guard
        self.keep: Callable[[Tensor, Tensor], Tensor] = getattr(network, "keep", keep)  # some can do that faster
        self.from_rgb: Callable[..., list[Tensor]] = getattr(network, "from_rgb", from_rgb)
        self.batch = batch or (4 if cuda else 1)
        self.flights = flights or FLIGHTS
        self.short_of_memory = False
        self.worker: Worker | None = Worker.acquire(device)

    def close(self) -> None:
        worker, self.worker = self.worker, None
        if worker and worker.process == os.getpid():  # a forked child has its parent's engines, but not their workers
            worker.release()

    def get(self, frame: Frame, tile: Tile) -> tuple[Future[list[Tensor]], bool]:
        """The samples of what is kept of ``tile``, enlarged, when they are computed; nothing is taken over here."""
        worker = self.worker
        if worker is None:
            raise DeviceError("the filter was closed")
        if worker.process != os.getpid():
            worker = self.worker_after_fork()
        samples = read_tile(frame.planes, frame.conversion.source, tile)
        return worker.submit(Job(self, samples, frame.conversion, tile)), False

    def worker_after_fork(self) -> Worker:
        """A new worker for an engine that this process has from its parent."""
        usable_here(self.device)
        with Worker.lock:
            worker = self.worker
            if worker is None or worker.process != os.getpid():
                worker = self.worker = Worker.acquire(self.device)
        return worker

    def give_back(self) -> int:
        """See :class:`~vsapisr.engine.upscaler.Results`; the engine frees its own between two batches."""
        return 0

    @torch.inference_mode()
    def compute(self, jobs: list[Job], samples: list[list[Tensor]]) -> list[list[Tensor]]:
        """A batch, on the worker's thread: samples on the device -> RGB -> network -> samples of what is kept."""
        if self.short_of_memory:
            self.free()
        tiles = torch.cat([self.prepare(job, planes) for job, planes in zip(jobs, samples, strict=True)])
        if (
            self.device.type == "cuda"
            and len(jobs) < self.batch
            and not getattr(self.network, "batch_invariant", False)
        ):
            tiles = torch.cat([tiles, tiles.new_zeros(self.batch - len(jobs), *tiles.shape[1:])])
        enlarged = self.network(tiles)
        if self.guard:
            self.keep(enlarged, tiles)
        return [self.finish(job, planes, enlarged[i : i + 1]) for i, (job, planes) in enumerate(zip(jobs, samples))]

    def prepare(self, job: Job, samples: list[Tensor]) -> Tensor:
        """(1, 3, H, W), padded as the network itself would pad; in its precision on a GPU, where graphs take no
        other, and in float32 on the CPU, whose kernels need not round to the 8 bits of bfloat16."""
        rgb = to_rgb(samples, job.conversion.source, job.conversion.source_colour)
        rgb = pad_to_window(rgb, self.descriptor.unit)
        return rgb.to(self.dtype) if self.device.type == "cuda" else rgb

    def finish(self, job: Job, samples: list[Tensor], enlarged: Tensor) -> list[Tensor]:
        """Cut off the padding, convert, keep what is to be kept: contiguous planes on the device."""
        y, x, scale = job.tile.y, job.tile.x, self.descriptor.scale
        enlarged = enlarged[..., : (y.stop - y.start) * scale, : (x.stop - x.start) * scale]
        top, bottom, left, right = (
            side * scale
            for side in (y.keep_start - y.start, y.stop - y.keep_stop, x.keep_start - x.start, x.stop - x.keep_stop)
        )
        conversion = job.conversion
        more: Tensor | float = 0.0
        if conversion.source.color_family == conversion.target.color_family == GRAY:
            more = beyond(samples, conversion.source, conversion.source_colour, scale)
        margin = top, bottom, left, right
        reduction = scale // self.scale
        planes = self.from_rgb(enlarged, conversion.target, conversion.target_colour, margin, more, reduction)
        # A copy of rows with gaps between them would not be asynchronous.
        return [plane.contiguous() for plane in planes]

    def free(self) -> None:
        """Give back what is held for speed alone."""
        self.short_of_memory = False
        if isinstance(self.network, GraphedNetwork):
            self.network.clear()
            torch.cuda.empty_cache()
