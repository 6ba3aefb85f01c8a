"""RRDB and DAT through spandrel, against spandrel's own result; and why GRL does not go that way.

Weights are random; checkpoints are written by spandrel's own classes, small where the architecture allows it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs
from PIL import Image
from typer.testing import CliRunner

from vsapisr import load_model, upscale_image
from vsapisr.cli import info
from vsapisr.cli.videos import app
from vsapisr.engine import devices
from vsapisr.errors import ArgumentError, WeightsError
from vsapisr.networks import forms, zoo
from vsapisr.networks.descriptor import Descriptor
from vsapisr.networks.grl import GRL
from vsapisr.networks.measure import FARTHEST, LIMIT, measured
from vsapisr.weights import files as weights
from vsapisr.weights import published
from vsapisr.weights.published import PUBLISHED, Published

from .networks import perturbed, write

spandrel = pytest.importorskip("spandrel", reason="the extra zoo is not installed")
from spandrel.architectures.Compact import Compact  # noqa: E402
from spandrel.architectures.DAT import DAT  # noqa: E402
from spandrel.architectures.ESRGAN import ESRGAN  # noqa: E402

core = vs.core
KINDS = {
    "rrdb4": lambda: ESRGAN(num_filters=16, num_blocks=2),
    "rrdb2": lambda: ESRGAN(num_filters=16, num_blocks=2, in_nc=12, scale=4, shuffle_factor=2),
    "rrdb2plain": lambda: ESRGAN(num_filters=16, num_blocks=2, scale=2),
    "dat4": lambda: DAT(embed_dim=16, split_size=[8, 16], depth=[4], num_heads=[2], expansion_factor=2.0, upscale=4),
    "compact1": lambda: Compact(num_feat=8, num_conv=2, upscale=1),
}
SCALES = {"rrdb4": 4, "rrdb2": 2, "rrdb2plain": 2, "dat4": 4, "compact1": 1}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Checkpoints in the published layout: under model_state_dict, some names as torch.compile has them."""
    folder, made = tmp_path_factory.mktemp("zoo"), {}
    for name, build in KINDS.items():
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(1)
            net = build()
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.02)
            shows(net.eval())
        before = "_orig_mod." if name in ("rrdb4", "dat4") else ""
        state = {before + key: value for key, value in net.state_dict().items()}
        made[name] = folder / f"{name}.pth"
        torch.save({"model_state_dict": state, "iteration": 7}, made[name])
    return made


def shows(net: torch.nn.Module) -> None:
    """Its result is in the middle of what can be shown, and has contrast."""
    last = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    image = torch.from_numpy(picture(32, 32)).permute(2, 0, 1)[None].contiguous()
    last.weight.mul_(0.15 / net(image).std())
    last.bias.add_(0.5 - net(image).mean())


def theirs(path: Path, image: np.ndarray) -> np.ndarray:
    """What spandrel makes of an image by itself, read by its own loader."""
    state = torch.load(path, weights_only=True)["model_state_dict"]
    model = spandrel.ModelLoader().load_from_state_dict({k.removeprefix("_orig_mod."): v for k, v in state.items()})
    made = model(torch.from_numpy(image).permute(2, 0, 1)[None].contiguous())
    return made[0].permute(1, 2, 0).numpy()


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(4).random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", [(40, 48), (21, 35), (5, 3)])
def test_the_same_as_spandrel(models, name, size):
    """Exactly, whatever the size: nothing is added at the edges that spandrel does not add itself."""
    image = picture(*size)
    mine = upscale_image(image, model=str(models[name]), device="cpu", guard=0)
    assert mine.shape == (SCALES[name] * size[0], SCALES[name] * size[1], 3)
    assert np.array_equal(mine, theirs(models[name], image))
    assert mine.std() > 0.05 and np.mean((mine > 0) & (mine < 1)) > 0.5  # there is something to compare


