"""Measures that have a name in ``metrics`` and need nothing from the network: NIQE, BRISQUE, PIQE by formulas of
:mod:`train.evaluation.natural`, SSIMULACRA2 and XPSNR by the VapourSynth plugin vszip, the distance in features of
:mod:`train.evaluation.learned`.

- SSIMULACRA2: Sneyers, https://github.com/cloudinary/ssimulacra2: structural errors in XYB at six sizes, fitted to
  opinions; 100 is equal, 90 not to be told apart, 50 about JPEG of medium quality; can be negative.
- XPSNR: Helmrich et al., "XPSNR: a low-complexity extension of the perceptually weighted peak signal-to-noise ratio",
  ICASSP 2020; dB, here of luma: errors count less where much is going on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import vapoursynth as vs

from vsapisr.errors import ArgumentError

from .iqa import IqaError
from .learned import FeatureDistance, measuring_network, network_there
from .natural import brisque, niqe, piqe

__all__ = ["OWN", "OwnMeasure", "automatic", "own_measure", "vszip_there"]


def vszip_there() -> bool:
    return hasattr(vs.core, "vszip")


def one_frame(image: np.ndarray) -> vs.VideoNode:
    """(H, W, 3) uint8 as a clip of RGB24."""
    blank = vs.core.std.BlankClip(None, image.shape[1], image.shape[0], vs.RGB24, 1)

    def filled(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for channel in range(3):
            np.copyto(np.asarray(frame[channel]), image[..., channel])
        return frame

    return blank.std.ModifyFrame(blank, filled)


def by_vszip(image: np.ndarray, gt: np.ndarray, function: str, property: str) -> float:
    """``property`` of the frame that the plugin's ``function`` gives.

    Raises:
        IqaError: the plugin is not installed.
    """
    if not vszip_there():
        raise IqaError(f"{function} needs the VapourSynth plugin vszip: pip install vapoursynth-vszip")
    clips = [one_frame(picture) for picture in (gt, image)]
    options = {}
    if function == "XPSNR":
        clips = [clip.resize.Bicubic(format=vs.YUV444P10, matrix=1) for clip in clips]
        options = {"verbose": 0}
    with getattr(vs.core.vszip, function)(*clips, **options).get_frame(0) as frame:
        return float(frame.props[property])  # type: ignore[arg-type]


@dataclass(frozen=True)
class OwnMeasure:
    """``measure(image)``, or ``measure(image, gt)`` of a full-reference one, as :class:`train.evaluation.iqa.Measure`;
    NaN for a picture that cannot be measured.
    """

    name: str
    function: Callable[..., float]
    lower_is_better: bool = True
    full_reference: bool = False

    def __call__(self, image: np.ndarray, gt: np.ndarray | None = None) -> float:
        if self.full_reference and gt is None:
            raise ArgumentError(f"{self.name} compares with an original, and there is none")
        return self.function(image, gt) if self.full_reference else self.function(image)


OWN = {
    measure.name: measure
    for measure in (
        OwnMeasure("niqe", niqe),
        OwnMeasure("brisque", brisque),
        OwnMeasure("piqe", piqe),
        OwnMeasure("ssimulacra2", lambda x, gt: by_vszip(x, gt, "SSIMULACRA2", "SSIMULACRA2"), False, True),
        OwnMeasure("xpsnr", lambda x, gt: by_vszip(x, gt, "XPSNR", "XPSNR_Y"), False, True),
    )
}
FEATURES = "features"


def own_measure(name: str, device: str) -> OwnMeasure | None:
    """The measure of that name, if there is one.

    Raises:
        WeightsError: the network of "features" is not there.
    """
    if name == FEATURES:
        return OwnMeasure(name, FeatureDistance(measuring_network(), device), True, True)
    return OWN.get(name)


def automatic() -> list[str]:
    """Those of "auto": all that can be had here."""
    by_plugin = ["ssimulacra2", "xpsnr"] if vszip_there() else []
    return ["niqe", "brisque", "piqe", *by_plugin, *([FEATURES] if network_there() else [])]
