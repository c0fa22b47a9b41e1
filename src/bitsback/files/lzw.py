"""LZW as TIFF and GIF have it, both ways; all that most encoders are free to choose is where they begin anew.

(Terry Welch, "A technique for high-performance data compression", 1984; TIFF 6.0, section 13; GIF89a, appendix F.)
Codes grow from 9 bits (GIF: one more than its symbols have) to 12. In TIFF the first bits of a code are the high ones,
and codes grow one entry early; in GIF, the low ones, and in time. A *run* is what stands between two clear codes; its
length in codes is what :func:`take_apart` returns. Everything else follows from a *rule*, mostly that of the longest
match, and from *corrections*: codes that are not by the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.packed import Sections, varint, varints
from bitsback.files.picture import Buffer, UnexplainedError
from bitsback.kernels import helper, kernel

MOST_BITS = 12
TABLE = 1 << MOST_BITS
SLOTS = 1 << 14
"""Of the encoder's table of strings, four times as many as there are codes."""

DAMAGED = -1
TOO_LONG = -2

LONGEST, OF_RUNS, SINGLE = 0, 1, 2
"""Rules: the longest match; only runs of equal symbols, one longer each time, as encoders have it that kept away from
the patent; and no matches at all."""

WORTH = 3
"""Of so many codes, one may be a correction."""


class Dialect(NamedTuple):
    """Bits of a symbol; whether the high bits of a code come first; how many entries early codes grow."""

    bits: int
    high_first: bool
    early: int


TIFF, OLD = Dialect(8, True, 1), Dialect(8, False, 0)


class Choices(NamedTuple):
    """What an encoder chose: the codes of each run; its rule; whether it wrote an end code; which codes, counted from
    the first one, are not by the rule; and these."""

    runs: list[int]
    rule: int = LONGEST
    ended: bool = True
    places: Sequence[int] = ()
    codes: Sequence[int] = ()


@helper
def _get(data, at, bits, high_first):  # type: ignore[no-untyped-def]
    """The code of so many bits that begins at bit ``at``; -1 if the data end before it does."""
    if at + bits > 8 * data.size:
        return -1
    first = at >> 3
    value = np.int64(0)
    for k in range(3):
        byte = np.int64(data[first + k]) if first + k < data.size else np.int64(0)
        value |= byte << (16 - 8 * k if high_first else 8 * k)
    shift = 24 - bits - (at & 7) if high_first else at & 7
    return (value >> shift) & ((1 << bits) - 1)


@helper
def _put(data, at, code, bits, high_first):  # type: ignore[no-untyped-def]
    """Put a code of so many bits at bit ``at`` of data that are zero from there on."""
    first = at >> 3
    shift = 24 - bits - (at & 7) if high_first else at & 7
    value = code << shift
    for k in range(3):
        if first + k < data.size:
            data[first + k] = data[first + k] | ((value >> (16 - 8 * k if high_first else 8 * k)) & 255)


@kernel
def _decode(data, bits, high_first, early, plain, runs, found, ends):  # type: ignore[no-untyped-def]
    """Decode up to the end code, or, without one, until ``plain`` is full; return the plain bytes, or a negative number
    if that fails.

    ``runs`` takes the number of codes of each run; ``found``, the codes between, if there is room; ``ends``, how many
    runs there are, the bits read, whether there is no end code, and how many codes there are.
    """
    clear = 1 << bits
    prefix, last, length = np.zeros(TABLE, np.int32), np.zeros(TABLE, np.uint8), np.zeros(TABLE, np.int32)
    for k in range(clear):
        last[k], length[k] = k, 1
    size, at, count, codes = 0, 0, 0, 0
    width, following, previous = bits + 1, clear + 2, -1
    while True:
        code = _get(data, at, width, high_first)
        cut = size == plain.size and (code < 0 or (code != clear and code != clear + 1))
        if code < 0 and not cut:
            return DAMAGED
        at += 0 if cut else width
        if cut or code == clear or code == clear + 1:
            if count >= runs.size:
                return TOO_LONG
            runs[count] = codes
            count += 1
            if cut or code == clear + 1:
                ends[0], ends[1], ends[2] = count, at, cut
                return size
            codes, width, following, previous = 0, bits + 1, clear + 2, -1
            continue
        codes += 1
        if found.size > 0:
            found[ends[3]] = code
        ends[3] += 1
        if code > following or (code == following and previous < 0) or (code > clear + 1 and code >= TABLE):
            return DAMAGED
        known = code if code < following else previous
        long = length[known] + (0 if code < following else 1)
        if known >= clear + 2 and length[known] == 0:
            return DAMAGED
        if size + long > plain.size:
            return TOO_LONG
        where = size + length[known] - 1
        walk = known
        for _ in range(length[known]):
            plain[where] = last[walk]
            where -= 1
            walk = prefix[walk]
        if code == following:
            plain[size + long - 1] = plain[size]
        if previous >= 0 and following < TABLE:
            prefix[following], last[following], length[following] = previous, plain[size], length[previous] + 1
            following += 1
        size += long
        previous = code
        if following + early >= 1 << width and width < MOST_BITS:
            width += 1


