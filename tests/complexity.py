"""The cyclomatic complexity of functions, counted as radon counts it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Yield the qualified name and the complexity of each function in *source*; a nested function counts separately."""
    yield from _functions(ast.parse(source), "")


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield prefix + child.name, 1 + sum(map(_branches, child.body))
        name = f"{child.name}." if isinstance(child, Function | ast.ClassDef) else ""
        yield from _functions(child, prefix + name)


def _branches(node: ast.AST) -> int:
    """Return the complexity that *node* and everything inside it add to the surrounding function."""
    if isinstance(node, Function):
        return 0
    return _own_branches(node) + sum(map(_branches, ast.iter_child_nodes(node)))


def _own_branches(node: ast.AST) -> int:
    match node:
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.For() | ast.AsyncFor() | ast.While():
            return 1 + bool(node.orelse)
        case ast.Try() | ast.TryStar():
            return len(node.handlers) + bool(node.orelse)
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.If() | ast.IfExp() | ast.Assert() | ast.match_case():
            return 1
        case _:
            return 0
