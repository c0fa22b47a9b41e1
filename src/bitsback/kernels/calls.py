"""From Python into machine code: a kernel as a function of CPython's own kind, which takes its arguments apart itself.

(That takes microseconds less for each argument than :mod:`ctypes` would.) A kernel is compiled for the *form* of its
arguments: the types and axes of arrays, the types of numbers, which are None, and how tuples are made up. Its *entry*
looks whether the arguments have that form and gives ``NotImplemented`` if not. While the kernel runs, other threads may
use the interpreter.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from bitsback.errors import KernelError
from bitsback.kernels.builder import Function
from bitsback.kernels.machine import for_ever
from bitsback.kernels.unit import Part, Unit
from bitsback.kernels.values import (
    BYTE,
    DOUBLE,
    INT,
    INTEGER,
    LONG,
    REAL,
    TRUTH,
    WORD,
    Array,
    Kind,
    Number,
    element,
    like,
    number,
)

_OBJECT = BYTE.as_pointer()
"""A pointer to one of Python's objects."""

_HEAD = object.__basicsize__
"""Bytes before an object's own fields. The last of them point to its type."""

_DATA, _AXES, _LENGTHS, _DTYPE, _FLAGS = _HEAD, _HEAD + 8, _HEAD + 16, _HEAD + 40, _HEAD + 48
"""Where arrays have their fields: PyArrayObject_fields, the same in every version of NumPy's binary interface."""

_ITEMS = tuple.__basicsize__
"""Where tuples have their items; their length is the first of their fields."""

_ORDERLY, _WRITEABLE = 0x0101, 0x0400
"""Flags of arrays: in C order and aligned; not read-only."""

_FAST = 0x0080
"""METH_FASTCALL: arguments come as pointers and a count."""


class ArrayForm(NamedTuple):
    dtype: str
    axes: int


class NumberForm(NamedTuple):
    type: type
    kind: Kind


class TupleForm(NamedTuple):
    type: type
    parts: tuple[Any, ...]


Form = ArrayForm | NumberForm | TupleForm | None


def form_of(value: Any) -> Form:
    """Raises KernelError if kernels do not take such values."""
    if value is None:
        return None
    if isinstance(value, tuple):
        return TupleForm(type(value), tuple(map(form_of, value)))
    if isinstance(value, np.ndarray):
        element(value.dtype)
        if value.flags.num & _ORDERLY != _ORDERLY:
            raise KernelError("an array for a kernel must be aligned and in C order")
        return ArrayForm(value.dtype.str, value.ndim)
    for types, kind in (((bool, np.bool_), TRUTH), ((int, np.integer), INTEGER), ((float, np.floating), REAL)):
        if isinstance(value, types):
            long = isinstance(value, np.unsignedinteger) and value.itemsize == 8
            return NumberForm(type(value), WORD if long else kind)
    raise KernelError(f"kernels do not take {type(value).__name__}")


def plain(value: Any) -> Any:
    """The value with arrays as entries know them: of NumPy's own class, and with its own object for their type."""
    if isinstance(value, np.ndarray):
        array = np.asarray(value)
        return array if array.dtype is np.dtype(array.dtype.str) else array.view(np.dtype(array.dtype.str))
    return like(value, [plain(one) for one in value]) if isinstance(value, tuple) else value


def name_of(form: Form) -> str:
    """A form in letters: all that code depends on."""
    if isinstance(form, ArrayForm):
        return f"{form.dtype}{form.axes}"
    if isinstance(form, TupleForm):
        fields = getattr(form.type, "_fields", "")
        return f"{form.type.__module__}.{form.type.__qualname__}{fields}({','.join(map(name_of, form.parts))})"
    return form.type.__name__ if form else "none"


def identities(form: Form) -> Iterator[Any]:
    """The types that an entry compares with, in its order."""
    if isinstance(form, ArrayForm):
        yield from (np.ndarray, np.dtype(form.dtype))
    elif isinstance(form, TupleForm):
        yield form.type
        for one in form.parts:
            yield from identities(one)
    else:
        yield form.type if form else type(None)


