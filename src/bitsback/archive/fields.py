"""Integers, columns and tagged fields: what heads and directories are written in.

An integer is an unsigned LEB128 number of at most ten bytes, below 2^64; a signed one is zigzag-mapped first. A column
that repeats one value takes one value. Reading is strict, nothing may be left over; and it counts what is there before
it makes anything of it, so that a few packed bytes do not become a long list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

import numpy as np

from bitsback.errors import FormatError, UnsupportedVersionError

MAY_IGNORE = 128
"""An unknown field with this bit in its tag is stepped over; any other unknown field is refused."""

_WORD = 1 << 64
_SHIFTS = range(0, 70, 7)
_FEW = 64
"""So many integers are read one by one."""
_LONG = bytes(range(128, 256))
"""The bytes of an integer but its last."""


def varint(value: int) -> bytes:
    """An integer from 0 to 2^64 - 1.

    >>> varint(300).hex()
    'ac02'
    """
    if not 0 <= value < _WORD:
        raise ValueError(f"{value} is beyond what an integer of the format holds")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def varints(values: Iterable[int]) -> bytes:
    """Integers one after the other."""
    return b"".join(map(varint, values))


def zigzag(value: int) -> int:
    """Signed to unsigned: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return value << 1 if value >= 0 else (-value << 1) - 1


def unzigzag(value: int) -> int:
    """The inverse of :func:`zigzag`."""
    return value >> 1 if not value & 1 else -((value + 1) >> 1)


class Cursor:
    """Bytes read from the beginning on, never past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if size > self.left:
            raise FormatError("it ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def varint(self) -> int:
        """The next integer."""
        data, at, value = self.data, self.at, 0
        if at < len(data) and data[at] < 128:  # the usual case
            self.at += 1
            return data[at]
        try:
            for shift in _SHIFTS:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                if byte < 128:
                    if shift and not byte:
                        raise FormatError("an integer is written longer than it need be")
                    if value >= _WORD:
                        break
                    self.at = at
                    return value
        except IndexError:
            raise FormatError("it ends too early") from None
        raise FormatError("an integer is beyond 64 bits")

    def count(self) -> int:
        """The next integer, as the number of things that follow, each of which takes a byte at least."""
        count = self.varint()
        if count > self.left:
            raise FormatError("it announces more than it holds")
        return count

    def varints(self, count: int) -> list[int]:
        """The next ``count`` integers."""
        if not count:
            return []
        start = self.data[self.at : self.at + count]
        if len(start) == count and start.isascii():  # the usual case: small numbers only
            self.at += count
            return list(start)
        values = self._many(count) if count > _FEW else None
        return [self.varint() for _ in range(count)] if values is None else values

    def _many(self, count: int) -> list[int] | None:
        """The next ``count`` integers, all at once; None if there is anything special about one of them."""
        data = np.frombuffer(self.data, np.uint8, offset=self.at)[: len(_SHIFTS) * count]
        ends = np.flatnonzero(data < 128)[:count]
        if len(ends) < count:
            return None
        starts = np.concatenate(([0], ends[:-1] + 1))
        sizes = ends - starts + 1
        longest = int(sizes.max())
        if longest == len(_SHIFTS) or not (data[ends] | (sizes == 1)).all():
            return None
        values = np.zeros(count, np.uint64)
        for k in range(longest):
            longer = sizes > k
            values[longer] |= (data[starts[longer] + k] & 127).astype(np.uint64) << np.uint64(7 * k)
        self.at += int(ends[-1]) + 1
        return values.tolist()

    def ascending(self, count: int) -> list[int]:
        """The inverse of :func:`ascending`."""
        out, last = [], -1
        for gap in self.varints(count):
            last += 1 + gap
            out.append(last)
        return out


def counted(data: bytes) -> int:
    """How many integers there are in ``data``."""
    return len(data.translate(None, _LONG))


def ascending(values: Iterable[int]) -> bytes:
    """Numbers in ascending order: each as its distance from the one before, less one; the first as it is.

    >>> ascending([3, 4, 9]).hex()
    '030004'
    """
    out, last = [], -1
    for value in values:
        out.append(value - last - 1)
        last = value
    return varints(out)


def read_ascending(data: bytes, most: int) -> list[int]:
    """The inverse of :func:`ascending`; FormatError if there are more than ``most``."""
    count = counted(data)
    if count > most:
        raise FormatError(f"a list of at most {most} numbers has more")
    cursor = Cursor(data)
    values = cursor.ascending(count)
    if cursor.left:
        raise FormatError("a list of numbers is cut short")
    return values


def column(values: Sequence[int]) -> bytes:
    """One integer if all are equal, else one each."""
    return varints(values[:1] if len(set(values)) == 1 else values)


def read_column(data: bytes | None, rows: int, default: int = 0) -> list[int]:
    """``rows`` values; the default for a field that is not there."""
    if data is None:
        return [default] * rows
    count = counted(data)
    if not rows or count not in (1, rows):
        raise FormatError(f"a column of {rows} rows has {count} values")
    cursor = Cursor(data)
    values = cursor.varints(count)
    if cursor.left:
        raise FormatError("a column ends within an integer")
    return values if count == rows else values * rows


def steps(values: Iterable[int]) -> bytes:
    """The differences of 64-bit numbers with sign to the ones before, the first to 0, modulo 2^64, as a column."""
    last, out = 0, []
    for value in values:
        if value != _signed(value):
            raise ValueError(f"{value} does not fit into 64 bits with sign")
        out.append(zigzag(_signed(value - last)))
        last = value
    return column(out)


def read_steps(data: bytes | None, rows: int) -> list[int]:
    """The inverse of :func:`steps`."""
    if data is None:
        return [0] * rows
    out = list(accumulate(map(unzigzag, read_column(data, rows))))
    if out and not -_WORD >> 1 <= min(out) <= max(out) < _WORD >> 1:
        out = list(map(_signed, out))
    return out


def _signed(value: int) -> int:
    """The number with sign, of 64 bits, that is ``value`` modulo 2^64."""
    return (value + (_WORD >> 1)) % _WORD - (_WORD >> 1)


def strings(values: Sequence[bytes]) -> bytes:
    """Byte strings without NUL, each ended by one."""
    return b"".join(value + b"\0" for value in values)


def read_strings(data: bytes | None, most: int) -> list[bytes]:
    """The inverse of :func:`strings`; FormatError if there are more than ``most``."""
    if not data:
        return []
    if not data.endswith(b"\0"):
        raise FormatError("a list of strings is cut short")
    if data.count(b"\0") > most:
        raise FormatError(f"a list of at most {most} strings has more")
    return data[:-1].split(b"\0")


def fields(values: Mapping[int, bytes | None]) -> bytes:
    """Tagged fields by tag; those that are None are left out."""
    return b"".join(bytes([tag]) + varint(len(data)) + data for tag, data in sorted(values.items()) if data is not None)


def read_fields(data: bytes, known: frozenset[int]) -> dict[int, bytes]:
    """The known fields by tag. Raises FormatError, and UnsupportedVersionError for one that must be understood."""
    cursor = Cursor(data)
    out: dict[int, bytes] = {}
    last = 0
    while cursor.left:
        (tag,) = cursor.take(1)
        if tag <= last:
            raise FormatError("its fields are out of order")
        last = tag
        value = cursor.take(cursor.varint())
        if tag in known:
            out[tag] = value
        elif not tag & MAY_IGNORE:
            raise UnsupportedVersionError(f"field {tag} is unknown to this version")
    return out
