"""The entropy coding of JPEG (ITU-T T.81, annexes F and G): Huffman codes <-> quantised coefficients.

A *scan* codes, MCU by MCU, some bits of some coefficients of some components. Its data are cut into *intervals* of so
many MCUs (or one), each of whole bytes. Within them the byte FF is followed by a 0, which is left out here.

Decoding stops where the data do not go on as an encoder would have them, and says how far it came. Encoding does what
libjpeg does where there is a choice, but for what decoding found to be otherwise: its *oddities*.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kernels import helper, kernel
from bitsback.kinds.jpeg import ZIGZAG

SPARE = 1 << 10
"""Bytes behind the data that decoding may read: more than any block takes."""

FAST = 10
"""Codes of at most so many bits are found by one look."""

LONGEST_RUN = 0x7FFF
"""Blocks that one code can say the end of."""

FOLDED = 937
"""libjpeg ends a run of blocks as soon as it has to keep more bits than this for it."""

_WIDE = 0xFFFFFFFF

PLACES = np.array(ZIGZAG, np.int64)


class Scan(NamedTuple):
    """What is coded, and how."""

    coefficients: NDArray[np.int16]
    """(blocks, 64): all of the file's."""
    components: NDArray[np.int64]
    """(components, 6): first block, blocks in a row, across and down in an MCU, tables for DC and AC."""
    across: int
    """MCUs in a row."""
    total: int
    """MCUs in all."""
    interval: int
    """MCUs in an interval."""
    first: int
    last: int
    """The coefficients of a block, in zigzag order."""
    high: int
    low: int
    """Bits below ``low`` are not coded; those from ``high`` on, if it is not 0, were coded before."""
    zigzag: NDArray[np.int64]


class Codes(NamedTuple):
    """Huffman codes, eight tables: four for DC, then four for AC."""

    fast: NDArray[np.int64]
    """(8, 2 ** FAST): 256 length + symbol of the code that so begins; 0 if it is longer, or none."""
    limits: NDArray[np.int64]
    """(8, 18): what codes of so many bits are below, when filled up with zeros to 16 bits; and then, no end."""
    offsets: NDArray[np.int64]
    """(8, 18): where the symbol of a code of so many bits is, less the code."""
    symbols: NDArray[np.int64]
    """(8, 256): by their codes."""
    codes: NDArray[np.int64]
    lengths: NDArray[np.int64]
    """(8, 256): by symbol. Length 0: it has none."""


class Found(NamedTuple):
    """What decoding found."""

    place: NDArray[np.int64]
    """(6,): MCUs decoded; bits behind the last of these; oddities of runs, and of zeros; the longest run; whether a run
    went on where libjpeg would have ended it."""
    pads: NDArray[np.int64]
    """(intervals,): 256 times how many bits fill up the last byte, and these."""
    runs: NDArray[np.int64]
    """The blocks (by their number in the scan) before which a run was ended that could have gone on."""
    zeros: NDArray[np.int64]
    """(n, 2): blocks whose last coefficients are zeros that were coded, 16 at a time; and how often."""


@kernel
def unstuff(data, start, out, ends, found):  # type: ignore[no-untyped-def]
    """Copy the data that begin at ``start`` to ``out``, without the zeros behind FF and without restart markers.

    ``ends``: where intervals end in ``out``; ``found``: how many there are, and where the data end (before a marker, or
    because restart markers are not in order).
    """
    at, to, count, size = start, 0, 0, data.size
    while at < size:
        byte = data[at]
        if byte == 0xFF:
            after = data[at + 1] if at + 1 < size else 0xFF
            if after == 0:
                at += 1
            elif after == 0xD0 + count % 8 and count + 1 < ends.size:
                ends[count] = to
                count += 1
                at += 2
                continue
            else:
                break
        out[to] = byte
        to += 1
        at += 1
    ends[count] = to
    found[0] = count + 1
    found[1] = at


@kernel
def stuffed_size(data, start, clean, intervals):  # type: ignore[no-untyped-def]
    """How many bytes of the data that begin at ``start`` make ``clean`` of those that :func:`unstuff` gives, and
    ``intervals`` restart markers between them."""
    at = start
    left = clean
    markers = intervals
    while left > 0:
        if data[at] == 0xFF:
            if data[at + 1] != 0:
                markers -= 1
                at += 2
                continue
            at += 1
        left -= 1
        at += 1
    return at - start + 2 * max(markers, 0)