# The code of an entry ------------------------------------------------------------------------------------------------


def put_entry(unit: Unit, name: str, body: Part, forms: tuple[Form, ...]) -> None:
    """Put the code of a kernel with its entry, which has the name ``name``."""
    arguments = [_OBJECT, _OBJECT.as_pointer(), LONG]
    function = Function(unit.module, _OBJECT, arguments, name)
    unit.begin(function)
    entry = _Entry(unit, function)
    entry.need(unit.build.icmp_signed("==", function.args[2], ir.Constant(LONG, len(forms))))
    values = tuple(entry.take(entry.item(function.args[1], index), form) for index, form in enumerate(forms))
    taken, run = unit.build.block, function.append_basic_block("run")
    unit.build.position_at_end(run)
    state = entry.call("PyEval_SaveThread", _OBJECT)
    result = body.put(unit, values)
    entry.call("PyEval_RestoreThread", ir.VoidType(), state)
    entry.give(result)
    unit.build.position_at_end(taken)
    entry.need_writeable()
    unit.build.branch(run)
    unit.end()


class _Entry:
    """Arguments taken apart, and results put together."""

    def __init__(self, unit: Unit, function: Any) -> None:
        self._unit, self._function = unit, function
        self._identities = unit.build.gep(function.args[0], [ir.Constant(LONG, _ITEMS)])
        self._identities = unit.build.bitcast(self._identities, _OBJECT.as_pointer())
        self._compared = 0
        self._written: dict[int, Any] = {}
        self._other = function.append_basic_block("other")

    @property
    def _build(self) -> Any:
        return self._unit.build

    def call(self, name: str, result: Any, *arguments: Any) -> Any:
        """Call a function of CPython's."""
        return self._build.call(self._unit.declared(name, result, [one.type for one in arguments]), arguments)

    def need(self, condition: Any) -> None:
        """Go on if the condition holds, and otherwise give NotImplemented."""
        on = self._function.append_basic_block("on")
        self._build.cbranch(condition, on, self._other)
        self._build.position_at_end(on)

    def item(self, items: Any, index: int) -> Any:
        return self._build.load(self._build.gep(items, [ir.Constant(LONG, index)]))

    def take(self, obj: Any, form: Form) -> Any:
        """An argument as a value that a kernel computes with."""
        self._need_identity(self._field(obj, _HEAD - 8, _OBJECT))
        if form is None:
            return None
        if isinstance(form, ArrayForm):
            return self._take_array(obj, form)
        if isinstance(form, TupleForm):
            items = self._build.bitcast(self._build.gep(obj, [ir.Constant(LONG, _ITEMS)]), _OBJECT.as_pointer())
            self.need(self._is(self._field(obj, _HEAD, LONG), len(form.parts)))
            parts = [self.take(self.item(items, index), one) for index, one in enumerate(form.parts)]
            return form.type(*parts) if hasattr(form.type, "_fields") else tuple(parts)
        return self._take_number(obj, form.kind)

    def _take_number(self, obj: Any, kind: Kind) -> Number:
        if kind is REAL:
            return Number(REAL, self.call("PyFloat_AsDouble", DOUBLE, obj))
        if kind is WORD:
            return Number(WORD, self.call("PyLong_AsUnsignedLongLongMask", LONG, obj))
        if kind is TRUTH:
            return Number(TRUTH, self._is(self.call("PyObject_IsTrue", INT, obj), 1))
        value = self.call("PyLong_AsLongLong", LONG, obj)
        with self._build.if_then(self._is(value, -1)):
            error = self.call("PyErr_Occurred", _OBJECT)
            with self._build.if_then(self._build.icmp_unsigned("!=", error, ir.Constant(_OBJECT, None))):
                self._build.ret(ir.Constant(_OBJECT, None))  # too large, and Python knows
        return Number(INTEGER, value)

    def _take_array(self, obj: Any, form: ArrayForm) -> Array:
        build, dtype = self._build, np.dtype(form.dtype)
        self._need_identity(self._field(obj, _DTYPE, _OBJECT))
        self.need(self._is(self._field(obj, _AXES, INT), form.axes))
        flags = self._field(obj, _FLAGS, INT)
        self.need(self._is(build.and_(flags, ir.Constant(INT, _ORDERLY)), _ORDERLY))
        data = build.bitcast(self._field(obj, _DATA, _OBJECT), element(dtype).as_pointer())
        lengths = self._field(obj, _LENGTHS, LONG.as_pointer())
        shape = tuple(Number(INTEGER, self.item(lengths, axis)) for axis in range(form.axes))
        return Array(dtype, data, shape, lambda: self._written.update({id(flags): flags}))

    def need_writeable(self) -> None:
        """Of all arrays that the kernel writes to."""
        for flags in self._written.values():
            self.need(self._is(self._build.and_(flags, ir.Constant(INT, _WRITEABLE)), _WRITEABLE))

    def give(self, value: Any) -> None:
        """Return the kernel's result to Python, and NotImplemented where something did not fit."""
        build = self._build
        if value is None:
            self._give_own("_Py_NoneStruct")
        else:
            kind, code = number(value).kind, number(value).code
            if kind is TRUTH:
                kind, code = INTEGER, build.zext(code, LONG)
                build.ret(self.call("PyBool_FromLong", _OBJECT, code))
            else:
                names = {
                    INTEGER: "PyLong_FromLongLong",
                    WORD: "PyLong_FromUnsignedLongLong",
                    REAL: "PyFloat_FromDouble",
                }
                build.ret(self.call(names[kind], _OBJECT, code))
        build.position_at_end(self._other)
        self._give_own("_Py_NotImplementedStruct")

    def _give_own(self, name: str) -> None:
        """Return one of Python's constants."""
        known = ir.GlobalVariable(self._unit.module, BYTE, name)
        self.call("Py_IncRef", ir.VoidType(), known)
        self._build.ret(known)

    def _field(self, obj: Any, offset: int, kind: Any) -> Any:
        where = self._build.gep(obj, [ir.Constant(LONG, offset)])
        return self._build.load(self._build.bitcast(where, kind.as_pointer()))

    def _is(self, code: Any, value: int) -> Any:
        return self._build.icmp_signed("==", code, ir.Constant(code.type, value))

    def _need_identity(self, found: Any) -> None:
        """That this is the next of the types to compare with."""
        self.need(self._build.icmp_unsigned("==", found, self.item(self._identities, self._compared)))
        self._compared += 1


