"""The Triton kernels around the network, guard and samples, against torch, by the interpreter where there is no device;
and that all kernels compile."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

CUDA = torch.cuda.is_available()
if not CUDA:
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are imported
pytest.importorskip("triton")

from tests.networks import perturbed  # noqa: E402
from vsapisr.networks.cuda.grl_cuda import GRLCuda  # noqa: E402
from vsapisr.networks.cuda.kernels import samples  # noqa: E402
from vsapisr.networks.cuda.kernels.guard import keep as by_kernel  # noqa: E402
from vsapisr.networks.grl import GRLConfig  # noqa: E402
from vsapisr.picture.colour import GRAY, RGB, YUV, Colour, Format, from_rgb  # noqa: E402
from vsapisr.picture.guard import keep  # noqa: E402

DEVICE = torch.device("cuda" if CUDA else "cpu")
DTYPE = torch.float16 if CUDA else torch.float32
NARROW = GRLConfig(dim=32, depths=(1,), heads_window=1, heads_stripe=1, mlp_dim=64, bias_dim=16)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, *([] if CUDA else [torch.float32])])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 9), (1, 136)])
def test_the_guard(dtype: torch.dtype, height: int, width: int) -> None:
    """What torch's operators give, up to a rounding between their two steps; flat areas exactly."""
    made = torch.Generator().manual_seed(width)
    source = torch.rand(3, 3, height, width, generator=made)
    source[1] = source[1, :, :1, :1]
    source[2] = source[2, :1] / 8
    enlarged = torch.randn(3, 3, 4 * height, 4 * width, generator=made)
    small, large = source.to(dtype), enlarged.to(dtype)
    want = keep(large.float().clone(), small.float())
    got = by_kernel(large.clone().to(DEVICE), small.to(DEVICE)).cpu()
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(got.float(), want, atol=step, rtol=step)
    assert torch.equal(got[1], small[1, :, :1, :1].expand_as(got[1])) and not torch.equal(got, large)


FORMATS = [
    (Format(YUV, 0, 8, 1, 1), Colour(1, False)),
    (Format(YUV, 0, 10, 1, 0), Colour(6, True, 2)),
    (Format(YUV, 0, 16, 0, 0), Colour(9, False)),
    (Format(YUV, 0, 8, 2, 2), Colour(5, False, 1)),
    (Format(YUV, 1, 32, 1, 1), Colour(1, False, 4)),
    (Format(RGB, 0, 8), Colour(0, True)),
    (Format(RGB, 1, 16), Colour(0, True)),
    (Format(GRAY, 0, 16), Colour(6, False)),
]


@pytest.mark.parametrize(("format", "colour"), FORMATS)
def test_samples(format: Format, colour: Colour) -> None:
    """What torch's operators give, up to the order of sums; of a view, with values beyond [0, 1] and no numbers, with a
    margin on two sides."""
    made, margin = torch.Generator().manual_seed(format.bits_per_sample), (0, 8, 12, 0)
    wide = 1.4 * torch.rand(1, 3, 16, 44, generator=made) - 0.2
    wide[..., 7, 19], wide[..., 3, 30], wide[..., 1, 3] = torch.nan, torch.inf, -torch.inf
    rgb = wide.to(DTYPE)[..., :40]
    got = samples.from_rgb(rgb.to(DEVICE), format, colour, margin)
    for plane, want in zip(got, from_rgb(rgb, format, colour, margin), strict=True):
        assert plane.dtype == want.dtype and plane.shape == want.shape
        apart = (plane.cpu().double() - want.double()).abs()
        if format.sample_type:
            assert apart.max() < (1e-6 if format.bits_per_sample == 32 else 1e-3)
        else:
            assert apart.max() <= 1 and (apart > 0).double().mean() < (0.02 if format.bits_per_sample < 16 else 0.05)


def test_samples_go_on_without_a_kernel_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """As where a format needs code that the compiler refuses."""

    def fails(*_: object) -> list[torch.Tensor]:
        raise RuntimeError("PassManager::run failed")

    form = GRLCuda(perturbed(NARROW), DTYPE, DEVICE, use="plain")
    form.kernel_samples = fails
    rgb, (format, colour) = torch.rand(1, 3, 16, 16).to(DEVICE, DTYPE), FORMATS[1]
    for _ in range(2):
        got = form.from_rgb(rgb, format, colour, (0, 0, 0, 0))
        for plane, want in zip(got, from_rgb(rgb, format, colour, (0, 0, 0, 0)), strict=True):
            assert torch.equal(plane, want)
    assert caplog.text.count("fast samples do not run") == 1 and form.parts["samples"] == "plain"


@pytest.mark.parametrize(
    ("capability", "kind", "only"),
    [(90, "fp16", "window,block,conv,phases,hr,first,last,guard,luma,chroma"), (80, "bf16", "window,hr")],
)
def test_kernels_compile_for_devices_that_are_not_here(capability: int, kind: str, only: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [
        sys.executable,
        "-m",
        "scripts.gpu.compile_kernels",
        "--capability",
        str(capability),
        "--type",
        kind,
        "--only",
        only,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) >= 2