# Decoding -------------------------------------------------------------------------------------------------------------


@helper
def _peek(data, at):  # type: ignore[no-untyped-def]
    """The next 16 bits."""
    byte = at >> 3
    three = (data[byte] << 16) | (data[byte + 1] << 8) | data[byte + 2]
    return (three >> (8 - (at & 7))) & 0xFFFF


@helper
def bits_at(data, at, count):  # type: ignore[no-untyped-def]
    """The next ``count`` bits, at most 16."""
    return _peek(data, at) >> (16 - count)


@helper
def symbol_at(data, at, codes, table):  # type: ignore[no-untyped-def]
    """A symbol and where its code ends; -1 if there is no such code."""
    next_bits = _peek(data, at)
    entry = codes.fast[table, next_bits >> (16 - FAST)]
    if entry > 0:
        return entry & 255, at + (entry >> 8)
    length = FAST + 1
    while next_bits >= codes.limits[table, length]:
        length += 1
    if length > 16:
        return -1, at
    place = (next_bits >> (16 - length)) + codes.offsets[table, length]
    return codes.symbols[table, place & 255], at + length


@helper
def signed(bits, count):  # type: ignore[no-untyped-def]
    """The number that ``count`` bits stand for."""
    return bits if count == 0 or bits >> (count - 1) else bits - (1 << count) + 1


@helper
def _number_of(scan, c, mcu, y, x):  # type: ignore[no-untyped-def]
    """The block at a place in an MCU."""
    one = scan.components[c]
    row = mcu // scan.across
    return one[0] + (row * one[3] + y) * one[1] + (mcu - row * scan.across) * one[2] + x


@helper
def _close(data, at, end, pads, number):  # type: ignore[no-untyped-def]
    """Keep the bits that fill up the last byte of an interval; whether that is where it ends."""
    fill = -at & 7
    pads[number] = (fill << 8) | (bits_at(data, at, fill) if fill else 0)
    return (at + fill) >> 3 == end


@kernel
def decode_mcus(data, ends, count, scan, codes, found):  # type: ignore[no-untyped-def]
    """Decode DC, and the AC coefficients up to ``scan.last`` behind it, one block after the other."""
    predicted = np.zeros(4, np.int64)
    place = found.place
    mcu = 0
    for number in range(count):
        at = ends[number - 1] << 3 if number > 0 else 0
        place[1] = at
        limit = ends[number] << 3
        predicted[:] = 0
        stop = min(mcu + scan.interval, scan.total)
        while mcu < stop:
            at = _decode_mcu(data, at, limit, mcu, scan, codes, predicted, found)
            if at < 0:
                return
            mcu += 1
            place[0] = mcu
            place[1] = at
        if not _close(data, at, ends[number], found.pads, number) or mcu == scan.total:
            return


@helper
def _decode_mcu(data, at, limit, mcu, scan, codes, predicted, found):  # type: ignore[no-untyped-def]
    """Returns where it ends, -1 if it is not one."""
    part = 0
    for c in range(scan.components.shape[0]):
        one = scan.components[c]
        for y in range(one[3]):
            for x in range(one[2]):
                block = scan.coefficients[_number_of(scan, c, mcu, y, x)]
                if scan.high:
                    block[0] |= bits_at(data, at, 1) << scan.low
                    at += 1
                else:
                    size, at = symbol_at(data, at, codes, one[4])
                    if size < 0 or size > 15:
                        return -1
                    predicted[c] += signed(bits_at(data, at, size), size)
                    at += size
                    block[0] = predicted[c] << scan.low
                    if scan.last:
                        at = _decode_ac(data, at, codes, one[5], scan, block, mcu, part, found)
                if at < 0 or at > limit:
                    return -1
                part += 1
    return at


@helper
def _decode_ac(data, at, codes, table, scan, block, mcu, part, found):  # type: ignore[no-untyped-def]
    """The AC coefficients of a block that is coded in one go."""
    k, zeros = 1, 0
    while k <= scan.last:
        symbol, at = symbol_at(data, at, codes, table)
        run, size = symbol >> 4, symbol & 15
        if size == 0:
            if symbol == 0xF0 and k + 15 < scan.last:
                k += 16
                zeros += 1
                continue
            if symbol != 0:
                return -1
            if zeros and not _note_zeros(found, (mcu << 6) + part, zeros):
                return -1
            break
        k += run
        if symbol < 0 or k > scan.last:
            return -1
        block[scan.zigzag[k]] = signed(bits_at(data, at, size), size)
        at += size
        k += 1
        zeros = 0
    return at


