"""Watching a run: each iteration once in every record, whatever the run went through."""

from __future__ import annotations

import errno
import io
import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from train.fit.record import Record, read_record
from train.fit.watch import Watch
from train.media import progress


def values(n: int) -> dict[str, float]:
    return {"loss/l1": 1 / n, "loss/vgg": 2.0, "gan/real": 0.25, "gan/fake": 0.5, "rate/g": 1e-4, "grad/g": float(n)}


def run(out: Path, start: int, stop: int, **options: object) -> Watch:
    watch = Watch(out, 10, start, **options)
    for n in range(start + 1, stop + 1):
        watch.step(n, values(n), waited=0.001, images=4)
    return watch


def scalars(out: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()
    return [(one.step, round(one.value, 6)) for one in events.Scalars(tag)]


def test_records_and_tensorboard(tmp_path: Path) -> None:
    watch = run(tmp_path, 0, 4)
    watch.validation(4, {"psnr_y": 27.5, "heavy/psnr_y": 24.0}, {"psnr_y": 27.0})
    watch.close()
    lines = read_record(tmp_path / "log.jsonl")
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert lines[2]["loss/l1"] == 0.3333333 and lines[0]["images"] == 4 and lines[0]["waited"] == 0.001
    for tag, expected in values(3).items():
        assert scalars(tmp_path, tag)[2] == (3, pytest.approx(expected, abs=1e-6))
    assert scalars(tmp_path, "validation/psnr_y") == [(4, 27.5)] and scalars(tmp_path, "baseline/psnr_y") == [(4, 27.0)]
    assert scalars(tmp_path, "memory/rss_mib")[0][1] > 10
    assert read_record(tmp_path / "validation.jsonl")[0]["baseline"] == {"psnr_y": 27.0}


def test_resume_from_an_older_checkpoint(tmp_path: Path) -> None:
    watch = run(tmp_path, 0, 7)
    watch.validation(6, {"psnr_y": 1.0}, {})
    watch.close()
    watch = run(tmp_path, 5, 9)
    watch.validation(6, {"psnr_y": 2.0}, {})
    watch.close()
    assert [line["iteration"] for line in read_record(tmp_path / "log.jsonl")] == list(range(1, 10))
    assert [step for step, _ in scalars(tmp_path, "loss/l1")] == list(range(1, 10))
    assert scalars(tmp_path, "validation/psnr_y") == [(6, 2.0)]
    assert [line["psnr_y"] for line in read_record(tmp_path / "validation.jsonl")] == [2.0]


def test_kill_in_a_step(tmp_path: Path) -> None:
    """The process goes without warning; what the checkpoint stands for is in the record, and the rest does not
    double.
    """
    code = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from tests.test_watch import values
        from train.fit.watch import Watch
        watch = Watch(Path({str(tmp_path)!r}), 10, 0, tensorboard=False)
        for n in range(1, 7):
            watch.step(n, values(n), waited=0.0, images=1)
        os.write(watch.records["log"].file.fileno(), b'{{"iteration": 7, "loss')
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    run_in = Path(__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=run_in).returncode == -signal.SIGKILL
    assert len(read_record(tmp_path / "log.jsonl")) == 6
    run(tmp_path, 4, 8, tensorboard=False).close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(1, 9))


def test_a_torn_line_is_none(tmp_path: Path) -> None:
    """Cut off by a power failure before the iteration that the checkpoint is of: it goes, and what follows is whole."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"iteration": 1, "a": 1.0}\n{"iteration": 2, "a"')
    record = Record(path, 5)
    record.add(6, {"a": 6.0})
    record.close()
    assert [line["iteration"] for line in read_record(path)] == [1, 6]


def test_full_disk_costs_no_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = Record(tmp_path / "log.jsonl", 0)

    class Full:
        """The file, on a disk that takes ten bytes more and then none, until there is room again."""

        def __init__(self, file: io.FileIO):
            self.file, self.full = file, True

        def write(self, data: bytes) -> int:
            if not self.full:
                return self.file.write(data)
            if self.file.tell():
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data[:10])

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    record.file = disk = Full(record.file)
    record.add(1, {"a": 1.0})
    record.add(2, {"a": 2.0})
    assert (tmp_path / "log.jsonl").read_bytes() == b"" and caplog.text.count("No space left") == 1
    disk.full = False
    record.add(3, {"a": 3.0})
    record.close()
    assert [line["a"] for line in read_record(tmp_path / "log.jsonl")] == [1.0, 2.0, 3.0]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "log"])
def test_live_line(stream: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Iterations of 0.625 s, a fifth of it waiting; nothing is shown in the first two seconds."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "200")
    watch = Watch(
        tmp_path, 110, 100, tensorboard=False, stream=stream, log_seconds=1.0
    )  # the first hundred cost no time here
    for n in range(1, 6):
        now[0] += 0.625
        watch.step(100 + n, values(n), waited=0.125, images=4)
    watch.validation(105, {"psnr_y": 27.5, "heavy/psnr_y": 20.0}, {"psnr_y": 27.0})
    watch.close()
    text = stream.getvalue()
    shown = [line for line in text.replace("\r", "\n").splitlines() if line.strip()]
    assert shown[0].startswith("train: 104/110 it, 1.60 it/s, 0:04 left  waits 20%  l1 0.5208")
    assert "vgg 2  gan/real 0.25  gan/fake 0.5" in shown[0]
    assert shown[0].rstrip().endswith("MiB") and "rate" not in text and "heavy" not in text
    assert "iteration 105  validation: psnr_y 27.5000 (Lanczos 27.0000)" in text
    assert ("\r" in text) == stream.isatty()


def test_pictures(tmp_path: Path) -> None:
    watch = Watch(tmp_path, 10, 0)
    images = [np.random.default_rng(n).integers(0, 256, (24, 32, 3), np.uint8) for n in range(2)]
    for n, image in enumerate(images):
        watch.picture(n, "grid", image)
    watch.close()
    folder = tmp_path / "pictures"
    assert sorted(p.name for p in folder.rglob("*.png")) == ["00000000.png", "00000001.png", "grid.png"]
    assert np.array_equal(Image.open(folder / "grid.png"), images[1])
    assert np.array_equal(Image.open(folder / "grid" / "00000000.png"), images[0])
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert [one.step for one in events.Images("grid")] == [0, 1]


def test_other_ranks_do_nothing(tmp_path: Path) -> None:
    watch = run(tmp_path / "run", 0, 3, enabled=False)
    watch.validation(1, {"psnr_y": 1.0}, {})
    watch.picture(1, "grid", np.zeros((8, 8, 3), np.uint8))
    watch.say("nothing")
    watch.flush()
    watch.close()
    assert not (tmp_path / "run").exists()


def test_not_a_number_is_shown(tmp_path: Path) -> None:
    watch = Watch(tmp_path, 10, 0)
    watch.step(1, {"loss/l1": float("nan")}, waited=0.0, images=1)
    watch.close()
    assert np.isnan(read_record(tmp_path / "log.jsonl")[0]["loss/l1"]) and np.isnan(scalars(tmp_path, "loss/l1")[0][1])
