"""The Triton kernels of the network against torch, through Triton's interpreter where there is no device."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

CUDA = torch.cuda.is_available()
if not CUDA:
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are imported
pytest.importorskip("triton")

from tests.networks import perturbed  # noqa: E402
from vsapisr.networks.cuda import grl_cuda, trial  # noqa: E402
from vsapisr.networks.cuda.grl_cuda import GRLCuda  # noqa: E402
from vsapisr.networks.cuda.kernels import block, tuning, verdict  # noqa: E402
from vsapisr.networks.cuda.kernels.block import BlockTiling, PackedBlock  # noqa: E402
from vsapisr.networks.cuda.kernels.conv import PLANES, ConvTiling, PackedConv, Rows  # noqa: E402
from vsapisr.networks.cuda.kernels.ends import PackedFirst, sum_planes  # noqa: E402
from vsapisr.networks.cuda.kernels.form import KernelBody, KernelTail, Tilings  # noqa: E402
from vsapisr.networks.grl import GRL, GRLConfig, shift_mask  # noqa: E402

DEVICE = torch.device("cuda" if CUDA else "cpu")
TOLERANCE = {torch.float32: 2e-5, torch.float16: 0.004}
"""Of the largest value. fp16: its own rounding of inputs, weights and result, some 0.0005 each."""
DTYPE, LARGEST = (torch.float16, 0.01) if CUDA else (torch.float32, 2e-4)  # of the form for CUDA
NARROW = GRLConfig(dim=32, depths=(2,), heads_window=1, heads_stripe=1, mlp_dim=64, bias_dim=16)
TILING = ConvTiling(rows=4, columns=16)
# A device has no matrix units for fp32 proper: its kernels are for half precision.
types = pytest.mark.parametrize("dtype", [torch.float16] if CUDA else list(TOLERANCE))


def close(got: torch.Tensor, want: torch.Tensor, dtype: torch.dtype, factor: float = 1) -> None:
    torch.testing.assert_close(
        got.float().cpu(), want.cpu(), atol=factor * TOLERANCE[dtype] * want.abs().max().item(), rtol=0
    )


def features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@types
@pytest.mark.parametrize("size", [(1, 8, 8), (1, 16, 24), (2, 8, 16)])
def test_blocks(dtype: torch.dtype, size: tuple[int, int, int]) -> None:
    """Shifted and not, all four classes of shifted windows, one window that is its own neighbour."""
    net, x = perturbed(NARROW, amount=0.2), features(*size, 32)
    for layer in net.layers[0].blocks:
        with torch.no_grad():
            packed = PackedBlock(layer, dtype, DEVICE)
            want = layer(x, shift_mask(*size[1:], 8))
        given = x.to(DEVICE, dtype)
        out = torch.full_like(given, torch.nan)
        packed.run(given, out, BlockTiling(), BlockTiling())
        close(out, want, dtype)
        packed.run(given, given, BlockTiling(), BlockTiling())
        assert torch.equal(given, out), "in place"


@types
def test_a_block_of_the_published_shape(dtype: torch.dtype) -> None:
    net, x = perturbed(GRLConfig(depths=(2,)), amount=0.1), features(1, 16, 8, 64)
    for layer in net.layers[0].blocks:
        with torch.no_grad():
            packed, want = PackedBlock(layer, dtype, DEVICE), layer(x, shift_mask(16, 8, 8))
        out = torch.empty_like(x, device=DEVICE, dtype=dtype)
        packed.run(x.to(DEVICE, dtype), out, BlockTiling(), BlockTiling())
        close(out, want, dtype)


def test_largest_scales_and_biases_in_half_precision() -> None:
    """Logit scales at their limit of 100 and biases over their whole range of 16: finite, and near fp32."""
    net, x = perturbed(NARROW, amount=0.2), features(1, 16, 16, 32)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("logit_scale"):
                parameter.fill_(9.0)
            elif name.endswith("cpb_mlp.2.weight"):
                parameter.mul_(40)
        for layer in net.layers[0].blocks:
            out = torch.empty(1, 16, 16, 32, device=DEVICE, dtype=torch.float16)
            PackedBlock(layer, torch.float16, DEVICE).run(x.to(DEVICE).half(), out, BlockTiling(), BlockTiling())
            close(out, layer(x, shift_mask(16, 16, 8)), torch.float16, factor=4)


def test_gelu_of_half_precision() -> None:
    import triton
    import triton.language as tl

    @triton.jit
    def kernel(x, out, N: tl.constexpr):
        place = tl.arange(0, N)
        tl.store(out + place, block.gelu(tl.load(x + place), tl.float16))

    x = torch.linspace(-12, 12, 4096, device=DEVICE)
    out = torch.empty_like(x)
    globals()["block"] = block
    kernel[(1,)](x, out, N=4096)
    torch.testing.assert_close(out, F.gelu(x), atol=3e-5, rtol=0)


@types
def test_convolutions_in_strips(dtype: torch.dtype) -> None:
    """Every row at a border or not, with a residual that is also the target, and with a norm."""
    net, x = perturbed(NARROW, amount=0.2), features(2, 8, 24, 32)
    image, given = x.permute(0, 3, 1, 2), x.to(DEVICE, dtype)
    with torch.no_grad():
        want = x + net.conv_hr(image).permute(0, 2, 3, 1)
        packed = PackedConv(net.conv_hr, dtype, DEVICE)
        normed = PackedConv(net.conv_hr, dtype, DEVICE, norm=net.norm_end)
        for rows in (Rows(0, 8), Rows(0, 3), Rows(3, 4), Rows(4, 8)):
            have = rows.grown(1, 8)
            out = given[:, rows.top : rows.stop].clone()
            packed.run(given[:, have.top : have.stop].contiguous(), have, out, rows, 8, TILING, residual=out)
            close(out, want[:, rows.top : rows.stop], dtype)
        out = given.clone()
        normed.run(given, Rows(0, 8), out, Rows(0, 8), 8, TILING, residual=out)
        close(out, net.norm_end(want), dtype, factor=2)


@types
def test_phase_convolution(dtype: torch.dtype) -> None:
    net, x = perturbed(NARROW, amount=0.2), features(1, 5, 24, 32)
    with torch.no_grad():
        enlarged = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode="nearest")
        want = F.leaky_relu(net.conv_up1(enlarged), 0.2).permute(0, 2, 3, 1)
        packed = PackedConv(net.conv_up1, dtype, DEVICE, scale=2, slope=0.2)
    for rows in (Rows(0, 5), Rows(2, 4)):
        have = rows.grown(1, 5)
        out = torch.full((1, 2 * rows.count, 48, 32), torch.nan, dtype=dtype, device=DEVICE)
        packed.run(x[:, have.top : have.stop].contiguous().to(DEVICE, dtype), have, out, rows, 5, TILING)
        close(out, want[:, 2 * rows.top : 2 * rows.stop], dtype)


@types
def test_last_two_convolutions(dtype: torch.dtype) -> None:
    net, x = perturbed(NARROW, amount=0.2), features(2, 8, 24, 32)
    with torch.no_grad():
        want = net.conv_last(F.leaky_relu(net.conv_hr(x.permute(0, 3, 1, 2)), 0.2))[..., :7, :21]
        packed = PackedConv(net.conv_hr, dtype, DEVICE, slope=0.2, last=net.conv_last)
    planes = torch.full((2, PLANES, 8, 24), torch.nan, dtype=dtype, device=DEVICE)
    packed.run(x.to(DEVICE, dtype), Rows(0, 8), planes, Rows(0, 8), 8, TILING)
    out = torch.full((2, 3, 7, 21), torch.nan, dtype=dtype, device=DEVICE)
    for rows in (Rows(0, 5), Rows(5, 8)):
        sum_planes(planes, Rows(0, 8), net.conv_last.bias.to(DEVICE).detach(), out, rows, 8)
    close(out, want, dtype)


@types
def test_first_convolution(dtype: torch.dtype) -> None:
    net = perturbed(NARROW, amount=0.2)
    image = torch.rand(2, 3, 8, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        want = net.conv_first(image - net.mean).permute(0, 2, 3, 1)
        got, normed = PackedFirst(net, DEVICE).run(image.to(DEVICE, dtype))
        close(got, want, dtype)
        close(normed, net.norm_start(want), dtype, factor=2)


@types
def test_the_whole_network(dtype: torch.dtype) -> None:
    """Within 2e-4 of the readable form in fp32, in strips of rows as well as whole, alone as well as in company."""
    net = perturbed(NARROW)
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        want = net(image)[..., :30, :31]
        body, tail = KernelBody(net, dtype, DEVICE), KernelTail(net, dtype, DEVICE)
        x = body(image.to(DEVICE, dtype), Tilings())
        got = tail(x, 30, 31, Tilings())
        torch.testing.assert_close(got.float().cpu(), want, atol=2e-4 if dtype == torch.float32 else 0.01, rtol=0)
        # The interpreter's products are NumPy's, which on some processors depend on a row's place in the matrix.
        rounding = 0 if CUDA else 2e-6 if dtype == torch.float32 else 1e-3
        strips = tail(x, 30, 31, Tilings(), strip_bytes=16 * 3 * 8 * 32 * x.element_size())
        torch.testing.assert_close(strips, got, atol=rounding, rtol=0, msg="three rows at a time")
        pair = body(torch.cat((image.flip(2), image)).to(DEVICE, dtype), Tilings())
        torch.testing.assert_close(pair[1:], x, atol=rounding, rtol=0, msg="in company")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> GRL:
    """A network whose CUDA form takes kernels here too, on a trial of one window."""
    monkeypatch.setattr(grl_cuda, "kernels_possible", lambda *_: True)
    monkeypatch.setattr(grl_cuda, "TRIAL", (1, 3, 8, 8))
    both = dict.fromkeys(verdict.PARTS, True)
    found = {"tilings": asdict(Tilings()), "right": both, "pays": both}
    monkeypatch.setattr(verdict, "found", lambda *_: found)
    return perturbed(GRLConfig(dim=32, depths=(1,), heads_window=1, heads_stripe=1, mlp_dim=64, bias_dim=16))


def test_form_for_cuda_uses_what_is_right(taken: GRL) -> None:
    form = GRLCuda(taken, DTYPE, DEVICE, use="kernels")
    image = torch.rand(1, 3, 7, 8)
    with torch.inference_mode():
        torch.testing.assert_close(form(image.to(DEVICE)).float().cpu(), taken(image), atol=LARGEST, rtol=0)
    assert form.batch_invariant and form.parts == dict.fromkeys(verdict.PARTS, "kernels")


@pytest.mark.parametrize("failure", ["wrong", "raises"])
def test_form_for_cuda_does_without_what_is_wrong(
    taken: GRL, failure: str, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    whole = KernelBody.__call__

    def body(self, image, tilings):
        if failure == "raises":
            raise RuntimeError("PassManager::run failed\nmore")
        return whole(self, image, tilings) * 1.2

    monkeypatch.setattr(KernelBody, "__call__", body)
    monkeypatch.setattr(
        KernelTail, "__call__", lambda self, x, height, width, *_: x.new_zeros(x.shape[0], 3, height, width)
    )
    image = torch.rand(1, 3, 8, 8)
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        form = GRLCuda(taken, DTYPE, DEVICE, use="kernels")
        torch.testing.assert_close(form(image.to(DEVICE)).float().cpu(), taken(image), atol=LARGEST, rtol=0)
        form(image.to(DEVICE))
    assert not form.batch_invariant and form.parts == {
        "body": "plain",
        "tail": "plain",
        "guard": "kernels",
        "samples": "kernels",
    }
    words = [record.getMessage() for record in caplog.records]
    assert len(words) == 2 and "going on without" in words[0] and "the fast tail is inaccurate" in words[1]


def test_layouts_are_measured_once(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def make() -> dict:
        calls.append(1)
        return asdict(Tilings(block=BlockTiling(registers=128)))

    for _ in range(2):
        assert tuning.tilings_from(tuning.cached("abc", make)).block.registers == 128
    assert len(calls) == 1
    (path,) = tmp_path.rglob("*.json")
    path.write_text("{")
    tuning.cached("abc", make)
    assert len(calls) == 2 and not list(tmp_path.rglob("*.part"))


DYING = """
import json, os, sys
names = ["body", "tail", "block 0", "block 1", "conv 0"]
deadly = sys.argv[1].split(",")
for name in names:
    if name not in sys.argv[2:]:
        print("trying", name, flush=True)
        if name in deadly:
            print("CUDA error: an illegal memory access", file=sys.stderr, flush=True)
            os.abort()
