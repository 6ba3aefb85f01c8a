"""What encoders are told: defaults for anime, the user's words, and what makes chunks fit together."""

from __future__ import annotations

import re

from ..errors import VideoError
from .plan import Plan

__all__ = ["encoder_options"]

DEFAULTS = {  # encoder: (CRF, preset, the name of its quality, other options)
    "libx265": ("17", "medium", "crf", {}),
    "libx264": ("16", "slow", "crf", {"tune": "animation"}),
    "libsvtav1": ("22", "5", "crf", {}),
    "libvpx-vp9": ("20", None, "crf", {"b": "0", "row-mt": "1"}),
    "hevc_nvenc": ("19", "p6", "cq", {"rc": "vbr"}),
    "h264_nvenc": ("18", "p6", "cq", {"rc": "vbr"}),
    "av1_nvenc": ("24", "p6", "cq", {"rc": "vbr"}),
    "ffv1": (None, None, None, {"level": "3", "g": "1", "slicecrc": "1"}),
}
PARAMS = {"libx265": "x265-params", "libx264": "x264-params", "libsvtav1": "svtav1-params"}
# x265: banding and dark gradients are what anime suffers from; a loop filter softens its lines.
ANIME = {"libx265": {"aq-mode": "3", "limit-sao": "1", "psy-rd": "1.0"}}
# Headers must not depend on a chunk's content, as a file has one for all of them.
FITTING = {"libx264": {"stitchable": "1"}, "libx265": {"log-level": "error"}}


def hdr_options(plan: Plan) -> dict[str, str]:
    """The static metadata of HDR10.

    Raises:
        VideoError: this encoder does not take it.
    """
    if not plan.hdr:
        return {}
    name = plan.settings.encoder
    if name not in PARAMS:
        raise VideoError(f"{name} cannot be told of HDR10's metadata; --encoder libx265, libsvtav1 or libx264 can")
    display, light = plan.hdr.get("display"), plan.hdr.get("light")
    if display and name != "libsvtav1":  # in steps of 0.00002 and 0.0001
        points, luminance = display.split("L(")
        steps = re.sub(r"[\d.]+", lambda one: str(round(float(one[0]) * 50000)), points)
        display = steps + "L(" + re.sub(r"[\d.]+", lambda one: str(round(float(one[0]) * 10000)), luminance)
    keys = {
        "libx265": ("master-display", "max-cll"),
        "libx264": ("mastering-display", "cll"),
        "libsvtav1": ("mastering-display", "content-light"),
    }[name]
    return {key: value for key, value in zip(keys, (display, light), strict=True) if value}


def encoder_options(plan: Plan) -> dict[str, str]:
    """For libav, by its names."""
    settings = plan.settings
    name = settings.encoder
    crf, preset, quality, found = DEFAULTS.get(name, (None, None, "crf", {}))
    found = dict(found)
    chosen = dict(settings.encoder_options)
    if quality and (value := f"{settings.crf:g}" if settings.crf is not None else crf):
        found[quality] = value
    if value := settings.preset or preset:
        found["preset"] = value
    inner = {**ANIME.get(name, {}), **FITTING.get(name, {})}
    if name == "libx265":
        inner["frame-threads"] = str(max(1, min(plan.threads // 2, 6)))
    inner |= hdr_options(plan)
    if key := PARAMS.get(name):
        own = dict(part.partition("=")[::2] for part in chosen.pop(key, "").split(":") if part)
        inner = {**inner, **own}
        if inner:
            found[key] = ":".join(f"{k}={v}" if v else k for k, v in inner.items())
    return {**found, **chosen}
