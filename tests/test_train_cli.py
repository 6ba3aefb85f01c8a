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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data.foldr", "x"], "unknown: --data.foldr x; did you mean --data.folder?"),
        (["--vgg_weights=x"], "unknown: --vgg_weights=x; did you mean --loss.vgg-weights?"),
        (["--batsch", "3"], "unknown: --batsch 3; did you mean --data.batch?"),
        (["--qqqqq", "3"], "unknown: --qqqqq 3\n"),
        (["x"], "unknown: x\n"),
    ],
)
def test_options_that_are_not_known_get_the_nearest(capsys, options, said) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", *options])
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_messages_name_whole_keys(tmp_path, capsys) -> None:
    Image.new("RGB", (96, 96)).save(tmp_path / "a.png")
    command = ["fit", "--out", str(tmp_path / "run"), "--data.patch", "16", "--data.workers", "0"]
    gone = str(tmp_path / "gone")
    data = ["--data.folder", str(tmp_path)]
    text = said(capsys, [*command, "--data.folder", gone])
    assert text == f"train fit: data.folder: the folder {gone!r} does not exist"
    text = said(capsys, [*command, *data, "--validation.folder", gone])
    assert text == f"train fit: validation.folder: the folder {gone!r} does not exist"
    text = said(capsys, [*command, *data, "--validation.folder", str(tmp_path)])
    assert "validation.folder: " in text and "a folder with drawings of sides of 384 or more" in text
    second = ["--stage", "2", "--init", "random", "--loss.vgg-weights", gone, "--data.patch", "24"]
    text = said(capsys, [*command, *data, *second])
    assert "give its place as loss.vgg_weights, or set loss.download = true" in text
