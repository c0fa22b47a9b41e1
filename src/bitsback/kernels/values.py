"""What a kernel computes with, and the code of each operation.

There are four kinds of numbers: truth values, *integers* (64 bits, signed), *words* (64 bits, unsigned) and *reals*
(float64). What an array holds in fewer bits becomes an integer or a real when it is read, and is cut to its bits when
it is stored. Between the kinds these rules hold, and where none applies there is an error:

* a truth value beside a number is 0 or 1, an integer beside a real is a real;
* words meet words only, and constants;
* integers and words wrap around; ``//`` and ``%`` round down, as Python's do, and give 0 where the divisor is 0.

What is known when a kernel is compiled (constants, None, functions, types) is a Python object here as well, and the
code that depends on it is settled at once. A tuple, named or not, is a Python tuple of values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from llvmlite import ir

from bitsback.errors import KernelError

BIT, BYTE, INT, LONG = (ir.IntType(bits) for bits in (1, 8, 32, 64))
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()


class Kind(Enum):
    """Of numbers."""

    TRUTH = "truth value"
    INTEGER = "integer"
    WORD = "word"
    REAL = "real"


TRUTH, INTEGER, WORD, REAL = Kind
TYPES = {TRUTH: BIT, INTEGER: LONG, WORD: LONG, REAL: DOUBLE}


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is known when the kernel runs."""

    kind: Kind
    code: Any

    def __bool__(self) -> bool:
        raise KernelError("a number of the kernel's decides what is compiled")


@dataclass(frozen=True, slots=True)
class Array:
    """An array in C order: where it begins, and its lengths, which are integers."""

    dtype: np.dtype[Any]
    data: Any
    shape: tuple[Number, ...]
    written: Callable[[], None] = lambda: None
    """To be called by whatever stores in it."""


# Values and the code they are made of --------------------------------------------------------------------------------


def codes(value: Any) -> list[Any]:
    """All codes in a value; none for what is known already."""
    if isinstance(value, Number):
        return [value.code]
    if isinstance(value, Array):
        return [value.data, *(length.code for length in value.shape)]
    return [code for part in value for code in codes(part)] if isinstance(value, tuple) else []


def rebuilt(value: Any, new: Iterator[Any]) -> Any:
    """The value with other codes, taken in the order of :func:`codes`."""
    if isinstance(value, Number):
        return Number(value.kind, next(new))
    if isinstance(value, Array):
        data = next(new)
        return replace(value, data=data, shape=tuple(Number(INTEGER, next(new)) for _ in value.shape))
    return like(value, [rebuilt(part, new) for part in value]) if isinstance(value, tuple) else value


def arrays(value: Any) -> list[Array]:
    """All arrays in a value."""
    if isinstance(value, Array):
        return [value]
    return [array for part in value for array in arrays(part)] if isinstance(value, tuple) else []


def watched(value: Any, written: set[int]) -> Any:
    """The value, with which of its :func:`arrays` are stored in told to ``written``."""
    count = iter(range(len(arrays(value))))

    def watch(part: Any) -> Any:
        if isinstance(part, Array):
            place = next(count)
            return replace(part, written=lambda: written.add(place))
        return like(part, list(map(watch, part))) if isinstance(part, tuple) else part

    return watch(value)


def form(value: Any) -> Any:
    """What the code that is made for a value depends on; values of one form are equal in it."""
    if isinstance(value, Number):
        return value.kind
    if isinstance(value, Array):
        return value.dtype.str, len(value.shape)
    return (type(value), *map(form, value)) if isinstance(value, tuple) else value


def like(value: tuple[Any, ...], parts: list[Any]) -> tuple[Any, ...]:
    """A tuple of the same kind, named or not."""
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


def constant(value: int, kind: Kind = INTEGER) -> Number:
    return Number(kind, ir.Constant(TYPES[kind], value))


def kind_of(value: Any) -> Kind:
    """Of a number or a constant; KernelError for anything else."""
    if isinstance(value, Number):
        return value.kind
    for types, kind in (((bool, np.bool_), TRUTH), (np.uint64, WORD), ((int, np.integer), INTEGER)):
        if isinstance(value, types):
            return kind
    if isinstance(value, (float, np.floating)):
        return REAL
    raise KernelError(f"{described(value)} is not a number")


def described(value: Any) -> str:
    """For messages."""
    if isinstance(value, Number):
        return f"{'an' if value.kind is INTEGER else 'a'} {value.kind.value}"
    if isinstance(value, Array):
        return f"an array of {value.dtype} with {len(value.shape)} axes"
    return f"a tuple ({', '.join(map(described, value))})" if isinstance(value, tuple) else repr(value)


