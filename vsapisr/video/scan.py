"""Every frame of a source once before the work begins, so that nothing fails at the last one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import VideoError

__all__ = ["Scan", "frozen", "hdr_of", "scan"]

PQ, HLG = 16, 18  # transfers of H.273


@dataclass(frozen=True)
class Scan:
    """What was found."""

    holes: list[tuple[int, int, int]]
    """(first, last, the frame to show instead) of frames that cannot be decoded."""
    interlaced: int | None
    """The first frame that is, for the filter refuses such."""


def scan(clip: Any, told: Callable[[int], None] = lambda n: None, window: int = 16) -> Scan:
    """Ask for all frames of ``clip`` in order; ``told`` is called with the number of those that were looked at.

    Raises:
        VideoError: none can be decoded.
    """
    import vapoursynth as vs

    bad, interlaced = [], None
    under_way: deque[tuple[int, Any]] = deque()
    for n in range(clip.num_frames + window):
        if n < clip.num_frames:
            under_way.append((n, clip.get_frame_async(n)))
        if n >= window and under_way:
            number, future = under_way.popleft()
            told(number + 1)
            try:
                with future.result() as frame:
                    if interlaced is None and frame.props.get("_FieldBased", 0):
                        interlaced = number
            except vs.Error:
                bad.append(number)
    if len(bad) == clip.num_frames:
        raise VideoError("no frame of the video could be decoded")
    holes: list[tuple[int, int, int]] = []
    for n in bad:
        if holes and holes[-1][1] == n - 1:
            holes[-1] = (holes[-1][0], n, holes[-1][2])
        else:
            holes.append((n, n, n - 1))
    return Scan([(first, last, last + 1 if first == 0 else before) for first, last, before in holes], interlaced)


def frozen(clip: Any, holes: list[tuple[int, int, int]]) -> Any:
    """``clip`` with others in the place of what cannot be decoded."""
    if not holes:
        return clip
    first, last, replacement = (list(column) for column in zip(*holes, strict=True))
    return clip.std.FreezeFrames(first=first, last=last, replacement=replacement)


def hdr_of(said: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """({"display": of the mastering, "light": of the content}, as encoders take them; what cannot be kept) by the
    properties of a frame.

    Raises:
        VideoError: Dolby Vision without a picture that others can show.
    """
    notes = []
    if "DolbyVisionRPU" in said:
        if said.get("_Transfer", 2) not in (PQ, HLG, 1):
            raise VideoError(
                "this is Dolby Vision whose colours mean nothing without its metadata, which cannot be kept; "
                "convert it to HDR10 or SDR by --script first"
            )
        notes.append("Dolby Vision's metadata is left out; the picture under it stays")
    if "HDR10Plus" in said:
        notes.append("HDR10+ (metadata of each scene) is left out; HDR10 stays")
    found = {}
    names = [f"MasteringDisplay{part}" for part in ("PrimariesX", "PrimariesY", "WhitePointX", "WhitePointY")]
    if all(name in said for name in (*names, "MasteringDisplayMinLuminance", "MasteringDisplayMaxLuminance")):
        xs, ys = (list(said[name]) for name in names[:2])
        points = [f"{part}({x:.5f},{y:.5f})" for part, x, y in zip("RGB", xs, ys, strict=True)]
        white = f"WP({said[names[2]]:.5f},{said[names[3]]:.5f})"
        light = f"L({said['MasteringDisplayMaxLuminance']:.4f},{said['MasteringDisplayMinLuminance']:.4f})"
        found["display"] = points[1] + points[2] + points[0] + white + light
    if "ContentLightLevelMax" in said:
        found["light"] = f"{said['ContentLightLevelMax']},{said.get('ContentLightLevelAverage', 0)}"
    return found, notes
