"""Pictures that are damaged, cut off, or lie about their size: a reason each, whatever their decoder raises."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.curation.config import PrepareConfig
from train.curation.prepare import Rejected, prepare, read_picture
from train.degradation.run import DegradeConfig, _is_whole, run_degrade
from train.media.images import ImageError, read_image

from .clips import drawing

KINDS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF")


def coded(kind: str) -> bytes:
    data = io.BytesIO()
    Image.fromarray(drawing(1, 48, 40, 10)).save(data, kind)
    return data.getvalue()


def damaged(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Cut off, a byte changed among the first or anywhere."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        if number % 3 == 0:
            yield data[: rng.integers(1, len(data))]
            continue
        changed = bytearray(data)
        for place in rng.integers(0, 300 if number % 3 == 1 else len(data), rng.integers(1, 4)):
            changed[min(place, len(data) - 1)] = rng.integers(256)
        yield bytes(changed)


def bomb(kind: str) -> bytes:
    """2^31 - 1 pixels wide by its header."""
    data = bytearray(coded(kind))
    if kind == "BMP":
        data[18:22] = struct.pack("<i", 2**31 - 1)
    else:
        start = struct.unpack_from("<I", data, 4)[0] + 2
        for entry in range(start, start + 12 * struct.unpack_from("<H", data, start - 2)[0], 12):
            if struct.unpack_from("<H", data, entry)[0] == 256:
                struct.pack_into("<HHI", data, entry, 256, 4, 1)
                struct.pack_into("<I", data, entry + 8, 2**31 - 1)
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_any_damage_is_a_reason(tmp_path, kind):
    path, read = tmp_path / "a.png", 0
    path.with_suffix(".json").write_text("{}")
    contents = [*damaged(coded(kind), 3, 150), *([bomb(kind)] if kind in ("BMP", "TIFF") else [])]
    for data in contents:
        path.write_bytes(data)
        _is_whole(path)
        try:
            assert read_picture(path).shape[2] == 3
            read += 1
        except Rejected:
            pass
        try:
            assert read_image(path).shape[2] == 3
        except ImageError as error:
            assert str(error).startswith(str(path))
    assert read < len(contents) - 20  # damage it was


@pytest.mark.filterwarnings("ignore")
def test_the_steps_go_on_to_the_next_picture(tmp_path):
    source, made, out = tmp_path / "source", tmp_path / "made", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    for number, kind in enumerate(("BMP", "TIFF")):
        (source / f"{number}.png").write_bytes(bomb(kind))
    (source / "2.png").write_bytes(coded("AVIF")[:200])
    Image.fromarray(drawing(2, 5, 300)).save(source / "thin.png")
    Image.fromarray(drawing(3, 160, 120)).save(source / "whole.png")
    few = {"height": 100, "minimum_side": 8, "validation": 0.0, "multiple": 1}
    report = prepare(PrepareConfig(source=str(source), out=str(made), **few))
    assert set(report.rejected) == {"0.png", "1.png", "2.png", "thin.png"} and report.written == 1
    (out / "whole.png").write_bytes(bomb("BMP"))  # as if its disk had been damaged since
    (out / "whole.json").write_text('{"name": "whole.png", "numbers": [], "steps": []}')
    degraded = run_degrade(DegradeConfig(source=str(source), out=str(out), workers=1))
    assert {Path(name).name for name in degraded.refused} == {"0.png", "1.png", "2.png", "thin.png"}
    assert degraded.written == 1 and Image.open(out / "whole.png").size == (40, 30)
