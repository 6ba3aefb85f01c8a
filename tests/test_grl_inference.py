"""The inference form equals the readable network, whatever the size, configuration, company and precision."""

from __future__ import annotations

import threading

import pytest
import torch

from tests.networks import perturbed
from vsapisr.errors import ArgumentError
from vsapisr.networks import grl_inference
from vsapisr.networks import tail as grl_tail
from vsapisr.networks.grl import GRL, GRLConfig
from vsapisr.networks.grl_inference import GRLInference, shift_plan

SMALL = GRLConfig(dim=16, depths=(2, 1), mlp_dim=24, bias_dim=8)


@pytest.fixture(scope="module")
def full() -> tuple[GRL, GRLInference]:
    net = perturbed()
    return net, GRLInference(net)


def image(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def assert_equal_forms(net: GRL, fast: GRLInference, x: torch.Tensor) -> None:
    with torch.inference_mode():
        want, got = net(x), fast(x)
    assert got.shape == want.shape
    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 1), (7, 9), (8, 8), (8, 24), (37, 53), (72, 136)])
def test_equals_the_readable_network(full: tuple[GRL, GRLInference], size: tuple[int, int]) -> None:
    assert_equal_forms(*full, image(1, 3, *size))


def test_equals_the_readable_network_in_a_batch(full: tuple[GRL, GRLInference]) -> None:
    assert_equal_forms(*full, image(3, 3, 24, 40))


@pytest.mark.parametrize(
    "config",
    [
        GRLConfig(dim=32, depths=(2, 3), heads_window=4, heads_stripe=2, mlp_dim=96, bias_dim=32),
        GRLConfig(dim=32, depths=(1,), heads_window=1, heads_stripe=4, anchor_down=4, bias_dim=16),
        GRLConfig(dim=24, depths=(3,), heads_window=3, heads_stripe=1, window=4, mlp_dim=24, bias_dim=16),
        GRLConfig(dim=16, depths=(2, 1, 1), window=12, anchor_down=3, mlp_dim=16, bias_dim=16),
    ],
)
def test_other_hyperparameters(config: GRLConfig) -> None:
    net = perturbed(config)
    assert_equal_forms(net, GRLInference(net), image(2, 3, 37, 53))


def test_pieces_of_every_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Body in pieces of one window, tail in strips of one row: seams would show at once."""
    net = perturbed(SMALL)
    monkeypatch.setattr(grl_inference, "CPU_CHUNK_BYTES", 1)
    monkeypatch.setattr(grl_tail, "CPU_STRIP_BYTES", 1)
    assert_equal_forms(net, GRLInference(net), image(1, 3, 24, 40))


def test_the_whole_batch_at_once_gives_the_same() -> None:
    """The way it goes on a GPU: one piece, one strip, all images together."""
    net = perturbed(SMALL)
    fast, x = GRLInference(net), image(3, 3, 24, 40)
    with torch.inference_mode():
        torch.testing.assert_close(fast.upscale(x), net(x), atol=1e-4, rtol=0)


def test_odd_windows_are_refused() -> None:
    with pytest.raises(ArgumentError, match="window is 9; the inference form takes even windows only"):
        GRLInference(GRL(GRLConfig(dim=16, depths=(1,), window=9, anchor_down=3)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision(dtype: torch.dtype) -> None:
    net = perturbed(SMALL, amount=0.01)
    x = image(1, 3, 37, 53)
    with torch.inference_mode():
        form = GRLInference(net, dtype)
        want, got, half = net(x), form(x), form(x.to(dtype))
    assert got.dtype == torch.float32 and half.dtype == dtype and half.isfinite().all()
    assert (got - want).abs().max() < 0.01 and (half.float() - want).abs().max() < 0.015


def test_low_precision_without_biases_of_fp16_range() -> None:
    """Activations whose squares do not fit in fp16 still give unit vectors."""
    attention = GRLInference(perturbed(SMALL), torch.float16).stages[0][0].attn
    x = torch.full((1, 4, 16), 900.0, dtype=torch.float16)
    torch.testing.assert_close(attention.unit(x, 2).float(), torch.full((1, 4, 2, 8), 8**-0.5), atol=1e-3, rtol=0)


def test_published_numbers(fixtures_dir) -> None:
    net = GRL().eval()
    published = torch.load(fixtures_dir / "grl_tiny2_upstream_layout.pth", weights_only=True)["model_state_dict"]
    net.load_state_dict(published, strict=False)
    expected = torch.load(fixtures_dir / "grl_tiny2_expected.pt", weights_only=True)
    with torch.inference_mode():
        got = GRLInference(net)(expected["inputs"]["37x53"])
        every = expected.get("every", 1)
        torch.testing.assert_close(got[..., ::every, ::every], expected["outputs"]["37x53"], atol=2e-4, rtol=0)
        x = expected["inputs"]["37x53"][..., :14, :13]  # low precision is slow on a processor without it
        for dtype in (torch.bfloat16, torch.float16):
            torch.testing.assert_close(GRLInference(net, dtype)(x).float(), net(x), atol=0.01, rtol=0)


def test_bit_identical_in_every_position_and_company(full: tuple[GRL, GRLInference]) -> None:
    fast = full[1]
    one, other = image(1, 3, 40, 56), image(2, 3, 40, 56)
    with torch.inference_mode():
        alone = fast(one)
        companies = (((one, other), 0), ((other, one), 2), ((other[:1], one, other[1:]), 1), ((one, one), 1))
        for batch, position in companies:
            assert torch.equal(fast(torch.cat(batch))[position : position + 1], alone)


def test_keeps_nothing_of_the_network_or_the_input(full: tuple[GRL, GRLInference]) -> None:
    net = perturbed(SMALL)
    fast, x = GRLInference(net), image(1, 3, 16, 16)
    kept = x.clone()
    before = fast(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert torch.equal(fast(x), before) and torch.equal(x, kept)
    assert not before.requires_grad and not any(p.requires_grad for p in fast.parameters())
    assert perturbed(SMALL).conv_first.weight.requires_grad  # of the source, which may go on training


def test_threads_share_one_network() -> None:
    net = perturbed(SMALL)
    fast, images = GRLInference(net), [image(1, 3, 8 * (1 + i % 3), 16 + 8 * (i % 2)) for i in range(6)]
    want, got = [fast(x) for x in images], [None] * len(images)

    def work(i: int) -> None:
        got[i] = fast(images[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(got, want))


def test_shift_plan_is_a_permutation_sorted_by_class() -> None:
    plan = shift_plan(2, 3, 5, 8, torch.device("cpu"))
    assert plan.counts == (2 * 8, 2 * 2, 2 * 4, 2)
    assert torch.equal(plan.fetch.sort().values, torch.arange(2 * 15 * 16))
    assert torch.equal(plan.fetch[plan.put_back], torch.arange(2 * 15 * 16))
    assert shift_plan(1, 1, 1, 8, torch.device("cpu")).counts == (0, 0, 0, 1)


def test_what_a_recorded_call_must_keep_alive() -> None:
    """A CUDA graph reads the plan of its size long after the network's own memory of sizes may have dropped it."""
    form = GRLInference(GRL(GRLConfig(dim=32, depths=(2,), heads_window=1, heads_stripe=1, mlp_dim=64, bias_dim=16)))
    form.native = None
    with torch.inference_mode():
        form(torch.rand(1, 3, 13, 20))
    assert form._plan.cache_info().misses == 1
    assert form.held(1, 13, 20) is form.held(1, 16, 24) and form._plan.cache_info().misses == 1
