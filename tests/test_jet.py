"""The scaler of vsjetpack, in the real package: alone, in ``Rescale``, in ``based_aa``."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest
import vapoursynth as vs

from train.evaluation.own import one_frame
from vsapisr.errors import ArgumentError
from vsapisr.networks.grl import GRLConfig

from .clips import drawing
from .networks import perturbed, write

pytest.importorskip("vsscale", reason="vsjetpack is not installed, or not for this system")
from vsaa import based_aa
from vskernels import Bilinear, Catrom, Hermite, Lanczos, Scaler
from vsscale import Rescale

from vsapisr.jet import APISR

core = vs.core
CPU = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Arguments for a real network, but a small one."""
    made = perturbed(GRLConfig(dim=16, depths=(1, 1), mlp_dim=16, bias_dim=16))
    return CPU | {"model": str(write(made, tmp_path_factory.mktemp("weights") / "small.safetensors"))}


def clip(format: int = vs.YUV420P8, width: int = 96, height: int = 64) -> vs.VideoNode:
    """One frame of a drawing, limited BT.709."""
    made = one_frame(drawing(7, width, height))
    return made if format == vs.RGB24 else made.resize.Bicubic(format=format, matrix=1, range=0)


def planes(node: vs.VideoNode) -> list[np.ndarray]:
    with node.get_frame(0) as frame:
        return [np.array(plane) for plane in frame]


def equal(one: vs.VideoNode, other: vs.VideoNode) -> bool:
    assert one.format.id == other.format.id
    return all(np.array_equal(a, b) for a, b in zip(planes(one), planes(other), strict=True))


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.GRAYS, vs.RGB24])
def test_it_is_the_filter_and_a_kernel(format: int, small: dict[str, Any]) -> None:
    source = clip(format)
    enlarged = source.apisr.Upscale(**small)
    assert equal(APISR(**small).supersample(source, 4), enlarged)
    assert equal(APISR(**small).scale(source, 144, 96), Catrom().scale(enlarged, 144, 96))
    other = APISR(scaler=Lanczos, **small).supersample(source, 2)
    assert equal(other, Lanczos().scale(enlarged, 192, 128))


def test_twice_the_size_is_reduced_on_the_device(small: dict[str, Any]) -> None:
    source = clip()
    twice = APISR(**small).supersample(source, 2)
    assert equal(twice, source.apisr.Upscale(scale=2, **small))
    bound = planes(Catrom().scale(source.apisr.Upscale(**small), 192, 128))
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(planes(twice), bound))
    linear = APISR(scaler=Catrom(linear=True), **small).supersample(source, 2)  # another kernel than that of scale=2
    assert equal(linear, Catrom(linear=True).scale(source.apisr.Upscale(**small), 192, 128))
    assert not equal(linear, twice)
    narrow = APISR(overlap=0, **small).supersample(source, 2)  # scale=2 needs more
    assert equal(narrow, Catrom().scale(source.apisr.Upscale(overlap=0, **small), 192, 128))


def test_properties_and_the_shift_in_pixels_of_the_result(small: dict[str, Any]) -> None:
    source = clip().std.SetFrameProps(_ChromaLocation=2, _Primaries=1, Shot="b")
    with APISR(**small).scale(source, 144, 96).get_frame(0) as frame:
        props = dict(frame.props)
    assert (props["_ChromaLocation"], props["_Matrix"], props["_Primaries"], props["Shot"]) == (2, 1, 1, "b")
    luma = clip(vs.GRAYS)
    moved, still = (planes(APISR(**small).scale(luma, 192, 128, shift))[0] for shift in ((0, 2), (0, 0)))
    np.testing.assert_allclose(moved[:, :-4], still[:, 2:-2], atol=1e-6)