@helper
def _note_zeros(found, number, zeros):  # type: ignore[no-untyped-def]
    """Note an oddity; whether there is room for it."""
    count = found.place[3]
    if count == found.zeros.shape[0]:
        return False
    found.zeros[count, 0] = number
    found.zeros[count, 1] = zeros
    found.place[3] = count + 1
    return True


@helper
def _note_run(found, block):  # type: ignore[no-untyped-def]
    count = found.place[2]
    if count == found.runs.size:
        return False
    found.runs[count] = block
    found.place[2] = count + 1
    return True


@kernel
def decode_band(data, ends, count, scan, codes, found):  # type: ignore[no-untyped-def]
    """Decode some AC coefficients of one component, with runs of blocks that end early: progressive scans.

    ``pending`` is how long the run would be that an encoder has not written yet, and ``folded`` the bits that belong to
    it: where the data begin a new run without need, that is an oddity.
    """
    place = found.place
    table = scan.components[0, 5]
    block_number = 0
    for number in range(count):
        at = ends[number - 1] << 3 if number > 0 else 0
        limit = ends[number] << 3
        stop = min(block_number + scan.interval, scan.total)
        run, pending, folded = 0, 0, 0
        place[1] = at
        while block_number < stop:
            block = scan.coefficients[_number_of(scan, 0, block_number, 0, 0)]
            k, corrected = scan.first, 0
            if run == 0:
                zeros = 0
                while k <= scan.last:
                    symbol, at = symbol_at(data, at, codes, table)
                    if symbol < 0:
                        return
                    skip, size = symbol >> 4, symbol & 15
                    value = 0
                    if size == 0:
                        if skip < 15:
                            run = (1 << skip) + bits_at(data, at, skip)
                            at += skip
                            place[4] = max(place[4], run)
                            if block_number + run > stop or run > LONGEST_RUN:
                                return
                            if pending > 0 and not _note_run(found, block_number):
                                return
                            if zeros and (scan.high or not _note_zeros(found, block_number << 6, zeros)):
                                return
                            pending, folded = 0, 0
                            break
                        zeros += 1
                    else:
                        zeros = 0
                        if scan.high:
                            if size != 1:
                                return
                            value = 2 * bits_at(data, at, 1) - 1
                        else:
                            value = signed(bits_at(data, at, size), size)
                        at += size
                    pending, folded, corrected = 0, 0, 0
                    if scan.high:
                        k, at, _ = _correct(data, at, block, scan, k, skip)
                    else:
                        k += skip
                    if k > scan.last or at > limit:
                        return
                    if size:
                        block[scan.zigzag[k]] = value << scan.low
                    k += 1
            if run > 0:
                if scan.high:
                    k, at, corrected = _correct(data, at, block, scan, k, 64)
                if at > limit:  # the run goes back to where it began
                    return
                run -= 1
                pending += 1
                folded += corrected
                if pending == LONGEST_RUN:
                    pending, folded = 0, 0
                if folded > FOLDED:
                    place[5] |= run > 0
                    pending, folded = 0, 0
            if at > limit:
                return
            block_number += 1
            if run == 0:
                place[0] = block_number
                place[1] = at
        if not _close(data, at, ends[number], found.pads, number) or block_number == scan.total:
            return


@helper
def _correct(data, at, block, scan, k, skip):  # type: ignore[no-untyped-def]
    """From coefficient k on read a further bit of each one that is not 0, until there were ``skip`` zeros and there
    comes another. Returns where that is, where the bits end, and how many there were."""
    bit, read = 1 << scan.low, 0
    while k <= scan.last:
        value = block[scan.zigzag[k]]
        if value:
            if bits_at(data, at, 1):
                block[scan.zigzag[k]] = value + (bit if value > 0 else -bit)
            at += 1
            read += 1
        else:
            if skip == 0:
                break
            skip -= 1
        k += 1
    return k, at, read


# Encoding -------------------------------------------------------------------------------------------------------------