@pytest.mark.parametrize("name", ["rrdb2", "dat4"])
def test_the_filter(models, name):
    """Announced size, tiles, batches, reuse and the guard: the parts that all networks share."""
    scale, model = SCALES[name], str(models[name])
    clip = core.std.BlankClip(width=64, height=32, format=vs.RGB24, length=2)
    image = np.random.default_rng(2).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    image[:, 40:] = 30, 160, 90  # flat, which the guard keeps

    def filled(n, f):
        f = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(f[plane]), image[..., plane])
        return f

    clip = clip.std.ModifyFrame(clip, filled)
    whole = clip.apisr.Upscale(model=model, device="cpu", reuse=0, tilesize=64)
    assert (whole.width, whole.height) == (64 * scale, 32 * scale)
    for arguments in ({"reuse": 1}, {"batch": 2, "reuse": 2, "interval": 2}):
        assert shown(clip.apisr.Upscale(model=model, device="cpu", tilesize=64, **arguments)) == shown(whole)
    tiles = clip.apisr.Upscale(model=model, device="cpu", tilesize=48, reuse=0)
    wrong = [np.abs(np.asarray(a).astype(int) - np.asarray(b)).max() for a, b in zip(*map(first, (whole, tiles)))]
    assert max(wrong) <= LIMIT + 1
    free = clip.apisr.Upscale(model=model, device="cpu", reuse=0, tilesize=64, guard=0)
    assert shown(free) != shown(whole)
    half = clip.apisr.Upscale(model=model, device="cpu", scale=2)
    assert (half.width, half.height) == (128, 64)


def first(clip: vs.VideoNode) -> list[np.ndarray]:
    return [np.array(plane) for plane in clip.get_frame(0)]


def shown(clip: vs.VideoNode) -> list[list[bytes]]:
    return [[bytes(memoryview(plane)) for plane in frame] for frame in clip.frames()]


def test_what_is_refused(models, tmp_path):
    clip = core.std.BlankClip(width=64, height=48, format=vs.RGB24)
    with pytest.raises(vs.Error, match="scale must be 2 with this model, which enlarges no more, got 4"):
        clip.apisr.Upscale(model=str(models["rrdb2"]), device="cpu", scale=4)
    with pytest.raises(vs.Error, match="scale must be left out with this model, which keeps the size, got 2"):
        clip.apisr.Upscale(model=str(models["compact1"]), device="cpu", scale=2)
    with pytest.raises(vs.Error, match="overlap must be a multiple of 16, got 8"):
        clip.apisr.Upscale(model=str(models["dat4"]), device="cpu", overlap=8)
    with pytest.raises(ArgumentError, match=r"precision must be fp32 or bf16 with this model \(DAT\), got fp16"):
        load_model(str(models["dat4"]), precision="fp16")
    gray = tmp_path / "gray.pth"
    torch.save(ESRGAN(in_nc=1, out_nc=1, num_filters=8, num_blocks=2).state_dict(), gray)
    with pytest.raises(WeightsError, match=r"holds a network \(RRDB\) that makes 1 channels of 1; 3 of 3 are needed"):
        load_model(str(gray))
    state = torch.load(models["rrdb4"], weights_only=True)["model_state_dict"]
    broken = {**state, "_orig_mod.model.3.bias": torch.full((16,), torch.nan)}
    torch.save(broken, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match=r"has values that are not finite in model\.3\.bias"):
        load_model(str(tmp_path / "nan.pth"))
    torch.save({**state, "_orig_mod.model.3.bias": torch.zeros(15)}, tmp_path / "shape.pth")
    with pytest.raises(WeightsError, match="does not fit the network that it looks like: .*model.3.bias"):
        load_model(str(tmp_path / "shape.pth"))
    torch.save({"a.weight": torch.zeros(3)}, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=r"neither GRL nor one that spandrel knows \(it starts with a.weight\)"):
        load_model(str(tmp_path / "odd.pth"))


@pytest.mark.parametrize("name", ["rrdb4", "dat4"])
def test_no_file_asks_for_memory_without_bounds(models, name, tmp_path):
    state = torch.load(models[name], weights_only=True)["model_state_dict"]
    many = "model.1.sub.99999999.RDB1.conv1.0.weight" if name == "rrdb4" else "layers.0.blocks.99999999.norm1.weight"
    wide = "model.0.weight" if name == "rrdb4" else "conv_first.weight"
    for key, value, words in (
        (many, torch.zeros(1), "it has names with larger numbers than it has tensors"),
        (wide, torch.zeros(200_000, 3, 3, 3), "it asks for more values than the file can account for"),
    ):
        torch.save({**state, f"_orig_mod.{key}": value}, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=words):
            load_model(str(tmp_path / "w.pth"))