def as_numbers(value: Any) -> Any:
    """The value with numbers for constants that are numbers."""
    if isinstance(value, tuple):
        return like(value, [as_numbers(part) for part in value])
    return number(value) if isinstance(value, (int, float, np.generic)) else value


def is_constant(value: Any) -> bool:
    return not isinstance(value, (Number, Array, tuple))


def number(value: Any) -> Number:
    """A constant as a number; numbers as they are."""
    if isinstance(value, Number):
        return value
    kind = kind_of(value)
    return Number(kind, ir.Constant(TYPES[kind], float(value) if kind is REAL else int(value)))


def converted(build: Any, value: Any, kind: Kind) -> Number:
    """As another kind of number, where the rules have that of themselves."""
    own = kind_of(value)
    if not isinstance(value, Number) and (own, kind) in ((INTEGER, WORD), (INTEGER, REAL)):
        if kind is WORD and value < 0:
            raise KernelError(f"{value} beside a word")
        return number(np.uint64(value) if kind is WORD else float(value))
    given = number(value)
    if own is kind:
        return given
    if own is TRUTH and kind is INTEGER:
        return Number(INTEGER, build.zext(given.code, LONG))
    if kind is REAL and own is not WORD:
        return Number(REAL, (build.uitofp if own is TRUTH else build.sitofp)(given.code, DOUBLE))
    due = described(Number(kind, None))
    raise KernelError(f"{described(value)} where {due} is due: say which by np.int64, np.uint64 or np.float64")


def common(a: Any, b: Any) -> Kind:
    """The kind that two numbers meet in."""
    kinds = {kind_of(a), kind_of(b)}
    if kinds == {INTEGER, WORD} and (is_constant(a) or is_constant(b)):
        return INTEGER if kind_of(a if is_constant(b) else b) is INTEGER else WORD
    if {WORD} < kinds:
        raise KernelError(f"{described(a)} meets {described(b)}")
    return next(kind for kind in (REAL, WORD, INTEGER, TRUTH) if kind in kinds)


def adapted(build: Any, value: Any, model: Any) -> Any:
    """The value in the form of another one, so that either can stand in the same place."""
    if isinstance(model, Number):
        return converted(build, value, model.kind)
    if isinstance(model, Array):
        if isinstance(value, Array) and value.dtype == model.dtype and len(value.shape) == len(model.shape):
            return value
    elif isinstance(model, tuple):
        if isinstance(value, tuple) and len(value) == len(model):
            return like(model, [adapted(build, *pair) for pair in zip(value, model, strict=True)])
    elif is_constant(value) and value is model:
        return value
    raise KernelError(f"{described(value)} where there was {described(model)} before")


def model_of(a: Any, b: Any) -> Any:
    """The form that two values have in common, either of which may come about."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return like(a, [model_of(*pair) for pair in zip(a, b, strict=True)])
    if isinstance(a, Array) or (is_constant(a) and a is b):
        return a
    return Number(common(a, b), None)


# Numbers -------------------------------------------------------------------------------------------------------------

_STATIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Pow": operator.pow,
    "LShift": operator.lshift,
    "RShift": operator.rshift,
    "BitAnd": operator.and_,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
}
_WHOLE = {"Add": "add", "Sub": "sub", "Mult": "mul", "BitAnd": "and_", "BitOr": "or_", "BitXor": "xor"}
_REAL = {"Add": "fadd", "Sub": "fsub", "Mult": "fmul", "Div": "fdiv"}
_COMPARISONS = {"Eq": "==", "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">="}


def binary(build: Any, how: str, a: Any, b: Any) -> Any:
    """``a how b``; ``how`` is the name of a node of Python's syntax tree."""
    if is_constant(a) and is_constant(b):
        return _STATIC[how](a, b)
    if how in ("LShift", "RShift"):
        left, count = number(a), number(b).code
        if left.kind is TRUTH:
            left = converted(build, left, INTEGER)
        shift = build.shl if how == "LShift" else build.lshr if left.kind is WORD else build.ashr
        return Number(left.kind, shift(left.code, count))
    kind = REAL if how == "Div" else common(a, b)
    if kind is TRUTH and how not in ("BitAnd", "BitOr", "BitXor"):
        kind = INTEGER
    x, y = converted(build, a, kind).code, converted(build, b, kind).code
    if how in ("FloorDiv", "Mod") and kind is not REAL:
        return Number(kind, _divided(build, how, kind, x, y))
    name = _REAL.get(how) if kind is REAL else _WHOLE.get(how)
    if name is None:
        raise KernelError(f"no {how} of {described(a)} and {described(b)}")
    return Number(kind, getattr(build, name)(x, y))