print(json.dumps({"left out": sys.argv[2:]}))
"""


def test_what_kills_its_process_is_left_out(tmp_path: Path, caplog) -> None:
    """As on an H200, where one layout of the block kernel touched memory that was not its own."""
    script = tmp_path / "dying.py"
    script.write_text(DYING)
    command = [sys.executable, str(script)]
    assert verdict.tried([*command, "block 1,tail"]) == {"left out": ["tail", "block 1"]}
    assert "(block 1) fails on this device" in caplog.text and "illegal memory access" in caplog.text
    found = verdict.tried([*command, "block 0,body"], tries=2)
    assert not any(found["right"].values()) and "illegal memory access" in found["failed"]
    script.write_text("raise SystemExit('no such device')")
    assert verdict.tried([*command, ""])["failed"] == "no such device"
    script.write_text("print('trying body', flush=True); raise SystemExit('CUDA out of memory. Tried to allocate')")
    with pytest.raises(RuntimeError, match="not enough memory"):
        verdict.tried([*command, ""])
    script.write_text("import signal; signal.pause()")
    with pytest.raises(RuntimeError, match="longer than 1 s"):
        verdict.tried([*command, ""], seconds=1)
    for name in ("SIGINT", "SIGKILL", "SIGTERM"):  # somebody ended it: the kernel is not to blame
        script.write_text(
            "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # it may be ignored here
            f"print('trying body', flush=True); os.kill(os.getpid(), signal.{name})"
        )
        with pytest.raises(RuntimeError, match="interrupted"):
            verdict.tried([*command, ""])


def test_a_trial(taken: GRL, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but for the clock and the layouts, which need a device."""
    chosen, said = Tilings(window=BlockTiling(warps=8)), []
    monkeypatch.setattr(grl_cuda, "TIMED", (1, 3, 8, 8))
    monkeypatch.setattr(tuning, "measure", lambda grl, dtype, device, chooser: chosen)
    times = iter((2.0, 1.0, 1.0, 2.0, 1.0, 2.0))  # of tail, guard, samples: a body that died is not run again
    monkeypatch.setattr(tuning, "milliseconds", lambda run: (run(), next(times))[1])
    with torch.inference_mode():
        found = trial.trial(taken, DTYPE, DEVICE, ["body"], said.append)
    assert said == ["tail", "guard", "samples", "chosen", "speed"] and tuning.tilings_from(found["tilings"]) == chosen
    assert found["right"] == {"body": False, "tail": True, "guard": True, "samples": True}
    assert found["pays"] == {"body": False, "tail": False, "guard": True, "samples": True}


def test_a_trial_where_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process itself, as it is started."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    command = verdict.command(NARROW, torch.float16, torch.device("cuda", 0))
    assert command is not None and Path(command[0]).name.startswith("python")
    failed = verdict.tried(command)["failed"]
    assert "NVIDIA" in failed or "CUDA" in failed


def test_the_fastest_layout_that_works(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(tuning, "milliseconds", lambda run: run())
    out, said = torch.zeros(3), []

    def run(candidate: float) -> float:
        if candidate < 1:
            raise RuntimeError("out of resource: shared memory")
        out.fill_(1.0 if candidate < 4 else 7.0)
        return candidate if candidate < 4 else 0.1

    chooser = tuning.Chooser(said.append, skip=["block 3"])
    assert chooser.fastest("block", [3.0, 0.5, 2.0, 1.5, 4.0], run, out) == 2.0
    assert said == ["block 0", "block 1", "block 2", "block 4"] and "(block 4) gives wrong results" in caplog.text
    with pytest.raises(RuntimeError, match="no layout of a kernel works here: out of resource"):
        chooser.fastest("conv", [0.5], run, out)

    def broken(candidate: float) -> float:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        chooser.fastest("conv", [1.0, 2.0], broken, out)
