"""Numbers of any size in payloads: LEB128, as everywhere in the format."""

from __future__ import annotations

from bitsback.errors import TruncatedError


def varint(value: int) -> bytes:
    """An unsigned integer, seven bits a byte, the low ones first.

    >>> varint(300)
    b'\\xac\\x02'
    """
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def read_varint(data: memoryview) -> tuple[int, memoryview]:
    """(value, the rest of the data).

    >>> value, rest = read_varint(memoryview(varint(300) + b"."))
    >>> value, bytes(rest)
    (300, b'.')

    Raises:
        TruncatedError: the data ends within the number, or it is of more than ten bytes.
    """
    value = 0
    for at, byte in enumerate(data[:10]):
        value |= (byte & 127) << (7 * at)
        if byte < 128:
            return value, data[at + 1 :]
    raise TruncatedError("a payload ends within a number")
