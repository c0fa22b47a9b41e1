"""A deflate stream (RFC 1951) as what its encoder chose, and back to the same bits.

:func:`parse` finds every choice that there is in the format: which bytes are literals, which matches were taken, where
blocks end and of what type they are, the lengths of Huffman codes and how the header describes them, bits that mean
nothing. :func:`write` is its inverse.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.deflate.symbols import (
    BLOCK,
    BYTES,
    CODE,
    CODE_ORDER,
    COUNT,
    DISTANCE_BASE,
    DISTANCE_CODE,
    DISTANCE_EXTRA,
    END,
    FINAL,
    FIXED,
    FIXED_LENGTHS,
    HCLEN,
    HDIST,
    HLIT,
    ITEM_BITS,
    LENGTH_BASE,
    LENGTH_CODE,
    LENGTH_EXTRA,
    LENGTHS,
    LONGEST,
    LONGEST_AS_284,
    OPS,
    PAD,
    STORED,
    TOKEN_BITS,
    TYPE,
)
from bitsback.files.picture import Buffer
from bitsback.kernels import helper, kernel, routine

_FAST = 10
"""Bits of a code that one look into a table decodes."""
_SLOTS = 1 << _FAST
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
    tokens = np.empty(min(len(plain), 8 * size), np.int32)
    blocks = np.empty((most, BLOCK), np.int32)
    items = np.empty(min(_CODES * most, 8 * size), np.int32)
    found = np.zeros(5, np.int64)
    _parse(np.frombuffer(data, np.uint8, size), len(plain), tokens, blocks, items, found, *_scratch())
    if not found[0]:
        raise ImageError("an unusual deflate stream")
    stream = Stream(
        tokens[: found[1]].copy(), blocks[: found[2]].copy(), items[: found[3]].copy(), padding=int(found[4])
    )
    return plain, stream, size


def write(plain: Buffer, stream: Stream) -> bytes:
    """The stream again. Raises ValueError if the parts do not fit together."""
    stored = int(stream.blocks[stream.blocks[:, TYPE] == STORED, BYTES].astype(np.int64).sum())
    room = 6 * len(stream.tokens) + stored + 2 * len(stream.items) + 32 * len(stream.blocks) + 16
    out = np.empty(room, np.uint8)
    data = np.frombuffer(plain, np.uint8)
    lengths, codes = np.empty(_CODES, np.uint8), np.empty((2, _CODES), np.int32)
    size = _write(data, stream.tokens, stream.blocks, stream.items, stream.padding, out, lengths, codes, *_NUMBERS)
    if size < 0:
        raise ValueError("a deflate stream that cannot be written")
    return out[:size].tobytes()


_OF_LENGTHS = (LENGTH_BASE, LENGTH_EXTRA, LENGTH_CODE)
_NUMBERS = (*_OF_LENGTHS, DISTANCE_BASE, DISTANCE_EXTRA, DISTANCE_CODE, FIXED_LENGTHS, CODE_ORDER)


def _scratch() -> tuple[NDArray[Any], ...]:
    tables = np.empty((3, _SLOTS + 16 + _CODES), np.int32)
    return np.empty(_CODES, np.uint8), tables, *_NUMBERS


@routine
def make_table(lengths, first, count, table):  # type: ignore[no-untyped-def]
    """A table to decode with: by the next bits, then counts of codes by length, then symbols in the order of codes.

    Returns False if there are more codes than bits to tell them apart.
    """
    for i in range(_SLOTS + 16):
        table[i] = 0
    for s in range(count):
        table[_SLOTS + lengths[first + s]] += 1
    table[_SLOTS] = 0
    starts = np.zeros(17, np.int64)
    nexts = np.zeros(17, np.int64)
    left = 1
    code = 0
    for n in range(1, 16):
        left = 2 * left - table[_SLOTS + n]
        code = (code + table[_SLOTS + n - 1]) << 1
        nexts[n] = code
        starts[n + 1] = starts[n] + table[_SLOTS + n]
        if left < 0:
            return False
    for s in range(count):
        n = np.int64(lengths[first + s])
        if n > 0:
            table[_SLOTS + 16 + starts[n]] = s
            starts[n] += 1
            if n <= _FAST:
                turned = 0
                for i in range(n):
                    turned |= ((nexts[n] >> i) & 1) << (n - 1 - i)
                while turned < _SLOTS:
                    table[turned] = s << 4 | n
                    turned += 1 << n
            nexts[n] += 1
    return True


@helper
def decode_symbol(hold, table):  # type: ignore[no-untyped-def]
    """The symbol that the next bits begin with, as ``symbol << 4 | bits``; 0 if there is none."""
    entry = np.int64(table[hold & (_SLOTS - 1)])
    if entry > 0:
        return entry
    code = 0
    first = 0
    index = 0
    for n in range(1, 16):
        code |= (hold >> (n - 1)) & 1
        count = np.int64(table[_SLOTS + n])
        if code - count < first:
            return np.int64(table[_SLOTS + 16 + index + code - first]) << 4 | n
        index += count
        first = (first + count) << 1
        code <<= 1
    return np.int64(0)


@kernel
def _parse(  # type: ignore[no-untyped-def]
    data,
    size,
    tokens,
    blocks,
    items,
    found,
    lengths,
    tables,
    length_base,
    length_extra,
    length_code,
    distance_base,
    distance_extra,
    distance_code,
    fixed,
    order,
):
    """Fill tokens, blocks and items; ``found``: whether all is well, how many of each, the bits after the end.

    Long, as it is the format: a block's head, the lengths of its codes, its tokens.
    """
    at = 0
    hold = np.int64(0)
    have = 0
    plain = 0
    token = 0
    block = 0
    item = 0
    last = 0
    while last == 0:
        if block == blocks.shape[0]:
            return
        while have <= 48:
            hold |= np.int64(data[at]) << have if at < data.size else np.int64(0)
            at += 1
            have += 8
        for i in range(BLOCK):
            blocks[block, i] = 0
        last = hold & 1
        kind = (hold >> 1) & 3
        hold >>= 3
        have -= 3
        blocks[block, TYPE] = kind
        blocks[block, FINAL] = last
        before = plain
        if kind == STORED:
            odd = have & 7
            blocks[block, PAD] = hold & ((1 << odd) - 1)
            at -= (have - odd) >> 3
            if at + 4 > data.size:
                return
            count = np.int64(data[at]) | np.int64(data[at + 1]) << 8
            at += 4 + count
            plain += count
            hold = np.int64(0)
            have = 0
            if at > data.size or plain > size:
                return
            blocks[block, BYTES] = count
            block += 1
            continue
        literals = 288
        distances = 30
        if kind == FIXED:
            for i in range(318):
                lengths[i] = fixed[i]
        else:
            literals = 257 + (hold & 31)
            distances = 1 + ((hold >> 5) & 31)
            given = 4 + ((hold >> 10) & 15)
            hold >>= 14
            have -= 14
            blocks[block, HLIT] = literals
            blocks[block, HDIST] = distances
            blocks[block, HCLEN] = given
            for i in range(19):
                lengths[i] = 0
            for i in range(given):
                if have < 3:
                    while have <= 48:
                        hold |= np.int64(data[at]) << have if at < data.size else np.int64(0)
                        at += 1
                        have += 8
                lengths[order[i]] = hold & 7
                blocks[block, CODE + order[i]] = hold & 7
                hold >>= 3
                have -= 3
            if not make_table(lengths, 0, 19, tables[2]):
                return
            done = 0
            while done < literals + distances:
                while have <= 48:
                    hold |= np.int64(data[at]) << have if at < data.size else np.int64(0)
                    at += 1
                    have += 8
                entry = decode_symbol(hold, tables[2])
                if entry == 0 or item == items.size:
                    return
                hold >>= entry & 15
                have -= entry & 15
                symbol = entry >> 4
                more = np.int64(0)
                repeat = 1
                value = symbol
                if symbol >= 16:
                    bits = 2 if symbol == 16 else 3 if symbol == 17 else 7
                    more = hold & ((1 << bits) - 1)
                    hold >>= bits
                    have -= bits
                    repeat = more + (11 if symbol == 18 else 3)
                    value = np.int64(0)
                    if symbol == 16:
                        if done == 0:
                            return
                        value = np.int64(lengths[done - 1])
                if done + repeat > literals + distances:
                    return
                for i in range(repeat):
                    lengths[done + i] = value
                done += repeat
                items[item] = more << ITEM_BITS | symbol
                item += 1
                blocks[block, OPS] += 1
        if not make_table(lengths, 0, literals, tables[0]):
            return
        if not make_table(lengths, literals, distances, tables[1]):
            return
        first = token
        while True:
            while have <= 48:
                hold |= np.int64(data[at]) << have if at < data.size else np.int64(0)
                at += 1
                have += 8
            entry = decode_symbol(hold, tables[0])
            if entry == 0:
                return
            hold >>= entry & 15
            have -= entry & 15
            symbol = entry >> 4
            if symbol == END:
                break
            if token == tokens.size:
                return
            if symbol < END:
                tokens[token] = 1
                token += 1
                plain += 1
                continue
            symbol -= 257
            if symbol > 28:
                return
            extra = np.int64(length_extra[symbol])
            length = length_base[symbol] + (hold & ((1 << extra) - 1))
            hold >>= extra
            have -= extra
            entry = decode_symbol(hold, tables[1])
            if entry == 0:
                return
            hold >>= entry & 15
            have -= entry & 15
            far = entry >> 4
            if far > 29:
                return
            extra = np.int64(distance_extra[far])
            distance = distance_base[far] + (hold & ((1 << extra) - 1))
            hold >>= extra
            have -= extra
            if distance > plain or plain + length > size:
                return
            plain += length
            if symbol == 27 and length == LONGEST:
                length = np.int64(LONGEST_AS_284)
            tokens[token] = distance << TOKEN_BITS | length
            token += 1
        blocks[block, COUNT] = token - first
        blocks[block, BYTES] = plain - before
        block += 1
    if at - (have >> 3) > data.size or plain != size:
        return
    found[0] = 1
    found[1] = token
    found[2] = block
    found[3] = item
    found[4] = hold & ((1 << (have & 7)) - 1)


@helper
def make_codes(lengths, first, count, codes):  # type: ignore[no-untyped-def]
    """The codes of symbols with these lengths, turned so that their first bit is the lowest: ``code << 4 | bits``."""
    nexts = np.zeros(17, np.int64)
    for s in range(count):
        nexts[lengths[first + s] + 1] += 1
    nexts[1] = 0
    code = 0
    for n in range(1, 17):
        number = nexts[n]
        code = (code + number) << 1
        nexts[n] = code
    for s in range(count):
        n = np.int64(lengths[first + s])
        turned = 0
        for i in range(n):
            turned |= ((nexts[n] >> i) & 1) << (n - 1 - i)
        if n > 0:
            nexts[n] += 1
        codes[s] = turned << 4 | n


@kernel
def _write(  # type: ignore[no-untyped-def]
    plain,
    tokens,
    blocks,
    items,
    padding,
    out,
    lengths,
    codes,
    length_base,
    length_extra,
    length_code,
    distance_base,
    distance_extra,
    distance_code,
    fixed,
    order,
):
    """The inverse of :func:`_parse`; returns how many bytes there are, or -1."""
    at = 0
    hold = np.int64(0)
    have = 0
    place = 0
    token = 0
    item = 0
    for block in range(blocks.shape[0]):
        kind = blocks[block, TYPE]
        count = blocks[block, COUNT]
        size = blocks[block, BYTES]
        if count < 0 or size < 0 or place + size > plain.size or token + count > tokens.size:
            return -1
        hold |= (np.int64(blocks[block, FINAL]) | np.int64(kind) << 1) << have
        have += 3
        while have >= 8:
            out[at] = hold & 255
            at += 1
            hold >>= 8
            have -= 8
        if kind == STORED:
            if size > 65535:
                return -1
            if have > 0:
                out[at] = (hold | np.int64(blocks[block, PAD]) << have) & 255
                at += 1
                hold = np.int64(0)
                have = 0
            out[at] = size & 255
            out[at + 1] = size >> 8
            out[at + 2] = ~size & 255
            out[at + 3] = (~size >> 8) & 255
            at += 4
            for i in range(size):
                out[at + i] = plain[place + i]
            at += size
            place += size
            token += count
            continue
        literals = 288
        distances = 30
        if kind == FIXED:
            for i in range(318):
                lengths[i] = fixed[i]
        else:
            literals = np.int64(blocks[block, HLIT])
            distances = np.int64(blocks[block, HDIST])
            given = np.int64(blocks[block, HCLEN])
            hold |= (literals - 257 | (distances - 1) << 5 | (given - 4) << 10) << have
            have += 14
            for i in range(given):
                if have > 40:
                    while have >= 8:
                        out[at] = hold & 255
                        at += 1
                        hold >>= 8
                        have -= 8
                hold |= np.int64(blocks[block, CODE + order[i]]) << have
                have += 3
            for i in range(19):
                lengths[i] = blocks[block, CODE + i]
            make_codes(lengths, 0, 19, codes[0])
            done = 0
            for i in range(item, item + blocks[block, OPS]):
                while have >= 8:
                    out[at] = hold & 255
                    at += 1
                    hold >>= 8
                    have -= 8
                symbol = np.int64(items[i]) & ((1 << ITEM_BITS) - 1)
                more = np.int64(items[i]) >> ITEM_BITS
                if symbol > 18:
                    return -1
                code = np.int64(codes[0, symbol])
                hold |= (code >> 4) << have
                have += code & 15
                repeat = 1
                value = symbol
                if symbol >= 16:
                    bits = 2 if symbol == 16 else 3 if symbol == 17 else 7
                    hold |= more << have
                    have += bits
                    repeat = more + (11 if symbol == 18 else 3)
                    value = np.int64(0)
                    if symbol == 16 and done > 0:
                        value = np.int64(lengths[done - 1])
                if repeat < 0 or done + repeat > literals + distances:
                    return -1
                for k in range(repeat):
                    lengths[done + k] = value
                done += repeat
            item += blocks[block, OPS]
            if done != literals + distances:
                return -1
        make_codes(lengths, 0, literals, codes[0])
        make_codes(lengths, literals, distances, codes[1])
        stop = place + size
        for i in range(token, token + count):
            while have >= 8:
                out[at] = hold & 255
                at += 1
                hold >>= 8
                have -= 8
            length = np.int64(tokens[i]) & LENGTHS
            distance = np.int64(tokens[i]) >> TOKEN_BITS
            if distance == 0:
                if place >= stop:
                    return -1
                code = np.int64(codes[0, plain[place]])
                hold |= (code >> 4) << have
                have += code & 15
                place += 1
                continue
            symbol = np.int64(length_code[length])
            if length == LONGEST_AS_284:
                length = np.int64(LONGEST)
            code = np.int64(codes[0, 257 + symbol])
            hold |= (code >> 4) << have
            have += code & 15
            hold |= (length - length_base[symbol]) << have
            have += length_extra[symbol]
            symbol = np.int64(distance_code[distance - 1])
            code = np.int64(codes[1, symbol])
            hold |= (code >> 4) << have
            have += code & 15
            hold |= (distance - distance_base[symbol]) << have
            have += distance_extra[symbol]
            place += length
        token += count
        if place != stop:
            return -1
        code = np.int64(codes[0, END])
        while have >= 8:
            out[at] = hold & 255
            at += 1
            hold >>= 8
            have -= 8
        hold |= (code >> 4) << have
        have += code & 15
    if place != plain.size:
        return -1
    while have >= 8:
        out[at] = hold & 255
        at += 1
        hold >>= 8
        have -= 8
    if have > 0:
        out[at] = (hold | np.int64(padding) << have) & 255
        at += 1
    return at
