"""The way of a frame, from the planes of its source to those of its result.

1.  ``Node.render`` (bridge/node.py) makes arrays of the planes that VapourSynth lends, and reads the frame's colour.
2.  ``ClipUpscaler.frame`` (reuse/clip.py) puts held samples in their place with ``reuse=2``, and makes a ``Frame``.
3.  ``Upscaler.render`` (here) takes the plan of tiles; the division (reuse/division.py) may divide it for this frame.
4.  ``Upscaler.fill`` (here) asks for the result of each tile, a few ahead, and writes what has come.
5.  ``CachedResults.get`` (reuse/results.py) takes over a tile that was computed before, or asks the engine.
6.  ``Engine.get`` (engine/engine.py) copies the tile's samples into a ``Job`` and queues it.
7.  ``Worker.run`` (engine/worker.py) makes batches of the queue, its own thread for each device.
8.  ``Pipeline.launch`` (engine/streams.py) uploads a batch, has it computed, downloads the results.
9.  ``Engine.compute`` (engine/engine.py) makes RGB of the samples, calls the network, and makes samples of its result.
10. ``Batch.deliver`` (engine/worker.py) hands each result to whoever waits for it in 4.

Without a clip (images, :func:`vsapisr.upscale_image`) it begins at 3 and leaves out 5. When memory runs out, 3 begins
the frame again with less.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from torch import Tensor

from ..config import WINDOW, UpscaleConfig, check_tiles
from ..errors import ArgumentError, DeviceError
from ..needs import lacks_memory
from ..picture import tiles
from ..picture.colour import Format
from ..picture.planes import write_tile
from ..picture.tiles import Tile
from .devices import ready
from .engine import Engine
from .frame import Frame, Planes
from .memory import of_machine, trim
from .room import tile_pixels

__all__ = ["Division", "Results", "Upscaler"]

log = logging.getLogger("vsapisr")

Plan = tuple[Tile, ...]


class Results(Protocol):
    """Where the results of tiles come from."""

    def get(self, frame: Frame, tile: Tile) -> tuple[Future[list[Tensor]], bool]:
        """The enlarged samples of what is kept, and whether they are another tile's."""

    def give_back(self) -> int:
        """Free the machine's memory that is held for speed alone, and hold less from now on; bytes."""


class Division(Protocol):
    """Which tiles a frame is made of."""

    def tiles(self, plan: Plan, frame: Frame) -> Plan:
        """Those of ``plan`` or parts of them; a function of its arguments alone."""


