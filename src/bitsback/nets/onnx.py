"""ONNX models written as bytes: as much of the format as integer networks need.

A model is a message of Protocol Buffers, whose encoding is simple: each field is its number and kind (a varint), then
a varint, four bytes, or a length and as many bytes. The numbers are those of ``onnx.proto3``. The onnx package, which
would do the same, takes longer to import than a network takes to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOAT, UINT8, INT8, INT32, INT64 = 1, 2, 3, 6, 7
"""Types of elements: TensorProto.DataType."""

_TYPES = {"float32": FLOAT, "uint8": UINT8, "int8": INT8, "int32": INT32, "int64": INT64}
MICROSOFT = "com.microsoft"
"""The domain of onnxruntime's own operators."""

_INT, _STRING, _INTS = 2, 3, 7  # AttributeProto.AttributeType


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative ones have ten bytes
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _fields(number: int, values: Iterable[int | bytes | str]) -> bytes:
    return b"".join(_field(number, value) for value in values)


def tensor(name: str, value: NDArray[Any] | np.generic) -> bytes:
    """A constant: TensorProto."""
    array = np.asarray(value, order="C")
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return _fields(1, array.shape) + _field(2, _TYPES[array.dtype.name]) + _field(8, name) + _field(9, data)


def node(
    kind: str,
    inputs: Sequence[str],
    output: str,
    name: str,
    domain: str = "",
    **attributes: int | str | Sequence[int],
) -> bytes:
    """An operation: NodeProto."""
    own = _fields(5, (_attribute(key, value) for key, value in sorted(attributes.items())))
    where = _field(7, domain) if domain else b""
    return _fields(1, inputs) + _field(2, output) + _field(3, name) + _field(4, kind) + own + where


def _attribute(name: str, value: int | str | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, _INT)
    if isinstance(value, str):
        return _field(1, name) + _field(4, value) + _field(20, _STRING)
    return _field(1, name) + _fields(8, value) + _field(20, _INTS)


def value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    """An input or output, with names for lengths that may vary: ValueInfoProto."""
    axes = (_field(1, length) if isinstance(length, int) else _field(2, length) for length in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, _fields(1, axes))))


def model(
    name: str,
    nodes: Iterable[bytes],
    constants: Iterable[bytes],
    given: bytes,
    found: bytes,
    opsets: Sequence[tuple[str, int]],
    version: int,
) -> bytes:
    """A graph with one input and one output, in a version of the format and of its operators, given by domain:
    ModelProto."""
    graph = _fields(1, nodes) + _field(2, name) + _fields(5, constants) + _field(11, given) + _field(12, found)
    sets = _fields(8, (_field(1, domain) + _field(2, number) for domain, number in opsets))
    return _field(1, version) + _field(7, graph) + sets
