"""A reader of parity written from ``docs/format.md`` alone: slow, small, without NumPy, for sets that are in place.

It shares the hash with the program, and nothing else.
"""

from __future__ import annotations

import struct

import xxhash

BASIS = [
    *(0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012),
    *(0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E),
]
MAGIC = b"\x8fBBApar\n"


def _polynomial(element: int) -> int:
    result = 0
    for bit, value in enumerate(BASIS):
        result ^= value * (element >> bit & 1)
    return result


_ELEMENT = {_polynomial(element): element for element in range(1 << 16)}
_POWERS: list[int] = []
_power = 1
for _ in range(65535):
    _POWERS.append(_ELEMENT[_power])
    _power <<= 1
    _power ^= 0x1002D * (_power >> 16)
_LOGS = {power: exponent for exponent, power in enumerate(_POWERS)}


def times(a: int, b: int) -> int:
    return _POWERS[(_LOGS[a] + _LOGS[b]) % 65535] if a and b else 0


def divide(a: int, b: int) -> int:
    return _POWERS[(_LOGS[a] - _LOGS[b]) % 65535] if a else 0


def factor(k: int, row: int, sector: int) -> int:
    """What a data word counts in a parity word."""
    y = (1 << k) + sector
    return divide(y >> k, row ^ y)


def solve(matrix: list[list[int]], right: list[list[int]]) -> list[list[int]]:
    """Gauss and Jordan: the rows ``x`` with ``matrix x = right``, of as many unknowns as there are rows."""
    rows = [[*m, *r] for m, r in zip(matrix, right, strict=True)]
    size = len(matrix)
    for column in range(size):
        pivot = next(at for at in range(column, size) if rows[at][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column][column]
        rows[column] = [divide(value, head) for value in rows[column]]
        for at in range(size):
            if at != column and (scale := rows[at][column]):
                rows[at] = [value ^ times(scale, other) for value, other in zip(rows[at], rows[column], strict=True)]
    return [row[size:] for row in rows]


def _words(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 2}H", data))


def repair(data: bytes) -> bytes:
    """The protected bytes of the one set of one strand in ``data``; AssertionError if they cannot be had."""
    units: dict[int, bytes] = {}
    at = data.find(MAGIC)
    while at >= 0:
        fields = struct.unpack_from("<QQQQQQQIHHHHBBH", data[at:].ljust(72, b"\0"))
        row, rows, room, last = fields[11], fields[10], fields[12], fields[13]
        size = 4096 if row < rows - 1 else 64 * (room + last)
        whole = 2 <= room <= 32 and xxhash.xxh3_64_intdigest(data[at + 16 : at + size]) == fields[1]
        if whole and fields[5] == at:
            start, end, table_check = fields[3], fields[4], fields[6]
            assert (fields[8], fields[14]) == (1, 0)
            units[row] = data[at : at + size]
        at = data.find(MAGIC, at + 1)
    k = (rows - 1).bit_length()
    first = start // 4096
    sectors = -(-end // 4096) - first

    # the table
    part = 64 * room - 72
    parts = -(-8 * sectors // part)
    known = sorted(units)[:parts]
    assert len(known) == parts
    matrix = [[factor(k, row, column) for column in range(parts)] for row in known]
    found = solve(matrix, [_words(units[row][72 : 72 + part]) for row in known])
    table = b"".join(struct.pack(f"<{part // 2}H", *row) for row in found)[: 8 * sectors]
    assert xxhash.xxh3_64_intdigest(table) == table_check
    checks = struct.unpack(f"<{sectors}Q", table)

    # the sectors
    kept: dict[int, list[int]] = {}
    for number in range(sectors):
        begin, stop = max(start, (first + number) * 4096), min(end, (first + number + 1) * 4096)
        body = data[begin:stop]
        if len(body) == stop - begin and xxhash.xxh3_64_intdigest(body) == checks[number]:
            kept[number] = _words((bytes(begin % 4096) + body).ljust(4096, b"\0"))
    lost = [number for number in range(sectors) if number not in kept]
    rebuilt: dict[int, list[int]] = {number: [0] * 2048 for number in lost}
    for cell in range(64):
        having = []
        for row, unit in units.items():
            out = {(row * room + j) % 64 for j in range(room)}
            cells = [c for c in range(64) if c not in out] if row < rows - 1 else list(range(last))
            if cell in cells:
                offset = 64 * (room + cells.index(cell))
                having.append((row, _words(unit[offset : offset + 64])))
        having = having[: len(lost)]
        assert len(having) == len(lost)
        right = []
        for row, stored in having:
            rest = stored
            for number, words in kept.items():
                scale = factor(k, row, number)
                some = words[32 * cell : 32 * cell + 32]
                rest = [value ^ times(scale, word) for value, word in zip(rest, some, strict=True)]
            right.append(rest)
        matrix = [[factor(k, row, number) for number in lost] for row, _ in having]
        for number, words in zip(lost, solve(matrix, right), strict=True):
            rebuilt[number][32 * cell : 32 * cell + 32] = words
    whole = b"".join(struct.pack("<2048H", *{**kept, **rebuilt}[number]) for number in range(sectors))
    return whole[start - first * 4096 : end - first * 4096]
