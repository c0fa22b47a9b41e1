"""Kernels in Python's words: what may be said, and its code.

* assignments to names, to several at once, to elements of arrays, and of one number to a slice;
* ``if``, ``while``, ``for`` over ``range`` or the items of a tuple, ``break``, ``continue``, ``return``;
* arithmetic, comparisons and conditions of numbers (:mod:`.values`), ``min``, ``max``, ``abs``, ``math.exp`` and
  ``math.log``; NumPy's types, which cut a number to their bits; shifts by less than 64;
* of arrays elements, parts by their first indices, slices of the axis after these, ``shape``, ``size``, ``len``,
  ``view`` and ``reshape(-1)``; of tuples and named tuples items, fields, and of which class they are;
* ``np.zeros`` and ``np.empty`` of a few elements, which are there until the kernel returns;
* helpers and vectorised functions, which become part of the kernel at each place where they are called, and routines,
  which stand in it once. A helper may take helpers as arguments.

A name is of one kind from its first assignment on. One that is assigned once, and what is known then, stays known:
where a tuple is of some class, or ``job.map is None``, what depends on it being otherwise is not compiled at all. This
is how one text serves several purposes.

Nothing is checked while a kernel runs: indices must be within their arrays, and only a constant may count from the end.
"""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from llvmlite import ir

from bitsback.errors import KernelError
from bitsback.kernels import values
from bitsback.kernels.builder import Function
from bitsback.kernels.source import source
from bitsback.kernels.unit import Part, Slot, Unit
from bitsback.kernels.values import INTEGER, LONG, REAL, Array, Number

MAX_LOCAL = 1 << 14
"""Bytes that an array may take which a kernel makes."""


class Helper(Part):
    """A function that becomes part of the kernels that call it. Called from Python, it is as it was."""

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def put(self, unit: Unit, arguments: tuple[Any, ...]) -> Any:
        if self in unit.within:
            raise KernelError(f"{self.name} calls itself")
        unit.within.append(self)
        try:
            return Body(unit, self.function, arguments).result()
        finally:
            unit.within.pop()


class Routine(Helper):
    """A helper that a kernel has once for each form of arguments, however often it is called: less to compile, for what
    is long or called from many places, and a few nanoseconds a call.

    Within it, numbers that were constants are none any more. It cannot return arrays.
    """

    def put(self, unit: Unit, arguments: tuple[Any, ...]) -> Any:
        given = values.as_numbers(arguments)
        key = self, values.form(given)
        if key not in unit.routines:
            unit.routines[key] = self._made(unit, given)
        function, model, written = unit.routines[key]
        arrays = values.arrays(given)
        for place in written:
            arrays[place].written()
        result = unit.build.call(function, values.codes(given))
        parts = (unit.build.extract_value(result, place) for place in range(len(values.codes(model))))
        return values.rebuilt(model, parts)

    def _made(self, unit: Unit, given: tuple[Any, ...]) -> tuple[Any, Any, set[int]]:
        """A function, the form of its result, and which of the arrays it gets it writes to."""
        name = f"{self.name}.{len(unit.module.defined)}"
        result = unit.module.context.get_identified_type(f"{name}.result")
        kinds = [code.type for code in values.codes(given)]
        function = Function(unit.module, result, kinds, name, seen=False)
        written: set[int] = set()
        inner = values.watched(values.rebuilt(given, iter(function.args)), written)
        with unit.another(function):
            model = values.as_numbers(super().put(unit, inner))
            if values.arrays(model):
                raise KernelError(f"{self.name}, a routine, returns an array")
            found = values.codes(model)
            result.set_body(*(code.type for code in found))
            whole = ir.Constant(result, ir.Undefined)
            for place, code in enumerate(found):
                whole = unit.build.insert_value(whole, code, place)
            unit.build.ret(whole)
        return function, model, written


@dataclass(slots=True)
class _Loop:
    """Where ``continue`` and ``break`` lead, None if they are not for this loop; and whether one of the latter was."""

    following: Any
    behind: Any
    left: bool = False