# Loaded entries -------------------------------------------------------------------------------------------------------


class _Definition(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


@cache
def _check_layout() -> None:
    """KernelError if Python or NumPy have the fields of their objects elsewhere than entries look for them."""
    array, items = np.arange(6, dtype=np.int32).reshape(2, 3), (object(), object())

    def field(of: Any, offset: int, kind: Any = ctypes.c_int64) -> Any:
        return kind.from_address(id(of) + offset).value

    found = field(array, _HEAD - 8), field(array, _DATA), field(array, _AXES, ctypes.c_int), field(array, _DTYPE)
    lengths = list((ctypes.c_int64 * 2).from_address(field(array, _LENGTHS)))
    rest = field(array, _FLAGS, ctypes.c_int), field(items, _HEAD), field(items, _ITEMS), field(items, _ITEMS + 8)
    expected = id(np.ndarray), array.ctypes.data, 2, id(array.dtype), [2, 3], array.flags.num, 2, *map(id, items)
    if (*found, lengths, *rest) != expected:
        raise KernelError(f"this Python and NumPy {np.__version__} lay out objects in a way that is not known")


def entry_at(address: int, name: str, forms: tuple[Form, ...]) -> Callable[..., Any]:
    """The entry at an address as a function of Python's."""
    _check_layout()
    definition = for_ever(_Definition(name.encode(), address, _FAST, None))
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    compared = tuple(one for form in forms for one in identities(form))
    entry: Callable[..., Any] = make(ctypes.addressof(definition), compared, name)
    return entry
