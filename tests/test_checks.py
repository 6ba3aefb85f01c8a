"""The checks of scripts/checks.py find nothing here, and find what they are there for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import checks
from scripts.markdown import wrapped

from .skips import too_many

pytestmark = pytest.mark.skipif(not (checks.ROOT / ".git").exists(), reason="not a checkout")
TOOLS = {"lint": "ruff", "layout": "clang_format", "types": "mypy", "spelling": "codespell_lib"}


@pytest.mark.parametrize("name", checks.CHECKS)
def test_nothing_is_found(name: str) -> None:
    tool = TOOLS.get(name)
    assert tool is None or importlib.util.find_spec(tool), f"{tool} is not installed (the extra test has it)"
    assert checks.CHECKS[name](False) == []


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another repository, empty."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    monkeypatch.setattr(checks, "LONG", {})
    for package in checks.BELOW:
        (tmp_path / package).mkdir()
    return tmp_path


def test_circles_and_imports_upwards_are_found(other: Path) -> None:
    (other / "vsapisr" / "a.py").write_text("from . import b\n")
    (other / "vsapisr" / "b.py").write_text("def later():\n    from .c import x\n")
    (other / "vsapisr" / "c.py").write_text("import vsapisr.a\nx = 1\n")
    (other / "train" / "d.py").write_text("from vsapisr import a\n")
    (circle,) = checks.imports(False)
    assert circle.startswith("a circle of imports: ") and all(f"vsapisr.{name}" in circle for name in "abc")
    (other / "vsapisr" / "c.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import vsapisr.a\n"
    )
    assert checks.imports(False) == []
    (other / "vsapisr" / "c.py").write_text("from train import d\n")
    assert checks.imports(False)[0] == "vsapisr.c imports train.d: vsapisr lies below"


def test_long_files_functions_and_lines_are_found(other: Path) -> None:
    (other / "train" / "long.py").write_text("x = 1\n" * (checks.FILE_LINES + 1))
    body = "    x = 1\n" * (checks.FUNCTION_LINES - 1)
    (other / "train" / "just.py").write_text(f'def f():\n    """Not\n    counted."""\n{body}')
    (other / "train" / "over.py").write_text(f"def f():\n{body}    return 2\n")
    most = checks.FUNCTION_LINES
    assert checks.length(False) == [
        f"train/long.py: {checks.FILE_LINES + 1} lines, at most {checks.FILE_LINES}",
        f"train/over.py:f: {most + 1} lines, at most {most}",
    ]
    words = "word " * 30
    (other / "a.md").write_text(f"{words}\n| {words} |\n```\n{words}\n```\n    {words}\n")
    assert checks.width(False) == [f"a.md:1: 150 characters, at most {checks.WIDTH}"]


def test_long_paragraphs_are_wrapped_and_nothing_else() -> None:
    table, fence = "| " + "word " * 40 + "|", "```\n" + "code " * 40 + "\n```"
    text = f"# Title\n\nshort\nlines\n\n- {'word ' * 40}\n  more\n- next\n\n{table}\n\n{fence}\n\n    {'code ' * 30}\n"
    made = wrapped(text, 60)
    assert made.split() == text.split() and made == wrapped(made, 60)
    assert "short\nlines" in made and table in made and fence in made and "    " + "code " * 30 in made
    assert "\n  word word" in made and "\n- next" in made and max(map(len, made.split("|")[0].splitlines())) <= 60


def test_names_of_checks_are_known(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        checks.main(["nonsense"])
    assert "no such check: nonsense; known are lint, layout" in capsys.readouterr().err
    assert checks.main(["imports"]) == 0


def test_skips_are_counted(tmp_path: Path) -> None:
    listed = {"no such thing": 1}
    assert too_many(["no such thing here"], listed) == []
    assert too_many(["no such thing"] * 2 + ["tired"], listed) == [
        "skipped for a reason that tests/skips.py does not have: tired",
        "2 skipped because 'no such thing'; tests/skips.py allows 1",
    ]
    (tmp_path / "test_it.py").write_text("import pytest\ndef test(): pytest.skip('needs CUDA')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "--rootdir", tmp_path, tmp_path]
    assert subprocess.run(command, cwd=checks.ROOT, capture_output=True).returncode == 0
    (tmp_path / "test_it.py").write_text("import pytest\ndef test(): pytest.skip('tired')\n")
    done = subprocess.run(command, cwd=checks.ROOT, capture_output=True, text=True)
    assert (
        done.returncode == 1 and "FAILED skipped for a reason that tests/skips.py does not have: tired" in done.stdout
    )
