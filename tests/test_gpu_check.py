"""The GPU check, without a GPU: its own code runs, and its report survives what a stage may do."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from scripts import gpu_check


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_without_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["--out", str(tmp_path)]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_dry_run(tmp_path: Path) -> None:
    """Stages at the smallest size; ``kernels`` and ``parts`` take minutes in the interpreter and are tried by hand."""
    names = ["environment", "plain", "graphs", "network", "chain", "compiled", "training"]
    assert gpu_check.main(["--device", "cpu", "--out", str(tmp_path), "--only", ",".join(names)]) == 0
    report = json.loads((tmp_path / "gpu_check.json").read_text())
    assert list(report) == names and all(stage["ended"] == "done" and stage["rows"] for stage in report.values())
    checks = [row for row in report["plain"]["rows"] if "check" in row]
    assert len(checks) == 3 and all(row["right"] for row in checks)
    assert {"eager fp32", "ours kernels", "RRDB 6 fp16 NHWC"} <= {row.get("form") for row in report["network"]["rows"]}
    assert "nothing wrong so far" in (tmp_path / "gpu_check.txt").read_text()


def test_a_stage_that_is_killed_leaves_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> None:
        rows = Path(command[command.index("--rows") + 1])
        rows.write_text('{"check": "a", "value": 2.0, "accepted": 1.0, "right": false}\n{"check": "b", "val')
        raise gpu_check.subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(gpu_check.subprocess, "run", run)
    stage = gpu_check.run_stage("plain", Namespace(device="cuda", quick=False), tmp_path)
    assert [row["check"] for row in stage["rows"]] == ["a"] and stage["ended"] == "killed after 80 s"
    wrong, words = gpu_check.verdict({"plain": stage})
    assert wrong == 2 and words == ["plain: WRONG a: 2.0 (at most 1.0)", "plain: killed after 80 s"]
    gpu_check.save(tmp_path, {"plain": stage})
    assert "WRONG a: 2 (at most 1)" in (tmp_path / "gpu_check.txt").read_text()


def test_a_speed_stage_that_is_late_is_incomplete_not_wrong(tmp_path: Path) -> None:
    options = Namespace(device="cuda", quick=False)
    late = gpu_check.run_stage("chain", options, tmp_path, left=gpu_check.GRACE + 1)
    assert late["ended"] == "not begun: the time is over" and gpu_check.limit_of("chain", False, 60) == 40
    wrong, words = gpu_check.verdict({"chain": late})
    assert wrong == 0 and words == ["chain: incomplete, not begun: the time is over"]
    assert gpu_check.verdict({"filter": late})[0] == 1  # what was not checked is not right
    assert gpu_check.verdict({"chain": late | {"ended": "ended with status 1"}})[0] == 1


def test_an_error_in_a_frame_is_the_chain_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.gpu import throughput
    from scripts.gpu.context import Context

    class Broken:
        def __init__(self, *_: object) -> None: ...

        def render(self, *_: object) -> None:
            raise RuntimeError("no frame")

        def close(self) -> None: ...

    monkeypatch.setattr(throughput, "Upscaler", Broken)
    context = Context(torch.device("cpu"), True, True, float("inf"), tmp_path / "rows.jsonl")
    throughput.chain(context)
    assert [row["error"] for row in context.rows] == ["RuntimeError: no frame"]


def test_a_failing_item_does_not_end_its_stage(tmp_path: Path) -> None:
    from scripts.gpu.context import Context

    context = Context(torch.device("cpu"), True, True, float("inf"), tmp_path / "rows.jsonl")
    context.attempt("one", lambda: 1 / 0)
    context.attempt("two", lambda: context.check("nan is wrong", float("nan"), 1))
    context.deadline = 0
    context.attempt("three", lambda: context.emit(never=True))
    assert (
        context.rows[0]["failed"] == "one"
        and context.rows[1]["right"] is False
        and context.rows[2]["skipped"] == "three"
    )
    assert len(gpu_check.read_rows(context.path)) == 3