@helper
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Where a string is in the table, or would be."""
    slot = ((key * 40503) >> 4) & (SLOTS - 1)
    while keys[slot] != key and keys[slot] >= 0:
        slot = (slot + 1) & (SLOTS - 1)
    return slot


@helper
def _of_run(plain, size, newest, long, clear, same):  # type: ignore[no-untyped-def]
    """The code for equal symbols that begin at ``size``, if the string before, whose first symbol is the ``same``, has
    made ``newest`` of so many symbols; it, or one before it, or a single symbol."""
    symbol = np.int64(plain[size])
    code = symbol
    if same and newest >= clear + 2:
        count = 1
        while count < long and size + count < plain.size and plain[size + count] == symbol:
            count += 1
        if count > 1 and newest - (long - count) >= clear + 2:
            code = newest - (long - count)
    return code


@kernel
def _encode(plain, bits, high_first, early, runs, rule, ended, told, keys, codes, data):  # type: ignore[no-untyped-def]
    """The inverse: a clear code after every run but the last, then perhaps the end code; return the bits written.

    -1 if the runs do not fit the plain bytes or the data have no room. ``told``: of each code whether it is by the
    rule, -1, or which one it is; it takes which ones are by the rule. ``keys`` and ``codes`` are room for strings.
    """
    clear = 1 << bits
    size, at, count, number = 0, 0, 0, 0
    taken, length = np.zeros(TABLE, np.int32), np.zeros(TABLE, np.int32)
    length[:] = 1
    keys[:] = -1
    for run in range(runs.size):
        for k in range(count):  # most runs that are short are shorter than the table
            keys[taken[k]] = -1
        count = 0
        width, following, learnt, last = bits + 1, clear + 2, clear + 2, np.int64(-1)
        for i in range(runs[run]):
            if size >= plain.size or plain[size] >= clear:
                return -1
            code = np.int64(plain[size])
            slot, stop = 0, size + 1
            if rule == LONGEST:
                while stop < plain.size:
                    slot = _slot(keys, code << 8 | plain[stop])
                    if keys[slot] < 0:
                        break
                    code = np.int64(codes[slot])
                    stop += 1
            elif rule == OF_RUNS:
                code = _of_run(plain, size, following - 1, length[following - 1], clear, last == plain[size])
            given = np.int64(told[number])
            told[number] = code
            number += 1
            last = np.int64(plain[size])
            if given >= 0:
                if given >= following or given == clear or given == clear + 1:
                    return -1
                code = given
            size += length[code]
            if size > plain.size or at + width > 8 * data.size:
                return -1
            _put(data, at, code, width, high_first)
            at += width
            if size < plain.size and following < TABLE:
                length[following] = length[code] + 1
                if rule == LONGEST:
                    if given >= 0:
                        slot = _slot(keys, code << 8 | plain[size])
                    keys[slot], codes[slot] = code << 8 | plain[size], following
                    taken[count] = slot
                    count += 1
                following += 1
            learnt += i > 0 and learnt < TABLE  # by the decoder, which is one code behind
            width += learnt + early >= 1 << width and width < MOST_BITS
        if run < runs.size - 1 or ended:
            if at + width > 8 * data.size:
                return -1
            _put(data, at, clear + (run == runs.size - 1), width, high_first)
            at += width
    return at if size == plain.size else -1


def take_apart(data: Buffer, limit: int, dialect: Dialect = TIFF) -> tuple[bytes, Choices, int]:
    """The plain bytes of a stream at the beginning of ``data``, what its encoder chose, and its size in bytes.

    Raises ImageError if it is damaged, has neither an end code nor ``limit`` bytes, holds more than these, or was made
    by other rules; UnexplainedError if many codes are not by any.
    """
    coded = np.frombuffer(data, np.uint8)
    plain = np.empty(limit, np.uint8)
    runs = np.empty(coded.size + 2, np.int32)
    ends = np.zeros(4, np.int64)
    size = _decode(coded, *dialect, plain, runs, np.empty(0, np.int32), ends)
    if size < 0:
        raise ImageError("damaged LZW data" if size == DAMAGED else "more LZW data than there is room for")
    stop = -(-int(ends[1]) // 8)
    found = Choices(runs[: ends[0]].tolist(), ended=not ends[2])
    stored = bytes(coded[:stop].data)
    if not _makes(plain[:size].data, found, stored, dialect):
        codes = np.empty(ends[3], np.int32)
        ends[3] = 0
        _decode(coded, *dialect, plain, runs, codes, ends)
        found = min(
            (_explained(plain[:size], found, codes, rule, dialect) for rule in (OF_RUNS, SINGLE, LONGEST)),
            key=_corrections,
        )
        if WORTH * _corrections(found) > len(codes):
            raise UnexplainedError("LZW data by an unknown encoder")
        if not _makes(plain[:size].data, found, stored, dialect):
            raise ImageError("LZW data by an unknown encoder")
    return plain[:size].tobytes(), found, stop


def _makes(plain: Buffer, choices: Choices, stored: bytes, dialect: Dialect) -> bool:
    try:
        return put_together(plain, choices, len(stored), dialect) == stored
    except ValueError:
        return False


def _corrections(choices: Choices) -> int:
    return len(choices.codes)


def _explained(
    plain: NDArray[np.uint8], found: Choices, codes: NDArray[np.int32], rule: int, dialect: Dialect
) -> Choices:
    """The choices with what of these codes is not by a rule."""
    told = codes.copy()
    room = np.zeros(2 * (len(codes) + len(found.runs)) + 2, np.uint8)
    _encode(plain, *dialect, np.array(found.runs, np.int32), rule, found.ended, told, *_room(), room)
    places = np.flatnonzero(told != codes)
    return found._replace(rule=rule, places=places.tolist(), codes=codes[places].tolist())


def _room() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return np.empty(SLOTS, np.int32), np.empty(SLOTS, np.int32)


def put_together(plain: Buffer, choices: Choices, size: int, dialect: Dialect = TIFF) -> bytes:
    """A stream of so many bytes again. Raises ValueError if there is none of these choices."""
    runs, places = choices.runs, choices.places
    if not runs or min(runs) < 0 or not 0 <= size <= 2 * len(plain) + 8 * len(runs) + 16:
        raise ValueError("impossible LZW runs")
    if sum(runs) > len(plain) or choices.rule not in (LONGEST, OF_RUNS, SINGLE):
        raise ValueError("LZW runs that do not fit their data")
    told = np.full(sum(runs), -1, np.int32)
    if len(places):
        if not 0 <= min(places) <= max(places) < len(told) or not 0 <= min(choices.codes) <= max(choices.codes) < TABLE:
            raise ValueError("LZW corrections that do not fit their data")
        told[list(places)] = choices.codes
    data = np.zeros(size, np.uint8)
    bits = _encode(
        np.frombuffer(plain, np.uint8),
        *dialect,
        np.array(runs, np.int32),
        choices.rule,
        choices.ended,
        told,
        *_room(),
        data,
    )
    if bits < 0 or -(-bits // 8) != size:
        raise ValueError("LZW runs that do not fit their data")
    return data.tobytes()


def write_choices(choices: Choices) -> tuple[list[int], bytes]:
    """Choices in short: numbers that mostly are the same for all pieces of a file, and bytes.

    Runs between clear codes are mostly of one length, but for the last.
    """
    runs = choices.runs
    usual = max(runs[1:-1], default=0)
    how, told = list[int](), varints(runs)
    if len(runs) > 1 and runs == [0, *[usual] * (len(runs) - 2), runs[-1]]:
        how, told = [len(runs) - 2, usual], varint(runs[-1])
    if choices.ended and not choices.rule and not choices.places:
        return how, told
    gaps = [place - before for before, place in pairwise([0, *choices.places])]
    return [*how, choices.rule + 4 * (not choices.ended)], told + varints(gaps) + b"".join(map(varint, choices.codes))


def read_choices(how: list[int], told: bytes, most: int) -> Choices:
    """The inverse, for ``most`` plain bytes. Raises ValueError."""
    sections = Sections(told)
    *usual, rule = how if len(how) % 2 else [*how, -1]
    if not usual:
        runs = sections.varints(most + 2)
    else:
        count, each = usual
        if not 0 <= count <= most:
            raise ValueError("impossible LZW runs")
        runs = [0, *[each] * count, sections.varint()]
    if rule < 0:
        return Choices(runs)
    places = list(accumulate(sections.varints(most)))
    return Choices(runs, rule & 3, rule < 4, places, [sections.varint() for _ in places])


__all__ = ["OLD", "TIFF", "Choices", "Dialect", "put_together", "read_choices", "take_apart", "write_choices"]
