"""A deflate stream (RFC 1951) as what its encoder chose, and back to the same bits.

:func:`parse` finds every choice that there is in the format: which bytes are literals, which matches were taken, where
blocks end and of what type they are, the lengths of Huffman codes and how the header describes them, bits that mean
nothing. :func:`write` is its inverse.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.deflate.bits import (
    TABLE,
    Bits,
    decode_symbol,
    extra_bits,
    fill,
    flush,
    low,
    make_codes,
    make_table,
    put,
    put_code,
    repeats,
    skip,
    told_apart,
)
from bitsback.files.deflate.symbols import (
    BLOCK,
    BYTES,
    CODE,
    COUNT,
    END,
    FINAL,
    FIXED,
    HCLEN,
    HDIST,
    HLIT,
    ITEM_BITS,
    LENGTHS,
    LONGEST,
    LONGEST_AS_284,
    OPS,
    PAD,
    STORED,
    TABLES,
    TOKEN_BITS,
    TYPE,
    Tables,
)
from bitsback.files.picture import Buffer
from bitsback.kernels import helper, kernel

_CODES = 320
"""Room for the lengths of all codes of a block."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What the encoder of a stream chose.

    ``tokens`` (int32) and ``blocks`` (int32, rows of :data:`~bitsback.files.deflate.symbols.BLOCK`) as in
    :mod:`bitsback.files.deflate.symbols`; ``items`` (int32) describe the codes of the dynamic blocks, one block's after
    the other's; ``padding`` are the bits after the end in the last byte. Stored blocks have no tokens of their own;
    where their row counts some, those are passed over.
    """

    tokens: NDArray[np.int32]
    blocks: NDArray[np.int32]
    items: NDArray[np.int32]
    padding: int = 0


def parse(data: Buffer, limit: int) -> tuple[bytes, Stream, int]:
    """The plain bytes of a stream at the beginning of ``data``, what its encoder chose, and how many bytes it takes.

    Raises ImageError if it is damaged, does not end, holds more than ``limit`` bytes, or consists of more blocks than
    any encoder makes.
    """
    inflater = zlib.decompressobj(-15)
    try:
        plain = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise ImageError(f"a damaged deflate stream ({error})") from None
    if len(plain) > limit or not inflater.eof:
        raise ImageError("a deflate stream that is cut off, or too large")
    size = len(data) - len(inflater.unused_data)
    most = size // 16 + 64
    tokens = np.empty(min(len(plain), 8 * size), np.int32)  # pages not used cost nothing
    blocks = np.empty((most, BLOCK), np.int32)
    items = np.empty(min(_CODES * most, 8 * size), np.int32)
    found = np.zeros(5, np.int64)
    scratch = _Codes(np.empty(_CODES, np.uint8), np.empty((3, TABLE), np.int32), TABLES)
    _parse(np.frombuffer(data, np.uint8, size), len(plain), tokens, blocks, items, found, scratch)
    if not found[0]:
        raise ImageError("an unusual deflate stream")
    stream = Stream(tokens[: found[1]], blocks[: found[2]], items[: found[3]], padding=int(found[4]))
    return plain, stream, size


def write(plain: Buffer, stream: Stream) -> bytes:
    """The stream again. Raises ValueError if the parts do not fit together."""
    stored = int(stream.blocks[stream.blocks[:, TYPE] == STORED, BYTES].astype(np.int64).sum())
    room = 6 * len(stream.tokens) + stored + 2 * len(stream.items) + 32 * len(stream.blocks) + 16
    out = np.empty(room, np.uint8)
    data = np.frombuffer(plain, np.uint8)
    scratch = _Codes(np.empty(_CODES, np.uint8), np.empty((2, _CODES), np.int32), TABLES)
    size = _write(data, stream.tokens, stream.blocks, stream.items, stream.padding, out, scratch)
    if size < 0:
        raise ValueError("a deflate stream that cannot be written")
    return out[:size].tobytes()


class _Codes(NamedTuple):
    """A block's codes: their lengths, those of distances behind those of literals; tables to decode with (3, TABLE), or
    codes to write (2, symbols): literals, distances, and how lengths are described."""

    lengths: NDArray[np.uint8]
    tables: NDArray[np.int32]
    numbers: Tables


@helper
def _fixed(codes):  # type: ignore[no-untyped-def]
    """The lengths of the fixed codes."""
    for i in range(318):
        codes.lengths[i] = codes.numbers.fixed[i]


@helper
def _repeat(lengths, done, item):  # type: ignore[no-untyped-def]
    """What an item says, from place ``done`` on: which length, and how often; 0 times, if there is none to repeat."""
    symbol, times = item & ((1 << ITEM_BITS) - 1), repeats(item)
    if symbol != 16:
        return symbol if symbol < 16 else np.int64(0), times
    if done == 0:
        return np.int64(0), np.int64(0)
    return np.int64(lengths[done - 1]), times


@helper
def _parse_lengths(data, bits, row, items, item, codes):  # type: ignore[no-untyped-def]
    """The lengths of a dynamic block's codes, from behind its type; returns the reader and the next item, or -1."""
    lengths = codes.lengths
    both = (257 + low(bits, 5)) + (1 + (bits.hold >> 5 & 31))
    given = 4 + (bits.hold >> 10 & 15)
    row[HLIT] = 257 + low(bits, 5)
    row[HDIST] = 1 + (bits.hold >> 5 & 31)
    row[HCLEN] = given
    bits = skip(bits, 14)
    for i in range(19):
        lengths[i] = 0
    for i in range(given):
        if bits.have < 3:
            bits = fill(data, bits)
        symbol = codes.numbers.order[i]
        lengths[symbol] = low(bits, 3)
        row[CODE + symbol] = low(bits, 3)
        bits = skip(bits, 3)
    if not make_table(lengths, 0, 19, codes.tables[2]):
        return bits, np.int64(-1)
    done = np.int64(0)
    while done < both:
        bits = fill(data, bits)
        entry = decode_symbol(bits.hold, codes.tables[2])
        if entry == 0 or item == items.size:
            return bits, np.int64(-1)
        bits = skip(bits, entry & 15)
        symbol = entry >> 4
        count = np.int64(extra_bits(symbol))
        found = low(bits, count) << ITEM_BITS | symbol
        bits = skip(bits, count)
        value, times = _repeat(lengths, done, found)
        if times == 0 or done + times > both:
            return bits, np.int64(-1)
        for i in range(times):
            lengths[done + i] = value
        done += times
        items[item] = found
        item += 1
        row[OPS] += 1
    return bits, item


