"""The words below the fields of a configuration, for ``--help`` and :func:`vsapisr.help`."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap

__all__ = ["described"]


def described(kind: type) -> dict[str, str]:
    """Field -> the text that stands below it in the source, on one line; of parents too. Without sources none."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        except (OSError, TypeError):
            continue
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for field, below in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(words))):
                        found[field.target.id] = " ".join(words.replace("``", "").split())
    return found
