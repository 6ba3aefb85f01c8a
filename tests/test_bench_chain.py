"""The benchmark of the whole chain, with the real vspipe, BestSource and filter, and a small network."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from scripts.bench import __main__ as bench
from scripts.bench import chain
from scripts.stress.networks import small_network
from vsapisr.config import UpscaleConfig
from vsapisr.engine.upscaler import Upscaler

needs_vspipe = pytest.mark.skipif(
    shutil.which("vspipe", path=str(Path(sys.executable).parent)) is None, reason="no vspipe beside this Python"
)


def test_chain_parts_add_up_to_a_frame(tmp_path: Path) -> None:
    """The parts of the filter, done one after the other, on a frame of several tiles."""
    config = UpscaleConfig(model=small_network(str(tmp_path)), device="cpu", tilesize=(40,), overlap=8)
    upscaler = Upscaler(config, 64, 48, chain.SOURCE, chain.SOURCE)
    try:
        seconds = chain.parts(upscaler, 64, 48, 1)
    finally:
        upscaler.close()
    assert list(seconds) == ["planes to tiles", "to RGB", "network", "from RGB", "tiles to planes"]
    assert all(value > 0 for value in seconds.values())


@needs_vspipe
def test_chain_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, before = tmp_path / "figures.json", os.environ.get("OMP_NUM_THREADS")
    bench.main(["chain", "--tiny", "--sizes", "32x24", "--frames", "3", "--rounds", "1", "--json", str(target)])
    (row,) = json.loads(target.read_text())["chain"]["rows"]
    assert set(row["seconds"]) == {"decode", "network", "whole"} and row["share"] > 0
    assert row["peak_bytes"] > 50 << 20 and row["output_bytes"] == 128 * 96 * 3 // 2
    assert os.environ.get("OMP_NUM_THREADS") == before
    assert "of the network's own rate" in capsys.readouterr().out