@helper
def _parse_tokens(data, bits, plain, size, tokens, token, codes):  # type: ignore[no-untyped-def]
    """A block's tokens to its end; returns the reader, the plain bytes there are then, and the next token, or -1."""
    numbers = codes.numbers
    while True:
        bits = fill(data, bits)
        entry = decode_symbol(bits.hold, codes.tables[0])
        bits = skip(bits, entry & 15)
        symbol = entry >> 4
        if symbol == END:
            return bits, plain, token
        if entry == 0 or token == tokens.size:
            break
        if symbol < END:
            tokens[token] = 1
            token += 1
            plain += 1
            continue
        symbol -= 257
        if symbol > 28:
            break
        length = numbers.length_base[symbol] + low(bits, np.int64(numbers.length_extra[symbol]))
        bits = skip(bits, np.int64(numbers.length_extra[symbol]))
        entry = decode_symbol(bits.hold, codes.tables[1])
        bits = skip(bits, entry & 15)
        far = entry >> 4
        if entry == 0 or far > 29:
            break
        distance = numbers.distance_base[far] + low(bits, np.int64(numbers.distance_extra[far]))
        bits = skip(bits, np.int64(numbers.distance_extra[far]))
        if distance > plain or plain + length > size:
            break
        plain += length
        if symbol == 27 and length == LONGEST:
            length = np.int64(LONGEST_AS_284)
        tokens[token] = distance << TOKEN_BITS | length
        token += 1
    return bits, plain, np.int64(-1)


