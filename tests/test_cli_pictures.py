"""Pictures on the command line: other sizes than four times, and Ctrl-C."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from vsapisr.cli import images
from vsapisr.cli.inputs import Job

from .pictures import ramp
from .test_cli import expected, load, model, own_cache, upscale


@pytest.mark.parametrize(("size", "height", "width"), [("2x", 20, 28), ("100p", 100, 140), ("30x26", 26, 30)])
def test_pictures_of_other_sizes(model, tmp_path, size, height, width):
    """Resized after the network, alpha and 16 bit as well."""
    rgb = ramp(10, 14)
    large = expected(rgb, model).astype(float)
    clear = np.full((10, 14, 1), 90, np.uint8)
    Image.fromarray(np.concatenate([rgb, clear], axis=2)).save(tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "b.png"), rgb[..., ::-1].astype(np.uint16) * 257)
    result = upscale(model, tmp_path / "a.png", tmp_path / "b.png", "--size", size, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    eight, sixteen = load(tmp_path / f"a_{size}.png"), load(tmp_path / f"b_{size}.png")
    assert eight.shape == (height, width, 4) and sixteen.shape == (height, width, 3)
    assert eight.dtype == np.uint8 and sixteen.dtype == np.uint16
    assert (abs(eight[..., 3].astype(int) - 90) <= 1).all()
    should = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)[..., ::-1]
    assert abs(eight[..., :3] - should).mean() < 4 and abs(sixteen / 257 - should).mean() < 4


def test_ctrl_c_says_what_is_left(model, tmp_path, monkeypatch):
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(ramp(8, 8)).save(tmp_path / name)
    real, seen = images.upscaled, []

    def second(*given):
        seen.append(0)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(images, "upscaled", second)
    result = upscale(model, tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png", "--output", tmp_path)
    assert result.exit_code == 130
    assert "vsapisr: stopped; b.png was not finished, 2 of 3 are left to do" in result.stderr
    assert sorted(path.name for path in tmp_path.glob("*_4x*")) == ["a_4x.png"]
    monkeypatch.setattr("vsapisr.cli.videos.ready", second)
    seen[:] = [0]
    monkeypatch.setattr("vsapisr.cli.videos.jobs", lambda *given: ([Job(None, tmp_path / "x.mkv", True)], [], []))
    result = upscale(model, tmp_path / "a.png")
    assert result.exit_code == 130 and result.stderr.endswith("vsapisr: stopped\n")
