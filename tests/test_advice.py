"""What the filter says to do works, and what it leaves out or ignores it says; gray clips keep their whole range."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs

from scripts.stress.networks import small_network
from vsapisr.config import UpscaleConfig
from vsapisr.picture.colour import KR_KB, way_out

core = vs.core
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return small_network(tmp_path_factory.mktemp("model"))


def blank(**more) -> vs.VideoNode:
    return core.std.BlankClip(**{"format": vs.YUV420P8, "width": 64, "height": 48, "length": 1} | more)


@pytest.mark.parametrize("matrix", [0, 3, 8, 10, 11, 12, 13, 14, 15, 255])
def test_the_way_out_of_a_matrix_works(matrix, model):
    clip, words = blank().std.SetFrameProps(_Matrix=matrix), way_out(matrix)
    with pytest.raises(vs.Error, match=f"_Matrix={matrix} ") as caught:
        clip.apisr.Upscale(model=model).get_frame(0)
    assert words in str(caught.value)
    if "primaries_in" in words:
        clip = clip.resize.Bicubic(matrix=1, primaries_in=9, transfer_in=16 if matrix == 14 else 14)
    elif "resize" in words:
        clip = clip.resize.Bicubic(matrix=1)
    else:
        with pytest.raises(vs.Error):  # and this is why it is not advised
            clip.resize.Bicubic(matrix=1).get_frame(0)
        clip = clip.std.SetFrameProps(_Matrix=1)
    assert clip.apisr.Upscale(model=model).get_frame(0).props["_Matrix"] == 1


@pytest.mark.parametrize("matrix", sorted(KR_KB))
def test_resize_takes_what_we_take(matrix):
    assert blank().std.SetFrameProps(_Matrix=matrix).resize.Bicubic(matrix=1).get_frame(0).props["_Matrix"] == 1


@pytest.mark.parametrize(
    ("format", "values"),
    [
        (vs.GRAY8, (0, 4, 16, 128, 235, 250, 255)),
        (vs.GRAY16, (0, 1024, 30000, 65535)),
        (vs.GRAYS, (-0.25, 0.0, 0.5, 1.5)),
        (vs.GRAYH, (-0.25, 0.5, 1.5)),
    ],
)
def test_gray_keeps_what_lies_outside_the_nominal_range(format, values):
    """As resize does: what is lost by clamping to 16..235 comes back, and inside nothing changes."""
    low, high = (0.0, 1.0) if format in (vs.GRAYS, vs.GRAYH) else (16 << (8 if format == vs.GRAY16 else 0), 0)
    high = high or 235 / 16 * low
    for value in values:
        clip = blank(format=format, color=[value])
        out = np.asarray(clip.apisr.Upscale().get_frame(0)[0]).astype(np.float64)
        nominal = blank(format=format, color=[min(max(value, low), high)])
        inside = np.asarray(nominal.apisr.Upscale().get_frame(0)[0]).astype(np.float64)
        lost = value - min(max(value, low), high)
        assert np.abs(out - (inside + lost)).max() <= (2e-3 if low == 0 else 1), value


def test_alpha_is_left_out_and_said(model, caplog):
    alpha = blank(format=vs.GRAY8, length=3)
    clip = blank(format=vs.RGB24, length=3).std.ClipToProp(alpha, "_Alpha")
    with caplog.at_level(logging.WARNING, "vsapisr"):
        for frame in clip.apisr.Upscale(model=model).frames():
            assert "_Alpha" not in frame.props
    (record,) = caplog.records
    assert "std.PropToClip" in record.getMessage()
    wide = clip.std.PropToClip("_Alpha").resize.Lanczos(256, 192)  # as it says
    frame = clip.apisr.Upscale(model=model).std.ClipToProp(wide, "_Alpha").get_frame(0)
    assert (frame.props["_Alpha"].width, frame.width) == (256, 256)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"threshold": 2.0}, ["threshold"]),
        ({"interval": 8, "reuse": 0}, ["interval"]),
        ({"cache": 5, "reuse": 0}, ["cache"]),
        ({"num_streams": 2, "device": "cpu"}, ["num_streams"]),
        ({"threshold": 2.0, "interval": 8, "reuse": 2, "cache": 5}, []),
        ({}, []),
    ],
)
def test_arguments_without_effect_are_said(given, named, model, caplog):
    assert [line.split()[0] for line in UpscaleConfig(**given).without_effect()] == named
    with caplog.at_level(logging.WARNING, "vsapisr"):
        blank().apisr.Upscale(model=model, **given)
    assert [record.getMessage().split()[0] for record in caplog.records] == named


@pytest.mark.parametrize(
    "error", ["ModuleNotFoundError(\"No module named 'torch'\")", "OSError('libcudart.so.12:\\n no')"]
)
def test_without_torch_there_is_one_line_that_says_what_to_do(error):
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch": raise {error}
sys.meta_path.insert(0, Missing())
import vapoursynth as vs
try: vs.core.std.BlankClip(width=16, height=16).apisr.Upscale()
except vs.Error as error: print(error)
from vsapisr.cli import main
for command in (["info"], ["upscale", {__file__!r}], ["reuse", {__file__!r}]):
    sys.argv = ["vsapisr", *command]
    try: main()
    except SystemExit as end: print("status", end.code)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "Traceback" not in run.stderr, run.stderr
    first, *statuses = run.stdout.splitlines()
    assert first.startswith("Upscale: PyTorch is needed and could not be imported (") and "pip install torch" in first
    assert statuses == ["status 1"] * 3
    assert run.stderr.count("vsapisr: PyTorch is needed") == 3