def test_arguments_of_the_constructor_and_of_the_call(small: dict[str, Any]) -> None:
    source = clip(vs.GRAYS, 32, 24)
    scaler = APISR("fidelity", **CPU)
    assert equal(scaler.supersample(source, 4), source.apisr.Upscale(model="fidelity", **CPU))
    assert equal(scaler.supersample(source, 4, model=small["model"], guard=0), source.apisr.Upscale(guard=0, **small))
    as_rgb = APISR(reuse=None, **small).scale(clip(), 144, 96, format=clip(vs.RGB24).format)
    assert as_rgb.format.id == vs.RGB24


def test_vsjetpack_knows_it() -> None:
    assert Scaler.from_param("apisr") is APISR and isinstance(Scaler.ensure_obj(APISR), APISR)
    assert APISR().kernel_radius == 8 and str(APISR("restore", reuse=2)) == "APISR(model=restore, reuse=2)"
    assert APISR() == APISR() != APISR("restore") and APISR(reuse=2) != APISR(reuse=1)


def test_what_is_not_accepted_is_named_at_once() -> None:
    with pytest.raises(ArgumentError, match="unknown argument 'tiles'"):
        APISR(tiles="restore")
    with pytest.raises(ArgumentError, match="precision must be one of .* got 'half'"):
        APISR(precision="half")
    with pytest.raises(ArgumentError, match="tilesize must be multiples of 8"):
        APISR().supersample(clip(), 2, tilesize=9)
    with pytest.raises(vs.Error, match="constant size"):
        APISR().scale(core.std.BlankClip(varsize=True), 32, 32)


def test_rescale_restores_a_master_that_was_enlarged() -> None:
    """A drawing of 96x64 that a studio has enlarged twice with a bilinear kernel, then descaled and drawn anew."""
    native = clip(vs.YUV444PS)
    master = Bilinear().scale(native, 192, 128).resize.Bicubic(format=vs.YUV420P16)
    found = Rescale(master, 64, Bilinear, upscaler=APISR(**CPU))
    np.testing.assert_allclose(planes(found.descale)[0], planes(native)[0], atol=2e-3)
    assert equal(found.doubled, APISR(**CPU).supersample(found.descale, 2))
    result, luma = found.upscale, planes(master.resize.Point(format=vs.YUV420PS))[0]
    assert (result.width, result.height, result.format.id) == (192, 128, vs.YUV420PS)
    expected = planes(Hermite(linear=True).scale(found.doubled, 192, 128, **found.descale_args.kwargs(found.doubled)))
    np.testing.assert_allclose(planes(result)[0], expected[0], atol=1e-6)
    contrast = [np.abs(np.diff(plane, axis=1)).max() for plane in (luma, planes(result)[0])]
    assert contrast[1] > 1.2 * contrast[0]  # lines are sharper than the studio's
    assert np.abs(planes(result)[0] - luma).mean() < 0.03


def test_based_aa_smooths_with_it() -> None:
    """Slanted strokes drawn eight times too large and reduced without a filter, so that they are stairs."""
    strokes = np.full((512, 768, 3), 200, np.uint8)
    for n in range(6):
        cv2.line(strokes, (30 + 100 * n, 500), (250 + 80 * n, 10), (20, 20, 40), 18, cv2.LINE_AA)
    large = one_frame(strokes).resize.Bicubic(format=vs.YUV420P16, matrix=1, range=0)
    stairs, smooth = large.resize.Point(96, 64), planes(large.resize.Bicubic(96, 64))[0]
    result = based_aa(stairs, supersampler=APISR(**CPU))
    assert result.format.id == stairs.format.id
    errors = [np.sqrt(np.mean((planes(one)[0].astype(float) - smooth) ** 2)) for one in (result, stairs)]
    assert errors[0] < 0.95 * errors[1]
    assert not equal(result, based_aa(stairs, supersampler=Catrom))
    assert all(np.array_equal(a, b) for a, b in zip(planes(result)[1:], planes(stairs)[1:]))


def test_without_vsjetpack_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['vsscale'] = None; import vsapisr; import vsapisr.jet"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: vsapisr.jet needs vsjetpack") and last.endswith("pip install vsapisr[jet]")
