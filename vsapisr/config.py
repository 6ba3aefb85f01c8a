"""Every argument of ``core.apisr.Upscale``, its default and its check. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .errors import ArgumentError, quoted

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
SCALE = 4  # of the networks that this project trains; of the one in use see networks/descriptor.py
SCALES = (2, 4)  # that a result may have
WINDOW = 8  # the network's window; tiles that are not aligned to it would see other windows than the whole frame


@dataclass(frozen=True, kw_only=True)
class UpscaleConfig:
    """Arguments of ``Upscale`` besides the clip.

    Raises:
        ArgumentError: a value that is not accepted; the text names the argument.
    """

    model: str = "default"
    """Name of a shipped or fetched model, or path of a ``.safetensors`` or ``.pth`` file."""
    scale: int | None = None
    """2 or 4: the result is so many times larger on each side; the network's own, 4 of the shipped ones, when not
    given. With 2 what a network of 4 makes is reduced on the device, as ``resize.Bicubic`` would reduce its frames."""
    format: int | None = None
    """Format id of the result, such as ``vs.RGB24``; the source's when not given."""
    tilesize: tuple[int, ...] = ()
    """Width and height of a tile in source pixels, overlap included; one number for both; none or 0: automatic."""
    overlap: int | None = None
    """Source pixels that a tile sees beyond what is kept of it, on each side where there is a neighbour; the
    network's own when not given, 8 of the shipped ones."""
    reuse: int = 1
    """0: every tile is computed; 1: one whose input is equal bit for bit to one computed before takes its pixels;
    2: blocks that differ from an earlier one by noise alone are held, so that more tiles are equal."""
    threshold: float = 1.0
    """Of ``reuse=2``: how far a block may be from what is held, in parts of what the clip's noise makes; 0: nothing is
    held."""
    interval: int = 16
    """Of ``reuse=2``: frames that are looked at together; nothing is held beyond them."""
    cache: int | None = None
    """MiB for tiles that were computed; automatic when not given."""
    guard: int = 1
    """1: colours that do not occur in the 7x7 source pixels around (spots, tints) are removed, and flat areas
    keep the source's values; 0: the network's bare result."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` is CUDA where there is a device, else the CPU."""
    precision: str = "auto"
    """``fp32``, ``fp16`` or ``bf16``; ``auto`` is fp16 on CUDA and fp32 on the CPU."""
    batch: int = 0
    """Tiles that go through the network at once; 0: automatic."""
    num_streams: int = 0
    """Batches on their way at once on CUDA, where one is copied while another is computed; 0: automatic. No effect on
    the CPU."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ArgumentError("model must be a name or a path, got an empty string")
        if self.scale not in (None, *SCALES):
            raise ArgumentError(f"scale must be {' or '.join(map(str, SCALES))}, got {self.scale}")
        if len(self.tilesize) > 2:
            raise ArgumentError(f"tilesize takes one or two numbers, got {len(self.tilesize)}")
        check_tiles(self.tilesize, self.overlap or 0, WINDOW)
        if self.reuse not in (0, 1, 2):
            raise ArgumentError(
                f"reuse must be 0 (off), 1 (equal tiles) or 2 (nearly equal ones too), got {self.reuse}"
            )
        if not 0 <= self.threshold <= 16:
            raise ArgumentError(f"threshold must be 0 to 16, got {self.threshold:g}")
        if not 1 <= self.interval <= 64:
            raise ArgumentError(f"interval must be 1 to 64 frames, got {self.interval}")
        if self.cache is not None and self.cache < 0:
            raise ArgumentError(f"cache must not be negative, got {self.cache}")
        if self.guard not in (0, 1):
            raise ArgumentError(f"guard must be 0 (off) or 1, got {self.guard}")
        if self.precision not in PRECISIONS:
            raise ArgumentError(f"precision must be one of {', '.join(PRECISIONS)}, got {quoted(self.precision)}")
        if not 0 <= self.batch <= 64:
            raise ArgumentError(f"batch must be 0 (automatic) to 64, got {self.batch}")
        if not 0 <= self.num_streams <= 16:
            raise ArgumentError(f"num_streams must be 0 (automatic) to 16, got {self.num_streams}")

    @property
    def tile(self) -> tuple[int, int]:
        """(width, height) of a tile; a side of 0 is automatic."""
        width, height = (*self.tilesize, *self.tilesize)[:2] if self.tilesize else (0, 0)
        return width, height

    def without_effect(self) -> list[str]:
        """A line for each argument that was given and changes nothing beside the others."""
        given = {field.name for field in fields(self) if getattr(self, field.name) != field.default}
        found = [f"{name} has no effect with reuse={self.reuse}; it belongs to reuse=2"
                 for name in ("threshold", "interval") if name in given and self.reuse != 2]  # fmt: skip
        if "cache" in given and self.reuse == 0:
            found.append("cache has no effect with reuse=0")
        if "num_streams" in given and self.device == "cpu":
            found.append("num_streams has no effect on the CPU")
        return found

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> UpscaleConfig:
        """From what the bridge was called with; names it does not know are rejected."""
        known = {field.name for field in fields(cls)}
        for name in arguments:
            if name not in known:
                raise ArgumentError(f"unknown argument {name!r}; known are {', '.join(sorted(known))}")
        values = dict(arguments)
        if "tilesize" in values:
            sides = values["tilesize"]
            values["tilesize"] = tuple(sides) if isinstance(sides, (list, tuple)) else (sides,)
        return cls(**values)


def check_tiles(tilesize: tuple[int, ...], overlap: int, multiple: int) -> None:
    """Whether a network that takes multiples of ``multiple`` can work on such tiles.

    Raises:
        ArgumentError: it cannot.
    """
    shown = "x".join(map(str, tilesize))
    if any(side < 0 for side in tilesize):
        raise ArgumentError(f"tilesize must not be negative, got {shown}")
    if any(side % multiple for side in tilesize):
        raise ArgumentError(f"tilesize must be multiples of {multiple}, got {shown}")
    if overlap < 0:
        raise ArgumentError(f"overlap must not be negative, got {overlap}")
    if overlap % multiple:
        raise ArgumentError(f"overlap must be a multiple of {multiple}, got {overlap}")
    if any(0 < side <= 2 * overlap for side in tilesize):
        raise ArgumentError(f"tilesize must be more than twice the overlap of {overlap}, got {shown}")
