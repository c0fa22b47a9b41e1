"""The runs of PCX, both ways."""

from __future__ import annotations

from itertools import groupby

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer

MOST = 63
"""Bytes of a run."""


def decode(data: Buffer, limit: int, row: int) -> tuple[bytes, int, int]:
    """``limit`` plain bytes, how many at the end of each row stand apart, and the size of what was decoded. Raises
    ImageError if that is damaged, or unusual."""
    plain, at = bytearray(), 0
    while len(plain) < limit and at < len(data):
        byte = data[at]
        if byte < 0xC0:
            plain.append(byte)
            at += 1
            continue
        if at + 1 >= len(data) or byte == 0xC0:
            break
        plain += bytes(data[at + 1 : at + 2]) * (byte & 63)
        at += 2
    if len(plain) != limit or limit % row:
        raise ImageError("damaged PCX data")
    for apart in (0, 1):  # a byte that makes rows even
        if encode(bytes(plain), row, apart) == bytes(data[:at]):
            return bytes(plain), apart, at
    raise ImageError("PCX data by an unknown encoder")


def encode(plain: Buffer, row: int, apart: int) -> bytes:
    """The inverse: runs as long as can be, but within rows."""
    if row < 1 or len(plain) % row or not 0 <= apart < row:
        raise ValueError("rows of another size")
    out = bytearray()
    for start in range(0, len(plain), row):
        for at, stop in ((start, start + row - apart), (start + row - apart, start + row)):
            for byte, equal in groupby(plain[at:stop]):
                same = len(list(equal))
                for run in [MOST] * (same // MOST) + [same % MOST] * (same % MOST > 0):
                    out += bytes([0xC0 | run, byte] if run > 1 or byte >= 0xC0 else [byte])
    return bytes(out)


__all__ = ["MOST", "decode", "encode"]
