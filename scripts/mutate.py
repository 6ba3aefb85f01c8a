"""Do the tests notice changed code? ``python -m scripts.mutate [MODULE ...]`` changes one thing and runs them.

A change is an operator, a comparison, a number or a condition of the module; one that no test notices is printed, with
the line. Survivors that mean the same as the code, or nothing that can be seen, are in ``EXPLAINED``. Exit status 1 if
others survive. Every change runs in a process forked from one that has imported the large libraries.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "vsapisr.picture.tiles": ["tests/test_tiles.py"],
    "vsapisr.reuse.pyramid": ["tests/test_reuse_parts.py"],
    "vsapisr.reuse.signature": ["tests/test_reuse_parts.py"],
    "vsapisr.reuse.cache": ["tests/test_reuse.py", "tests/test_reuse_parts.py"],
    "vsapisr.picture.colour": ["tests/test_frames.py", "tests/test_filter.py"],
    "vsapisr.config": ["tests/test_config.py"],
    "train.data.pseudo_gt": ["tests/test_lines.py"],
}
SECONDS = 120  # a test that takes longer has noticed: the change made it loop
EXPLAINED: dict[str, str] = {
    "pixels = max(pixels, (2 * overlap + multiple) ** 2): 2 * overlap - multiple": "too few give the smallest tile too",
    "for count in range(1, max(total // multiple, 1) + 1):": "more divisions are tried, and are no smaller",
    "if any(0 < side <= 2 * overlap for side in tilesize):: 1": "a side of 1 is no multiple and refused before",
    "if side <= 2 * overlap and count > 1:": "such a side is no smaller than the one before",
    "_CONSTANTS = np.random.default_rng(": "other numbers would do as well",
    "_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)": "other numbers would do as well",
    "grids[small] = grids[small] + grid if small in grids else grid": "differences of sums of products are as good",
    "x = plane_words(plane, columns) ^ constants[-1, -1]": "other numbers would do as well",
    "x ^= x >> np.uint64(32)": "other mixing would do as well",
    "factors = np.tile(": "what is too much is cut off",
    "x = x.reshape(*x.shape[:1], -1, per_block)": "NumPy takes every negative number for the same",
    "if per_block > 1:": "the sum over a single word is the word",
    "return words if word == 8 else words.astype(np.uint64)": "they become 64 bits in the next sum",
    "down, right = (-(-(MARGIN << shift) ": "planes 1 and 2 are alike, and what is too far is tested",
    "longest.get(last - first, 0), padded(edges[last], multiple) - edges[first] + 2 * overlap"
    ": 1": "every group is longer than a pixel",
    "if len(parts) == 1 and parts[0].tile == tile:": "a branch of one part, which is itself, is divided like it",
    "found.append(Branch(here, cells, parts) if len(parts) > 1": "a branch of one part is divided like it",
    "if not found or side < found[-1][0]:: side <= found[-1][0]": "the same side once more changes no minimum",
}
"""Beginning of a line of the source, or line and new part: why a change there cannot be noticed."""
SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def changes(tree: ast.AST) -> Iterator[tuple[ast.AST, str, str]]:
    """(the changed whole, the old part, the new part) for each place; the parts as source."""
    places = [node for node in ast.walk(tree) if not isinstance(node, ast.JoinedStr)]
    for number, node in enumerate(places):
        for change in (swapped, moved, negated):
            twin = copy.deepcopy(tree)
            found = [one for one in ast.walk(twin) if not isinstance(one, ast.JoinedStr)][number]
            old = ast.unparse(node) if hasattr(node, "lineno") else ""
            if change(found):
                yield ast.fix_missing_locations(twin), f"{getattr(node, 'lineno', 0)}: {old}", ast.unparse(found)


def swapped(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
        node.op = SWAPS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        node.ops[0] = SWAPS[type(node.ops[0])]()
    else:
        return False
    return True


def moved(node: ast.AST) -> bool:
    """A number by one."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value += 1
        return True
    return False


def negated(node: ast.AST) -> bool:
    if isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return True
    return False


class Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module from a tree instead of its file."""

    def __init__(self, name: str, path: Path, tree: ast.AST):
        self.name, self.path, self.code = name, path, compile(tree, str(path), "exec")  # type: ignore[call-overload]

    def find_spec(self, name: str, path: object, target: object = None) -> object:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: object) -> None:
        exec(self.code, vars(module))


def noticed(name: str, path: Path, tree: ast.AST, tests: list[str]) -> bool:
    """Whether a test fails, or the run does not end, with ``tree`` in the module's place."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        sys.meta_path.insert(0, Instead(name, path, tree))
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
        os._exit(int(pytest.main(options)))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutate", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", default=list(TESTS), help=f"of {', '.join(TESTS)}")
    parser.add_argument("--every", type=int, default=1, help="only every so many changes")
    options = parser.parse_args()
    os.chdir(ROOT)
    for library in ("pytest", "torch", "hypothesis", "cv2", "PIL.Image"):  # once, for all children
        importlib.import_module(library)
    failed = 0
    for name in options.modules:
        path = ROOT / (name.replace(".", "/") + ".py")
        lines = path.read_text(encoding="utf-8").splitlines()
        tree = ast.parse("\n".join(lines))
        if noticed(name, path, tree, TESTS[name]):
            print(f"{name}: its tests fail as it is")
            return 1
        count = survivors = 0
        for whole, old, new in list(changes(tree))[:: options.every]:
            count += 1
            if not noticed(name, path, whole, TESTS[name]):
                line = lines[int(old.partition(":")[0]) - 1].strip()
                why = EXPLAINED.get(f"{line}: {new}") or next(
                    (why for start, why in EXPLAINED.items() if line.startswith(start)), None
                )
                survivors += not why
                print(f"  {name}:{old} -> {new}" + (f"  ({why})" if why else ""), flush=True)
        print(f"{name}: {count} changes, {survivors} not noticed and not explained", flush=True)
        failed += survivors > 0
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