def _divided(build: Any, how: str, kind: Kind, x: Any, y: Any) -> Any:
    """Quotient or remainder, rounded down; 0 for a divisor of 0."""
    zero, one = ir.Constant(LONG, 0), ir.Constant(LONG, 1)
    known = y.constant if isinstance(y, ir.Constant) and y.constant > 0 else 0
    if known and known & (known - 1) == 0:
        if how == "Mod":
            return build.and_(x, ir.Constant(LONG, known - 1))
        return (build.lshr if kind is WORD else build.ashr)(x, ir.Constant(LONG, known.bit_length() - 1))
    # Processors stop at a divisor of 0, and where -2^63 is divided by -1. By these we multiply instead
    if kind is WORD:
        special = build.icmp_unsigned("==", y, zero)
    else:
        special = build.icmp_unsigned("<", build.add(y, one), ir.Constant(LONG, 2))
    divisor = y if known else build.select(special, one, y)
    if kind is WORD:
        rest, quotient = build.urem(x, divisor), build.udiv(x, divisor)
    else:
        rest, quotient = build.srem(x, divisor), build.sdiv(x, divisor)
        apart = build.icmp_signed("<", build.xor(rest, divisor), zero)
        above = build.and_(build.icmp_signed("!=", rest, zero), apart)  # towards zero is up
        rest = build.add(rest, build.select(above, divisor, zero))
        quotient = build.sub(quotient, build.zext(above, LONG))
    if how == "Mod":
        return rest
    return quotient if known else build.select(special, build.mul(x, y), quotient)


def negative(build: Any, value: Any) -> Any:
    if is_constant(value):
        return -value
    given = converted(build, value, INTEGER) if value.kind is TRUTH else number(value)
    return Number(given.kind, (build.fneg if given.kind is REAL else build.neg)(given.code))


def inverted(build: Any, value: Any) -> Any:
    """All bits."""
    if is_constant(value):
        return ~value
    return binary(build, "BitXor", value, -1 if value.kind is INTEGER else np.uint64(2**64 - 1))


def truth(build: Any, value: Any) -> Any:
    """Whether it is true, as a constant or a truth value."""
    if isinstance(value, Array):
        raise KernelError("whether an array is true")
    if not isinstance(value, Number):
        return bool(value)
    return value if value.kind is TRUTH else compared(build, "NotEq", value, 0)


def denied(build: Any, value: Any) -> Any:
    found = truth(build, value)
    return not found if is_constant(found) else Number(TRUTH, build.not_(found.code))


def compared(build: Any, how: str, a: Any, b: Any) -> Any:
    sign = _COMPARISONS[how]
    if is_constant(a) and is_constant(b):
        return bool(
            getattr(operator, {"Eq": "eq", "NotEq": "ne", "LtE": "le", "GtE": "ge"}.get(how, how.lower()))(a, b)
        )
    kind = common(a, b)
    if kind is TRUTH:
        kind = INTEGER
    x, y = converted(build, a, kind).code, converted(build, b, kind).code
    if kind is REAL:
        return Number(TRUTH, (build.fcmp_unordered if how == "NotEq" else build.fcmp_ordered)(sign, x, y))
    return Number(TRUTH, (build.icmp_unsigned if kind is WORD else build.icmp_signed)(sign, x, y))


def chosen(build: Any, condition: Number, a: Any, b: Any) -> Number:
    """``a`` where the condition holds, else ``b``; both are computed."""
    kind = common(a, b)
    return Number(kind, build.select(condition.code, converted(build, a, kind).code, converted(build, b, kind).code))


def smallest(build: Any, *values: Any) -> Any:
    return _extreme(build, "Lt", values)


def largest(build: Any, *values: Any) -> Any:
    return _extreme(build, "Gt", values)


def _extreme(build: Any, how: str, values: tuple[Any, ...]) -> Any:
    best, *others = values
    for other in others:
        if is_constant(best) and is_constant(other):
            best = min(best, other) if how == "Lt" else max(best, other)
        else:
            best = chosen(build, compared(build, how, other, best), other, best)
    return best


def magnitude(build: Any, value: Any) -> Any:
    if is_constant(value):
        return abs(value)
    return chosen(build, compared(build, "Lt", value, 0), negative(build, value), value)


