"""Every message about clips and devices is found in docs/troubleshooting.md by words that stand in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"
KINDS = {"ClipError", "DeviceError"}


def messages() -> list[str]:
    """The written text of all errors of these kinds, without what is filled in; errors whose whole text is handed in by
    a variable have none."""
    found = []
    for path in sorted((ROOT / "vsapisr").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                parts = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
                found.append("\n".join(part for part in parts if isinstance(part, str)))  # no row holds a line break
    return list(filter(None, found))


def test_messages_and_rows_fit_each_other() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    said = messages()
    assert len(said) > 10
    assert [text for text in said if not any(row in text for row in rows)] == []  # none without a row
    assert [row for row in rows if not any(row in text for text in said)] == []  # no row of what is said no more
