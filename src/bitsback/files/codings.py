"""What the bytes of samples, or of a file, may be coded by within another file, and how exactly that was.

A codec has to bring back the very bytes: what an encoder was free to choose is told by rules, which mostly are the same
for all pieces of a file, and by *choices* where they do not say it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np

from bitsback.errors import ImageError
from bitsback.files.packed import Sections, section, varint, varints
from bitsback.files.picture import Buffer

_Decoded = tuple[Buffer, Any, bytes, int]


class Codec(NamedTuple):
    """``decode(data, limit)`` gives plain bytes, what says how they were coded (for JSON, mostly the same for all
    spans), choices that it does not say, and the size of what was decoded; ``encode(plain, how, choices, size)`` gives
    that again, ``size`` being the largest that it may be. ``alike(data, limit, how)`` is what ``decode`` gives if it is
    coded so without any choices, or None: quicker, and of short pieces, several ``how`` may be right. ``near(data,
    limit, how, found)`` is what ``decode`` has ``found``, or the same by this ``how``, if that takes few more choices.
    """

    decode: Callable[[memoryview, int], _Decoded]
    encode: Callable[[Buffer, Any, bytes, int], bytes]
    alike: Callable[[memoryview, int, Any], _Decoded | None] = lambda data, limit, how: None
    near: Callable[[memoryview, int, Any, _Decoded], _Decoded] = lambda data, limit, how, found: found


def _raw_inflate(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """A stream as RFC 1951 has it."""
    from bitsback.files.deflate import take_apart  # here, so that other files never wait for the compiler

    plain, rules, corrections, size = take_apart(data, limit)
    return plain, rules, corrections, size


def _raw_deflate(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files.deflate import put_together

    return put_together(plain, how, chosen)


def _inflate(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """A stream as RFC 1950 has it: its two first bytes are the same in most; a right checksum goes without saying."""
    if len(data) < 6 or data[0] & 15 != 8 or data[1] & 32:
        raise ImageError("no zlib stream")
    plain, rules, corrections, size = _raw_inflate(data[2:], limit)
    right = bytes(data[2 + size : 6 + size]) == zlib.adler32(plain).to_bytes(4, "big")
    how = [data[0], data[1], int(right), *rules]
    return plain, how, corrections, size + (6 if right else 2)


def _deflate(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
    first, second, right, *rules = how
    ending = zlib.adler32(plain).to_bytes(4, "big") if right else b""
    return bytes([first, second]) + _raw_deflate(plain, rules, chosen, size) + ending


def _alike(data: memoryview, limit: int, how: Any) -> tuple[bytes, Any, bytes, int] | None:
    """A stream as RFC 1950 has it that is coded like another."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, limit + 1)
        size = len(data) - len(inflater.unused_data)
        if len(plain) > limit or not inflater.eof or _deflate(plain, how, b"", size) != data[:size]:
            return None
    except (zlib.error, ValueError, IndexError):
        return None
    return plain, how, b"", size


_FEW = 5
"""Bytes that it may cost if rules are the same as before: others take that in the recipe."""


def _near(data: memoryview, limit: int, how: Any, found: _Decoded) -> _Decoded:
    """A stream as RFC 1950 has it that no rules explain, with corrections to those of another."""
    from bitsback.files.deflate import corrections_by

    plain, own, corrections, size = found
    if own == how or own[:3] != how[:3] or not corrections:
        return found
    other = corrections_by(data[2:], limit, how[3:], len(corrections) + _FEW)
    return found if other is None else (plain, how, other, size)


