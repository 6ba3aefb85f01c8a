"""One chunk of a plan: its frames rendered by the node of the whole clip, encoded, checked, named."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..config import UpscaleConfig
from ..errors import VideoError
from .clip import brief, enlarged, from_script, from_source
from .encode import ChunkWriter
from .identity import versions
from .pixels import format_of
from .places import whole, write_json
from .plan import Plan, Work
from .scan import frozen

__all__ = ["Done", "Place", "Worker", "run_chunk"]


@dataclass(frozen=True)
class Place:
    """Where a chunk is rendered; it has no influence on pixels."""

    device: str | None = None
    """As of the filter; the plan's own when None. It must be of the plan's kind, cpu or cuda."""
    threads: int | None = None
    """Threads of VapourSynth; its own choice when None."""


@dataclass(frozen=True)
class Done:
    """A chunk that lies under its name."""

    index: int
    frames: int
    bytes: int
    seconds: float
    """From its first frame to its name."""
    reused: float
    """Share of its pictures that was taken over."""


Told = Callable[[int, float], None]
"""Called after every frame with the chunk's index and the frame's reused share."""


class Worker:
    """A plan with its clip and network loaded, for chunk after chunk."""

    def __init__(self, plan: Path, place: Place = Place(), told: Told = lambda index, reused: None):
        """
        Raises:
            VideoError: the source, or a version of what is installed here, is not the plan's.
        """
        import vapoursynth as vs

        self.work, self.told = Work.at(plan), told
        plan_ = self.work.plan
        if place.threads:
            vs.core.num_threads = place.threads
        check(self.work, place)
        clip = None
        if plan_.source is not None:
            clip = from_source(plan_.source, plan_.track, self.work.folder.index, plan_.decoder)[0]
            clip = frozen(clip, list(plan_.holes))
        if plan_.settings.script is not None:
            clip = from_script(plan_.settings.script, plan_.source)
        if clip is None or clip.num_frames != plan_.total:
            raise VideoError(f"{plan_.source}: {clip and clip.num_frames} frames, {plan_.total} when it was planned")
        config = plan_.settings.upscale
        config = replace(config, device=place.device) if place.device else config
        self.node = self.shown(clip, plan_, config)
        self.window = vs.core.num_threads + 2

    def shown(self, clip: Any, plan: Plan, config: UpscaleConfig) -> Any:
        """The clip whose frames are encoded, of the plan's size and format.

        Raises:
            VideoError: the filter refuses.
        """
        return enlarged(clip, plan.settings, plan.size, format_of(plan.pixel_format), config)

    def run(self, index: int) -> Done:
        """One chunk.

        Raises:
            VideoError: it cannot be rendered, encoded or written.
        """
        return next(self.run_many([index]))

    def run_many(self, indices: Iterable[int]) -> Iterator[Done]:
        """Chunks one after the other, each given out when it lies under its name; the next one's frames are rendered
        meanwhile. When this is closed or fails, those that lack frames are abandoned, the others finished.

        Raises:
            VideoError: see :meth:`run`.
        """
        waiting: deque[_Chunk] = deque()
        frames = self._frames(iter(indices))
        try:
            for index, n, frame in frames:
                first, stop = self.work.plan.chunks[index]
                if n == first:
                    while len(waiting) > 1:  # an encoder of 4K may hold a gigabyte: one at work, one that ends
                        yield waiting.popleft().finish()
                    waiting.append(_Chunk(self.work, index))
                waiting[-1].put(frame, self.told)
                if n == stop - 1:
                    waiting[-1].end()
                while waiting[0].put_all and waiting[0].writer.over():
                    yield waiting.popleft().finish()
                    if not waiting:
                        break
            while waiting:
                yield waiting.popleft().finish()
        finally:
            frames.close()
            while waiting:
                chunk = waiting.popleft()
                if chunk.put_all:
                    with suppress(VideoError):  # it is the first error that counts
                        chunk.finish()
                else:
                    chunk.abandon()

    def _frames(self, indices: Iterator[int]) -> Generator[tuple[int, int, Any]]:
        """(chunk, number, frame) in order; some of the next are always on their way."""
        import vapoursynth as vs

        wanted = ((index, n) for index in indices for n in range(*self.work.plan.chunks[index]))
        under_way: deque[tuple[int, int, Any]] = deque()
        try:
            while True:
                while len(under_way) < self.window and (one := next(wanted, None)):
                    under_way.append((*one, self.node.get_frame_async(one[1])))
                if not under_way:
                    return
                index, n, future = under_way.popleft()
                try:
                    frame = future.result()
                except vs.Error as error:
                    raise VideoError(f"frame {n} cannot be had ({brief(error)})") from None
                yield index, n, frame
        finally:
            for _, _, future in under_way:
                with suppress(vs.Error):
                    future.result().close()

    def close(self) -> None:
        """Let the clip and the network go."""
        self.node = None


class _Chunk:
    """A chunk that is being made."""

    def __init__(self, work: Work, index: int):
        self.work, self.index, self.start = work, index, time.monotonic()
        self.stack = ExitStack()
        self.part = self.stack.enter_context(whole(work.folder.chunk(index)))
        self.writer = ChunkWriter(self.part, work.plan)
        self.reused, self.put_all = 0.0, False

    def put(self, frame: Any, told: Told) -> None:
        share = float(frame.props.get("ApisrReused", 0.0))
        self.reused += share
        self.writer.put(frame)
        told(self.index, share)

    def end(self) -> None:
        """It has all its frames."""
        self.put_all = True
        self.writer.close_soon()

    def finish(self) -> Done:
        try:
            self.writer.finish()
            frames = self.work.plan.length(self.index)
            size = self.part.stat().st_size
        except BaseException as error:
            self.stack.__exit__(type(error), error, error.__traceback__)
            raise
        self.stack.close()
        done = Done(self.index, frames, size, time.monotonic() - self.start, self.reused / frames)
        write_json(self.work.folder.note(self.index), asdict(done))
        return done

    def abandon(self) -> None:
        self.writer.abandon()
        error = VideoError("abandoned")
        self.stack.__exit__(VideoError, error, None)


def check(work: Work, place: Place) -> None:
    """Is what is installed here what the plan was made with?

    Raises:
        VideoError: it is not.
    """
    plan = work.plan
    here = versions(plan.settings.upscale.model)
    pairs = [(key, here.get(key), value) for key, value in plan.versions.items()]
    unlike = [f"{key} {now} instead of {then}" for key, now, then in pairs if now != then]
    if place.device and place.device.partition(":")[0] not in ("auto", plan.device):
        unlike.append(f"device {place.device} instead of {plan.device}")
    if unlike:
        raise VideoError(f"{work.folder.path} was planned with other versions: here are {', '.join(unlike)}")


def run_chunk(plan: Path, index: int, place: Place = Place()) -> Done:
    """Make one chunk of the plan in ``plan`` (``plan.json``); done again, it gives the same.

    Raises:
        VideoError: it cannot be.
    """
    worker = Worker(plan, place)
    try:
        return worker.run(index)
    finally:
        worker.close()
