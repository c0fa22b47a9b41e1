"""The source of functions, as Python has read it."""

from __future__ import annotations

import ast
import linecache
from collections import Counter
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from bitsback.errors import KernelError
from bitsback.kernels.unit import Part


class Source(NamedTuple):
    """What is to be known of a function before it is translated."""

    tree: ast.FunctionDef
    assigned: Counter[str]
    """How often each name is given a value; more than once, too, where that is done in a loop's head or adds to it."""
    returns: int
    """How many returns there are."""
    ends: bool
    """Whether the only one is the last statement."""


@cache
def source(function: FunctionType) -> Source:
    """Of a function that was made by ``def``.

    Raises KernelError if its source is not there, or is not the one any more that Python has read.
    """
    code = function.__code__
    if code.co_name == "<lambda>":
        raise KernelError("a lambda: kernels and helpers are made by def")
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    found = _functions(text).get((code.co_name, code.co_firstlineno))
    if found is None or _meaning(found[1]) != _meaning(code):
        state = "has changed since Python read it" if text else "is missing"
        name = f"{function.__module__}.{function.__qualname__}"
        raise KernelError(f"the source of {name} in {code.co_filename} {state}")
    tree, assigned, returns = found[0], Counter[str](), 0
    for node in ast.walk(tree):
        returns += isinstance(node, ast.Return)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            assigned[node.id] += 1
        elif isinstance(node, (ast.AugAssign, ast.For)):
            # What an index in the target mentions is only read
            names = (one for one in ast.walk(node.target) if isinstance(one, ast.Name))
            assigned.update(one.id for one in names if isinstance(one.ctx, ast.Store))
    assigned.update(one.arg for one in (*tree.args.args, tree.args.vararg) if one)
    return Source(tree, assigned, returns, returns == 1 and isinstance(tree.body[-1], ast.Return))


@cache
def _functions(text: str) -> dict[tuple[str, int], tuple[ast.FunctionDef, CodeType]]:
    """The functions of a file, by name and first line (that of a decorator perhaps): as trees, and as Python runs
    them."""
    module = ast.parse(text)
    todo, compiled = [compile(module, "", "exec", dont_inherit=True)], {}
    while todo:
        code = todo.pop()
        compiled[code.co_name, code.co_firstlineno] = code
        todo += [one for one in code.co_consts if isinstance(one, CodeType)]
    trees = list(_definitions(module))
    keys = [(node.name, min([node.lineno, *(one.lineno for one in node.decorator_list)])) for node in trees]
    return {key: (node, compiled[key]) for key, node in zip(keys, trees, strict=True)}


def _definitions(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """All functions within a statement."""
    if isinstance(node, ast.FunctionDef):
        yield node
    for part in ("body", "orelse", "finalbody", "handlers"):
        for one in getattr(node, part, ()):
            if isinstance(one, (ast.stmt, ast.ExceptHandler)):
                yield from _definitions(one)


def _meaning(code: CodeType) -> tuple[Any, ...]:
    """What makes two functions the same, wherever they stand."""
    constants = [_meaning(one) if isinstance(one, CodeType) else (type(one), one) for one in code.co_consts]
    return code.co_code, code.co_names, code.co_varnames, constants


def meaning(part: Part) -> str:
    """All that the code of a part depends on: its function, and whatever that mentions, functions and constants, and
    what these mention in turn. It is told from what Python has in memory, which may be older than what is on disk."""
    return str(_mentioned(part, {}))


def _mentioned(value: Any, known: dict[FunctionType, int]) -> Any:
    if isinstance(value, Part):
        return type(value).__name__, _mentioned(value.function, known)
    if isinstance(value, FunctionType):
        if value in known:
            return known[value]
        known[value] = len(known)
        names = sorted(_names(value.__code__) & value.__globals__.keys())
        mentions = [value.__globals__[name] for name in names]
        mentions += [*(value.__defaults__ or ()), *(cell.cell_contents for cell in value.__closure__ or ())]
        return _meaning(value.__code__), names, [_mentioned(one, known) for one in mentions]
    if isinstance(value, (list, tuple)):
        return [_mentioned(one, known) for one in value]
    if value is None or isinstance(value, (int, float, str, np.generic, ir.Type)):
        return type(value).__name__, str(value)
    kind = value if isinstance(value, type) else type(value)
    return kind.__module__, kind.__qualname__, getattr(value, "__name__", "")


def _names(code: CodeType) -> set[str]:
    """All names that a function, and those within it, may look up outside."""
    return set(code.co_names).union(*(_names(one) for one in code.co_consts if isinstance(one, CodeType)))