class Writing(NamedTuple):
    """An encoder between two calls."""

    out: NDArray[np.uint8]
    state: NDArray[np.int64]
    """(12,): bits that do not fill a byte yet, and how many; bytes written; blocks in the run that is not written yet,
    and bits kept for it; how many oddities of runs, and of zeros, are done; 1 if there was something without a code;
    DC coefficients of the last blocks."""
    kept: NDArray[np.uint8]
    """Bits to be written behind the code for a run."""
    runs: NDArray[np.int64]
    zeros: NDArray[np.int64]
    """See :class:`Found`."""
    pads: NDArray[np.int64]
    """(intervals,) What fills up their last bytes: its last bits."""


_ACC, _COUNT, TO, _RUN, _KEPT, _RUNS, _ZEROS, WRONG, _DC = range(9)
STATE = _DC + 4


@helper
def put_bits(writing, bits, count):  # type: ignore[no-untyped-def]
    """Write bits, at most 32."""
    state = writing.state
    acc = (state[_ACC] << count) | bits
    have = state[_COUNT] + count
    to = state[TO]
    while have >= 8:
        have -= 8
        byte = (acc >> have) & 255
        writing.out[to] = byte
        to += 1
        if byte == 255:
            writing.out[to] = 0
            to += 1
    state[_ACC] = acc & ((1 << have) - 1)
    state[_COUNT] = have
    state[TO] = to


@helper
def put_symbol(writing, codes, table, symbol):  # type: ignore[no-untyped-def]
    length = codes.lengths[table, symbol]
    if length == 0:
        writing.state[WRONG] = 1
    put_bits(writing, codes.codes[table, symbol], length)


@helper
def bit_length(value):  # type: ignore[no-untyped-def]
    size = 0
    while value:
        value >>= 1
        size += 1
    return size


@helper
def _put_number(writing, codes, table, high, value):  # type: ignore[no-untyped-def]
    """A symbol of ``high`` bits and the size of a number; and the number."""
    size = bit_length(abs(value))
    put_symbol(writing, codes, table, (high << 4) | (size & 15))
    if size > 15:
        writing.state[WRONG] = 1
    put_bits(writing, (value if value > 0 else value - 1) & ((1 << size) - 1), size)


@helper
def _put_run(writing, codes, table):  # type: ignore[no-untyped-def]
    """The run of blocks that waits, and the bits that belong to them."""
    state = writing.state
    run = state[_RUN]
    if run > 0:
        size = bit_length(run) - 1
        put_symbol(writing, codes, table, size << 4)
        put_bits(writing, run - (1 << size), size)
        for i in range(state[_KEPT]):
            put_bits(writing, writing.kept[i], 1)
    state[_RUN] = 0
    state[_KEPT] = 0


@helper
def _restart(writing, codes, table, scan, mcu, total):  # type: ignore[no-untyped-def]
    """What stands before an MCU that begins an interval, or behind the last one."""
    number = mcu // scan.interval
    if mcu > 0 and (mcu % scan.interval == 0 or mcu == scan.total):
        _put_run(writing, codes, table)
        number -= mcu % scan.interval == 0
        put_bits(writing, writing.pads[number] & ((1 << (-writing.state[_COUNT] & 7)) - 1), -writing.state[_COUNT] & 7)
        if mcu < total:
            to = writing.state[TO]
            writing.out[to] = 0xFF
            writing.out[to + 1] = 0xD0 + number % 8
            writing.state[TO] = to + 2
            for c in range(4):
                writing.state[_DC + c] = 0


@helper
def _put_zeros(writing, codes, table, number):  # type: ignore[no-untyped-def]
    """Zeros at the end of a block, 16 at a time, if it is one of the odd ones that have them coded."""
    place = writing.state[_ZEROS]
    if place < writing.zeros.shape[0] and writing.zeros[place, 0] == number:
        for _ in range(min(writing.zeros[place, 1], 3)):
            put_symbol(writing, codes, table, 0xF0)
        writing.state[_ZEROS] = place + 1


