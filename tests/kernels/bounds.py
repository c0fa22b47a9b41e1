"""Kernels with every index checked: ``python -m pytest -p kernels.bounds ...``. One that is out of bounds ends the
process by a signal. So is all that vectors are loaded from and stored to (:mod:`bitsback.kernels.vectors`). And the
room that a kernel makes for itself begins with noise, where it is not said to be zeros."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
from llvmlite import ir

from bitsback.kernels import cache, language, values, vectors
from bitsback.kernels.unit import Unit
from bitsback.kernels.values import BYTE, INTEGER, LONG, Array, Number, number, replace

_part, _empty = values.part, language._empty


def _need(build: Any, how: str, a: Any, b: Any) -> None:
    """That ``a how b``, both at least 0."""
    known = build.module.globals.get("llvm.trap")
    trap = known or ir.Function(build.module, ir.FunctionType(ir.VoidType(), []), "llvm.trap")
    with build.if_then(build.not_(build.icmp_unsigned(how, a, b))):
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


class Bounded(vectors.Pointer):
    """A pointer that knows how far it is from the first of ``count`` elements."""

    def __init__(self, builder: Any, code: Any, size: int, written: Any, count: Any, index: Any) -> None:
        super().__init__(builder, code, size, written)
        self.count, self.index = count, index

    def __add__(self, index: vectors.Value) -> Bounded:
        moved = super().__add__(index)
        at = self.builder.add(self.index, index.code)
        return Bounded(moved.builder, moved.code, moved.size, moved.written, self.count, at)

    def _at(self, index: vectors.Value, kind: Any) -> Any:
        build, lanes = self.builder, getattr(kind, "count", 1)
        element = getattr(kind, "element", kind)
        size = lanes * (8 if element == values.DOUBLE else element.width // 8) // self.size
        last = build.add(build.add(self.index, index.code), ir.Constant(LONG, size - 1))
        _need(build, "<=", build.add(self.index, index.code), last)
        _need(build, "<", last, self.count)
        return super()._at(index, kind)


def pointer(self: vectors.Vectorised, unit: Unit, array: Array) -> Bounded:
    count = number(values.size_of(unit.build, array.shape)).code
    return Bounded(unit.build, array.data, array.dtype.itemsize, array.written, count, ir.Constant(LONG, 0))


def noise(unit: Unit, shape: Any, kind: Any = float) -> Array:
    array = _empty(unit, shape, kind)
    count = values.size_of(unit.build, array.shape)
    size = unit.build.mul(number(count).code, ir.Constant(LONG, array.dtype.itemsize))
    data = unit.build.bitcast(array.data, BYTE.as_pointer())
    with unit.loop(ir.Constant(LONG, 0), size) as (index, _, _):
        byte = unit.build.trunc(unit.build.mul(index, ir.Constant(LONG, 0x9D)), BYTE)
        unit.build.store(unit.build.add(byte, ir.Constant(BYTE, 0xC5)), unit.build.gep(data, [index]))
    return array


def check() -> None:
    """From now on, kernels that are compiled have their indices checked. They are not kept."""
    cache.of_this_set = lambda: None  # type: ignore[assignment]
    values.part, language.Body._slice = part, cut  # type: ignore[method-assign]
    vectors.Vectorised.pointer = pointer  # type: ignore[method-assign]
    language._FUNCTIONS[np.empty] = noise


def pytest_configure() -> None:
    """As a plugin; that pytest looks for doctests in here changes nothing."""
    check()
