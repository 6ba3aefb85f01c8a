"""A video as y4m, without sound, for another program to encode."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import VideoError
from .clip import brief, enlarged
from .pixels import format_of
from .places import Folder
from .plan import asked_of, look, make
from .probe import probe
from .settings import VideoSettings

__all__ = ["write_y4m"]


def write_y4m(
    source: Path | None, out: BinaryIO, settings: VideoSettings, told: Callable[[dict[str, Any]], None]
) -> int:
    """Write the wanted part of a video to ``out``; the number of frames. It has one frame rate, and neither matrix nor
    times nor sound: y4m has no place for them.

    Raises:
        VideoError: it cannot be read, or the filter refuses it.
    """
    import vapoursynth as vs

    with tempfile.TemporaryDirectory() as folder:
        place, found = Folder(Path(folder)), None if source is None else probe(source)
        plan, _ = make(found, Path("-"), asked_of(source, settings), place)
        clip = look(found, settings, place).clip
        node = enlarged(clip, settings, plan.size, format_of(plan.pixel_format), settings.upscale)
        first, stop = plan.chunks[0][0], plan.chunks[-1][1]
        told({"event": "plan", "frames": stop - first, "chunks": 0, "done": 0, "size": plan.size})
        done = 0

        def progress(count: int, total: int) -> None:
            nonlocal done
            for _ in range(count - done):
                told({"event": "frame", "chunk": 0, "reused": 0.0})
            done = count

        try:
            node[first:stop].output(out, y4m=True, progress_update=progress)
        except vs.Error as error:
            raise VideoError(brief(error)) from None
        except OSError as error:
            raise VideoError(f"the standard output does not take more ({error.strerror})") from None
        return stop - first
