"""Weight files of the feature networks, made here in the published layouts: found, fetched, refused."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.reference import fill as fill_by_name
from train.losses import LossConfig, files
from train.losses.features import LAYERS, empty, whole
from train.losses.files import BODY, SOURCES, fill, find, read
from train.losses.generator import GeneratorLoss
from vsapisr.errors import WeightsError
from vsapisr.weights.published import FetchError

NETWORKS = ("vgg", "resnet")


def published_state(name: str) -> dict[str, Tensor]:
    """All entries of the published file with its names and shapes; those of the heads share one number, to stay
    small.
    """
    torch.manual_seed(0)
    numbers = {place: name for name, place in BODY.items()}
    state = {}
    for key, value in whole(name).state_dict().items():
        if key.startswith(("classifier.", "fc.")):
            if name == "vgg":
                state[key] = torch.zeros(()).expand(value.shape)
            continue
        tensor = torch.zeros((), dtype=value.dtype) if value.ndim == 0 else torch.randn(()).expand(value.shape).clone()
        first, _, rest = key.partition(".")
        state[key if name == "vgg" else f"0.{numbers[first]}.{rest}"] = tensor.abs() if "var" in key else tensor
    if name == "resnet":
        state |= {
            "1.8.weight": torch.zeros(()).expand(6000, 512),
            "1.8.bias": torch.zeros(6000),
            "1.2.weight": torch.ones(4096),
        }
    return state


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """The two files under their published names."""
    folder = tmp_path_factory.mktemp("made")
    paths = {name: folder / SOURCES[name].file for name in NETWORKS}
    for name, path in paths.items():
        torch.save(published_state(name), path)
    return paths


@pytest.fixture
def checkpoints(tmp_path, monkeypatch) -> Path:
    """PyTorch's cache folder, empty."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def server(made):
    """Serves the files; counts."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.paths.append(self.path)
            body = (made["vgg"].parent / self.path.strip("/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        running.paths = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def publish(server, monkeypatch, made):
    """Have the table point at the server; ``right`` tells the true hash (its first digits for ResNet)."""

    def point(right: bool) -> None:
        server.paths.clear()
        for name in NETWORKS:
            sha256 = digest(made[name]) if right else "0" * 64
            sha256 = sha256[:8] if name == "resnet" else sha256
            url = f"http://127.0.0.1:{server.server_port}/{SOURCES[name].file}"
            monkeypatch.setitem(files.SOURCES, name, dataclasses.replace(SOURCES[name], url=url, sha256=sha256))

    return point


def test_files_that_are_named_are_loaded_whatever_their_hash(made, checkpoints):
    config = LossConfig(vgg_weights=str(made["vgg"]), resnet_weights=str(made["resnet"]))
    loss = GeneratorLoss(config)
    states = {name: torch.load(made[name], weights_only=True) for name in NETWORKS}
    ours = {name: loss.perceptual[name].network.body.state_dict() for name in NETWORKS}
    for key, value in ours["vgg"].items():
        assert torch.equal(value, states["vgg"][key]), key
    pairs = {
        "conv1.weight": "0.0.weight",
        "bn1.running_var": "0.1.running_var",
        "layer1.0.conv1.weight": "0.4.0.conv1.weight",
        "layer2.0.downsample.0.weight": "0.5.0.downsample.0.weight",
        "layer3.5.bn1.bias": "0.6.5.bn1.bias",
        "layer4.2.conv3.weight": "0.7.2.conv3.weight",
    }
    for key, theirs in pairs.items():
        assert torch.equal(ours["resnet"][key], states["resnet"][theirs]), key
    assert loss.metadata() == {
        "features": "pretrained",
        "vgg": f"vgg19-dcbb9e9d.pth, SHA-256 {digest(made['vgg'])}",
        "resnet": f"resnet50-13306192.pth, SHA-256 {digest(made['resnet'])}",
    }
    assert not checkpoints.exists()


def test_from_the_file_to_the_references_number(fixtures_dir, tmp_path):
    expected = torch.load(fixtures_dir / "train_nets_expected.pt", weights_only=True)
    numbered = {
        key: torch.zeros(shape, dtype=torch.int64 if "num_batches" in key else torch.float32)
        for key, shape in expected["resnet"]["keys"].items()
    }
    filled = fill_by_name(numbered, 2**0.5)
    torch.save({f"0.{key}": value for key, value in filled.items()}, tmp_path / "resnet.pth")
    loss = GeneratorLoss(LossConfig(vgg=0, resnet_weights=str(tmp_path / "resnet.pth")))
    with torch.inference_mode():
        terms = loss(expected["disc"]["fake"], expected["disc"]["real"])
    assert terms["resnet"].item() == pytest.approx(expected["resnet"]["loss"].item(), rel=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_missing_file_is_named_with_its_source_and_the_ways_out(name, checkpoints, tmp_path):
    for config in (LossConfig(), LossConfig(**{f"{name}_weights": str(tmp_path / "mine.pth"), "download": True})):
        path = getattr(config, f"{name}_weights") or checkpoints / SOURCES[name].file
        with pytest.raises(WeightsError) as caught:
            find(name, config)
        text = str(caught.value)
        assert f"{path} is not there" in text and SOURCES[name].url in text and SOURCES[name].file in text
        assert f"{name}_weights" in text and "download = true" in text
        assert 'features = "random"' in text and 'features = "none"' in text


def test_a_network_of_weight_zero_needs_no_file(made, checkpoints):
    loss = GeneratorLoss(LossConfig(vgg=0, resnet_weights=str(made["resnet"])))
    assert list(loss.perceptual) == ["resnet"]


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorchs_cache_is_looked_into_and_held_against_the_hash(name, made, checkpoints, publish):
    publish(right=True)
    checkpoints.mkdir(parents=True)
    path = checkpoints / SOURCES[name].file
    shutil.copy(made[name], path)
    assert find(name, LossConfig()) == (path, digest(path))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=f"{path} is not what its name says: its SHA-256 is {digest(path)}"):
        find(name, LossConfig(download=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_fetched_only_on_request_and_only_once(name, made, checkpoints, publish, server):
    publish(right=True)
    with pytest.raises(WeightsError):
        find(name, LossConfig())
    assert not server.paths
    for _ in range(2):
        path, found = find(name, LossConfig(download=True))
        assert path == checkpoints / SOURCES[name].file and found == digest(made[name]) == digest(path)
    assert server.paths == [f"/{SOURCES[name].file}"]
    assert [one.name for one in checkpoints.iterdir()] == [SOURCES[name].file]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_download_of_another_file_is_thrown_away(name, made, checkpoints, publish):
    publish(right=False)
    with pytest.raises(FetchError, match=f"its SHA-256 is {digest(made[name])}, expected is 0000"):
        find(name, LossConfig(download=True))
    assert not list(checkpoints.iterdir())


def test_sources_are_the_published_ones():
    assert SOURCES["vgg"].url.endswith("/" + SOURCES["vgg"].file) and SOURCES["vgg"].sha256.startswith("dcbb9e9d")
    assert SOURCES["resnet"].url.endswith("/" + SOURCES["resnet"].file) and SOURCES["resnet"].sha256 == "13306192"
    torchvision = pytest.importorskip("torchvision")
    assert SOURCES["vgg"].url == torchvision.models.VGG19_Weights.IMAGENET1K_V1.url


def changed(name: str, how: str) -> dict[str, Tensor]:
    state = published_state(name)
    keys = {"vgg": "features.28.weight", "resnet": "0.7.1.conv2.weight"}
    if how == "missing":
        del state[keys[name]]
    elif how == "shape":
        state[keys[name]] = torch.zeros(4, 4)
    elif how == "unknown":
        state[keys[name].replace("1.", "3.").replace("28.", "44.")] = torch.zeros(1)
    elif how == "nan":
        state[keys[name]][0, 0] = float("nan")
    return state


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "1 entries missing ("),
        ("shape", "has shape (4, 4), (512, 512, 3, 3) is needed"),
        ("unknown", "0 entries missing (), 1 unknown ("),
        ("nan", "has values that are not finite in "),
    ],
)
def test_another_network_is_refused_by_what_does_not_fit(name, how, message, tmp_path):
    path = tmp_path / "other.pth"
    torch.save(changed(name, how), path)
    with pytest.raises(WeightsError) as caught:
        fill(name, empty(name, LAYERS[name]), read(name, path), path)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)


def test_swapped_and_broken_files_are_refused(made, tmp_path):
    with pytest.raises(
        WeightsError, match="is not ResNet-50 of Danbooru2018: its entries should begin with 0. .body. or 1."
    ):
        GeneratorLoss(LossConfig(vgg=0, resnet_weights=str(made["vgg"])))
    with pytest.raises(WeightsError, match="is not VGG-19 of ImageNet: 32 entries missing"):
        GeneratorLoss(LossConfig(resnet=0, vgg_weights=str(made["resnet"])))
    (tmp_path / "page.pth").write_text("<html>")
    with pytest.raises(WeightsError, match="page.pth is a page of the web, not weights"):
        GeneratorLoss(LossConfig(resnet=0, vgg_weights=str(tmp_path / "page.pth")))
    (tmp_path / "cut.pth").write_bytes(made["resnet"].read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="cut.pth is truncated or damaged"):
        GeneratorLoss(LossConfig(vgg=0, resnet_weights=str(tmp_path / "cut.pth")))


class Evil:
    def __reduce__(self):
        return (open, ("pwned", "w"))


def test_no_code_in_a_weight_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"features.0.weight": Evil()}, "evil.pth")
    with pytest.raises(WeightsError, match="wants to run code"):
        GeneratorLoss(LossConfig(resnet=0, vgg_weights="evil.pth"))
    assert not (tmp_path / "pwned").exists()
