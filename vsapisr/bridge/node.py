"""What the bridge calls: check arguments and clip, answer with the output's format, render frames."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..config import UpscaleConfig
from ..errors import ClipError
from ..needs import check_torch
from ..picture.accepted import check_clip, check_progressive
from .forked import check_not_forked, frame_made, watch_forks

if TYPE_CHECKING:
    from ..picture.colour import Colour, Format

Plane = tuple[memoryview, int]
"""Memory of a plane and its stride in bytes."""
Properties = Mapping[str, Any]


log = logging.getLogger("vsapisr")


class Node:
    """One ``Upscale`` in a script: the attributes say what the bridge announces, ``render`` fills one frame."""

    properties = ("_Matrix", "_Range", "_ChromaLocation", "_FieldBased", "_PictType", "_SceneChangePrev", "_Alpha")
    """Frame properties that ``render`` wants to see."""

    def __init__(self, clip: Mapping[str, int], config: UpscaleConfig):
        from ..picture.colour import Format  # torch is imported when a filter is made, not with the plugin
        from ..picture.planes import check_format
        from ..reuse.clip import ClipUpscaler

        check_clip(clip["width"], clip["height"], clip["color_family"])
        self.said: set[str] = set()
        fields = ("color_family", "sample_type", "bits_per_sample", "subsampling_w", "subsampling_h")
        self.source = check_format(Format(*(clip[name] for name in fields)), "clip")
        self.target = self.source if config.format is None else check_format(format_of(config.format), "format")
        for name in fields:
            setattr(self, name, getattr(self.target, name))
        self.source_size = clip["width"], clip["height"]
        self.upscaler = ClipUpscaler(config, *self.source_size, self.source, self.target, clip["num_frames"])
        self.width, self.height = (side * self.upscaler.scale for side in self.source_size)
        try:
            self.check_subsampling()
        except ClipError:
            self.upscaler.close()
            raise
        self.needs = self.upscaler.needs if self.upscaler.looks_around else None
        """Called for the source frames that frame n is made of; None: of frame n alone."""
        self.window = self.upscaler.window

    def check_subsampling(self) -> None:
        for side, shift in ((self.width, self.target.subsampling_w), (self.height, self.target.subsampling_h)):
            if side % (1 << shift):
                raise ClipError(
                    f"format is subsampled by {1 << shift}, which {self.width}x{self.height} is no multiple of"
                )

    def render(
        self, n: int, frames: Mapping[int, tuple[Sequence[Plane], Properties]], target: Sequence[Plane]
    ) -> Properties:
        """Fill ``target`` with frame ``n``; the result is the properties to set, None for those to delete."""
        from ..picture.colour import resolve
        from ..picture.planes import arrays

        frame_made()
        properties = frames[n][1]
        check_progressive(n, properties)
        colour = resolve(self.source, properties, *self.source_size)
        out_colour, changes = self.output_colour(colour, properties)
        planes = {m: arrays(lent, self.source, *self.source_size) for m, (lent, _) in frames.items()}
        lent_properties = {m: values for m, (_, values) in frames.items()}
        out = arrays(target, self.target, self.width, self.height)
        if "_Alpha" in properties:  # of the source's size, which fits the result no more
            changes["_Alpha"] = None
            self.say_once(
                "the clip's alpha (the frame property _Alpha) is left out: enlarge it by itself, as in "
                'std.PropToClip("_Alpha"), resize.Lanczos, std.ClipToProp(prop="_Alpha")'
            )
        changes["ApisrReused"] = self.upscaler.frame(n, planes, colour, out, out_colour, lent_properties)
        return changes

    def say_once(self, words: str) -> None:
        """A warning in the core's log or on the console, the first time that there is reason for it."""
        if words not in self.said:
            self.said.add(words)
            log.warning(words)

    def output_colour(self, colour: Colour, properties: Properties) -> tuple[Colour, dict[str, int | float | None]]:
        """How the output is coded, and the properties that say so.

        Within a family everything stays as it is. What was unspecified is written down: players guess the matrix by the
        size, which is now another one.
        """
        from ..picture.colour import GRAY, RGB, YUV, Colour

        source, target = self.source.color_family, self.target.color_family
        if target == RGB:
            full = colour.full_range if source == RGB else True
            return Colour(0, full), {"_Matrix": 0, "_Range": int(full), "_ChromaLocation": None}
        if source == RGB:
            matrix = 6 if self.width <= 1024 and self.height <= 576 else 1
            out = Colour(matrix, False, colour.chroma_location)
        else:
            out = colour
        changes: dict[str, int | float | None] = {"_Matrix": out.matrix, "_Range": int(out.full_range)}
        if target == GRAY or not (self.target.subsampling_w or self.target.subsampling_h):
            changes["_ChromaLocation"] = None
        elif target == YUV:
            changes["_ChromaLocation"] = out.chroma_location
        return out, changes

    def close(self) -> None:
        self.upscaler.close()


def format_of(identifier: int) -> Format:
    """The format that ``format=`` names; ids are bit fields of VapourSynth's API 4 (``VS_MAKE_VIDEO_ID``)."""
    from ..picture.colour import Format

    return Format(
        identifier >> 28 & 15, identifier >> 24 & 15, identifier >> 16 & 255, identifier >> 8 & 255, identifier & 255
    )


def create(clip: Mapping[str, int], arguments: Mapping[str, Any]) -> Node:
    """Called by the bridge for ``core.apisr.Upscale(clip, ...)``.

    Raises:
        VsapisrError: shown to the user as ``Upscale: ...``.
    """
    check_not_forked()
    watch_forks()
    config = UpscaleConfig.from_arguments(arguments)
    check_torch()
    for words in config.without_effect():
        log.warning(words)
    return Node(clip, config)