@kernel
def _parse(data, size, tokens, blocks, items, found, codes):  # type: ignore[no-untyped-def]
    """Fill tokens, blocks and items; ``found``: whether all is well, how many of each, the bits after the end."""
    bits = Bits(np.int64(0), np.int64(0), np.int64(0))
    plain = np.int64(0)
    token = np.int64(0)
    item = np.int64(0)
    block = 0
    last = np.int64(0)
    while last == 0:
        if block == blocks.shape[0]:
            return
        row = blocks[block]
        block += 1
        for i in range(BLOCK):
            row[i] = 0
        bits = fill(data, bits)
        last = low(bits, 1)
        kind = bits.hold >> 1 & 3
        bits = skip(bits, 3)
        row[TYPE] = kind
        row[FINAL] = last
        if kind == STORED:
            odd = bits.have & 7
            row[PAD] = low(bits, odd)
            at = bits.at - ((bits.have - odd) >> 3)
            if at + 4 > data.size:
                return
            count = np.int64(data[at]) | np.int64(data[at + 1]) << 8
            at += 4 + count
            plain += count
            if at > data.size or plain > size:
                return
            row[BYTES] = count
            bits = Bits(at, np.int64(0), np.int64(0))
            continue
        literals = np.int64(288)
        distances = np.int64(30)
        if kind == FIXED:
            _fixed(codes)
        else:
            bits, item = _parse_lengths(data, bits, row, items, item, codes)
            if item < 0:
                return
            literals = np.int64(row[HLIT])
            distances = np.int64(row[HDIST])
        if not make_table(codes.lengths, 0, literals, codes.tables[0]):
            return
        if not make_table(codes.lengths, literals, distances, codes.tables[1]):
            return
        first = token
        before = plain
        bits, plain, token = _parse_tokens(data, bits, plain, size, tokens, token, codes)
        if token < 0:
            return
        row[COUNT] = token - first
        row[BYTES] = plain - before
    if bits.at - (bits.have >> 3) > data.size or plain != size:
        return
    found[0] = 1
    found[1] = token
    found[2] = block
    found[3] = item
    found[4] = low(bits, bits.have & 7)


@helper
def _write_stored(out, bits, pad, plain, place, size):  # type: ignore[no-untyped-def]
    """A stored block's bits behind its type."""
    at, hold, have = bits
    if have > 0:
        out[at] = (hold | np.int64(pad) << have) & 255
        at += 1
    out[at] = size & 255
    out[at + 1] = size >> 8
    out[at + 2] = ~size & 255
    out[at + 3] = (~size >> 8) & 255
    at += 4
    for i in range(size):
        out[at + i] = plain[place + i]
    return Bits(at + size, np.int64(0), np.int64(0))


@helper
def _write_lengths(out, bits, row, items, item, codes):  # type: ignore[no-untyped-def]
    """The inverse of :func:`_parse_lengths`; the next item, or -1."""
    lengths = codes.lengths
    both = np.int64(row[HLIT]) + row[HDIST]
    bits = put(bits, np.int64(row[HLIT]) - 257 | (np.int64(row[HDIST]) - 1) << 5 | (np.int64(row[HCLEN]) - 4) << 10, 14)
    for i in range(row[HCLEN]):
        if bits.have > 40:
            bits = flush(out, bits)
        bits = put(bits, row[CODE + codes.numbers.order[i]], 3)
    for i in range(19):
        lengths[codes.numbers.order[i]] = row[CODE + codes.numbers.order[i]] if i < row[HCLEN] else 0
    if not told_apart(lengths, 0, 19):
        return bits, np.int64(-1)
    make_codes(lengths, 0, 19, codes.tables[0])
    done = np.int64(0)
    for i in range(item, item + row[OPS]):
        bits = flush(out, bits)
        symbol = np.int64(items[i]) & ((1 << ITEM_BITS) - 1)
        more = np.int64(items[i]) >> ITEM_BITS
        if symbol > 18 or codes.tables[0, symbol] == 0:
            return bits, np.int64(-1)
        bits = put(put_code(bits, codes.tables[0, symbol]), more, extra_bits(symbol))
        value, times = _repeat(lengths, done, np.int64(items[i]))
        if times <= 0 or done + times > both:
            return bits, np.int64(-1)
        for k in range(times):
            lengths[done + k] = value
        done += times
    if done != both:
        return bits, np.int64(-1)
    return bits, item + row[OPS]