class Upscaler:
    """Frames of one size and format, whoever asks for them.

    Args:
        results: makes the source of results from the engine; the engine itself when not given.
        division: of the plan for each frame; the plan as it is when not given.

    Raises:
        VsapisrError: the weights or the device cannot be used, or the tile size does not fit the network or the
        overlap.
    """

    def __init__(
        self,
        config: UpscaleConfig,
        width: int,
        height: int,
        source: Format,
        target: Format,
        results: Callable[[Engine], Results] | None = None,
        division: Callable[[int, int], Division] | None = None,
    ):
        self.config, self.source, self.target = config, source, target
        self.width, self.height = width, height
        device, dtype, network = ready(config)
        self.engine = Engine(network, device, dtype, config.batch, config.num_streams, bool(config.guard), config.scale)
        self.lock, self.changes = threading.Lock(), 0
        try:
            descriptor = self.engine.descriptor
            self.scale, self.multiple = self.engine.scale, descriptor.multiple
            self.overlap = descriptor.overlap if config.overlap is None else config.overlap
            check_tiles(config.tilesize, self.overlap, self.multiple)
            if self.scale < descriptor.scale and self.overlap < WINDOW:
                raise ArgumentError(
                    f"overlap must be {WINDOW} or more with scale={self.scale}, as pixels beyond a cut are needed for "
                    f"those before it, got {self.overlap}"
                )
            self.tile = self.first_tile()
            self.plan = self.plan_of(self.tile)
            self.results: Results = results(self.engine) if results else self.engine
            self.division = division(self.overlap, self.multiple) if division else None
        except BaseException:
            self.engine.close()
            raise

    def first_tile(self) -> tuple[int, int]:
        """The asked for tile size; a side of 0 is the largest that the device's class of memory allows. It does not
        depend on what happens to be free, since pixels depend on it: see docs/tiling.md.
        """
        width, height = self.config.tile
        if width and height:
            return width, height
        engine = self.engine
        automatic = self.automatic(
            tile_pixels(engine.device, engine.descriptor.values_per_pixel * engine.dtype.itemsize * engine.batch)
        )
        return width or automatic[0], height or automatic[1]

    def automatic(self, pixels: int) -> tuple[int, int]:
        return tiles.automatic(self.width, self.height, pixels, self.overlap, self.multiple)

    def plan_of(self, tile: tuple[int, int]) -> Plan:
        return tiles.plan(self.width, self.height, tile, self.overlap, self.multiple)

    def render(self, frame: Frame, out: Planes, told: Callable[[float], None] | None = None) -> float:
        """Fill ``out``; the share of the frame that was taken over. All its tiles come from one plan.

        ``told`` is called with the share that is done, 0 to 1, after each tile.
        """
        while True:
            plan, changes = self.plan, self.changes
            try:
                chosen = self.division.tiles(plan, frame) if self.division else plan
                return self.fill(frame, chosen, out, told)
            except Exception as error:
                if not lacks_memory(error):
                    raise
                self.take_less(plan, changes, error)

    def fill(self, frame: Frame, chosen: Plan, out: Planes, told: Callable[[float], None] | None) -> float:
        """A few tiles more than a batch are on their way at a time, so that memory stays bounded for any frame."""
        under_way: deque[tuple[Tile, Future[list[Tensor]]]] = deque()
        waiting, taken, written = deque(chosen), 0, 0
        while waiting or under_way:
            if waiting and len(under_way) < 2 * self.engine.batch:
                tile = waiting.popleft()
                result, taken_over = self.results.get(frame, tile)
                taken += taken_over * tile.kept
                under_way.append((tile, result))
                continue
            tile, result = under_way.popleft()
            write_tile(out, self.target, tile, self.scale, result.result())
            written += 1
            if told:
                told(written / len(chosen))
        return taken / (self.width * self.height)

    def take_less(self, plan: Plan, changes: int, error: Exception) -> None:
        """After memory ran out with ``plan``: first what is held for speed alone is given back, then batches get
        smaller, then tiles.

        Raises:
            DeviceError: there is nothing left to do without.
        """
        device = self.engine.device
        with self.lock:
            if self.changes != changes:
                return  # another frame, which had a tile in the same batch, has already seen to it
            if of_machine(error, device) and (freed := self.results.give_back()):
                trim()
                log.warning("out of memory: going on with a smaller cache, %d MiB of tiles forgotten", freed >> 20)
            elif self.engine.batch > 1:
                self.engine.batch = max(self.engine.batch // 2, 1)
                log.warning("out of memory on %s: going on with batches of %d", device, self.engine.batch)
            else:
                self.take_smaller_tiles(plan, error)
            self.changes += 1

    def take_smaller_tiles(self, plan: Plan, error: Exception) -> None:
        device, y, x = self.engine.device, plan[0].y, plan[0].x
        smaller = self.automatic((y.stop - y.start) * (x.stop - x.start) // 2)
        if self.plan_of(smaller) == plan:
            raise DeviceError(f"out of memory on {device} with tiles of {smaller[0]}x{smaller[1]}: {error}")
        log.warning("out of memory on %s: going on with tiles of %dx%d", device, *smaller)
        self.tile, self.plan = smaller, self.plan_of(smaller)

    def close(self) -> None:
        self.engine.close()
