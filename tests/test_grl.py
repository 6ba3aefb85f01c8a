"""The readable network: the public implementation's numbers, checkpoint format, precisions and sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.networks import perturbed
from vsapisr.networks.grl import GRL, GRLConfig, bias_coordinates, relative_index, shift_mask

SIZES = ("64x64", "72x40", "37x53", "96x136")


@pytest.fixture(scope="module")
def published(fixtures_dir: Path) -> dict:
    return torch.load(fixtures_dir / "grl_tiny2_upstream_layout.pth", weights_only=True)["model_state_dict"]


@pytest.fixture(scope="module")
def expected(fixtures_dir: Path) -> dict:
    return torch.load(fixtures_dir / "grl_tiny2_expected.pt", weights_only=True)


@pytest.fixture(scope="module")
def reference(published: dict) -> GRL:
    net = GRL().eval()
    derived = ("table_", "index_", "mask_")
    net.load_state_dict({name: value for name, value in published.items() if not name.startswith(derived)})
    return net


def test_parameter_count() -> None:
    assert sum(p.numel() for p in GRL().parameters()) == 1_027_939


def test_published_names_and_shapes(published: dict) -> None:
    ours = {name: tuple(value.shape) for name, value in GRL().state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in published.items()}
    assert len(theirs) == 455
    derived = set(theirs) - set(ours)
    assert len(derived) == 13 and all(name.startswith(("table_", "index_", "mask_")) for name in derived)
    assert ours == {name: shape for name, shape in theirs.items() if name not in derived}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_outputs_of_the_public_implementation(reference: GRL, expected: dict, size: str, memory_format) -> None:
    reference.memory_format = memory_format
    with torch.inference_mode():
        out = reference(expected["inputs"][size])
    every = expected.get("every", 1)
    torch.testing.assert_close(out[..., ::every, ::every], expected["outputs"][size], atol=2e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_finite_and_close(published: dict, expected: dict, dtype: torch.dtype) -> None:
    net = GRL().eval()
    net.load_state_dict(published, strict=False)
    image = expected["inputs"]["37x53"][..., :14, :13]  # low precision is slow on a processor without it
    with torch.inference_mode():
        want = net(image)
        out = net.to(dtype)(image.to(dtype)).float()
    assert out.isfinite().all()
    assert (out - want).abs().max() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 1), (7, 9), (8, 8)])
def test_any_size(size: tuple[int, int]) -> None:
    net = perturbed(GRLConfig(dim=16, depths=(1,), mlp_dim=16, bias_dim=8))
    with torch.inference_mode():
        out = net(torch.rand(2, 3, *size))
    assert out.shape == (2, 3, 4 * size[0], 4 * size[1]) and out.isfinite().all()


def test_regression_of_seeded_weights() -> None:
    """Numbers of this implementation on 2026-11-22, when it agreed with the public one; needs no outside material."""
    names = torch.Generator().manual_seed(5)
    net = GRL(GRLConfig(dim=32, depths=(2, 1), mlp_dim=48, bias_dim=16)).eval()
    with torch.inference_mode():
        for parameter in net.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=names) * 0.5 - 0.25)
        image = (torch.arange(3 * 11 * 21).view(1, 3, 11, 21) * 7 % 64) / 64
        out = net(image)
    assert out.shape == (1, 3, 44, 84)
    want = torch.tensor(REGRESSION)
    torch.testing.assert_close(out[0, :, 3::13, 5::31].flatten(), want, atol=1e-4 * want.abs().max().item(), rtol=0)


def test_shift_mask_separates_the_two_sides_of_the_wrap() -> None:
    mask = shift_mask(16, 24, 8).view(2, 3, 64, 64)
    assert not mask[0, :2].any()  # windows inside see all of themselves
    token = lambda y, x: y * 8 + x  # noqa: E731
    assert mask[0, 2, token(0, 3), token(0, 4)] == -100 and mask[0, 2, token(0, 3), token(7, 3)] == 0
    assert mask[1, 0, token(3, 0), token(4, 0)] == -100 and mask[1, 0, token(3, 0), token(3, 7)] == 0


def test_bias_tables_cover_every_pair() -> None:
    assert bias_coordinates(-7, 7).shape == (225, 2) and bias_coordinates(-5, 5).shape == (121, 2)
    assert bias_coordinates(-7, 7).max() == pytest.approx(torch.tensor(9.0).log2().item() / 3)
    for queries, keys, span in ((8, 8, 15), (4, 8, 11), (8, 4, 11)):
        index = relative_index(queries, keys, keys - 1, span)
        assert index.min() == 0 and index.max() == (queries + keys - 2) * (span + 1)


REGRESSION = [
    9.02406,
    12.74221,
    2.99576,
    16.87369,
    8.04094,
    1.83590,
    7.73954,
    2.96373,
    7.81553,
    8.33806,
    14.54572,
    6.17594,
    -15.80269,
    -11.16520,
    -8.68364,
    -14.09061,
    -12.94106,
    -20.19289,
    -7.35696,
    -15.28355,
    -8.49315,
    -14.14534,
    -6.32120,
    -16.69719,
    8.70844,
    12.74737,
    20.09468,
    6.00527,
    5.74439,
    16.65376,
    8.55429,
    9.80511,
    8.98632,
    7.89608,
    -0.43145,
    12.66998,
]
