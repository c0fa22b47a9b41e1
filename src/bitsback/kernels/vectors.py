"""Vector arithmetic for kernels, where the compiler by itself does not find it.

Loops over vectors, written in LLVM's portable vector instructions, which it turns into whatever the processor has:
AVX, SSE, NEON or none. Sums are kept in registers from beginning to end; a compiler that cannot rule out that the
output overlaps the input stores and loads them at each step, which is three to five times slower. And integers have
the bits that they need, where those of kernels have 64.

:func:`vectorised` makes such a loop of a Python function that says what is done at each step. The function itself runs
when a kernel that calls it is compiled, and its values, which add and multiply as they look, stand for those that the
kernel will have::

    @vectorised
    def double(v, n, x):
        with v.loop(n) as i:
            x.store(i * LANES, 2 * x.load(i * LANES, DOUBLES))

Floating-point values are integers, and no sum reaches the size at which one would be rounded (2^53 in float64). So the
order of summation, and whether a multiplication and an addition are fused, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from bitsback.kernels.unit import Part, Unit
from bitsback.kernels.values import BYTE, DOUBLE, INT, INTEGER, LONG, Array, Number, like, number

LANES = 8
"""Lanes of a vector: pixels that are computed side by side, or outputs of a layer."""

WIDTH = 2 * LANES
"""Outputs of a :func:`dense` layer must be padded to a multiple of it."""

ROWS = 4
"""Inputs that :func:`dense` takes at once."""

SHORT = ir.IntType(16)
BYTES, SHORTS, INTS, LONGS, DOUBLES = (ir.VectorType(kind, LANES) for kind in (BYTE, SHORT, INT, LONG, DOUBLE))


def _element(kind: Any) -> Any:
    return getattr(kind, "element", kind)


class Value:
    """A number or a vector. With operators; where one side is a single number, it meets every lane of the other."""

    def __init__(self, builder: Any, code: Any) -> None:
        self.builder, self.code = builder, code

    @property
    def kind(self) -> Any:
        """The type, of LLVM's."""
        return self.code.type

    def to(self, kind: Any) -> Value:
        """Converted, value by value: integers of any size, and reals that hold integers; a number to all lanes."""
        build, code = self.builder, self.code
        mine, its = self.kind, kind
        if isinstance(its, ir.VectorType) and not isinstance(mine, ir.VectorType):
            return self.to(_element(its)).spread(its.count)
        if mine == its:
            return self
        if _element(its) == DOUBLE:
            return Value(build, build.sitofp(code, kind))
        if _element(mine) == DOUBLE:
            return Value(build, build.fptosi(code, kind))
        return Value(build, (build.trunc if _element(its).width < _element(mine).width else build.sext)(code, kind))

    def spread(self, lanes: int) -> Value:
        """A vector of this number."""
        nothing = ir.Constant(ir.VectorType(self.kind, lanes), ir.Undefined)
        return Value(self.builder, self.builder.insert_element(nothing, self.code, ir.Constant(INT, 0))).lanes(
            [0] * lanes
        )

    def lanes(self, chosen: list[int]) -> Value:
        """A vector of the lanes with these numbers."""
        mask = ir.Constant(ir.VectorType(INT, len(chosen)), chosen)
        return Value(self.builder, self.builder.shuffle_vector(self.code, self.code, mask))

    def with_lane(self, lane: int, value: Value) -> Value:
        """The same vector, but for one lane."""
        code = self.builder.insert_element(self.code, value.to(_element(self.kind)).code, ir.Constant(INT, lane))
        return Value(self.builder, code)

    def lane(self, lane: int) -> Value:
        """The number in a lane."""
        return Value(self.builder, self.builder.extract_element(self.code, ir.Constant(INT, lane)))

    def followed_by(self, other: Value) -> Value:
        """A vector of the lanes of this and then those of another one."""
        mask = ir.Constant(ir.VectorType(INT, 2 * self.kind.count), list(range(2 * self.kind.count)))
        return Value(self.builder, self.builder.shuffle_vector(self.code, other.code, mask))

    def reinterpreted(self, kind: Any) -> Value:
        """The same bytes as another type."""
        return Value(self.builder, self.builder.bitcast(self.code, kind))

    def floor(self) -> Value:
        """Rounded down, of reals."""
        name, functions = f"llvm.floor.v{self.kind.count}f64", self.builder.module.globals
        if name not in functions:
            ir.Function(self.builder.module, ir.FunctionType(self.kind, [self.kind]), name)
        return Value(self.builder, self.builder.call(functions[name], [self.code]))

    def held(self, low: Any, high: Any) -> Value:
        """The nearest value from ``low`` to ``high``."""
        return self.at_least(low).at_most(high)

    def at_least(self, low: Any) -> Value:
        """The larger of the two."""
        other = self._like_this(low)
        return (self > other).choose(self, other)

    def at_most(self, high: Any) -> Value:
        """The smaller of the two."""
        other = self._like_this(high)
        return (self < other).choose(self, other)

    def choose(self, yes: Value, no: Value) -> Value:
        """``yes`` where this condition holds, ``no`` elsewhere."""
        return Value(self.builder, self.builder.select(self.code, yes.code, no.code))

    def any(self) -> Value:
        """Whether this condition holds in a lane: 0 or another number."""
        build = self.builder
        return Value(build, build.zext(build.bitcast(self.code, ir.IntType(self.kind.count)), LONG))

    def plus_held(self, other: Value) -> Value:
        """The sum, of vectors of integers, held to what their bits can tell."""
        name = f"llvm.sadd.sat.v{self.kind.count}i{self.kind.element.width}"
        functions = self.builder.module.globals
        if name not in functions:
            ir.Function(self.builder.module, ir.FunctionType(self.kind, [self.kind, self.kind]), name)
        return Value(self.builder, self.builder.call(functions[name], [self.code, other.code]))

    def plus_product(self, a: Value, b: Value) -> Value:
        """This + a b, of reals, in one operation where the processor has it."""
        build, fused = self.builder, ("contract",)
        return Value(build, build.fadd(build.fmul(a.code, b.code, flags=fused), self.code, flags=fused))

    def __add__(self, other: Any) -> Value:
        return self._with(other, "fadd", "add")

    def __sub__(self, other: Any) -> Value:
        return self._with(other, "fsub", "sub")

    def __mul__(self, other: Any) -> Value:
        return self._with(other, "fmul", "mul")

    def __truediv__(self, other: Any) -> Value:
        return self._with(other, "fdiv", "")

    def __rshift__(self, other: Any) -> Value:
        return self._with(other, "", "ashr")

    def high_product(self, other: Value) -> Value:
        """The product over 2^16, rounded down, of vectors of 16 bits: one instruction of many processors."""
        wide = ir.VectorType(INT, self.kind.count)
        return ((self.to(wide) * other.to(wide)) >> 16).to(self.kind)

    def shifted(self, count: int) -> Value:
        """Shifted to the right by so many bits, as a number without a sign."""
        return Value(self.builder, self.builder.lshr(self.code, self._like_this(count).code))

    def __floordiv__(self, other: Any) -> Value:
        return self._with(other, "", "udiv")

    def __mod__(self, other: Any) -> Value:
        return self._with(other, "", "urem")

    def __and__(self, other: Any) -> Value:
        return self._with(other, "", "and_")

    def __or__(self, other: Any) -> Value:
        return self._with(other, "", "or_")

    def __gt__(self, other: Any) -> Value:
        return self._compared(">", other)

    def __lt__(self, other: Any) -> Value:
        return self._compared("<", other)

    def __rsub__(self, other: Any) -> Value:
        return self._like_this(other) - self

    def __rtruediv__(self, other: Any) -> Value:
        return self._like_this(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def _real(self) -> bool:
        return bool(_element(self.kind) == DOUBLE)

    def _like_this(self, other: Any) -> Value:
        if isinstance(other, Value):
            return other.to(self.kind)
        lanes = getattr(self.kind, "count", None)
        return Value(self.builder, ir.Constant(self.kind, other if lanes is None else [other] * lanes))

    def _with(self, other: Any, real: str, whole: str) -> Value:
        build = getattr(self.builder, real if self._real() else whole)
        return Value(self.builder, build(self.code, self._like_this(other).code))

    def _compared(self, how: str, other: Any) -> Value:
        compare = self.builder.fcmp_ordered if self._real() else self.builder.icmp_signed
        return Value(self.builder, compare(how, self.code, self._like_this(other).code))


class Pointer:
    """Elements of an array, in memory order."""

    def __init__(self, builder: Any, code: Any, size: int, written: Callable[[], None]) -> None:
        self.builder, self.code, self.size, self.written = builder, code, size, written

    def __add__(self, index: Value) -> Pointer:
        return Pointer(self.builder, self.builder.gep(self.code, [index.code]), self.size, self.written)

    def load(self, index: Value, kind: Any) -> Value:
        """A number or vector that begins at element ``index``."""
        return Value(self.builder, self.builder.load(self._at(index, kind), align=self.size))

    def store(self, index: Value, value: Value) -> None:
        self.written()
        self.builder.store(value.code, self._at(index, value.kind), align=self.size)

    def gather(self, indices: Value, kind: Any) -> Value:
        """The elements at a vector of indices, none below 0."""
        code = ir.Constant(kind, ir.Undefined)
        for lane in range(kind.count):
            number = ir.Constant(INT, lane)
            # Processors lengthen a number without a sign as they take it out of a vector
            index = Value(self.builder, self.builder.zext(indices.lane(lane).code, LONG))
            code = self.builder.insert_element(code, self.load(index, kind.element).code, number)
        return Value(self.builder, code)

    def _at(self, index: Value, kind: Any) -> Any:
        return self.builder.bitcast((self + index).code, kind.as_pointer())


class Variable:
    """What a loop changes. The compiler keeps it in a register."""

    def __init__(self, unit: Unit, start: Value) -> None:
        self._builder = start.builder
        self._place = unit.room(start.kind)
        self.value = start

    @property
    def value(self) -> Value:
        return Value(self._builder, self._builder.load(self._place))

    @value.setter
    def value(self, value: Value) -> None:
        self._builder.store(value.code, self._place)


class Vectors:
    """The first argument of a :func:`vectorised` function."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def vector(self, numbers: list[Any], kind: Any) -> Value:
        """A constant, given lane by lane."""
        return Value(self._unit.build, ir.Constant(kind, numbers))

    def number(self, number: int) -> Value:
        """A constant, as an index."""
        return Value(self._unit.build, ir.Constant(LONG, number))

    def variable(self, start: Value) -> Variable:
        return Variable(self._unit, start)

    @contextmanager
    def loop(self, count: Value) -> Iterator[Value]:
        """Do what follows for each index from 0 to ``count`` - 1."""
        with self._unit.loop(ir.Constant(LONG, 0), count.code) as (index, _, _):
            yield Value(self._unit.build, index)

    def sums_of_pairs(self, a: Value, b: Value) -> Value:
        """The sums ``a[2 i] b[2 i] + a[2 i + 1] b[2 i + 1]``, of 32 bits, of vectors of integers of 16 bits.

        This is one instruction of x86 processors, but the compiler finds it only in this form, which is a poor one
        elsewhere.
        """
        count = a.kind.count
        even, odd = (list(range(i, count, 2)) for i in range(2))
        if self._unit.module.triple.startswith(("x86_64", "i")):
            wide = ir.VectorType(INT, count)
            products = a.to(wide) * b.to(wide)
            return products.lanes(even) + products.lanes(odd)
        half = ir.VectorType(INT, count // 2)
        return a.lanes(even).to(half) * b.lanes(even).to(half) + a.lanes(odd).to(half) * b.lanes(odd).to(half)


class Vectorised(Part):
    """Makes ``function(v, ...)`` one that kernels can call, without its first argument, a :class:`Vectors`.

    Its other arguments arrive as :class:`Pointer`, if they are arrays, of any shape, or else as :class:`Value`: 64-bit
    integers or reals; tuples as tuples of these. It may return values: 64-bit integers are numbers for the kernel;
    others, vectors above all, it can only hand on to other such functions.
    """

    def __call__(self, *arguments: Any) -> None:
        raise TypeError(f"{self.name} is for kernels")

    def put(self, unit: Unit, arguments: tuple[Any, ...]) -> Any:
        def wrapped(value: Any) -> Any:
            if isinstance(value, tuple):
                return like(value, [wrapped(one) for one in value])
            if isinstance(value, Value):
                return value
            if not isinstance(value, Array):
                return Value(unit.build, number(value).code)
            return self.pointer(unit, value)

        def unwrapped(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(unwrapped, value))
            return Number(INTEGER, value.code) if isinstance(value, Value) and value.kind == LONG else value

        return unwrapped(self.function(Vectors(unit), *map(wrapped, arguments)))

    def pointer(self, unit: Unit, array: Array) -> Pointer:
        """What an array arrives as."""
        return Pointer(unit.build, array.data, array.dtype.itemsize, array.written)


def vectorised(function: Callable[..., Any]) -> Any:
    """Make a function :class:`Vectorised`."""
    return Vectorised(function)


@vectorised
def dense(v, weights, offset, pairs, wide, low, high, x, y, groups, stride):  # type: ignore[no-untyped-def]
    """A layer, ``y = clip((W x + b) >> s, low, high)``, for ``groups`` times :data:`ROWS` rows of x and y.

    ``weights[offset:]``, int32, holds b and s, ``wide`` each, and then W: for each pair of inputs, ``wide`` pairs of
    16 bits. x and y are int16; row r of each begins at ``r * stride``. ``wide``: a multiple of :data:`WIDTH`.
    """
    biases = weights + offset
    shifts = biases + wide
    matrix = shifts + wide
    two_lanes = ir.VectorType(SHORT, 2 * LANES)
    with v.loop(wide // WIDTH) as block:
        # All rows for some outputs, then for the next: weights are near when they are needed again
        outputs = [block * WIDTH + LANES * half for half in range(2)]
        with v.loop(groups) as group:
            rows = [(group * ROWS + r) * stride for r in range(ROWS)]
            sums = [[v.variable(biases.load(o, INTS)) for o in outputs] for _ in rows]
            with v.loop(pairs) as pair:
                w = [matrix.load(pair * wide + o, INTS).reinterpreted(two_lanes) for o in outputs]
                for row, totals in zip(rows, sums, strict=True):
                    value = x.load(row + pair * 2, INT).spread(LANES).reinterpreted(two_lanes)
                    for weight, total in zip(w, totals, strict=True):
                        total.value += v.sums_of_pairs(weight, value)
            for row, totals in zip(rows, sums, strict=True):
                for o, total in zip(outputs, totals, strict=True):
                    y.store(row + o, (total.value >> shifts.load(o, INTS)).held(low, high).to(SHORTS))
