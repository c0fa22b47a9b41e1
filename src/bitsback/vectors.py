"""Vector arithmetic for kernels, where the compiler by itself does not find it.

Inner products, written in LLVM's portable vector instructions, which it turns into whatever the processor has: AVX,
SSE, NEON or none. Sums are kept in registers from beginning to end; a compiler that cannot rule out that the output
overlaps the input stores and loads them at each step, which is three to five times slower.

All values are integers held in floating point and no sum reaches the size at which one would be rounded (2^24 in
float32, 2^53 in float64). So the order of summation, and whether a multiplication and an addition are fused, changes
nothing.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils as untyped_cgutils
from numba.core import types
from numba.extending import intrinsic

cgutils: Any = untyped_cgutils

LANES = 8
"""Lanes of :func:`product` and :func:`eliminate`."""

WIDTH = 16
"""Outputs of a :func:`dense` layer must be padded to a multiple of it."""

ROWS = 4
"""Inputs that :func:`dense` takes at once."""

_INDEX = ir.IntType(64)
_FLOATS = ir.VectorType(ir.FloatType(), 8)
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)


def _data(context: Any, builder: Any, signature: Any, args: Any, i: int) -> Any:
    """The address of the first element of an array argument."""
    return context.make_array(signature.args[i])(context, builder, args[i]).data


def _at(builder: Any, pointer: Any, index: Any, kind: Any) -> Any:
    """The address of a vector that begins at element ``index``."""
    return builder.bitcast(builder.gep(pointer, [index]), kind.as_pointer())


def _spread(builder: Any, scalar: Any, kind: Any) -> Any:
    """A vector with ``scalar`` everywhere."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))


def _floor(builder: Any, value: Any, kind: Any) -> Any:
    name = "llvm.floor.v8f32" if kind is _FLOATS else "llvm.floor.v8f64"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
    return builder.call(function, [value])


def _zeros() -> Any:
    return ir.Constant(_DOUBLES, [0.0] * LANES)


def _dense(typingctx, weights, offset, inputs, wide, low, high, x, x_row, x_stride, y, y_row, y_stride):  # type: ignore[no-untyped-def]
    """Four rows of a layer: ``y = clip(floor((W x + b) s), low, high)``, all flat float32 arrays.

    ``weights[offset:]`` holds b and s (``wide`` each), then W, ``inputs`` rows of ``wide`` outputs. Row r of x begins
    at ``(x_row + r) * x_stride``, and so for y. ``wide``: a multiple of :data:`WIDTH`.
    """
    index = types.int64
    signature = types.void(weights, index, index, index, types.float32, types.float32, x, index, index, y, index, index)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, x, y = (_data(context, builder, signature, args, i) for i in (0, 6, 9))
        offset, inputs, wide, low, high = args[1:6]
        low, high = (_spread(builder, value, _FLOATS) for value in (low, high))
        eight = ir.Constant(_INDEX, 8)
        x_rows = [
            builder.gep(x, [builder.mul(builder.add(args[7], ir.Constant(_INDEX, r)), args[8])]) for r in range(ROWS)
        ]
        y_rows = [
            builder.gep(y, [builder.mul(builder.add(args[10], ir.Constant(_INDEX, r)), args[11])]) for r in range(ROWS)
        ]
        sums = [[cgutils.alloca_once(builder, _FLOATS) for _ in range(2)] for _ in range(ROWS)]
        matrix = builder.gep(w, [builder.add(offset, builder.mul(wide, ir.Constant(_INDEX, 2)))])
        biases = builder.gep(w, [offset])
        scales = builder.gep(biases, [wide])
        blocks = builder.udiv(wide, ir.Constant(_INDEX, WIDTH))
        with cgutils.for_range(builder, blocks, intp=_INDEX) as outer:
            first = builder.mul(outer.index, ir.Constant(_INDEX, WIDTH))
            halves = [first, builder.add(first, eight)]
            for half, o in enumerate(halves):
                bias = builder.load(_at(builder, biases, o, _FLOATS), align=4)
                for r in range(ROWS):
                    builder.store(bias, sums[r][half])
            with cgutils.for_range(builder, inputs, intp=_INDEX) as inner:
                row = builder.mul(inner.index, wide)
                w2 = [builder.load(_at(builder, matrix, builder.add(row, o), _FLOATS), align=4) for o in halves]
                for r in range(ROWS):
                    value = _spread(builder, builder.load(builder.gep(x_rows[r], [inner.index])), _FLOATS)
                    for half in range(2):
                        total = _multiply_add(builder, value, w2[half], builder.load(sums[r][half]))
                        builder.store(total, sums[r][half])
            for half, o in enumerate(halves):
                scale = builder.load(_at(builder, scales, o, _FLOATS), align=4)
                for r in range(ROWS):
                    value = builder.fmul(builder.load(sums[r][half]), scale)
                    value = _floor(builder, value, _FLOATS)
                    value = _held(builder, value, low, high)
                    builder.store(value, _at(builder, y_rows[r], o, _FLOATS), align=4)
        return context.get_dummy_value()

    return signature, generate


