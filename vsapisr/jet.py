"""The filter as a scaler of vsjetpack: ``APISR().scale(clip, 1920, 1080)``, or in the place of ``ArtCNN`` anywhere.

    from vsapisr.jet import APISR

    doubled = APISR().supersample(clip, 2)
    rescaled = Rescale(clip, 720, Bilinear, upscaler=APISR()).upscale
    smoothed = based_aa(clip, supersampler=APISR())

Needs vsjetpack and the plugins that it works with: ``pip install vsapisr[jet]``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import vapoursynth as vs

from .config import UpscaleConfig

try:
    from vskernels import Catrom, KernelLike, ScalerLike
    from vsscale import BaseGenericScaler
    from vstools import get_video_format
except ImportError as error:
    raise ImportError(
        f"vsapisr.jet needs vsjetpack, whose {error.name!r} could not be imported: pip install vsapisr[jet]"
    ) from error

__all__ = ["APISR"]


class APISR(BaseGenericScaler):
    """``core.apisr.Upscale``, then a kernel of vsjetpack from its size to the one that is asked for.

    The clip keeps its format, its properties and, where it is subsampled, the position of its chroma. Gray clips, such
    as the luma that :class:`vsscale.Rescale` descales, keep values outside the nominal range. The network is run for
    any size, a smaller or the same one too: it cleans what it enlarges.
    """

    _static_kernel_radius = 8
    """Source pixels: what tiles of the shipped networks see beyond their cuts."""

    def __init__(
        self,
        model: str = "default",
        *,
        kernel: KernelLike = Catrom,
        scaler: ScalerLike | None = None,
        shifter: KernelLike | None = None,
        **kwargs: Any,
    ) -> None:
        """
        Args:
            model: as ``Upscale`` takes it: ``"default"``, ``"fidelity"``, ``"restore"``, or the path of a file.
            kernel: for ``scaler`` and ``shifter``.
            scaler: brings the network's result to another size than its own, four times the clip's.
            shifter: applies ``shift``, which counts in pixels of the result, as in all scalers of vsscale.
            **kwargs: other arguments of ``Upscale``, such as ``tilesize``, ``reuse``, ``device`` and ``precision``.

        Raises:
            ArgumentError: an argument that ``Upscale`` does not have, or a value that it does not accept.
        """
        super().__init__(kernel=kernel, scaler=scaler, shifter=shifter, model=model, **kwargs)
        self._arguments()

    def __hash__(self) -> int:  # the base class tells no values of arguments apart, and == asks for this
        return hash((super().__hash__(), repr(sorted(self.kwargs.items()))))

    def _arguments(self, **kwargs: Any) -> dict[str, Any]:
        """What ``Upscale`` is to be called with; without those that are not given (None)."""
        given = {name: value for name, value in (self.kwargs | kwargs).items() if value is not None}
        if "format" in given:
            given["format"] = get_video_format(given["format"]).id
        UpscaleConfig.from_arguments(given)
        return given

    def scale(
        self,
        clip: vs.VideoNode,
        width: int | None = None,
        height: int | None = None,
        shift: tuple[float, float] = (0, 0),
        **kwargs: Any,
    ) -> vs.VideoNode:
        """``clip`` in ``width`` and ``height``, its own where they are not given.

        Args:
            clip: what ``Upscale`` takes: constant size, RGB, YUV or GRAY.
            shift: top, left in pixels of the result.
            **kwargs: arguments of ``Upscale`` for this call; they come before those of the constructor.

        Raises:
            ArgumentError: an argument that ``Upscale`` does not have, or a value that it does not accept.
            vapoursynth.Error: a clip that it does not take.
        """
        width, height = self._wh_norm(clip, width, height)
        enlarged = self._enlarged(clip, (width, height), self._arguments(**kwargs))
        return self._finish_scale(enlarged, clip, width, height, shift)

    def _enlarged(self, clip: vs.VideoNode, size: tuple[int, int], arguments: dict[str, Any]) -> vs.VideoNode:
        """The result of ``Upscale``; for twice the size by the kernel that ``scale=2`` has, with that: the same pixels
        within rounding, and a quarter of them to copy.
        """
        twice = size == (2 * clip.width, 2 * clip.height) and type(self.scaler) is Catrom and not self.scaler.kwargs
        if twice and "scale" not in arguments:
            with suppress(vs.Error):  # a network of another factor, or an overlap that is too small for it
                return clip.apisr.Upscale(scale=2, **arguments)
        return clip.apisr.Upscale(**arguments)
