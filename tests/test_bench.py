"""What the benchmark says is counted right, and its command runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from scripts.bench import __main__ as bench
from scripts.bench.flops import grl_flops, grl_values, rrdb_flops, rrdb_values
from scripts.bench.rrdb import RRDB
from scripts.bench.timing import Summary, alternating, peak_memory
from vsapisr.networks.grl import GRL, GRLConfig


def test_grl_flops_by_hand() -> None:
    block = 24_576 + 1_024 + 8_192 + 2 * 2_048 + 8_192 + 32_768  # qkv, anchors, window, two stripe steps, proj, mlp
    conv = 2 * 9 * 64 * 64
    total = 3_456 + 16 * block + 5 * conv + (1 + 4 + 16 + 16) * conv + 16 * 3_456
    assert sum(grl_flops().values()) == total == 4_416_896
    saved = sum(grl_flops().values()) - sum(grl_flops(folded=True).values())
    assert saved == pytest.approx(20 * conv * 5 / 9)


def test_grl_flops_of_other_configs_by_torch() -> None:
    """torch's own counter also sees the little MLPs of the position biases, so it may count a little more."""
    from torch.utils.flop_counter import FlopCounterMode

    config = GRLConfig(dim=32, depths=(2, 1), heads_window=4, anchor_down=4, mlp_dim=48, bias_dim=1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        GRL(config).eval()(torch.rand(1, 3, 16, 16))
    table = 15**2 * (2 * 2 + 2 * 4)  # at most: a bias of 4 heads through a hidden width of 1
    extra = counter.get_total_flops() - 256 * sum(grl_flops(config).values())
    assert 0 <= extra <= 3 * 3 * table


def test_rrdb_flops_by_torch() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        out = RRDB(blocks=2, features=8, growth=4)(torch.rand(1, 3, 8, 8))
    assert out.shape == (1, 3, 32, 32)
    assert counter.get_total_flops() == rrdb_flops(2, 8, 4) * 64


def test_values_by_hand() -> None:
    block = 256 + 72 + 128 + 136 + 128 + 384  # qkv, anchors, window, stripe, proj, mlp
    convs = 67 + 5 * 128 + 128 + (64 + 256) + (256 + 1024) + 2048 + (1024 + 48)
    assert sum(grl_values(folded=True).values()) == 16 * block + convs
    assert sum(grl_values().values()) - 16 * block - convs == 2 * (256 + 1024)


def test_rrdb_values_by_hooks() -> None:
    net, values = RRDB(blocks=2, features=8, growth=4), 0

    def count(_, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal values
        values += inputs[0].numel() + output.numel()

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        net(torch.rand(1, 3, 8, 8))
    enlarged = (4 + 16) * 8  # convolutions count what they read of it; written once more
    reads = (1 + 4) * 8  # and what enlarging reads
    assert rrdb_values(2, 8, 4) == values / 64 + enlarged + reads


def test_alternating_and_summary() -> None:
    order = []
    forms = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    seconds = alternating(forms, 2, lambda run: (run(), len(order))[1])
    assert order == ["a", "b"] * 3 and seconds == {"a": [3, 5], "b": [4, 6]}
    assert Summary.of([3.0, 1.0, 2.0]) == Summary(2.0, 1.0, 3.0, 3, pytest.approx(2.8))


def allocate():
    return lambda: torch.ones(64 << 18).sum()  # 64 MiB


def test_peak_memory_of_a_fresh_process() -> None:
    peak = peak_memory(allocate)
    assert peak is None or 60 << 20 < peak < 160 << 20


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    threads = torch.get_num_threads()
    sizes = ["--sizes", "16x8", "--gpu-sizes", "16x8"]
    page = tmp_path / "table.md"
    forms = ["--runs", "1", "--no-memory", "--bf16", "--rrdb", "--operators"]
    bench.main(["network", *sizes, *forms, "--json", str(target), "--markdown", str(page)])
    torch.set_num_threads(threads)
    figures = json.loads(target.read_text())
    assert [row["form"] for row in figures["network"]["cpu"]] == [
        "eager fp32 NCHW", "inference fp32", "inference bf16", "inference fp32 operators", "inference bf16 operators",
        "RRDB 6 fp32 NHWC", "RRDB 6 bf16 NHWC",
    ]  # fmt: skip
    assert page.read_text().startswith("| size") and "RRDB" in page.read_text() and "torch" in page.read_text()
    assert "torch" in figures["machine"] and "16x8" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        bench.main(["network", "--sizes", "16"])
    assert "sizes are WIDTHxHEIGHT" in capsys.readouterr().err
