"""The VapourSynth clip of a plan: source or script, the filter, the size that is wanted."""

from __future__ import annotations

import logging
import runpy
from collections.abc import Mapping
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..config import UpscaleConfig
from ..errors import ArgumentError, VideoError
from ..libav import url
from .settings import VideoSettings

__all__ = ["arguments", "brief", "enlarged", "from_script", "from_source", "size_of"]


def brief(error: BaseException) -> str:
    """One line of an error of VapourSynth, which may hold a traceback of a script's own function."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() not in ("", ")", "(")]
    return lines[-1] if lines else type(error).__name__


def core() -> Any:
    """VapourSynth's, with what is needed here.

    Raises:
        VideoError: a plugin is missing.
    """
    import vapoursynth as vs

    if not hasattr(vs.core, "bs"):
        raise VideoError("reading videos needs BestSource: pip install vapoursynth-bestsource")
    if not hasattr(vs.core, "apisr"):
        raise VideoError(
            "core.apisr is not there: VapourSynth found no plugin of this package; was it installed with pip?"
        )
    return vs.core


class _Quiet(logging.Filter):
    """BestSource asks for more than one result, and VapourSynth warns of that at every call."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "no return value(s) named" not in record.getMessage()


logging.getLogger("vapoursynth").addFilter(_Quiet())


def from_source(path: Path | str, track: int, index: Path, threads: int = 0) -> tuple[Any, list[int], Fraction]:
    """(clip, time of every frame, unit of these times in seconds); the index is read and kept at ``index``. ``threads``
    of the decoder, 0: its own choice. Only with one are the frames of a damaged file always the same.

    Raises:
        VideoError: it cannot be read.
    """
    import vapoursynth as vs

    try:
        found = core().bs.VideoSource(
            url(path),
            track=track,
            threads=threads,
            cachemode=4,
            cachepath=f"{index}{threads or ''}",
            exporttimestamps=1,
            showprogress=0,
        )
    except vs.Error as error:
        raise VideoError(f"{path} is no video that can be read ({brief(error)})") from None
    times = found["timestamps"]  # VapourSynth gives an array of one number as the number
    pts = [times] if isinstance(times, int) else list(times)
    return found["clip"], pts, Fraction(found["timebasenum"], found["timebaseden"])


def from_script(script: Path | str, source: Path | str | None) -> Any:
    """Output 0 of a VapourSynth script, in which ``source`` is the path of the video.

    Raises:
        VideoError: the script fails, or has no such output.
    """
    import vapoursynth as vs

    core()
    vs.clear_outputs()
    try:
        runpy.run_path(str(script), {"source": None if source is None else url(source)}, "__vapoursynth__")
        output = vs.get_output(0)
    except KeyError:
        raise VideoError(f"{script} has no output 0: its clip needs .set_output()") from None
    except Exception as error:
        raise VideoError(f"{script} failed ({type(error).__name__}: {error})") from None
    return getattr(output, "clip", output)


def arguments(config: UpscaleConfig) -> dict[str, Any]:
    """For ``core.apisr.Upscale``: what is not its default."""
    default = UpscaleConfig()
    chosen = {f.name: getattr(config, f.name) for f in fields(config)}
    chosen = {name: value for name, value in chosen.items() if value != getattr(default, name)}
    if "tilesize" in chosen:
        chosen["tilesize"] = list(chosen["tilesize"])
    return chosen


def size_of(width: int, height: int, sar: Fraction, settings: VideoSettings) -> tuple[tuple[int, int], Fraction]:
    """((width, height) of the result, shape of its pixels); sides are even unless a factor says otherwise.

    Raises:
        ArgumentError: the size cannot be had.
    """
    shape = Fraction(width, height) * sar  # of the whole picture as it is seen
    square = settings.pixels == "square"
    if settings.size.endswith("x"):
        factor = Fraction(settings.size[:-1])
        high = round(height * factor)
        wide = round(high * shape) if square and sar != 1 else round(width * factor)
    elif settings.size.endswith("p"):
        high = int(settings.size[:-1])
        wide = round(high * (shape if square else Fraction(width, height)) / 2) * 2
    else:
        wide, high = map(int, settings.size.split("x"))
    if square and sar != 1:
        wide += wide % 2
    if min(wide, high) < 16 or max(wide, high) > 16384:
        raise ArgumentError(f"size {settings.size} gives {wide}x{high}; sides of 16 to 16384 are accepted")
    return (wide, high), Fraction(1) if square else shape / Fraction(wide, high)


def enlarged(clip: Any, settings: VideoSettings, size: tuple[int, int], format: int, config: UpscaleConfig) -> Any:
    """``clip`` through the filter, of ``size`` and ``format`` (VapourSynth's number).

    Raises:
        VideoError: the filter refuses.
    """
    import vapoursynth as vs

    chosen = arguments(config)
    try:
        large = clip.apisr.Upscale(**{**chosen, "format": format})
        if (large.width, large.height) != size:
            fine = with_depth(format, 16)
            large = clip.apisr.Upscale(**{**chosen, "format": fine})
            large = getattr(large.resize, settings.kernel.capitalize())(*size, format=format)
    except vs.Error as error:
        raise VideoError(brief(error)) from None
    return large


def with_depth(format: int, bits: int) -> int:
    """The same format in so many bits, or itself where it has more."""
    import vapoursynth as vs

    found = vs.core.get_video_format(format)
    if found.sample_type == vs.FLOAT or found.bits_per_sample >= bits:
        return format
    return int(found.replace(bits_per_sample=bits).id)


def properties(clip: Any, frame: int) -> Mapping[str, Any]:
    """Of one frame of ``clip``.

    Raises:
        VideoError: it cannot be had.
    """
    import vapoursynth as vs

    try:
        with clip.get_frame(frame) as got:
            return dict(got.props)
    except vs.Error as error:
        raise VideoError(f"frame {frame} of the source cannot be read ({brief(error)})") from None
