"""Kernels with every index checked: ``python -m pytest -p kernels.bounds ...``. One that is out of bounds ends the
process by a signal. What :mod:`bitsback.kernels.vectors` loads and stores is not looked at."""

from __future__ import annotations

import ast
from typing import Any

from llvmlite import ir

from bitsback.kernels import cache, language, values
from bitsback.kernels.values import INTEGER, Array, Number, replace

_part = values.part


def _need(build: Any, how: str, a: Any, b: Any) -> None:
    known = build.module.globals.get("llvm.trap")
    trap = known or ir.Function(build.module, ir.FunctionType(ir.VoidType(), []), "llvm.trap")
    with build.if_then(build.not_(build.icmp_unsigned(how, a, b)), likely=False):
        build.call(trap, [])


def part(build: Any, array: Array, indices: tuple[Any, ...]) -> Array:
    for index, length in zip(indices, array.shape, strict=False):
        _need(build, "<", values.place(build, index, length), length.code)
    return _part(build, array, indices)


def cut(self: language.Body, array: Array, node: ast.Slice) -> Array:
    build, length = self._build, array.shape[0]
    begin = values.place(build, self._value(node.lower) if node.lower else 0, length)
    end = values.place(build, self._value(node.upper), length) if node.upper else length.code
    _need(build, "<=", begin, end)
    _need(build, "<=", end, length.code)
    start = _part(build, array, (Number(INTEGER, begin),))
    return replace(start, shape=(Number(INTEGER, build.sub(end, begin)), *array.shape[1:]))


def check() -> None:
    """From now on, kernels that are compiled have their indices checked. They are not kept."""
    cache.of_this_set = lambda: None  # type: ignore[assignment]
    values.part, language.Body._slice = part, cut  # type: ignore[method-assign]


def pytest_configure() -> None:
    """As a plugin; that pytest looks for doctests in here changes nothing."""
    check()
