"""What is wanted of a video besides the filter's arguments. No torch, no PyAV here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..config import UpscaleConfig
from ..errors import ArgumentError

__all__ = ["CONTAINERS", "KERNELS", "VideoSettings", "options"]

KERNELS = ("bicubic", "bilinear", "lanczos", "point", "spline16", "spline36", "spline64")
KINDS = ("audio", "subtitles", "attachments", "chapters", "data")
PIXELS = ("keep", "square")
CONTAINERS = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}
"""That videos are written in: end of the file's name, FFmpeg's name."""


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """How a video is upscaled and encoded; whatever changes a bit of the result.

    Raises:
        ArgumentError: a value that is not accepted; the text names the option.
    """

    upscale: UpscaleConfig = field(default_factory=UpscaleConfig)
    size: str = "4x"
    """``4x`` or another factor, ``1080p`` and other heights, ``WxH``; what the filter
    does not make itself is resized after it."""
    kernel: str = "spline36"
    """Of that resizing."""
    pixels: str = "keep"
    """Of an anamorphic source: ``keep`` its shape of pixels, or make them ``square``."""
    encoder: str = "libx265"
    """Name of an encoder of FFmpeg."""
    crf: float | None = None
    """Quality; the encoder's own scale, its default for anime when not given."""
    preset: str | None = None
    """Speed of the encoder, by its own names."""
    pixel_format: str | None = None
    """Such as ``yuv420p10le``; 10 bit in the source's subsampling when not given, where the encoder has it."""
    encoder_options: tuple[tuple[str, str], ...] = ()
    """Passed to the encoder as they are."""
    script: str | None = None
    """A VapourSynth script whose output is upscaled; its variable ``source`` is the path of the video."""
    without: tuple[str, ...] = ()
    """What of a video is not to be kept."""
    start: float = 0.0
    """Seconds of the source where to begin."""
    end: float | None = None
    """Seconds of the source where to end."""
    frames: int | None = None
    """So many frames at most."""
    chunk: float = 5.0
    """Seconds that a chunk has at least; it ends at the next I-frame."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[1-9]\d*(\.\d+)?x|[1-9]\d*p|[1-9]\d*x[1-9]\d*", self.size):
            raise ArgumentError(f"size must be such as 2x, 1080p or 1920x1080, got {self.size!r}")
        if self.kernel not in KERNELS:
            raise ArgumentError(f"kernel must be one of {', '.join(KERNELS)}, got {self.kernel!r}")
        if self.pixels not in PIXELS:
            raise ArgumentError(f"pixels must be one of {', '.join(PIXELS)}, got {self.pixels!r}")
        for kind in self.without:
            if kind not in KINDS:
                raise ArgumentError(f"without must be of {', '.join(KINDS)}, got {kind!r}")
        if self.start < 0:
            raise ArgumentError(f"start must not be negative, got {self.start:g}")
        if self.end is not None and self.end <= self.start:
            raise ArgumentError(f"end must be after start ({self.start:g} s), got {self.end:g}")
        if self.frames is not None and self.frames < 1:
            raise ArgumentError(f"frames must be 1 or more, got {self.frames}")
        if not self.chunk > 0:
            raise ArgumentError(f"chunk must be more than 0 seconds, got {self.chunk:g}")

    @property
    def part(self) -> bool:
        """Is less than the whole video wanted?"""
        return self.start > 0 or self.end is not None or self.frames is not None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VideoSettings:
        upscale = dict(values["upscale"])
        upscale["tilesize"] = tuple(upscale["tilesize"])
        changed = {
            "upscale": UpscaleConfig(**upscale),
            "encoder_options": tuple((str(key), str(value)) for key, value in values["encoder_options"]),
            "without": tuple(values["without"]),
        }
        return cls(**{**values, **changed})


def options(words: list[str]) -> tuple[tuple[str, str], ...]:
    """``key=value`` each.

    Raises:
        ArgumentError: it is something else.
    """
    pairs = [word.partition("=") for word in words]
    for word, (key, equals, _) in zip(words, pairs, strict=True):
        if not key or not equals:
            raise ArgumentError(f"encoder-options must be key=value, got {word!r}")
    return tuple((key, value) for key, _, value in pairs)