@kernel
def encode_mcus(writing, scan, codes, begin, end, total):  # type: ignore[no-untyped-def]
    """The inverse of :func:`decode_mcus`, for MCUs ``begin`` to ``end - 1`` of ``total`` that there are."""
    state = writing.state
    for mcu in range(begin, end):
        if mcu % scan.interval == 0:
            _restart(writing, codes, 0, scan, mcu, total)
        part = 0
        for c in range(scan.components.shape[0]):
            one = scan.components[c]
            for y in range(one[3]):
                for x in range(one[2]):
                    block = scan.coefficients[_number_of(scan, c, mcu, y, x)]
                    if scan.high:
                        put_bits(writing, (block[0] >> scan.low) & 1, 1)
                    else:
                        value = block[0] >> scan.low
                        _put_number(writing, codes, one[4], 0, np.int16(value - state[_DC + c]))
                        state[_DC + c] = value
                        if scan.last:
                            _encode_ac(writing, codes, one[5], scan, block, (mcu << 6) + part)
                    part += 1
    if end == scan.total:
        _restart(writing, codes, 0, scan, end, total)


@helper
def _encode_ac(writing, codes, table, scan, block, number):  # type: ignore[no-untyped-def]
    run = 0
    for k in range(1, scan.last + 1):
        value = block[scan.zigzag[k]]
        if value == 0:
            run += 1
            continue
        while run > 15:
            put_symbol(writing, codes, table, 0xF0)
            run -= 16
        _put_number(writing, codes, table, run, value)
        run = 0
    if run:
        _put_zeros(writing, codes, table, number)
        put_symbol(writing, codes, table, 0)


@kernel
def encode_band(writing, scan, codes, begin, end, total, longest, most):  # type: ignore[no-untyped-def]
    """The inverse of :func:`decode_band`. Runs of at most ``longest`` blocks, to which at most ``most`` bits belong
    (but for those of the last block)."""
    state = writing.state
    table = scan.components[0, 5]
    for number in range(begin, end):
        if number % scan.interval == 0:
            _restart(writing, codes, table, scan, number, total)
        block = scan.coefficients[_number_of(scan, 0, number, 0, 0)]
        rest, tail, count = _encode_block(writing, codes, table, scan, block)
        if not rest:
            continue
        if state[_RUNS] < writing.runs.size and writing.runs[state[_RUNS]] == number:
            state[_RUNS] = state[_RUNS] + 1
            _put_run(writing, codes, table)
        place = state[_ZEROS]
        if place < writing.zeros.shape[0] and writing.zeros[place, 0] == number << 6:
            _put_run(writing, codes, table)
            _put_zeros(writing, codes, table, number << 6)
        state[_RUN] = state[_RUN] + 1
        for i in range(count - 1, -1, -1):
            writing.kept[state[_KEPT]] = (tail >> i) & 1
            state[_KEPT] = state[_KEPT] + 1
        if state[_RUN] >= longest or state[_KEPT] > most:
            _put_run(writing, codes, table)
    if end == total:
        _put_run(writing, codes, table)
    if end == scan.total:
        _restart(writing, codes, table, scan, end, total)


@helper
def _encode_block(writing, codes, table, scan, block):  # type: ignore[no-untyped-def]
    """Code a block but for its end. Returns whether that has to be said, and the bits that belong to it: further ones
    of coefficients that were not 0 before."""
    run, tail, count = 0, 0, 0
    final = scan.last
    while scan.high and final >= scan.first and abs(block[scan.zigzag[final]]) >> scan.low != 1:
        final -= 1
    for k in range(scan.first, scan.last + 1):
        value = block[scan.zigzag[k]]
        size = abs(value) >> scan.low
        if size == 0:
            run += 1
            continue
        while run > 15 and k <= final:
            _put_run(writing, codes, table)
            put_symbol(writing, codes, table, 0xF0)
            put_bits(writing, tail >> 32, max(count - 32, 0))
            put_bits(writing, tail & _WIDE, min(count, 32))
            run -= 16
            tail, count = 0, 0
        if scan.high and size > 1:
            tail = (tail << 1) | (size & 1)
            count += 1
            continue
        _put_run(writing, codes, table)
        if scan.high:
            put_symbol(writing, codes, table, (run << 4) | 1)
            put_bits(writing, np.int64(value > 0), 1)
        else:
            _put_number(writing, codes, table, run, size if value > 0 else -size)
        put_bits(writing, tail >> 32, max(count - 32, 0))
        put_bits(writing, tail & _WIDE, min(count, 32))
        run, tail, count = 0, 0, 0
    return run > 0 or count > 0, tail, count
