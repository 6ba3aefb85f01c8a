"""scripts.studies.limits: the parts come together again, and what is put back helps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.studies import limits
from train.evaluation.colour_error import reduced

from .clips import drawing


def test_luma_and_chroma_are_the_picture_again() -> None:
    image = drawing(0, 64, 48)
    assert np.array_equal(limits.joined(*limits.split(image)), image)


def test_colours_of_parts_of_the_original() -> None:
    gt = drawing(1, 256, 192)
    truth = reduced(gt)
    same = limits.colours(gt, truth)
    assert same[limits.AS_IT_IS] == same[limits.LUMA] == same[limits.CHROMA] == 0 < same[limits.HALF]
    darker = limits.colours(gt, (truth * 0.9).astype(np.uint8))  # luma and chroma
    assert 0 < darker[limits.LUMA] < darker[limits.AS_IT_IS] and 0 < darker[limits.CHROMA] < darker[limits.AS_IT_IS]
    assert darker[limits.HALF] == same[limits.HALF]


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    for n in range(2):
        Image.fromarray(drawing(n, 256, 192)).save(tmp_path / f"{n}.png")
    monkeypatch.setattr("sys.argv", ["limits", "--gt", str(tmp_path), "--levels", "light,medium"])
    limits.main()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line and "---" not in line]
    assert [cell.strip() for cell in rows[0]] == ["PSNR-Y, dB", "light", "medium"] and len(rows) == 8
    light, medium = map(float, rows[1][1:])
    assert float(rows[2][1]) > light > medium, "the codec takes some"
    monkeypatch.setattr("sys.argv", ["limits", "--gt", str(tmp_path), "--levels", "wrong"])
    with pytest.raises(SystemExit):
        limits.main()
    assert "wrong" in capsys.readouterr().err