def _sum(builder: Any, a: Any, b: Any, n: Any) -> Any:
    """The sum of the products of n rows of LANES doubles, from the addresses ``a`` and ``b``.

    Two running sums, since each addition must wait for the one before it.
    """
    lanes = ir.Constant(_INDEX, LANES)
    totals = [cgutils.alloca_once_value(builder, ir.Constant(_DOUBLES, [0.0] * LANES)) for _ in range(2)]

    def add(row: Any, total: Any) -> None:
        k = builder.mul(row, lanes)
        left, right = (builder.load(_at(builder, pointer, k, _DOUBLES), align=8) for pointer in (a, b))
        builder.store(_multiply_add(builder, left, right, builder.load(total)), total)

    one = ir.Constant(_INDEX, 1)
    for total in totals:  # also where this code is in a loop
        builder.store(ir.Constant(_DOUBLES, [0.0] * LANES), total)
    with cgutils.for_range(builder, builder.lshr(n, one), intp=_INDEX) as loop:
        row = builder.shl(loop.index, one)
        add(row, totals[0])
        add(builder.add(row, one), totals[1])
    with builder.if_then(builder.trunc(n, ir.IntType(1))):
        add(builder.sub(n, one), totals[0])
    return builder.fadd(builder.load(totals[0]), builder.load(totals[1]))


def _held(builder: Any, value: Any, low: Any, high: Any) -> Any:
    value = builder.select(builder.fcmp_ordered(">", value, low), value, low)
    return builder.select(builder.fcmp_ordered("<", value, high), value, high)


def _rows(builder: Any, pointer: Any, row: Any) -> Any:
    """The address of a row of LANES doubles."""
    return builder.gep(pointer, [builder.mul(row, ir.Constant(_INDEX, LANES))])


def _vector(builder: Any, pointer: Any) -> Any:
    return builder.bitcast(pointer, _DOUBLES.as_pointer())


def _product(typingctx, a, a_row, b, b_row, n, out, out_row, scale, limit):  # type: ignore[no-untyped-def]
    """``out[out_row] = floor(scale * sum(a[a_row + k] * b[b_row + k] for k in range(n)))``, held within +-``limit``.

    Rows of LANES values in flat float64 arrays.
    """
    index, real = types.int64, types.float64
    signature = types.void(a, index, b, index, index, out, index, real, real)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, out = (_rows(builder, _data(context, builder, signature, args, i), args[i + 1]) for i in (0, 2, 5))
        scale, limit = (_spread(builder, value, _DOUBLES) for value in args[7:])
        total = builder.fmul(_sum(builder, a, b, args[4]), scale)
        value = _held(builder, _floor(builder, total, _DOUBLES), builder.fsub(_zeros(), limit), limit)
        builder.store(value, _vector(builder, out), align=8)
        return context.get_dummy_value()

    return signature, generate


def _eliminate(typingctx, u, row, lower, row_j, j, diagonal, per, limit, lower_limit):  # type: ignore[no-untyped-def]
    """One entry of an L D L^T factorisation, with u_ij = L_ij D_j; all arrays float64 (rows, LANES), flat.

    ``u[row + j] -= floor(per * sum(u[row + k] * lower[row_j + k] for k in range(j)))``, held within +-``limit``, and
    ``lower[row + j] = floor(u[row + j] / per / diagonal[j])``, held within +-``lower_limit``.
    """
    index, real = types.int64, types.float64
    signature = types.void(u, index, lower, index, index, diagonal, real, real, real)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        u, lower, diagonal = (_data(context, builder, signature, args, i) for i in (0, 2, 5))
        row, row_j, j = args[1], args[3], args[4]
        per, limit, lower_limit = (_spread(builder, value, _DOUBLES) for value in args[6:])
        total = _sum(builder, _rows(builder, u, row), _rows(builder, lower, row_j), j)
        here = builder.add(row, j)
        entry = _vector(builder, _rows(builder, u, here))
        value = builder.fsub(builder.load(entry, align=8), _floor(builder, builder.fmul(total, per), _DOUBLES))
        value = _held(builder, value, builder.fsub(_zeros(), limit), limit)
        builder.store(value, entry, align=8)
        # 1 / per is a power of two: the division by it is exact
        pivot = builder.load(_vector(builder, _rows(builder, diagonal, j)), align=8)
        quotient = _floor(builder, builder.fdiv(builder.fdiv(value, per), pivot), _DOUBLES)
        quotient = _held(builder, quotient, builder.fsub(_zeros(), lower_limit), lower_limit)
        builder.store(quotient, _vector(builder, _rows(builder, lower, here)), align=8)
        return context.get_dummy_value()

    return signature, generate


dense: Any = intrinsic(_dense)
product: Any = intrinsic(_product)
eliminate: Any = intrinsic(_eliminate)
