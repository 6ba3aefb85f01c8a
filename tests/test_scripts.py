"""The scripts: every module is there with all it needs, and the examples name what the documented steps make."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "scripts").glob("**/*.py"))
]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports(name: str) -> None:
    importlib.import_module(name)


def test_what_examples_measure_and_export_is_made_by_an_example() -> None:
    configs = {path.stem: tomllib.loads(path.read_text()) for path in (ROOT / "train" / "configs").rglob("*.toml")}
    made = {Path(config["out"]) for config in configs.values()}
    used = [configs["evaluate"]["gt"], configs["ablate"]["evaluate"]["gt"]]
    used += [model for model in configs["evaluate"]["models"] if "/" in model]
    for text in (ROOT / "README.md", ROOT / "docs" / "export.md"):
        used += re.findall(r"--source (runs/\S+)", text.read_text())
    assert len(used) >= 5 and all(made & {Path(one), *Path(one).parents} for one in used), used
