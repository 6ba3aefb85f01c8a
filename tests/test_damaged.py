"""scripts.studies.damaged: every kind of damage is one, and the sheet shows what it says."""

from __future__ import annotations

import numpy as np
from PIL import Image

from scripts.stress.networks import small_network
from scripts.studies import damaged
from train.evaluation.levels import quarter, whole


def test_the_sheet(tmp_path):
    model, out = small_network(tmp_path), tmp_path / "sheet.png"
    damaged.main(["--models", model, "--out", str(out)])
    sheet = np.asarray(Image.open(out).convert("RGB"))
    side, gap = 4 * damaged.SIDE, 8
    assert sheet.shape[1] == 3 * (side + gap) + gap
    shown = sheet[gap : gap + side, gap : gap + side]
    assert np.array_equal(shown[::4, ::4], shown[3::4, 3::4]), "source pixels are made large"


def test_damage_is_done():
    picture = quarter(whole(np.ascontiguousarray(next(damaged.originals(None)))))
    for kind, damage in damaged.KINDS.items():
        found = damage(picture)
        assert found.shape == picture.shape and found.dtype == np.uint8
        assert 0.3 < np.abs(found.astype(int) - picture).mean() < 12, kind