@helper
def _write_tokens(out, bits, plain, place, stop, tokens, first, last, codes):  # type: ignore[no-untyped-def]
    """A block's tokens; returns where they end in the plain bytes, -1 if they pass over ``stop``, or lack codes."""
    numbers = codes.numbers
    for i in range(first, last):
        bits = flush(out, bits)
        length = np.int64(tokens[i]) & LENGTHS
        distance = np.int64(tokens[i]) >> TOKEN_BITS
        if distance == 0:
            if place >= stop:
                return bits, np.int64(-1)
            if codes.tables[0, plain[place]] == 0:
                return bits, np.int64(-1)
            bits = put_code(bits, codes.tables[0, plain[place]])
            place += 1
            continue
        symbol = np.int64(numbers.length_code[length])
        if length == LONGEST_AS_284:
            length = np.int64(LONGEST)
        far = np.int64(numbers.distance_code[distance - 1])
        if codes.tables[0, 257 + symbol] == 0 or codes.tables[1, far] == 0:
            return bits, np.int64(-1)
        bits = put_code(bits, codes.tables[0, 257 + symbol])
        bits = put(bits, length - numbers.length_base[symbol], numbers.length_extra[symbol])
        bits = put_code(bits, codes.tables[1, far])
        bits = put(bits, distance - numbers.distance_base[far], numbers.distance_extra[far])
        place += length
    if codes.tables[0, END] == 0:
        return bits, np.int64(-1)
    bits = put_code(flush(out, bits), codes.tables[0, END])
    return bits, place


@kernel
def _write(plain, tokens, blocks, items, padding, out, codes):  # type: ignore[no-untyped-def]
    """The inverse of :func:`_parse`; returns how many bytes there are, or -1."""
    bits = Bits(np.int64(0), np.int64(0), np.int64(0))
    place = np.int64(0)
    token = np.int64(0)
    item = np.int64(0)
    for block in range(blocks.shape[0]):
        row = blocks[block]
        kind = np.int64(row[TYPE])
        count = np.int64(row[COUNT])
        size = np.int64(row[BYTES])
        if count < 0 or size < 0 or place + size > plain.size or token + count > tokens.size:
            return -1
        bits = flush(out, put(bits, np.int64(row[FINAL]) | kind << 1, 3))
        first = token
        token += count
        if kind == STORED:
            if size > 65535:
                return -1
            bits = _write_stored(out, bits, row[PAD], plain, place, size)
            place += size
            continue
        literals = np.int64(288)
        distances = np.int64(30)
        if kind == FIXED:
            _fixed(codes)
        else:
            bits, item = _write_lengths(out, bits, row, items, item, codes)
            if item < 0:
                return -1
            literals = np.int64(row[HLIT])
            distances = np.int64(row[HDIST])
        if not (told_apart(codes.lengths, 0, literals) and told_apart(codes.lengths, literals, distances)):
            return -1
        make_codes(codes.lengths, 0, literals, codes.tables[0])
        make_codes(codes.lengths, literals, distances, codes.tables[1])
        stop = place + size
        bits, place = _write_tokens(out, bits, plain, place, stop, tokens, first, token, codes)
        if place != stop:
            return -1
    if place != plain.size:
        return -1
    at, hold, have = flush(out, bits)
    if have > 0:
        out[at] = (hold | np.int64(padding) << have) & 255
        at += 1
    return at
