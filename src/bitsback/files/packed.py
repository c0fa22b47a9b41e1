"""Sections of a blob: numbers and bytes that say themselves how long they are."""

from __future__ import annotations

from collections.abc import Iterable


def varint(value: int) -> bytes:
    """7 bits a byte, the lowest first; all bytes but the last have the high bit."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def varints(values: Iterable[int]) -> bytes:
    """How many, and then each."""
    several = list(values)
    return b"".join(map(varint, [len(several), *several]))


def section(data: bytes) -> bytes:
    """How long, and then the bytes."""
    return varint(len(data)) + data


class Sections:
    """A blob, read from its beginning. Raises ValueError where it ends too early."""

    def __init__(self, blob: bytes) -> None:
        self.blob, self.at = blob, 0

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.blob) - self.at:
            raise ValueError("the blob is too short")
        self.at += size
        return self.blob[self.at - size : self.at]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number in the blob is too large")

    def varints(self, most: int) -> list[int]:
        """Numbers, if there are no more than ``most``."""
        count = self.varint()
        if count > len(self.blob) - self.at:
            raise ValueError("the blob is too short")
        if count > most:
            raise ValueError(f"{count} numbers in a blob where there are at most {most}")
        small = self.blob[self.at : self.at + count]
        if small.isascii():
            self.at += count
            return list(small)
        return [self.varint() for _ in range(count)]

    def section(self) -> bytes:
        return self.take(self.varint())

    def rest(self) -> bytes:
        return self.take(len(self.blob) - self.at)