def _lzw_of(dialect: str) -> Codec:
    """As TIFF has it, and as it had it before 6.0, which is as GIF has it, without blocks."""

    def decode(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
        from bitsback.files import lzw

        plain, choices, size = lzw.take_apart(data, limit, getattr(lzw, dialect))
        return plain, *lzw.write_choices(choices), size

    def encode(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
        from bitsback.files import lzw

        return lzw.put_together(plain, lzw.read_choices(how, chosen, len(plain)), size, getattr(lzw, dialect))

    return Codec(decode, encode)


def _ungif(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """The bits of a symbol, then LZW in blocks, and an empty one.

    Blocks are of one size, the last shorter perhaps; or their sizes are told, and what follows the LZW data in them.
    """
    from bitsback.files import lzw

    bits, sizes, at = data[0], list[int](), 1
    blocks = bytearray()
    while data[at]:
        sizes.append(data[at])
        blocks += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    if not 1 <= bits <= 8:
        raise ImageError("GIF data of unusual symbols")
    plain, choices, used = lzw.take_apart(bytes(blocks), limit, lzw.Dialect(bits, False, 0))
    how, told = lzw.write_choices(choices)
    size = sizes[0] if sizes else 0
    if used == len(blocks) and sizes[:-1] == [size] * (len(sizes) - 1) and sizes[-1] <= size:
        return plain, [bits, 255 if len(sizes) == 1 else size, *how], varint(used) + told, at + 1
    unusual = section(bytes(blocks[used:])) + varints(sizes)
    return plain, [bits, 0, *how], unusual + varint(used) + told, at + 1


def _gif(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files import lzw

    bits, block, *rest = how
    if not 1 <= bits <= 8 or not 0 <= block <= 255:
        raise ValueError("impossible GIF symbols or blocks")
    sections = Sections(chosen)
    surplus, sizes = (b"", []) if block else (sections.section(), sections.varints(size))
    used = sections.varint()
    choices = lzw.read_choices(rest, sections.rest(), len(plain))
    data = lzw.put_together(plain, choices, used, lzw.Dialect(bits, False, 0)) + surplus
    ends = list(accumulate(sizes)) if not block else [*range(block, len(data), block), len(data)]
    pieces = [data[start:end] for start, end in pairwise([0, *ends])]
    if (ends and ends[-1] != len(data)) or not all(0 < len(piece) < 256 for piece in pieces):
        raise ValueError("impossible GIF blocks")
    return b"".join([bytes([bits]), *(bytes([len(piece)]) + piece for piece in pieces), b"\0"])


def _unpackbits(data: memoryview, limit: int) -> tuple[Buffer, Any, bytes, int]:
    """What leads the runs is told by the rules of an encoder, if one of ours makes the same; else it is kept."""
    from bitsback.files import packbits

    plain, heads, size = packbits.decode(data, limit)
    rule = packbits.explain(plain, heads)
    return plain, rule, b"" if rule else heads, size


def _packbits(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
    from bitsback.files import packbits

    return packbits.encode(plain, packbits.heads(plain, how) if how else chosen)


def _unrle(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """DICOM's RLE: a head of sixteen numbers, how many segments there are and where; and each a plane of bytes.

    (DICOM PS3.5, annex G.) Each is told as PackBits is, and what follows up to the next one.
    """
    count, *starts = struct.unpack_from("<16I", data)
    if not 1 <= count <= 15 or limit % count or starts[:count] != sorted(starts[:count]) or any(starts[count:]):
        raise ImageError("an unusual head of RLE")
    ends = [*starts[1:count], len(data)]
    if starts[0] != 64 or ends[-1] < starts[count - 1]:
        raise ImageError("RLE that does not follow its head")
    plains, hows, choices = [], [], []
    for start, end in zip(starts, ends, strict=False):
        plain, how, chosen, used = _unpackbits(data[start:end], limit // count)
        plains.append(plain)
        hows.append(how)
        choices += [section(chosen), section(bytes(data[start + used : end]))]
    return b"".join(plains), hows, b"".join(choices), len(data)


def _rle(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
    count = len(how)
    if not 1 <= count <= 15 or len(plain) % count:
        raise ValueError("impossible RLE segments")
    sections, each = Sections(chosen), len(plain) // count
    segments = []
    for number, rule in enumerate(how):
        heads, following = sections.section(), sections.section()
        segments.append(_packbits(plain[number * each :][:each], rule, heads, size) + following)
    starts = [64 + sum(map(len, segments[:number])) for number in range(count)]
    return struct.pack("<16I", count, *starts, *[0] * (15 - count)) + b"".join(segments)


def _rle_of(each: int) -> Codec:
    """The same, where so many planes are the bytes of samples, from high to low."""

    def decode(data: memoryview, limit: int) -> tuple[Buffer, Any, bytes, int]:
        planes, how, choices, size = _unrle(data, limit)
        if len(how) % each:
            raise ImageError("RLE of some of a sample")
        bytes_ = np.frombuffer(planes, np.uint8).reshape(len(how) // each, each, -1)
        return bytes_[:, ::-1].transpose(0, 2, 1).tobytes(), how, choices, size

    def encode(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
        if len(how) % each:
            raise ValueError("RLE of some of a sample")
        bytes_ = np.frombuffer(plain, np.uint8).reshape(len(how) // each, -1, each)
        return _rle(bytes_.transpose(0, 2, 1)[:, ::-1].tobytes(), how, chosen, size)

    return Codec(decode, encode)


def _three(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """Big-endian numbers of three bytes, as little-endian ones of four."""
    size = limit // 4 * 3
    if len(data) < size:
        raise ImageError("fewer numbers than there are due")
    out = np.zeros((limit // 4, 4), np.uint8)
    out[:, :3] = np.frombuffer(data[:size], np.uint8).reshape(-1, 3)[:, ::-1]
    return out.tobytes(), 0, b"", size


def _four(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
    return np.frombuffer(plain, np.uint8).reshape(-1, 4)[:, 2::-1].tobytes()


def _unpaired(data: memoryview, limit: int) -> tuple[bytes, Any, bytes, int]:
    """Bytes in words of 16 bits, big-endian ones; where they are odd, one more goes with the last."""
    some = np.frombuffer(data[: limit + limit % 2], np.uint8)
    if some.size != limit + limit % 2:
        raise ImageError("fewer bytes than there are due")
    swapped = some.reshape(-1, 2)[:, ::-1].tobytes()
    return swapped[:limit], 0, swapped[limit:], some.size


def _paired(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
    return np.frombuffer(bytes(plain) + chosen, np.uint8).reshape(-1, 2)[:, ::-1].tobytes()


CODECS = {
    "deflate": Codec(_raw_inflate, _raw_deflate),
    "zlib": Codec(_inflate, _deflate, _alike, _near),
    "lzw": _lzw_of("TIFF"),
    "oldlzw": _lzw_of("OLD"),
    "gif": Codec(_ungif, _gif),
    "packbits": Codec(_unpackbits, _packbits),
    "rle": Codec(_unrle, _rle),
    "rle16": _rle_of(2),
    "rle32": _rle_of(4),
    "pairs": Codec(_unpaired, _paired),
    "three": Codec(_three, _four),
}


def codec_of(name: str) -> Codec:
    """The codec of this name: one of :data:`CODECS`, or one with a number, as ``g4 1728``.

    Of fax codes that is the width of rows. Further words say that the bits of bytes are in ``reverse``, and that rows
    may be told by those ``above``. Raises KeyError and ValueError.
    """
    kind, *words = name.split(" ")
    if not words:
        return CODECS[kind]
    number = int(words[0])
    if number < 1:
        raise ValueError("a codec of less than nothing")
    if len(words) == 1 and kind in _SIZED:
        return _SIZED[kind](number)
    if kind not in ("mh", "g3", "g4") or not set(words[1:]) <= {"reverse", "above"}:
        raise KeyError(name)
    return _fax(kind, number, "reverse" in words, "above" in words)


def _fax(kind: str, width: int, reverse: bool, above: bool) -> Codec:
    from bitsback.files import fax

    def decode(data: memoryview, limit: int) -> tuple[Buffer, Any, bytes, int]:
        plain, how, choices, size = fax.decode(data, limit, kind, width, reverse, above)
        return plain, [how.fill, how.ends], choices, size

    def encode(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
        fill, ends = how
        return fax.encode(plain, kind, width, fax.How(int(reverse), fill, int(above), ends), chosen, size)

    return Codec(decode, encode)


def _tga(unit: int) -> Codec:
    """Runs as PackBits has them, of pixels of so many bytes; their heads go up where those of PackBits go down."""
    from bitsback.files import packbits

    def decode(data: memoryview, limit: int) -> tuple[Buffer, Any, bytes, int]:
        plain, heads, size = packbits.decode(data, limit, unit, turned=True)
        rule = packbits.explain(plain, heads, unit)
        return plain, rule, b"" if rule else heads, size

    def encode(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
        heads = packbits.heads(plain, how, unit) if how else chosen
        return packbits.encode(plain, heads, unit, turned=True)

    return Codec(decode, encode)


def _qoi(channels: int) -> Codec:
    from bitsback.files import qoi_pixels

    def decode(data: memoryview, limit: int) -> tuple[Buffer, Any, bytes, int]:
        plain, size = qoi_pixels.decode(data, limit, channels)
        return plain, 0, b"", size

    return Codec(decode, lambda plain, how, chosen, size: qoi_pixels.encode(plain, channels))


def _pcx(row: int) -> Codec:
    from bitsback.files import pcx_runs

    def decode(data: memoryview, limit: int) -> tuple[Buffer, Any, bytes, int]:
        plain, apart, size = pcx_runs.decode(data, limit, row)
        return plain, apart, b"", size

    return Codec(decode, lambda plain, how, chosen, size: pcx_runs.encode(plain, row, how))


def _bmp(depth: int) -> Callable[[int], Codec]:
    """Of pixels of 8 or 4 bits: rows of so many, and what makes that a multiple of four."""

    def of(width: int) -> Codec:
        from bitsback.files import bmp_runs

        return Codec(
            lambda data, limit: bmp_runs.decode(data, limit, depth, width),
            lambda plain, how, chosen, size: bmp_runs.encode(plain, how, chosen, depth, width, size),
        )

    return of


def _lossless_jpeg(size: int) -> Codec:
    """A file of samples of so many bytes."""
    from bitsback.files.jpeg import lossless

    return Codec(
        lambda data, limit: lossless.decode(data, limit, size),
        lambda plain, how, chosen, used: lossless.encode(plain, how, chosen, size),
    )


def _bits(width: int) -> Codec:
    """Rows of so many bits, the low ones of bytes first, without a gap between them."""

    def decode(data: memoryview, limit: int) -> tuple[Buffer, Any, bytes, int]:
        count = limit // -(-width // 8) * width
        used = -(-count // 8)
        bits = np.unpackbits(np.frombuffer(data[:used], np.uint8), bitorder="little")
        if bits.size < count or bits[count:].any():
            raise ImageError("bits of an unusual size")
        rows = np.packbits(bits[:count].reshape(-1, width), axis=1, bitorder="little")
        return rows.tobytes(), 0, b"", used

    def encode(plain: Buffer, how: Any, chosen: bytes, size: int) -> bytes:
        rows = np.frombuffer(plain, np.uint8).reshape(-1, -(-width // 8))
        return np.packbits(np.unpackbits(rows, axis=1, count=width, bitorder="little"), bitorder="little").tobytes()

    return Codec(decode, encode)


_SIZED: dict[str, Callable[[int], Codec]] = {
    "tga": _tga,
    "qoi": _qoi,
    "pcx": _pcx,
    "ljpeg": _lossless_jpeg,
    "bits": _bits,
    "bmp4": _bmp(4),
    "bmp8": _bmp(8),
}


__all__ = ["CODECS", "Codec", "codec_of"]