def test_without_spandrel(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(
        WeightsError, match=r"not GRL; RRDB, DAT and others need spandrel, .*: pip install vsapisr\[zoo\]"
    ):
        load_model(str(models["rrdb4"]))


def test_precisions(models):
    """Half precision where spandrel says so; where it does not, automatic is fp32."""
    image = torch.from_numpy(picture(16, 16)).permute(2, 0, 1)[None].contiguous()
    exact = load_model(str(models["dat4"]))(image)
    low = load_model(str(models["dat4"]), precision="bf16")(image)
    assert low.dtype == torch.float32 and 0 < float((low - exact).abs().max()) < 0.1
    cuda = torch.device("cuda", 0)  # nothing is put there: only what is asked for is looked at
    asked = []

    def load(dtype):
        asked.append(dtype)
        return forms.load_form(str(models["dat4"]), torch.device("cpu"), dtype)

    dtype, network = devices.suited("auto", cuda, load)
    assert asked == [torch.float16, torch.float32] and dtype == network.dtype == torch.float32
    with pytest.raises(zoo.PrecisionError):
        devices.suited("fp16", cuda, load)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_can_load_it(models):
    code = """if 1:
        import os, signal, sys, torch; from vsapisr.networks import forms
        if child := os.fork(): sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        signal.alarm(60)  # ends it should it wait for ever
        forms.load_form(sys.argv[1], torch.device("cpu"), torch.float32)"""
    subprocess.run([sys.executable, "-c", code, str(models["rrdb4"])], check=True)


class Far(torch.nn.Module):
    """Each pixel is the mean of a row of ``reach`` pixels to both sides."""

    def __init__(self, reach: int):
        super().__init__()
        self.reach = reach

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = 2 * self.reach + 1
        kernel = torch.ones(3, 1, 1, side) / side
        mean = torch.nn.functional.conv2d(x, kernel, padding=(0, self.reach), groups=3)
        return torch.nn.functional.interpolate(mean, scale_factor=2, mode="nearest")


@pytest.mark.parametrize(
    ("reach", "multiple", "overlap"), [(0, 8, 8), (7, 8, 8), (10, 8, 16), (20, 8, 24), (10, 32, 32)]
)
def test_the_overlap_is_measured(reach, multiple, overlap):
    found = measured(Far(reach), multiple, 2)
    assert found.overlap == overlap and found.difference < 0.01
    assert found.values_per_pixel == 3 * 3 * 4  # three of the largest tensor, which is the result


def test_a_network_that_sees_all_gets_the_largest_overlap():
    found = measured(lambda x: x - x.mean(dim=(-2, -1), keepdim=True) + x[..., :1].mean(), 8, 1)
    assert found.overlap == FARTHEST and found.difference > LIMIT


def test_descriptors(models):
    found = {name: load_model(str(path)).descriptor for name, path in models.items()}
    assert {name: one.scale for name, one in found.items()} == SCALES
    assert {name: one.multiple for name, one in found.items()} == dict.fromkeys(KINDS, 8) | {"dat4": 16}
    assert all(one.unit == 1 and one.overlap % one.multiple == 0 for one in found.values())
    assert Descriptor().unit == 8
    assert [forms.scale_of(str(models[name])) for name in ("rrdb2", "compact1")] == [2, 1]
    assert forms.scale_of("fidelity") == 4


def test_info(models):
    lines = "\n".join(info.inside(str(models["rrdb2"])))
    count = sum(value.numel() for value in KINDS["rrdb2"]().parameters())
    assert f"RRDB, enlarges twice, {count:,} parameters, fp32" in lines
    assert "architecture: ESRGAN (16nf, 2nb, unshuffle)" in lines
    assert "tiles: multiples of 8" in lines and "overlap: 8, measured" in lines
    assert "precision: fp32, fp16, bf16" in lines and "scale: 2\n" in lines
    lines = "\n".join(info.inside(str(models["dat4"])))
    assert "DAT, enlarges four times" in lines and "scale: 2, 4" in lines and "precision: fp32, bf16" in lines
    assert "tiles: multiples of 16" in lines
    assert "RealESRGAN Compact, untested, keeps the size" in "\n".join(info.inside(str(models["compact1"])))


@pytest.fixture
def cache(models, tmp_path, monkeypatch) -> Path:
    """The user's folder, with a fetched model that is expected to be another file, and one that is right."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "vsapisr"
    folder.mkdir()
    for name, model in (("apisr-rrdb-2x", "rrdb2"), ("apisr-dat-4x", "dat4")):
        (folder / PUBLISHED[name].file).write_bytes(models[model].read_bytes())
    right = Published(
        url="", file=PUBLISHED["apisr-dat-4x"].file, licence="",
        sha256=hashlib.sha256(models["dat4"].read_bytes()).hexdigest(),
    )  # fmt: skip
    monkeypatch.setattr(published, "PUBLISHED", {**PUBLISHED, "apisr-dat-4x": right})
    return folder


def test_fetched_ones_by_name(cache):
    image = picture(16, 24)
    assert upscale_image(image, model="apisr-rrdb-2x", device="cpu").shape == (32, 48, 3)
    assert upscale_image(image, model="apisr-dat-4x", device="cpu").shape == (64, 96, 3)
    lines = list(info.overview())
    assert any("apisr-rrdb-2x: published, " in line and " parameters, fp32, " in line for line in lines)
    assert f", not that of apisr-rrdb-2x, {PUBLISHED['apisr-rrdb-2x'].sha256}" in list(info.inside("apisr-rrdb-2x"))[2]
    assert list(info.inside("apisr-dat-4x"))[2].endswith(", that of apisr-dat-4x")


def test_known_files(cache):
    """Three more, each with its hash; one in the folder that is another file is refused, unless it is accepted."""
    assert all(len(model.sha256) == 64 and "/APISR/releases/" in model.url for model in PUBLISHED.values())
    assert len({model.sha256 for model in PUBLISHED.values()}) == 4
    assert [model.network for model in PUBLISHED.values()] == ["GRL", "RRDB", "RRDB", "DAT"]
    run = CliRunner().invoke(app, ["fetch", "apisr-rrdb-2x", "--accept"])
    assert run.exit_code == 0 and f"which is not the expected {PUBLISHED['apisr-rrdb-2x'].sha256}" in run.output
    run = CliRunner().invoke(app, ["fetch", "apisr-dat-4x"])
    assert run.exit_code == 0 and run.output.rstrip().endswith(", as expected")


def test_pictures_have_the_networks_size(models, tmp_path):
    Image.fromarray((picture(16, 24) * 255).astype(np.uint8)).save(tmp_path / "a.png")
    run = CliRunner().invoke(
        app, ["upscale", str(tmp_path / "a.png"), "--model", str(models["rrdb2"]), "--device", "cpu"]
    )
    assert run.exit_code == 0, run.output
    assert Image.open(tmp_path / "a_2x.png").size == (48, 32)


def grl_of(path: Path):
    """As spandrel loads it."""
    return spandrel.ModelLoader().load_from_file(path)


def test_spandrels_grl_is_another_network(fixtures_dir, tmp_path):
    """It always shifts the stripes, which APISR's does not; with its switch off it is the same to the last digits."""
    path = fixtures_dir / "grl_tiny2_upstream_layout.pth"
    expected = torch.load(fixtures_dir / "grl_tiny2_expected.pt", weights_only=True)
    image = next(iter(expected["inputs"].values()))[..., :32, :40].contiguous()
    ours, model = weights.load(path), grl_of(path)
    with torch.no_grad():
        right = ours(image).clamp(0, 1)
        assert float((model(image) - right).abs().max()) * 255 > 5
        for module in model.model.modules():
            if hasattr(module, "stripe_shift"):
                module.stripe_shift = False
        assert float((model(image) - right).abs().max()) < 1e-5


def test_grl_never_goes_through_spandrel(fixtures_dir, monkeypatch, tmp_path):
    def never(*_):
        raise AssertionError("GRL was given to spandrel")

    monkeypatch.setattr(spandrel.MAIN_REGISTRY, "load", never)
    monkeypatch.setattr(zoo, "load", never)
    assert forms.scale_of(str(fixtures_dir / "grl_tiny2_upstream_layout.pth")) == 4
    assert type(weights.load(fixtures_dir / "grl_tiny2_upstream_layout.pth")) is GRL
    state = perturbed().state_dict()
    for wrapped in ("", "_orig_mod.", "netG."):
        path = tmp_path / "grl.pth"
        torch.save({"params": {wrapped + name: value for name, value in state.items()}}, path)
        with pytest.raises(WeightsError, match="does not say the window"):
            load_model(str(path))
    del state["conv_first.weight"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match="it has no conv_first.weight"):
        load_model(str(path))
    load_model(str(write(perturbed(), tmp_path / "w.safetensors")))
