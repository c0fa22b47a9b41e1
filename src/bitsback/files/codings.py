"""What the bytes of samples, or of a file, may be coded by within another file, and how exactly that was.

A codec has to bring back the very bytes: what an encoder was free to choose is told by rules, which mostly are the same
for all pieces of a file, and by *choices* where they do not say it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from bitsback.errors import ImageError
from bitsback.files.packed import Sections, varint, varints


class Codec(NamedTuple):
    """``decode(data, limit)`` gives plain bytes, what says how they were coded (for JSON, mostly the same for all
    spans), choices that it does not say, and the size of what was decoded; ``encode(plain, how, choices, size)`` gives
    that again, ``size`` being the largest that it may be."""

    decode: Callable[[memoryview, int], tuple[bytes, Any, bytes, int]]
    encode: Callable[[bytes, Any, bytes, int], bytes]


def _raw_inflate(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """A stream as RFC 1951 has it."""
    from bitsback.files.deflate import take_apart  # here, so that other files never wait for the compiler

    plain, rules, corrections, size = take_apart(data, limit)
    return plain, rules, corrections, size


def _raw_deflate(plain: bytes, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files.deflate import put_together

    return put_together(plain, how, chosen)


def _inflate(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """A stream as RFC 1950 has it: its two first bytes are the same in most; a right checksum goes without saying."""
    from bitsback.files.deflate import take_apart

    if len(data) < 6 or data[0] & 15 != 8 or data[1] & 32:
        raise ImageError("no zlib stream")
    plain, rules, corrections, size = take_apart(data[2:], limit)
    right = bytes(data[2 + size : 6 + size]) == zlib.adler32(plain).to_bytes(4, "big")
    how = [data[0], data[1], int(right), *rules]
    return plain, how, corrections, size + (6 if right else 2)


def _deflate(plain: bytes, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files.deflate import put_together

    first, second, right, *rules = how
    ending = zlib.adler32(plain).to_bytes(4, "big") if right else b""
    return bytes([first, second]) + put_together(plain, rules, chosen) + ending


def _unlzw(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    from bitsback.files import lzw

    plain, runs, size = lzw.take_apart(data, limit)
    how, choices = _told(runs)
    return plain, how, choices, size


def _lzw(plain: bytes, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files import lzw

    return lzw.put_together(plain, _runs(how, chosen, len(plain)), size)


def _ungif(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """The bits of a symbol, then LZW in blocks of one size, the last shorter perhaps, and an empty one."""
    from bitsback.files import lzw

    bits, blocks, at = data[0], [], 1
    while data[at]:
        blocks.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    coded = b"".join(blocks)
    size = len(blocks[0]) if blocks else 0
    if not 1 <= bits <= 8 or any(len(block) != size for block in blocks[:-1]) or (blocks and len(blocks[-1]) > size):
        raise ImageError("GIF data in unusual blocks")
    plain, runs, used = lzw.take_apart(coded, limit, lzw.Dialect(bits, False, 0))
    if used != len(coded):
        raise ImageError("GIF data that go on after their end")
    how, choices = _told(runs)
    return plain, [bits, 255 if len(blocks) == 1 else size, *how], varint(used) + choices, at + 1


def _gif(plain: bytes, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files import lzw

    bits, block, *rest = how
    if not 1 <= bits <= 8 or not 1 <= block <= 255:
        raise ValueError("impossible GIF symbols or blocks")
    sections = Sections(chosen)
    used = sections.varint()
    data = lzw.put_together(plain, _runs(rest, sections.rest(), len(plain)), used, lzw.Dialect(bits, False, 0))
    blocks = [data[at : at + block] for at in range(0, len(data), block)]
    return b"".join([bytes([bits]), *(bytes([len(block)]) + block for block in blocks), b"\0"])


def _told(runs: list[int]) -> tuple[list[int], bytes]:
    """LZW's runs in short: those between clear codes are mostly of one length, but for the last."""
    usual = max(runs[1:-1], default=0)
    if len(runs) > 1 and runs == [0, *[usual] * (len(runs) - 2), runs[-1]]:
        return [len(runs) - 2, usual], varint(runs[-1])
    return [], varints(runs)


def _runs(how: list[int], chosen: bytes, most: int) -> list[int]:
    """The inverse of :func:`_told`."""
    if not how:
        return Sections(chosen).varints(most + 2)
    count, usual = how
    if not 0 <= count <= most:
        raise ValueError("impossible LZW runs")
    return [0, *[usual] * count, Sections(chosen).varint()]


def _unpackbits(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """The bytes between the runs are what an encoder chose: kept, and packed with all others of a chunk."""
    plain, heads = bytearray(), bytearray()
    at = 0
    while len(plain) < limit:
        if at >= len(data):
            raise ImageError("damaged PackBits data")
        head = data[at]
        heads.append(head)
        if head < 128:
            plain += data[at + 1 : at + 2 + head]
            at += 2 + head
        else:
            if head > 128:
                plain += bytes(data[at + 1 : at + 2]) * (257 - head)
            at += 2 if head > 128 else 1
        if at > len(data) or len(plain) > limit or len(heads) > 2 * len(plain) + _IDLE:
            raise ImageError("damaged PackBits data")
    return bytes(plain), 0, bytes(heads), at


def _packbits(plain: bytes, how: Any, chosen: bytes, size: int) -> bytes:
    out, at = bytearray(), 0
    if len(chosen) > 2 * len(plain) + _IDLE:  # cannot be, as in reading
        raise ValueError("PackBits data of nothing")
    for head in chosen:
        out.append(head)
        if head < 128:
            out += plain[at : at + 1 + head]
            at += 1 + head
        elif head > 128:
            out += plain[at : at + 1]
            at += 257 - head
    return bytes(out)


_IDLE = 64
"""Heads of PackBits that may stand for nothing, besides one for each byte."""

CODECS = {
    "deflate": Codec(_raw_inflate, _raw_deflate),
    "zlib": Codec(_inflate, _deflate),
    "lzw": Codec(_unlzw, _lzw),
    "gif": Codec(_ungif, _gif),
    "packbits": Codec(_unpackbits, _packbits),
}

__all__ = ["CODECS", "Codec"]
