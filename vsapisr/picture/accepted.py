"""Clips and frames that can be enlarged: the same checks for the filter and for reports about it."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ClipError

__all__ = ["check_clip", "check_progressive"]


def check_clip(width: int, height: int, color_family: int) -> None:
    """Each 0 where it changes within the clip.

    Raises:
        ClipError: one of them does.
    """
    if not width or not height:
        raise ClipError("clip must have a constant size")
    if not color_family:
        raise ClipError("clip must have a constant format")


def check_progressive(n: int, properties: Mapping[str, object]) -> None:
    """Of frame ``n``.

    Raises:
        ClipError: it is interlaced, or says so.
    """
    if properties.get("_FieldBased", 0):
        raise ClipError(
            f"frame {n} is interlaced (_FieldBased={properties['_FieldBased']}): deinterlace the clip first "
            "(bwdif.Bwdif, znedi3, vivtc for telecine); where it is progressive in truth: std.SetFieldBased(0)"
        )
