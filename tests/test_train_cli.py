"""What ``python -m train`` says about things that are wrong around it: one line, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from train.__main__ import main
from vsapisr.weights.files import find


def said(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    assert main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith(f"train {arguments[0]}: ")
    return lines[-1]


def test_a_folder_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (96, 96)).save(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    text = said(capsys, ["evaluate", "--gt", str(tmp_path), "--out", str(tmp_path / "file" / "out"), "--models", ""])
    assert text == f"train evaluate: {tmp_path / 'file' / 'out'}: Not a directory"


def test_a_configuration_of_another_encoding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b'out = "\xff"\n')
    assert f"--config {str(path)!r} is not valid TOML" in said(capsys, ["fit", "--config", str(path)])


def test_an_option_of_a_table_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.toml"
    path.write_text("data = 3\n")
    text = said(capsys, ["fit", "--config", str(path), "--data.patch", "16"])
    assert "data: 3 is of the wrong type; accepted: a table" in text


def test_weights_to_start_from_that_are_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (96, 96)).save(tmp_path / "a.png")
    path = tmp_path / "cut.safetensors"
    path.write_bytes(find("fidelity").read_bytes()[:5000])
    text = said(
        capsys,
        [
            "fit",
            "--data.folder",
            str(tmp_path),
            "--out",
            str(tmp_path / "run"),
            "--init",
            str(path),
            "--data.patch",
            "16",
            "--data.enhance",
            "false",
            "--data.workers",
            "0",
            "--dry-run",
        ],
    )
    assert "cut.safetensors is truncated" in text
    assert not (tmp_path / "run").exists()
