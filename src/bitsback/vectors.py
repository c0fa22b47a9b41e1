"""Vector arithmetic for kernels, where the compiler by itself does not find it.

Two inner products, written in LLVM's portable vector instructions, which it turns into whatever the processor has: AVX,
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
"""Lanes of :func:`product`."""

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


def _floor(builder: Any, value: Any) -> Any:
    kind = ir.FunctionType(_FLOATS, [_FLOATS])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.floor.v8f32"), [value])


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
                    value = _floor(builder, value)
                    value = builder.select(builder.fcmp_ordered(">", value, low), value, low)
                    value = builder.select(builder.fcmp_ordered("<", value, high), value, high)
                    builder.store(value, _at(builder, y_rows[r], o, _FLOATS), align=4)
        return context.get_dummy_value()

    return signature, generate


def _product(typingctx, a, a_row, b, b_row, n, out, out_row):  # type: ignore[no-untyped-def]
    """``out[out_row] = sum(a[a_row + k] * b[b_row + k] for k in range(n))``: rows of LANES values, flat float64."""
    index = types.int64
    signature = types.void(a, index, b, index, index, out, index)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, out = (_data(context, builder, signature, args, i) for i in (0, 2, 5))
        lanes = ir.Constant(_INDEX, LANES)
        a, b, out = (
            builder.gep(pointer, [builder.mul(row, lanes)])
            for pointer, row in ((a, args[1]), (b, args[3]), (out, args[6]))
        )
        total = cgutils.alloca_once_value(builder, ir.Constant(_DOUBLES, [0.0] * LANES))
        with cgutils.for_range(builder, args[4], intp=_INDEX) as loop:
            k = builder.mul(loop.index, lanes)
            left, right = (builder.load(_at(builder, pointer, k, _DOUBLES), align=8) for pointer in (a, b))
            builder.store(_multiply_add(builder, left, right, builder.load(total)), total)
        builder.store(builder.load(total), _at(builder, out, ir.Constant(_INDEX, 0), _DOUBLES), align=8)
        return context.get_dummy_value()

    return signature, generate


dense: Any = intrinsic(_dense)
product: Any = intrinsic(_product)
