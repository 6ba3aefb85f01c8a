"""When each frame of a clip is shown."""

from __future__ import annotations

import bisect
import itertools
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, VideoError
from .clip import properties
from .places import write_json
from .settings import VideoSettings

__all__ = ["Times", "range_of", "rate_of", "times_of"]

NO_TIME = -(1 << 63)  # libav's
USUAL = [Fraction(n * 1000, d) for n in (15, 24, 25, 30, 48, 50, 60, 120) for d in (1000, 1001)]


@dataclass(frozen=True, kw_only=True)
class Times:
    """``times.json``: when each frame of the clip is shown."""

    unit: Fraction
    """Seconds."""
    pts: list[int]
    """In units, ascending; one for each frame."""
    end: int
    """When the last frame's time is over."""

    def write(self, path: Path) -> None:
        write_json(path, {"unit": [self.unit.numerator, self.unit.denominator], "pts": self.pts, "end": self.end})

    @classmethod
    def read(cls, path: Path) -> Times:
        """
        Raises:
            VideoError: it is not there, or not ours.
        """
        if path.exists() and not path.is_file():  # a pipe would keep us waiting, a device has no end
            raise VideoError(f"{path} is no file; --force starts anew")
        try:
            values = json.loads(path.read_text(encoding="ascii"))
            made = cls(unit=Fraction(*values["unit"]), pts=values["pts"], end=values["end"])
        except OSError as error:
            raise VideoError(f"{path} cannot be read ({error.strerror}); --force starts anew") from None
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            raise VideoError(f"{path} is damaged ({error}); --force starts anew") from None
        numbers = [*made.pts, made.end] if isinstance(made.pts, list) else [None]
        if made.unit <= 0 or not all(isinstance(one, int) for one in numbers) or numbers != sorted(numbers):
            raise VideoError(f"{path} is damaged (its times do not ascend); --force starts anew")
        return made

    def seconds(self, frame: int) -> Fraction:
        """When ``frame`` begins; one past the last: when that ends."""
        return (self.pts[frame] if frame < len(self.pts) else self.end) * self.unit

    def after(self, seconds: float) -> int:
        """The first frame that begins at ``seconds`` or later."""
        return bisect.bisect_left(self.pts, Fraction(seconds).limit_denominator(10**6) / self.unit)


def range_of(times: Times, settings: VideoSettings) -> tuple[int, int]:
    """The frames that are wanted.

    Raises:
        ArgumentError: there are none.
    """
    first = times.after(settings.start + float(times.seconds(0))) if settings.start else 0
    stop = len(times.pts) if settings.end is None else times.after(settings.end + float(times.seconds(0)))
    stop = min(stop, len(times.pts), first + (settings.frames or len(times.pts)))
    if first >= stop:
        raise ArgumentError(f"start {settings.start:g} s: the video has {float(times.seconds(len(times.pts))):.2f} s")
    return first, stop


def times_of(clip: Any, pts: list[int], unit: Fraction) -> Times:
    """Of a clip whose frames have these ``pts``, or, without any, by its frame rate.

    Raises:
        VideoError: they do not ascend.
    """
    if not pts or NO_TIME in pts:  # as of H.264 in AVI
        rate = clip.fps
        if not rate:
            raise VideoError("a script's clip of variable frame rate needs its video as input, with as many frames")
        unit = Fraction(rate.denominator, rate.numerator)
        return Times(unit=unit, pts=list(range(clip.num_frames)), end=clip.num_frames)
    for n, (one, two) in enumerate(itertools.pairwise(pts)):
        if two <= one:
            raise VideoError(f"frame {n + 1} of the source is not shown after frame {n} (times {one} and {two})")
    shown = properties(clip, len(pts) - 1)
    last = Fraction(shown.get("_DurationNum", 0), shown.get("_DurationDen", 0) or 1) / unit
    before = pts[-1] - pts[-2] if len(pts) > 1 else 1
    return Times(unit=unit, pts=pts, end=pts[-1] + (round(last) or before))


def rate_of(times: Times) -> Fraction:
    """Frames per second on the average; a usual rate where it is next to one, as times may be rounded."""
    rate = len(times.pts) / ((times.end - times.pts[0]) * times.unit)
    usual = min(USUAL, key=lambda one: abs(one - rate))
    return usual if abs(usual - rate) < usual / 2000 else rate.limit_denominator(1 << 16)
