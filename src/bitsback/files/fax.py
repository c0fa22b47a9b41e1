"""The codes of fax machines, both ways: rows of black and white as TIFF has them.

(ITU-T T.4 and T.6; TIFF 6.0, sections 10 and 11.)

``mh``: each row by the lengths of its runs, in whole bytes (TIFF's compression 2); ``g3``: the same, each row behind a
code that begins it, and, if the encoder liked, by where its runs begin relative to those of the row above (3); ``g4``:
all rows like the latter (4). A row is a list of *changes*: where its colour changes, the first from white to black.
What an encoder is free to choose is told by a few numbers, :class:`How`, and for ``g3`` by which rows are told by the
row above.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.picture import Buffer
from bitsback.kernels import helper, kernel

WHITE = """
00110101 000111 0111 1000 1011 1100 1110 1111 10011 10100 00111 01000 001000 000011 110100 110101 101010 101011 0100111
0001100 0001000 0010111 0000011 0000100 0101000 0101011 0010011 0100100 0011000 00000010 00000011 00011010 00011011
00010010 00010011 00010100 00010101 00010110 00010111 00101000 00101001 00101010 00101011 00101100 00101101 00000100
00000101 00001010 00001011 01010010 01010011 01010100 01010101 00100100 00100101 01011000 01011001 01011010 01011011
01001010 01001011 00110010 00110011 00110100
11011 10010 010111 0110111 00110110 00110111 01100100 01100101 01101000 01100111 011001100 011001101 011010010 011010011
011010100 011010101 011010110 011010111 011011000 011011001 011011010 011011011 010011000 010011001 010011010 011000
010011011
"""
BLACK = """
0000110111 010 11 10 011 0011 0010 00011 000101 000100 0000100 0000101 0000111 00000100 00000111 000011000 0000010111
0000011000 0000001000 00001100111 00001101000 00001101100 00000110111 00000101000 00000010111 00000011000 000011001010
000011001011 000011001100 000011001101 000001101000 000001101001 000001101010 000001101011 000011010010 000011010011
000011010100 000011010101 000011010110 000011010111 000001101100 000001101101 000011011010 000011011011 000001010100
000001010101 000001010110 000001010111 000001100100 000001100101 000001010010 000001010011 000000100100 000000110111
000000111000 000000100111 000000101000 000001011000 000001011001 000000101011 000000101100 000001011010 000001100110
000001100111
0000001111 000011001000 000011001001 000001011011 000000110011 000000110100 000000110101 0000001101100 0000001101101
0000001001010 0000001001011 0000001001100 0000001001101 0000001110010 0000001110011 0000001110100 0000001110101
0000001110110 0000001110111 0000001010010 0000001010011 0000001010100 0000001010101 0000001011010 0000001011011
0000001100100 0000001100101
"""
LONG = """
00000001000 00000001100 00000001101 000000010010 000000010011 000000010100 000000010101 000000010110 000000010111
000000011100 000000011101 000000011110 000000011111
"""
"""Codes of runs of 0 to 63, then of 64, 128 ... to 1728 pixels; of either colour, of 1792 to 2560."""

_MH, _G3, _G4 = 0, 1, 2
KINDS = ("mh", "g3", "g4")
_BITS = 13
_MODES = ((1, 1), (3, 3), (3, 6), (3, 7), (2, 3), (2, 6), (2, 7))
"""Code and bits of a change right below one of the row above; 1, 2, 3 to the right; 1, 2, 3 to the left."""


class How(NamedTuple):
    """What an encoder chose: bits of bytes in reverse; codes that begin a row end where bytes do; some rows are told by
    the row above; and how many such codes there are at the end."""

    reverse: int = 0
    fill: int = 0
    above: int = 0
    ends: int = 0


@cache
def _tables() -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """What each 13 bits begin with, for white and black: 16 times the run plus the bits of its code, or -1; and the
    codes, and their bits, of runs of 0 to 63, 64, 128 ... 2560, and, in a third row, of the modes."""
    found = np.full((2, 1 << _BITS), -1, np.int32)
    codes, sizes = np.zeros((3, 104), np.int64), np.zeros((3, 104), np.int64)
    codes[2, : len(_MODES)], sizes[2, : len(_MODES)] = zip(*_MODES, strict=True)
    for colour, text in enumerate((WHITE, BLACK)):
        for number, code in enumerate((text + LONG).split()):
            run = number if number < 64 else 64 * (number - 63)
            first = int(code, 2) << (_BITS - len(code))
            found[colour, first : first + (1 << (_BITS - len(code)))] = run << 4 | len(code)
            codes[colour, number], sizes[colour, number] = int(code, 2), len(code)
    return found, codes, sizes


@helper
def _peek(data, at, bits):  # type: ignore[no-untyped-def]
    """The next bits, the first high; zeros behind the end."""
    value = np.int64(0)
    first = at >> 3
    for k in range(3):
        byte = np.int64(data[first + k]) if first + k < data.size else np.int64(0)
        value |= byte << (16 - 8 * k)
    return (value >> (24 - bits - (at & 7))) & ((1 << bits) - 1)


@helper
def _put(data, at, code, bits):  # type: ignore[no-untyped-def]
    """Put a code at bit ``at`` of data that are zero from there on, as far as there is room."""
    first = at >> 3
    value = code << (24 - bits - (at & 7))
    for k in range(3):
        if first + k < data.size:
            data[first + k] = data[first + k] | ((value >> (16 - 8 * k)) & 255)


@helper
def _run(data, at, found, colour):  # type: ignore[no-untyped-def]
    """The length of the run that begins at bit ``at``, and where it ends; -1 if there is none."""
    total, size = np.int64(0), np.int64(at)
    going = 1
    while going > 0:
        entry = np.int64(found[colour, _peek(data, size, 13)])
        if entry < 0:
            total = np.int64(-1)
            going = 0
        else:
            size += entry & 15
            total += entry >> 4
            going = 1 if entry >> 4 >= 64 else 0
    return total, size


@helper
def _below(above, count, place, a0, colour):  # type: ignore[no-untyped-def]
    """The number of the first change of the row above that is right of ``a0`` and to the other colour."""
    place = max(place - 2, 0)
    place += (place & 1) != colour
    while place < count and above[place] <= a0:
        place += 2
    return place


@kernel
def _decode(data, width, kind, found, codes, sizes, plain, tags, ends, room):  # type: ignore[no-untyped-def]
    """Decode rows (plain: uint8 (rows, bytes), zeros); return the bits read, or -1 if that fails.

    ``tags`` takes which rows are told by the row above; ``ends``: whether there were zeros before a code that begins a
    row, and how many such codes are at the end.
    """
    above, changes = room[0], room[1]
    at, count, before = 0, 0, 0
    for row in range(plain.shape[0]):
        if kind == 0:
            at += -at & 7
        if kind == 1:
            zeros = 0
            while at + zeros < 8 * data.size and _peek(data, at + zeros, 1) == 0:
                zeros += 1
            if zeros < 11 or at + zeros >= 8 * data.size:
                return -1
            ends[0] |= zeros > 11
            at += zeros + 1
            if ends[2] > 0:
                tags[row] = 1 - _peek(data, at, 1)
                at += 1
        before = count
        for k in range(before):
            above[k] = changes[k]
        count, a0, colour, place = 0, -1, 0, 0
        by_above = kind == 2 or tags[row] == 1
        while a0 < width:
            start = max(a0, 0)
            mode = 0
            if by_above:
                mode = -1
                bits = _peek(data, at, 7)
                for k in range(7):
                    if bits >> (7 - sizes[2, k]) == codes[2, k]:
                        mode = 1 + k
                if bits >> 3 == 1:
                    mode = 8
                    at += 4
                elif bits >> 4 == 1:
                    mode = 0
                    at += 3
                elif mode > 0:
                    at += sizes[2, mode - 1]
            if mode < 0 or count > width:
                return -1
            if mode == 0:
                for k in range(2 if by_above else 1):
                    run, at = _run(data, at, found, colour ^ k)
                    if run < 0 or start + run > width:
                        return -1
                    start += run
                    if start < width:
                        changes[count] = start
                        count += 1
                colour ^= 0 if by_above else 1
                a0 = start
            else:
                place = _below(above, before, place, a0, colour)
                b1 = above[place] if place < before else width
                if mode == 8:
                    a0 = above[place + 1] if place + 1 < before else width
                else:
                    step = mode - 1 if mode <= 4 else 4 - mode
                    if b1 + step < start or (b1 + step == a0) or b1 + step > width:
                        return -1
                    a0 = b1 + step
                    if a0 < width:
                        changes[count] = a0
                        count += 1
                    colour ^= 1
        for k in range(0, count, 2):
            stop = changes[k + 1] if k + 1 < count else width
            for x in range(changes[k], stop):
                plain[row, x >> 3] = plain[row, x >> 3] | (128 >> (x & 7))
    while ends[1] < 6 and _peek(data, at, 12) == 1:
        at += 12 + (1 if ends[2] > 0 else 0)
        ends[1] += 1
    return at


@kernel
def _encode(plain, width, kind, codes, sizes, tags, how, data, room):  # type: ignore[no-untyped-def]
    """The inverse, into ``data``, which is zero; return the bits written."""
    above, changes = room[0], room[1]
    at, count, before = 0, 0, 0
    for row in range(plain.shape[0]):
        if at > 8 * data.size:
            return at
        before = count
        for k in range(before):
            above[k] = changes[k]
        count, last = 0, 0
        for x in range(width):
            bit = (plain[row, x >> 3] >> (7 - (x & 7))) & 1
            if bit != last:
                changes[count] = x
                count += 1
                last = bit
        if kind == 0:
            at += -at & 7
        if kind == 1:
            if how[1] > 0:
                at += (4 - at) & 7
            _put(data, at, 1, 12)
            at += 12
            if how[2] > 0:
                _put(data, at, 1 - np.int64(tags[row]), 1)
                at += 1
        by_above = kind == 2 or tags[row] == 1
        a0, colour, place, done = -1, 0, 0, 0
        while a0 < width:
            a1 = changes[done] if done < count else width
            a2 = changes[done + 1] if done + 1 < count else width
            runs = 1
            if by_above:
                place = _below(above, before, place, a0, colour)
                b1 = above[place] if place < before else width
                b2 = above[place + 1] if place + 1 < before else width
                if b2 < a1:
                    _put(data, at, 1, 4)
                    at += 4
                    a0 = b2
                    runs = 0
                elif a1 - b1 <= 3 and b1 - a1 <= 3:
                    step = a1 - b1
                    mode = step if step >= 0 else 3 - step
                    _put(data, at, codes[2, mode], sizes[2, mode])
                    at += sizes[2, mode]
                    a0 = a1
                    colour ^= 1
                    done += 1
                    runs = 0
                else:
                    _put(data, at, 1, 3)
                    at += 3
                    runs = 2
            start = max(a0, 0)
            for k in range(runs):
                stop = a1 if k == 0 else a2
                run = stop - start
                start = stop
                while run >= 2624:
                    _put(data, at, codes[colour, 103], sizes[colour, 103])
                    at += sizes[colour, 103]
                    run -= 2560
                if run >= 64:
                    _put(data, at, codes[colour, 63 + (run >> 6)], sizes[colour, 63 + (run >> 6)])
                    at += sizes[colour, 63 + (run >> 6)]
                    run &= 63
                _put(data, at, codes[colour, run], sizes[colour, run])
                at += sizes[colour, run]
                colour ^= 1
                done += 1
                a0 = stop
    for _ in range(how[3]):
        _put(data, at, 1, 12)
        at += 12
        if how[2] > 0:
            _put(data, at, 1, 1)
            at += 1
    return at


def _room(width: int) -> NDArray[np.int32]:
    """For the changes of two rows."""
    return np.zeros((2, width + 4), np.int32)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def decode(
    data: Buffer, limit: int, kind: str, width: int, reverse: bool, above: bool
) -> tuple[bytes, How, bytes, int]:
    """The rows, of ``limit`` bytes all together, how they were coded, which rows by the row above (a bit each), and the
    size of what was decoded. Raises ImageError if it is damaged, or an encoder chose otherwise."""
    stored = bytes(data).translate(_REVERSED) if reverse else bytes(data)
    rows, left = divmod(limit, -(-width // 8))
    if left or not rows or width > 8 * limit or kind not in KINDS:
        raise ImageError("fax rows that do not fit their data")
    plain, tags = np.zeros((rows, -(-width // 8)), np.uint8), np.zeros(rows, np.uint8)
    ends = np.array([0, 0, above], np.int64)
    bits = _decode(
        np.frombuffer(stored, np.uint8), width, KINDS.index(kind), *_tables(), plain, tags, ends, _room(width)
    )
    if bits < 0:
        raise ImageError("damaged fax data")
    how = How(int(reverse), int(ends[0]), int(above), int(ends[1]))
    size = min(-(-int(bits) // 8), len(stored))
    choices = np.packbits(tags).tobytes() if above else b""
    if encode(plain.tobytes(), kind, width, how, choices, size) != bytes(data[:size]):
        raise ImageError("fax data by an unknown encoder")
    return plain.tobytes(), how, choices, size


def encode(plain: Buffer, kind: str, width: int, how: How, choices: bytes, size: int) -> bytes:
    """The inverse. Raises ValueError if it cannot be of that size."""
    stride = -(-width // 8)
    if width < 1 or len(plain) % stride or kind not in KINDS or not 0 <= how.ends <= 6:
        raise ValueError("fax rows that do not fit their data")
    rows = len(plain) // stride
    if not 0 <= size <= 16 * len(plain) + 16 * rows + 64 or (how.above and len(choices) != -(-rows // 8)):
        raise ValueError("impossible fax data")
    tags = np.unpackbits(np.frombuffer(choices, np.uint8), count=rows) if how.above else np.zeros(rows, np.uint8)
    _, codes, sizes = _tables()
    data = np.zeros(size, np.uint8)
    lines = np.frombuffer(plain, np.uint8).reshape(rows, stride)
    bits = _encode(lines, width, KINDS.index(kind), codes, sizes, tags, np.array(how, np.int64), data, _room(width))
    if min(-(-int(bits) // 8), size) != size or bits > 8 * size:
        raise ValueError("fax rows that take another size")
    out = data.tobytes()
    return out.translate(_REVERSED) if how.reverse else out


__all__ = ["KINDS", "How", "decode", "encode"]
