"""One scan: its entropy-coded data to coefficients and a few numbers, and back to the same data."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitsback.errors import ImageError
from bitsback.files.jpeg import bits
from bitsback.files.jpeg.bits import LONGEST_RUN, PLACES, SPARE, Found, Scan, Writing
from bitsback.files.jpeg.segments import Frame, ScanHeader, Tables
from bitsback.files.picture import Buffer

Coefficients = NDArray[np.int16]
"""(blocks, 64), rows first."""

_ONES, _ZEROS, _MIXED = range(3)
"""The bits that fill up bytes."""

_LIBJPEG, _UNLIMITED, _SINGLE = range(3)
"""When a run of blocks is ended: as libjpeg does, only where it must, or always at once."""

_ODD = 1 << 16
"""Oddities that are kept of a scan; behind the last one, decoding stops."""

_SLAB = 1 << 12
"""Blocks that are coded between two looks at the room that is left."""


@dataclass(slots=True)
class Oddities:
    """What a scan has that an encoder like libjpeg, with these coefficients, would not have written."""

    missing: int = 0
    """MCUs that were not coded, or not as they should be. What there is of their data is kept as bytes."""
    padding: int = _ONES
    rule: int = _LIBJPEG
    runs: list[int] = field(default_factory=list)
    zeros: list[tuple[int, int]] = field(default_factory=list)
    pads: list[int] = field(default_factory=list)
    """See :class:`Found`."""

    def numbers(self) -> list[int]:
        """All of it as numbers of at least 0; nothing if there is nothing."""
        if self == Oddities():
            return []
        runs = np.diff(self.runs, prepend=0).tolist() if self.runs else []
        places = np.diff([place for place, _ in self.zeros], prepend=0).tolist() if self.zeros else []
        zeros = [number for pair in zip(places, (often for _, often in self.zeros), strict=True) for number in pair]
        return [
            self.missing, self.padding, self.rule, len(runs), *runs, len(self.zeros), *zeros, len(self.pads), *self.pads
        ]  # fmt: skip

    @classmethod
    def of(cls, numbers: list[int]) -> Oddities:
        """The inverse. Raises ValueError, IndexError."""
        if not numbers:
            return cls()
        odd = cls(numbers[0], numbers[1], numbers[2])
        at = 4 + numbers[3]
        odd.runs = np.cumsum(numbers[4:at], dtype=np.int64).tolist()
        count = numbers[at]
        pairs = numbers[at + 1 : at + 1 + 2 * count]
        odd.zeros = list(zip(np.cumsum(pairs[::2], dtype=np.int64).tolist(), pairs[1::2], strict=True))
        at += 1 + 2 * count
        odd.pads = numbers[at + 1 : at + 1 + numbers[at]]
        if at + 1 + numbers[at] != len(numbers) or odd.padding > _MIXED or odd.rule > _SINGLE:
            raise ValueError("the numbers of a scan do not fit")
        return odd


def decode(data: Buffer, frame: Frame, header: ScanHeader, tables: Tables, into: Coefficients) -> tuple[int, Oddities]:
    """Decode the scan that begins at ``header.at``. Returns where its data end, and what is odd about it."""
    scan = _scan(frame, header, tables, into)
    codes = tables.codes(_used(scan))
    array = np.frombuffer(data, np.uint8)
    clean = np.zeros(len(array) - header.at + SPARE, np.uint8)
    ends = np.zeros(1 + (scan.total - 1) // scan.interval, np.int64)
    place = np.zeros(6, np.int64)
    bits.unstuff(array, header.at, clean, ends, place)
    count = int(place[0])
    runs, zeros = np.zeros(_ODD, np.int64), np.zeros((_ODD, 2), np.int64)
    found = Found(np.zeros(6, np.int64), np.full(len(ends), 255, np.int64), runs, zeros)
    kernel = bits.decode_band if scan.first else bits.decode_mcus
    kernel(clean, ends, count, scan, codes, found)
    done, at, many_runs, many_zeros, longest, unlimited = map(int, found.place)
    odd = Oddities(scan.total - done, zeros=[(int(block), int(often)) for block, often in zeros[:many_zeros]])
    odd.runs = runs[:many_runs].tolist()
    if unlimited:
        odd.rule = _UNLIMITED
        if many_runs:
            raise ImageError("a JPEG file with runs of blocks that end without need")
    elif many_runs and longest == 1:
        odd.rule, odd.runs = _SINGLE, []
    closed = -(-done // scan.interval) - (done < scan.total)
    _keep_pads(odd, found.pads[: max(closed, 0)])
    markers = max(-(-done // scan.interval) - 1, 0)
    clean_size = (at + 7 if done == scan.total else at) >> 3
    return header.at + int(bits.stuffed_size(array, header.at, clean_size, markers)), odd


def _keep_pads(odd: Oddities, pads: NDArray[np.int64]) -> None:
    """Note with what bits bytes were filled up; given as 256 times their number and themselves."""
    values, full = pads & 255, (1 << (pads >> 8)) - 1
    if not np.array_equal(values, full):
        odd.padding = _MIXED if values.any() else _ZEROS
        odd.pads = values.tolist() if values.any() else []


def encode(frame: Frame, header: ScanHeader, tables: Tables, coefficients: Coefficients, odd: Oddities) -> bytes:
    """The data of a scan. Raises ValueError where they need a code that there is not."""
    scan = _scan(frame, header, tables, coefficients)
    codes = tables.codes(_used(scan))
    total = scan.total - odd.missing
    if total < 0:
        raise ValueError("more is missing than there is")
    pads = np.full(1 + (scan.total - 1) // scan.interval, 255 if odd.padding == _ONES else 0, np.int64)
    pads[: len(odd.pads)] = odd.pads[: len(pads)]
    longest = 1 if odd.rule == _SINGLE else LONGEST_RUN
    most = bits.FOLDED if odd.rule == _LIBJPEG else 1 << 30
    kept = (bits.FOLDED + 128 if odd.rule == _LIBJPEG else (min(scan.total, longest) + 1) * 64) if scan.high else 1
    in_mcu = int((scan.components[:, 2] * scan.components[:, 3]).sum())
    step = max(1, _SLAB // in_mcu)
    writing = Writing(
        np.empty(step * in_mcu * 560 + kept // 4 + 64, np.uint8), np.zeros(bits.STATE, np.int64),
        np.zeros(kept, np.uint8), np.array(odd.runs, np.int64),
        np.array(odd.zeros, np.int64).reshape(-1, 2), pads,
    )  # fmt: skip
    out = []
    for begin in range(0, total, step):
        end = min(begin + step, total)
        if scan.first:
            bits.encode_band(writing, scan, codes, begin, end, total, longest, most)
        else:
            bits.encode_mcus(writing, scan, codes, begin, end, total)
        out.append(writing.out[: writing.state[bits.TO]].tobytes())
        writing.state[bits.TO] = 0
        if writing.state[bits.WRONG]:
            raise ValueError("there is no code for what is to be coded")
    return b"".join(out)


def _used(scan: Scan) -> set[int]:
    used = {int(number) for number in scan.components[:, 4]} if scan.first == 0 and not scan.high else set()
    return used | ({int(number) for number in scan.components[:, 5]} if scan.last else set())


def _scan(frame: Frame, header: ScanHeader, tables: Tables, coefficients: Coefficients) -> Scan:
    rows = []
    for one, dc, ac in header.components:
        across, down = (one.across, one.down) if len(header.components) > 1 else (1, 1)
        rows.append([one.first, one.width, across, down, dc, ac])
    across, down = frame.across, frame.down
    if len(header.components) == 1:
        across, down = header.components[0][0].own
    return Scan(
        coefficients, np.array(rows, np.int64), across, across * down, tables.interval or across * down, header.first,
        header.last, header.high, header.low, PLACES,
    )  # fmt: skip
