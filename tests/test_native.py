"""The compiled kernels equal the readable network on every instruction set that this processor has, and do without
it.
"""

from __future__ import annotations

import copy
import ctypes
import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.networks import perturbed
from vsapisr.networks.cpu import network as native
from vsapisr.networks.cpu.network import LEVELS, NativeGRL
from vsapisr.networks.grl import GRL, GRLConfig, pad_to_window
from vsapisr.networks.grl_inference import GRLInference

FLOATS = [level for name, level in LEVELS.items() if "bf16" not in name]
HALVES = [level for name, level in LEVELS.items() if "bf16" in name]
SIZES = [(8, 8), (8, 40), (72, 16), (24, 56), (136, 8)]  # windows of all classes, rows of every remainder of a tile


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    if native.load_library() is None:
        pytest.skip("the library of CPU kernels is not installed, or this processor has no AVX2")
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


@pytest.fixture(scope="module")
def net() -> GRL:
    return perturbed(GRLConfig(depths=(2, 1), bias_dim=16))


def image(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def kernels(net: GRL, level: int) -> NativeGRL:
    dtype = torch.bfloat16 if level in HALVES else torch.float32
    if native.level_for(dtype, GRLConfig()) < level:
        pytest.skip("this processor has no such instructions")
    return NativeGRL(GRLInference(net), dtype, level)


def expected(net: GRL, x: Tensor) -> Tensor:
    """For an input whose sides are multiples of the window."""
    with torch.inference_mode():
        return net(x)


@pytest.mark.parametrize("level", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_readable_network(net: GRL, level: int, size: tuple[int, int]) -> None:
    x = image(*size)  # one of them of more than one band of the tail
    torch.testing.assert_close(kernels(net, level)(x - net.mean), expected(net, x), atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", FLOATS)
@pytest.mark.parametrize("depths", [(), (0,), (1,), (1, 3)])
def test_parts(level: int, depths: tuple[int, ...]) -> None:
    """Without blocks: first convolution, norms, convolutions, upsampling; then with a shifted block, with others."""
    net, x = perturbed(GRLConfig(depths=depths, bias_dim=16)), image(16, 24)
    torch.testing.assert_close(kernels(net, level)(x - net.mean), expected(net, x), atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", FLOATS)
def test_extremes(level: int) -> None:
    """Softmax at the largest scale, GELU far out on both sides, LayerNorm of what hardly differs."""
    net, x = perturbed(GRLConfig(depths=(2,), bias_dim=16)), image(16, 16)
    with torch.no_grad():
        for block in net.layers[0].blocks:
            for name, parameter in block.named_parameters():
                if name.endswith("logit_scale"):
                    parameter.fill_(math.log(100.0))
            qkv = block.attn.qkv["body"]
            for values in (qkv.weight, qkv.bias):  # window branch: every token's key is its query, cosine 1
                values[32:64] = values[:32]
            block.mlp.fc1.weight.mul_(8)
            block.attn.proj.weight.mul_(1e-3)
    torch.testing.assert_close(kernels(net, level)(x - net.mean), expected(net, x), atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", HALVES)
@pytest.mark.parametrize("size", SIZES)
def test_bfloat16(net: GRL, level: int, size: tuple[int, int]) -> None:
    x = image(*size)
    want, got = expected(net, x), kernels(net, level)(x - net.mean)
    error = 10 * torch.log10((got - want).square().mean() / want.square().mean())
    assert error < -37  # values have 8 bits: 2**-9 of relative error in every operand


def test_results_in_bfloat16_are_not_rounded_to_it(net: GRL) -> None:
    """An 8-bit result would make bands in gradients of 10 bits."""
    if not native.level_for(torch.bfloat16, GRLConfig()):
        pytest.skip("this processor has no such instructions")
    got = GRLInference(net, torch.bfloat16)(image(16, 24))
    assert got.dtype == torch.float32 and (got != got.bfloat16()).float().mean() > 0.9


@pytest.mark.parametrize("level", LEVELS.values())
def test_the_number_of_threads_changes_nothing(net: GRL, level: int) -> None:
    form, x = kernels(net, level), image(80, 48)
    results = []
    for count in (1, 2, 3, 7):
        torch.set_num_threads(count)
        results.append(form(x))
    assert all(torch.equal(result, results[0]) for result in results)


def test_calls_at_the_same_time(net: GRL) -> None:
    form, images = kernels(net, LEVELS["avx2"]), [image(16 + 8 * i, 24, i) for i in range(4)]
    want, got = [form(x) for x in images], [None] * len(images)

    def work(i: int) -> None:
        got[i] = form(images[i])

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(images))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(a, b) for a, b in zip(got, want))


@pytest.mark.parametrize("level", LEVELS.values())
@pytest.mark.parametrize("size", [(16, 24), (8, 8)])
def test_nothing_is_written_beside_the_workspace(
    net: GRL, level: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken from the middle of a larger one, full of a value that has to stay; so has the input. As numbers those
    are
    NaN: nothing of the result is made of what was in the workspace before."""
    form, guard, x = kernels(net, level), 4096, image(*size)
    kept, want, filled = x.clone(), form(x), []

    def guarded(count: int) -> Tensor:
        filled.append(torch.full((count + 2 * guard,), 255, dtype=torch.uint8))
        return filled[0][guard : guard + count]

    monkeypatch.setattr(native, "workspace", guarded)
    assert torch.equal(form(x), want) and torch.equal(x, kept)
    assert (filled[0][:guard] == 255).all() and (filled[0][-guard:] == 255).all()


def test_other_hyperparameters_use_torch() -> None:
    for config in (
        GRLConfig(dim=32, depths=(1,)),
        GRLConfig(window=16, depths=(1,)),
        GRLConfig(mlp_dim=64, depths=(1,)),
    ):
        assert native.level_for(torch.float32, config) == 0
    assert native.level_for(torch.float16, GRLConfig()) == 0
    assert native.level_for(torch.float32, GRLConfig(depths=(7,), bias_dim=3, drop_path=0.5)) > 0


def test_the_inference_form_uses_them_or_torch(net: GRL, monkeypatch: pytest.MonkeyPatch) -> None:
    x = image(13, 22)
    form = GRLInference(net)
    want, calls = expected(net, pad_to_window(x, 8))[..., :52, :88], []
    call = NativeGRL.__call__
    monkeypatch.setattr(NativeGRL, "__call__", lambda self, image: calls.append(1) or call(self, image))
    torch.testing.assert_close(form(x), want, atol=1e-4, rtol=0)
    assert calls and form(x.double()).dtype == torch.float32
    assert torch.equal(copy.deepcopy(form)(x), form(x))
    assert GRLInference(net).to(torch.float16)(x[..., :8, :8].half()).dtype == torch.float16
    calls.clear()
    monkeypatch.setattr(native, "load_library", lambda: None)
    torch.testing.assert_close(GRLInference(net)(x), want, atol=1e-4, rtol=0)
    assert not calls


def test_a_library_that_cannot_be_used_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "libbroken.so"
    broken.write_bytes(b"no library")
    for value in ("0", str(broken), str(tmp_path / "missing")):
        monkeypatch.setenv(native.VARIABLE, value)
        assert native.load_library.__wrapped__() is None


def test_a_library_of_another_version_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After an update that did not compile it again: it would take the structures for others."""

    class Longer(native.ImageStruct):
        _fields_ = [("more", ctypes.c_long)]

    for name, value in (("ABI", native.ABI + 1), ("ImageStruct", Longer)):
        with monkeypatch.context() as patch:
            patch.setattr(native, name, value)
            assert native.load_library.__wrapped__() is None
        assert "is of another version and is not used" in caplog.records.pop().getMessage()
    assert native.load_library.__wrapped__() is not None and not caplog.records
