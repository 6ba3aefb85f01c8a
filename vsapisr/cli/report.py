"""What of a clip would be taken over, found out without running the network, and a picture of it. Needs OpenCV."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..config import UpscaleConfig
from ..engine.engine import Engine
from ..engine.frame import Frame
from ..errors import ClipError
from ..libav import url
from ..picture.accepted import check_clip, check_progressive
from ..picture.colour import Format, resolve
from ..picture.tiles import Tile
from ..reuse.clip import ClipUpscaler, cache_budget
from ..reuse.results import Signatures, key_of

CUT = 0.15
"""Part of the luma histogram that has to move between two frames of different shots."""
HOT = np.array([255, 64, 32])


class Counter:
    """A :class:`~vsapisr.engine.upscaler.Results` that computes nothing: it notes which tiles would be computed, with
    a cache of the size that there would be."""

    def __init__(self, signatures: Signatures, width: int, height: int, scale: int, room: int):
        self.signatures, self.scale, self.room = signatures, scale, room
        self.seen: OrderedDict[Any, int] = OrderedDict()
        self.work = np.zeros((height, width), np.int32)
        """How often each pixel would be computed as part of what is kept."""
        self.pixels = 0
        """That the network would see in all."""
        self.nothing: Future[list[Any]] = Future()
        self.nothing.set_result([])

    def get(self, frame: Frame, tile: Tile) -> tuple[Future[list[Any]], bool]:
        key, target = key_of(frame, tile, self.signatures), frame.conversion.target
        old = self.seen.pop(key, 0)
        self.seen[key] = tile.kept * self.scale**2 * target.planes * target.dtype.itemsize
        self.room += old - self.seen[key]
        while self.room < 0 and self.seen:
            self.room += self.seen.popitem(last=False)[1]
        if not old:
            self.pixels += (tile.y.stop - tile.y.start) * (tile.x.stop - tile.x.start)
            self.work[tile.y.keep_start : tile.y.keep_stop, tile.x.keep_start : tile.x.keep_stop] += 1
        return self.nothing, bool(old)

    def give_back(self) -> int:
        return 0


@dataclass(frozen=True)
class Shown:
    """What was found out about one frame."""

    kind: str
    """I, P, B, or ? where the source does not say."""
    cut: bool
    reused: float
    network: int
    """Pixels that the network would see for it."""


class ReuseReport:
    """Frames of a video file one after the other."""

    def __init__(self, path: Path, config: UpscaleConfig, frames: int | None = None):
        """The first ``frames`` of it.

        Raises:
            ClipError: the file cannot be read, or not be enlarged.
        """
        self.clip = opened(path)
        self.clip = self.clip[:frames] if frames else self.clip
        video = self.clip.format
        check_clip(self.clip.width, self.clip.height, int(video.color_family) if video else 0)
        self.format = Format(
            int(video.color_family),
            int(video.sample_type),
            video.bits_per_sample,
            video.subsampling_w,
            video.subsampling_h,
        )
        size = self.clip.width, self.clip.height

        def counted(engine: Engine, signatures: Signatures) -> Counter:
            scale = engine.scale
            room = cache_budget(config, self.format, *size, scale) if config.reuse else 0
            self.counter = Counter(signatures, *size, scale, room)
            return self.counter

        self.upscaler = ClipUpscaler(config, *size, self.format, self.format, self.clip.num_frames, counted)
        self.still: np.ndarray | None = None

    def frames(self) -> Iterator[Shown]:
        waiting: dict[int, Any] = {}
        before = None
        for n in range(self.clip.num_frames):
            needed = self.upscaler.needs(n)
            waiting = {m: waiting[m] if m in waiting else self.clip.get_frame(m) for m in needed}
            planes = {m: [np.asarray(plane) for plane in frame] for m, frame in waiting.items()}
            properties = {m: dict(frame.props) for m, frame in waiting.items()}
            properties = {
                m: {k: v.encode() if isinstance(v, str) else v for k, v in p.items()} for m, p in properties.items()
            }
            check_progressive(n, properties[n])
            colour = resolve(self.format, properties[n], self.clip.width, self.clip.height)
            computed = self.counter.pixels
            share = self.upscaler.frame(n, planes, colour, [], colour, properties)
            histogram = brightness(planes[n][0])
            cut = before is None or float(np.abs(histogram - before).sum()) / 2 > CUT
            before = histogram
            if n == self.clip.num_frames // 2:
                self.still = np.array(planes[n][0])
            yield Shown(properties[n].get("_PictType", b"?").decode(), cut, share, self.counter.pixels - computed)

    def picture(self) -> np.ndarray:
        """(height, width, 3) uint8 RGB: the middle frame, the redder the more often a place would be computed."""
        assert self.still is not None
        luma = self.still.astype(np.float32)
        luma = (luma - luma.min()) / max(float(luma.max() - luma.min()), 1e-6) * 160 + 40
        heat = (self.counter.work / max(self.clip.num_frames, 1)).clip(0, 1)[..., None]
        picture = luma[..., None] * (1 - 0.8 * heat) + HOT * 0.8 * heat
        return np.rint(cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)).astype(np.uint8)

    def close(self) -> None:
        self.upscaler.close()


def brightness(luma: np.ndarray) -> np.ndarray:
    """Histogram of 32 steps, adding up to 1; it does not change while the camera moves."""
    top = (
        np.iinfo(luma.dtype).max + 1
        if luma.dtype.kind == "u" and luma.dtype.itemsize == 1
        else float(luma.max()) + 1e-6
    )
    return np.histogram(luma[::2, ::2], 32, (0, top))[0] / luma[::2, ::2].size


def opened(path: Path) -> Any:
    """The clip.

    Raises:
        ClipError: it cannot be read.
    """
    import vapoursynth as vs

    if not path.exists():
        raise ClipError(f"there is no file {path}")
    if not hasattr(vs.core, "bs"):
        raise ClipError("reading videos needs BestSource: pip install vapoursynth-bestsource")
    try:
        return vs.core.bs.VideoSource(url(path), cachemode=0)
    except vs.Error as error:
        raise ClipError(f"{path} is no video that can be read ({error})") from None


def summary(shown: list[Shown]) -> list[str]:
    """Lines: all, by picture type."""
    kinds: dict[str, list[float]] = defaultdict(list)
    for frame in shown:
        kinds[frame.kind].append(frame.reused)
    lines = [f"{len(shown)} frames, {np.mean([frame.reused for frame in shown]):.1%} taken over"]
    return lines + [
        f"  {kind}-frames: {len(kinds[kind])}, {np.mean(kinds[kind]):.1%}" for kind in "IPB?" if kind in kinds
    ]