def cast(build: Any, dtype: np.dtype[Any], value: Any) -> Any:
    """As ``dtype.type(value)``, where integers are cut to its bits, and reals to an integer."""
    if dtype.kind == "b":
        return truth(build, value)
    if is_constant(value):
        bits = int(value) & ((1 << 8 * dtype.itemsize) - 1) if dtype.kind in "iu" else 0
        sign = bits >> (8 * dtype.itemsize - 1) if dtype.kind == "i" else 0
        cut = bits - (sign << 8 * dtype.itemsize)
        return float(dtype.type(value)) if dtype.kind == "f" else np.uint64(cut) if dtype == np.uint64 else cut
    if dtype.kind == "f":
        if value.kind is WORD:
            value = Number(REAL, build.uitofp(value.code, DOUBLE))
        real = converted(build, value, REAL).code
        return Number(REAL, real if dtype == np.float64 else build.fpext(build.fptrunc(real, FLOAT), DOUBLE))
    if value.kind is REAL:
        value = Number(INTEGER, build.fptosi(value.code, LONG))
    code = build.zext(value.code, LONG) if value.kind is TRUTH else value.code
    if dtype.itemsize < 8:
        code = (build.sext if dtype.kind == "i" else build.zext)(build.trunc(code, element(dtype)), LONG)
    return Number(WORD if dtype == np.uint64 else INTEGER, code)


# Arrays --------------------------------------------------------------------------------------------------------------


def element(dtype: np.dtype[Any]) -> Any:
    """The type of an array's elements in memory."""
    if dtype.kind == "f" and dtype.itemsize in (4, 8):
        return FLOAT if dtype.itemsize == 4 else DOUBLE
    if dtype.kind in "iub" and dtype.isnative:
        return ir.IntType(8 * dtype.itemsize)
    raise KernelError(f"arrays of {dtype} are not for kernels")


def size_of(build: Any, shape: tuple[Number, ...]) -> Any:
    """How many elements there are."""
    total: Any = 1
    for length in shape:
        total = length if is_constant(total) else Number(INTEGER, build.mul(total.code, length.code))
    return total


def part(build: Any, array: Array, indices: tuple[Any, ...]) -> Array:
    """What is left of an array when its first axes are given; its elements have no axes. No index is checked, and
    only a constant may count from the end."""
    if len(indices) > len(array.shape):
        raise KernelError(f"{len(indices)} indices for {described(array)}")
    offset: Any = None
    for axis, index in enumerate(indices):
        at = place(build, index, array.shape[axis])
        if offset is not None:
            at = build.add(build.mul(offset, array.shape[axis].code), at)
        offset = at
    rest = array.shape[len(indices) :]
    if offset is None:
        return array
    if rest:
        offset = build.mul(offset, size_of(build, rest).code)
    return replace(array, data=build.gep(array.data, [offset], inbounds=True), shape=rest)


def place(build: Any, index: Any, length: Number) -> Any:
    """The code of an index; a constant one may count from the end."""
    kind = kind_of(index)
    if kind is REAL:
        raise KernelError("a real as an index")
    if is_constant(index) and index < 0:
        return build.add(length.code, ir.Constant(LONG, int(index)))
    return converted(build, index, INTEGER).code if kind is TRUTH else number(index).code


def read(build: Any, where: Array) -> Number:
    """The number at a place."""
    code, dtype = build.load(where.data, align=where.dtype.itemsize), where.dtype
    if dtype.kind == "f":
        return Number(REAL, code if dtype.itemsize == 8 else build.fpext(code, DOUBLE))
    if dtype.kind == "b":
        return Number(TRUTH, build.icmp_unsigned("!=", code, ir.Constant(BYTE, 0)))
    if dtype.itemsize < 8:
        code = (build.sext if dtype.kind == "i" else build.zext)(code, LONG)
    return Number(WORD if dtype == np.uint64 else INTEGER, code)


def write(build: Any, where: Array, value: Any) -> None:
    """Store a number at a place."""
    dtype = where.dtype
    if dtype.kind == "f":
        code = converted(build, value, REAL).code
        code = code if dtype.itemsize == 8 else build.fptrunc(code, FLOAT)
    elif dtype.kind == "b":
        code = build.zext(number(truth(build, value)).code, BYTE)
    else:
        given = number(value)
        if given.kind is REAL:
            raise KernelError("a real for an array of integers: round it and say np.int64")
        code = build.zext(given.code, LONG) if given.kind is TRUTH else given.code
        code = code if dtype.itemsize == 8 else build.trunc(code, element(dtype))
    where.written()
    build.store(code, where.data, align=dtype.itemsize)
