"""What keeps the code clean, each a check by name: ``python -m scripts.checks [NAME ...]``, all without names.

Exit status 1 if one finds something; what it found is printed. ``--fix`` lets those repair it that can. The tests run
the same checks (tests/test_checks.py).
"""

from __future__ import annotations

import argparse
import ast
import graphlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.markdown import wrapped

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 120
FILE_LINES, FUNCTION_LINES = 350, 50
LONG: dict[str, str] = {
    "scripts/bootstrap.py": "one file of the standard library alone, which can be run before anything is installed",
    "vsapisr/networks/cuda/kernels/block.py:block_kernel": "a kernel of Triton is one function",
    "vsapisr/networks/cuda/kernels/conv.py:conv_kernel": "a kernel of Triton is one function",
    "tests/test_bridge_lifetime.py:test_nothing_is_left_of_a_frame_or_a_filter": "most is another process",
    "tests/test_train_end_to_end.py:test_from_videos_to_the_filter": "steps in a row, each on what the one before made",
}
"""Files and functions (``file:name``) that may be longer, and why."""
BELOW = {"vsapisr": ("vsapisr",), "train": ("vsapisr", "train"), "scripts": ("vsapisr", "train", "scripts")}
"""What each package may import of the project."""
WIDE_LINES = ("|", "[", "![", "http", "<")
"""Beginnings of lines of Markdown that cannot be wrapped: tables, links."""


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository that are there, also those not yet added."""
    command = ["git", "ls-files", "-co", "--exclude-standard", *patterns]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in sorted(out.stdout.decode().splitlines()) if (ROOT / name).is_file()]


def tool(*command: str | Path) -> list[str]:
    """Lines of a tool that found something, of Python's own environment; none if it found nothing."""
    words = [sys.executable, *([] if command[0] == "-c" else ["-m"]), *map(str, command)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines or [f"{command[0]}: exit status {done.returncode}"] if done.returncode else []


def lint(fix: bool) -> list[str]:
    return tool("ruff", "check", "-q", "--output-format", "concise", *(["--fix"] if fix else []), ".")


def layout(fix: bool) -> list[str]:
    """Python by ruff, C by clang-format."""
    found = tool("ruff", "format", "-q", *([] if fix else ["--diff"]), ".")
    options = ["-i"] if fix else ["--dry-run", "-Werror"]
    return found + tool("-c", "from clang_format import clang_format as run; run()", *options, *tracked("*.c", "*.h"))


def types(fix: bool) -> list[str]:
    return tool("mypy", "--no-error-summary")


def spelling(fix: bool) -> list[str]:
    return tool("codespell_lib", *(["-w"] if fix else []), *tracked("*.py", "*.md", "*.c", "*.h", "*.toml"))


def width(fix: bool) -> list[str]:
    """Lines of documents, outside tables, code and links."""
    found = []
    for path in tracked("*.md"):
        if fix:
            path.write_text(wrapped(path.read_text(encoding="utf-8"), WIDTH), encoding="utf-8")
        code = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            code ^= line.lstrip().startswith("```")
            if len(line) > WIDTH and not code and not line.lstrip("-* ").startswith(WIDE_LINES) and line[:4].strip():
                found.append(f"{path.relative_to(ROOT)}:{number}: {len(line)} characters, at most {WIDTH}")
    return found


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names and numbers of lines, without those of their docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            words = node.body[0] if ast.get_docstring(node) else None
            told = (words.end_lineno or 0) - words.lineno + 1 if words else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - told


def length(fix: bool) -> list[str]:
    """Files and functions that are too long for their reader."""
    counts: list[tuple[str, int, int]] = []
    for path in tracked("*.py", "*.c", "*.h"):
        name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        counts.append((name, text.count("\n"), FILE_LINES))
        if path.suffix == ".py":
            counts += [(f"{name}:{function}", n, FUNCTION_LINES) for function, n in functions(ast.parse(text))]
    found = [f"{name}: {n} lines, at most {most}" for name, n, most in counts if n > most and name not in LONG]
    needless = LONG.keys() - {name for name, count, most in counts if count > most}
    return found + [f"{name}: is short enough, take it out of LONG" for name in sorted(needless)]


def imports_of(name: str, path: Path, modules: set[str]) -> set[str]:
    """Modules of the project that a module imports, also within functions, but not for types alone."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) + 1 - node.level], *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in modules else base)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return (found & modules) - {name}


def imports(fix: bool) -> list[str]:
    """No circle among the modules, and each package imports only what lies below it."""
    paths = {}
    for path in tracked(*(f"{package}/*.py" for package in BELOW)):
        parts = path.relative_to(ROOT).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {name: imports_of(name, path, set(paths)) for name, path in paths.items()}
    found = [
        f"{name} imports {other}: {name.split('.')[0]} lies below"
        for name, others in graph.items()
        for other in sorted(others)
        if other.split(".")[0] not in BELOW[name.split(".")[0]]
    ]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append("a circle of imports: " + " <- ".join(error.args[1]))
    return found


CHECKS: dict[str, Callable[[bool], list[str]]] = {
    check.__name__: check for check in (lint, layout, types, spelling, width, length, imports)
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.checks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CHECKS)}")
    parser.add_argument("--fix", action="store_true", help="repair what can be repaired")
    options = parser.parse_args(argv)
    if unknown := [name for name in options.names if name not in CHECKS]:
        parser.error(f"no such check: {', '.join(unknown)}; known are {', '.join(CHECKS)}")
    failed = 0
    for name in options.names or CHECKS:
        start = time.monotonic()
        found = CHECKS[name](options.fix)
        print(f"{name}: {'found' if found else 'nothing found'} ({time.monotonic() - start:.1f} s)", flush=True)
        print("".join(f"  {line}\n" for line in found), end="")
        failed += bool(found)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