class Body:
    """A function's statements at one place in a kernel."""

    def __init__(self, unit: Unit, function: FunctionType, arguments: tuple[Any, ...]) -> None:
        self._unit, self._function, self._source = unit, function, source(function)
        self._names: dict[str, Any] = {}
        """The values of names; in a slot, if it may be another one elsewhere or the next time."""
        self._depth = 0
        self._loop = _Loop(None, None)
        self._exit: Any = None
        self._returned: Any = None
        """A value; in a slot, if there is more than one place that returns one."""
        given = self._source.tree.args
        parameters, rest = [one.arg for one in given.args], given.vararg
        count = len(parameters)
        if count > len(arguments) or (count < len(arguments) and not rest):
            raise KernelError(f"{function.__name__} takes {count} arguments, not {len(arguments)}")
        if rest:
            parameters, arguments = [*parameters, rest.arg], (*arguments[:count], arguments[count:])
        for name, value in zip(parameters, arguments, strict=True):
            self._set_name(name, value)

    @property
    def _build(self) -> Any:
        return self._unit.build

    def result(self) -> Any:
        """Put the statements, and give what they return."""
        if self._source.returns and not self._source.ends:
            self._exit = self._build.append_basic_block("exit")
        self._statements(self._source.tree.body)
        if self._exit is None:
            return self._returned
        if not self._build.block.is_terminated:
            if self._returned is not None:
                raise KernelError(
                    f"{self._place(self._source.tree)}: {self._function.__name__} may return something or nothing"
                )
            self._build.branch(self._exit)
        self._build.position_at_end(self._exit)
        return self._returned.get() if isinstance(self._returned, Slot) else self._returned

    # Statements -------------------------------------------------------------------------------------------------------

    def _statements(self, nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if self._build.block.is_terminated:
                return
            try:
                getattr(self, f"_{type(node).__name__}", self._unknown)(node)
            except KernelError as error:
                if getattr(error, "__notes__", None):
                    raise
                error.args = (f"{self._place(node)}: {error}",)
                error.add_note(f"in {self._function.__name__}: {ast.unparse(node).splitlines()[0]}")
                raise

    def _place(self, node: ast.stmt) -> str:
        return f"{self._function.__code__.co_filename}:{node.lineno}"

    def _unknown(self, node: ast.AST) -> Any:
        raise KernelError(f"kernels do not know {type(node).__name__}")

    def _Pass(self, node: ast.Pass) -> None:
        pass

    def _Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self._value(node.value)

    def _Assign(self, node: ast.Assign) -> None:
        value = self._value(node.value)
        for target in node.targets:
            self._set(target, value)

    def _AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._set(node.target, self._value(node.value))

    def _AugAssign(self, node: ast.AugAssign) -> None:
        how, target = type(node.op).__name__, node.target
        if isinstance(target, ast.Subscript):
            where = self._element(target)
            values.write(self._build, where, self._binary(how, values.read(self._build, where), node.value))
        else:
            assert isinstance(target, ast.Name)
            self._set_name(target.id, self._binary(how, self._name(target.id), node.value))

    def _binary(self, how: str, left: Any, right: ast.expr) -> Any:
        return values.binary(self._build, how, left, self._value(right))

    def _Return(self, node: ast.Return) -> None:
        value = self._value(node.value) if node.value else None
        if self._exit is None:
            self._returned = value
            return
        if value is not None:
            self._returned = self._returned or Slot(self._unit, value)
            self._returned.set(value)
        self._build.branch(self._exit)

    def _If(self, node: ast.If) -> None:
        test = values.truth(self._build, self._value(node.test))
        if values.is_constant(test):
            self._statements(node.body if test else node.orelse)
            return
        build = self._build
        yes, behind = (build.append_basic_block(name) for name in ("yes", "behind"))
        no = build.append_basic_block("no") if node.orelse else behind
        build.cbranch(test.code, yes, no)
        reached = no is behind
        for block, nodes in ((yes, node.body), (no, node.orelse)):
            if nodes:
                build.position_at_end(block)
                with self._deeper():
                    self._statements(nodes)
                if not build.block.is_terminated:
                    build.branch(behind)
                    reached = True
        build.position_at_end(behind)
        if not reached:
            build.unreachable()

    def _While(self, node: ast.While) -> None:
        build = self._build
        test, body, behind = (build.append_basic_block(name) for name in ("test", "body", "behind"))
        build.branch(test)
        build.position_at_end(test)
        found = values.truth(build, self._value(node.test))
        if found is True:
            build.branch(body)
        else:
            build.cbranch(values.number(found).code, body, behind)
        build.position_at_end(body)
        loop = _Loop(test, behind)
        with self._deeper(loop):
            self._statements(node.body)
        if not build.block.is_terminated:
            build.branch(test)
        build.position_at_end(behind)
        if found is True and not loop.left:
            build.unreachable()

    def _For(self, node: ast.For) -> None:
        call = node.iter
        if isinstance(call, ast.Call) and self._value(call.func) is range:
            bounds = [self._value(argument) for argument in call.args]
            first, last, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
            if not isinstance(step, int) or not step:
                raise KernelError("the step of a range must be a constant")
            start, stop = (values.converted(self._build, bound, INTEGER).code for bound in (first, last))
            with self._unit.loop(start, stop, step) as (index, *leads), self._deeper(_Loop(*leads)):
                self._set(node.target, Number(INTEGER, index))
                self._statements(node.body)
            return
        items = self._value(call)
        if not isinstance(items, tuple):
            raise KernelError(f"a loop over {values.described(items)}")
        for item in items:
            with self._deeper(_Loop(None, None)):
                self._set(node.target, item)
                self._statements(node.body)

    @contextmanager
    def _deeper(self, loop: _Loop | None = None) -> Iterator[None]:
        """Within a statement that is not always carried out, or not once: a loop perhaps."""
        outer, self._loop = self._loop, loop or self._loop
        self._depth += 1
        yield
        self._depth -= 1
        self._loop = outer

    def _Break(self, node: ast.Break) -> None:
        self._loop.left = True
        self._leave(self._loop.behind)

    def _Continue(self, node: ast.Continue) -> None:
        self._leave(self._loop.following)

    def _leave(self, block: Any) -> None:
        if block is None:
            raise KernelError("a loop over a tuple goes through all of it")
        self._build.branch(block)

    # Assigning --------------------------------------------------------------------------------------------------------

    def _set(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self._set_name(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            if not isinstance(value, tuple) or len(value) != len(target.elts):
                raise KernelError(f"{values.described(value)} for {len(target.elts)} names")
            for one, item in zip(target.elts, value, strict=True):
                self._set(one, item)
        elif isinstance(target, ast.Subscript):
            where = self._element(target)
            if where.shape:
                _fill(self._unit, where, value)
            else:
                values.write(self._build, where, value)
        else:
            self._unknown(target)

    def _set_name(self, name: str, value: Any) -> None:
        known = self._names.get(name)
        if isinstance(known, Slot):
            known.set(value)
        elif self._source.assigned[name] == 1 and (self._depth == 0 or not values.codes(value)):
            self._names[name] = value
        else:
            slot = self._names[name] = Slot(self._unit, value)
            slot.set(value)

    # Values -----------------------------------------------------------------------------------------------------------

    def _value(self, node: ast.expr) -> Any:
        return getattr(self, f"_{type(node).__name__}", self._unknown)(node)

    def _Constant(self, node: ast.Constant) -> Any:
        return node.value

    def _Name(self, node: ast.Name) -> Any:
        return self._name(node.id)

    def _name(self, name: str) -> Any:
        if name in self._names:
            value = self._names[name]
            return value.get() if isinstance(value, Slot) else value
        if self._source.assigned[name]:
            raise KernelError(f"{name} may have no value yet")
        function = self._function
        if name in function.__code__.co_freevars:
            return (function.__closure__ or ())[function.__code__.co_freevars.index(name)].cell_contents
        try:
            return function.__globals__[name] if name in function.__globals__ else getattr(builtins, name)
        except AttributeError:
            raise KernelError(f"{name} is not defined") from None

    def _Tuple(self, node: ast.Tuple) -> Any:
        return self._values(node.elts)

    def _values(self, nodes: list[ast.expr]) -> tuple[Any, ...]:
        """Of expressions, tuples with a star taken apart."""
        starred = ((self._value(one.value) if isinstance(one, ast.Starred) else (self._value(one),)) for one in nodes)
        return tuple(chain.from_iterable(starred))

    def _BinOp(self, node: ast.BinOp) -> Any:
        return self._binary(type(node.op).__name__, self._value(node.left), node.right)

    def _UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self._value(node.operand)
        if isinstance(node.op, ast.UAdd):
            return value
        how = values.negative if isinstance(node.op, ast.USub) else values.denied
        return (values.inverted if isinstance(node.op, ast.Invert) else how)(self._build, value)

    def _BoolOp(self, node: ast.BoolOp) -> Any:
        first, *others = node.values
        rest = ast.BoolOp(node.op, others) if len(others) > 1 else others[0]
        test = values.truth(self._build, self._value(first))
        either = isinstance(node.op, ast.Or)
        if values.is_constant(test):
            return test if test == either else values.truth(self._build, self._value(rest))

        def other() -> Any:
            return values.truth(self._build, self._value(rest))

        return self._one_of(test, *((lambda: True, other) if either else (other, lambda: False)))

    def _IfExp(self, node: ast.IfExp) -> Any:
        test = values.truth(self._build, self._value(node.test))
        if values.is_constant(test):
            return self._value(node.body if test else node.orelse)
        return self._one_of(test, lambda: self._value(node.body), lambda: self._value(node.orelse))

    def _one_of(self, test: Number, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
        """What one of two functions gives, which puts the code for it."""
        build = self._build
        blocks = [build.append_basic_block(name) for name in ("yes", "no", "either")]
        build.cbranch(test.code, *blocks[:2])
        found, ends = [], []
        for block, function in zip(blocks, (yes, no), strict=False):
            build.position_at_end(block)
            found.append(function())
            ends.append(build.block)
        model = values.model_of(*found)
        lists = []
        for value, end in zip(found, ends, strict=True):
            build.position_at_end(end)
            lists.append(values.codes(values.adapted(build, value, model)))
            build.branch(blocks[2])
        build.position_at_end(blocks[2])
        merged = []
        for pair in zip(*lists, strict=True):
            merged.append(build.phi(pair[0].type))
            for code, end in zip(pair, ends, strict=True):
                merged[-1].add_incoming(code, end)
        return values.rebuilt(model, iter(merged))

    def _Compare(self, node: ast.Compare) -> Any:
        sides = [self._value(one) for one in (node.left, *node.comparators)]
        result: Any = True
        for operation, a, b in zip(node.ops, sides, sides[1:], strict=False):
            if isinstance(operation, (ast.Is, ast.IsNot)):
                found: Any = (a is b) == isinstance(operation, ast.Is)
            else:
                found = values.compared(self._build, type(operation).__name__, a, b)
            result = found if result is True else values.binary(self._build, "BitAnd", result, found)
        return result

    def _Attribute(self, node: ast.Attribute) -> Any:
        value = self._value(node.value)
        if isinstance(value, Array):
            if node.attr == "shape":
                return value.shape
            if node.attr == "size":
                return values.size_of(self._build, value.shape)
        if isinstance(value, ModuleType) or (isinstance(value, tuple) and node.attr in getattr(value, "_fields", ())):
            return getattr(value, node.attr)
        raise KernelError(f"{values.described(value)} has no {node.attr}")

    def _Subscript(self, node: ast.Subscript) -> Any:
        value = self._value(node.value)
        if isinstance(value, tuple):
            index = self._value(node.slice)
            if not isinstance(index, int):
                raise KernelError("an element of a tuple must be given by a constant")
            return value[index]
        found = self._element(node)
        return found if found.shape or not isinstance(value, Array) else values.read(self._build, found)

    def _element(self, node: ast.Subscript) -> Array:
        """The part of an array that a subscript means."""
        array = self._value(node.value)
        if not isinstance(array, Array):
            raise KernelError(f"an element of {values.described(array)}")
        indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        *before, last = indices
        if not isinstance(last, ast.Slice):
            return values.part(self._build, array, tuple(self._value(one) for one in indices))
        return self._slice(values.part(self._build, array, tuple(self._value(one) for one in before)), last)

    def _slice(self, array: Array, node: ast.Slice) -> Array:
        build, length = self._build, array.shape[0]
        if node.step is not None:
            raise KernelError("a slice with a step")
        begin = values.place(build, self._value(node.lower), length) if node.lower else ir.Constant(LONG, 0)
        end = values.place(build, self._value(node.upper), length) if node.upper else length.code
        start = values.part(build, array, (Number(INTEGER, begin),))
        return replace(start, shape=(Number(INTEGER, build.sub(end, begin)), *array.shape[1:]))

    # Calls ------------------------------------------------------------------------------------------------------------

    def _Call(self, node: ast.Call) -> Any:
        arguments = self._values(node.args)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("view", "reshape"):
            array = self._value(node.func.value)
            if not isinstance(array, Array):
                raise KernelError(f"a {node.func.attr} of {values.described(array)}")
            return (self._view if node.func.attr == "view" else self._reshape)(array, *arguments)
        callee = self._value(node.func)
        if node.keywords:
            raise KernelError("an argument by name")
        if isinstance(callee, Part):
            return callee.put(self._unit, arguments)
        if isinstance(callee, type) and issubclass(callee, (np.generic, bool, int, float)):
            return values.cast(self._build, np.dtype(callee), *arguments)
        if isinstance(callee, type) and hasattr(callee, "_fields"):
            return callee(*arguments)
        if callee in _FUNCTIONS:
            return _FUNCTIONS[callee](self._unit, *arguments)
        raise KernelError(f"kernels do not know {callee!r}")

    def _view(self, array: Array, kind: Any) -> Array:
        dtype = np.dtype(kind)
        if dtype.itemsize != array.dtype.itemsize:
            raise KernelError(f"{values.described(array)} seen as {dtype}")
        data = self._build.bitcast(array.data, values.element(dtype).as_pointer())
        return replace(array, dtype=dtype, data=data)

    def _reshape(self, array: Array, *shape: Any) -> Array:
        if shape != (-1,):
            raise KernelError("reshape takes -1 alone")
        return _flat(self._unit, array)


def _flat(unit: Unit, array: Array) -> Array:
    return replace(array, shape=(values.number(values.size_of(unit.build, array.shape)),))


def _fill(unit: Unit, array: Array, value: Any) -> Array:
    """All elements become one number."""
    flat = _flat(unit, array)
    with unit.loop(ir.Constant(LONG, 0), flat.shape[0].code) as (index, _, _):
        values.write(unit.build, values.part(unit.build, flat, (Number(INTEGER, index),)), value)
    return array


# What kernels can call ------------------------------------------------------------------------------------------------


def _empty(unit: Unit, shape: Any, kind: Any = np.float64) -> Array:
    dtype, lengths = np.dtype(kind), shape if isinstance(shape, tuple) else (shape,)
    if not all(isinstance(length, int) for length in lengths):
        raise KernelError("an array that a kernel makes must have constant lengths")
    count = math.prod(lengths)
    if count * dtype.itemsize > MAX_LOCAL:
        raise KernelError(f"an array of {count * dtype.itemsize} bytes, made by a kernel")
    return Array(dtype, unit.room(values.element(dtype), count), tuple(map(values.constant, lengths)))


def _zeros(unit: Unit, shape: Any, kind: Any = np.float64) -> Array:
    return _fill(unit, _empty(unit, shape, kind), 0)


def _length(unit: Unit, value: Any) -> Any:
    return value.shape[0] if isinstance(value, Array) else len(value)


def _real_function(name: str) -> Callable[[Unit, Any], Number]:
    def put(unit: Unit, value: Any) -> Number:
        function = unit.declared(f"llvm.{name}.f64", values.DOUBLE, [values.DOUBLE])
        return Number(REAL, unit.build.call(function, [values.converted(unit.build, value, REAL).code]))

    return put


def _built(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda unit, *arguments: function(unit.build, *arguments)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    min: _built(values.smallest),
    max: _built(values.largest),
    abs: _built(values.magnitude),
    isinstance: lambda unit, value, kind: isinstance(value, kind),
    len: _length,
    np.zeros: _zeros,
    np.empty: _empty,
    math.exp: _real_function("exp"),
    math.log: _real_function("log"),
}
