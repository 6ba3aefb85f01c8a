"""Every message of the package's errors is found in docs/troubleshooting.md by words that stand in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from vsapisr.errors import VsapisrError

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"
NEVER_SEEN = {"abandoned"}
"""Said by one thread to another."""
LETTERS = 8
"""What has fewer is filled in from elsewhere, as the text of another error."""


def trees() -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "vsapisr").rglob("*.py"))]


def kinds(found: list[ast.Module]) -> set[str]:
    """Names of all error classes of the package."""
    names = {VsapisrError.__name__}
    classes = [node for tree in found for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while (
        more := {one.name for one in classes if names & {base.id for base in one.bases if isinstance(base, ast.Name)}}
        - names
    ):
        names |= more
    return names


def messages() -> list[str]:
    """The written text of all of them, without what is filled in."""
    found = trees()
    errors, said = kinds(found), []
    for node in (node for tree in found for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in errors and node.args:
            parts = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
            text = "\n".join(part for part in parts if isinstance(part, str))  # no row holds a line break
            if len(re.sub(r"[\W\d_]", "", text)) >= LETTERS and text not in NEVER_SEEN:
                said.append(text)
    return said


def test_all_kinds_of_errors_are_looked_at() -> None:
    assert {"ArgumentError", "ClipError", "WeightsError", "FetchError", "PictureError", "VideoError"} <= kinds(trees())


def test_messages_and_rows_fit_each_other() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    said = messages()
    assert len(said) > 200
    assert [row for row in rows if rows.count(row) > 1] == []
    assert [text for text in said if not any(row in text for row in rows)] == []  # none without a row
    assert [row for row in rows if not any(row in text for text in said)] == []  # no row of what is said no more
