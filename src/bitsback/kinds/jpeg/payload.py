"""Blocks of coefficients of JPEG files <-> bytes.

A payload is the layouts of all images in it (:mod:`.layout`), how they are to be predicted in another way than most are
(:mod:`.fitted`), and then *stretches*, each of which was learned from on
its own, from the same start: images in a row, as long as they are small, or a part of a large one. Within a stretch,
what has been learned goes on from component to component and from image to image. It is coded as *bands*, each of them
the rows of about so many blocks, and a stack: the number of 32-bit words in its tail (a varint), its head, its words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.ans import Stack
from bitsback.errors import CodecError, FormatError, TruncatedError
from bitsback.kinds.jpeg import coding, fitted, layout
from bitsback.kinds.jpeg.coding import Job, Plane, Work
from bitsback.kinds.jpeg.layout import Layout
from bitsback.kinds.jpeg.mixing import PRECISION
from bitsback.kinds.jpeg.start import Start, shipped
from bitsback.kinds.jpeg.tables import CLASSES, LANES, Model, begins, tables
from bitsback.kinds.varint import read_varint, varint
from bitsback.threads import ordered_map

Coefficients = NDArray[np.int16]
"""(blocks, 64): of all images, each behind its layout, which is never copied: they may be most of the memory."""

BAND = 1 << 12
"""Blocks in a band, but for the last row."""

STRETCH = 1 << 16
"""An image of more than three halves as many blocks is cut into stretches of about so many."""

QUESTIONS = 1 << 12
"""More than a block can take."""


class Rows(NamedTuple):
    """Some rows of blocks of a component."""

    plane: Plane
    first: int
    last: int


class Part(NamedTuple):
    """An image, or some of its rows: where the rows of its components begin in the coefficients, and how many."""

    layout: Layout
    begins: tuple[int, ...]
    rows: tuple[int, ...]


def encode(images: NDArray[np.uint16], threads: int = 1, start: Start | None = None) -> bytes:
    """Code blocks (n, 8, 8, 1) of coefficients behind their layouts, from that of this package or from another start.

    Raises CodecError if they are not such.
    """
    blocks = images.reshape(-1, 64)
    layouts, coefficients = taken_apart(np.ascontiguousarray(blocks))
    heads = layout.write(layouts)
    begin = start or shipped()
    weights = fitted.told(begin.trained, layouts, coefficients)
    begin = _with(begin, weights)
    out = [varint(len(heads)), heads, varint(len(weights)), weights]

    def one(parts: list[Part], threads: int) -> bytes:
        return _encode_stretch(coefficients, parts, begin)

    coded = list(ordered_map(one, stretches(layouts), threads))
    for data in coded:
        out += [varint(len(data)), data]
    return b"".join(out)


def decode(payload: bytes, count: int, threads: int = 1, start: Start | None = None) -> NDArray[np.uint16]:
    """The inverse: ``count`` blocks. Raises FormatError, EmptyStackError if the payload is not theirs."""
    size, data = read_varint(memoryview(payload))
    if size > len(data):
        raise TruncatedError("the payload ends within its layouts")
    layouts = layout.read(data[:size], count)
    coefficients = np.zeros((count, 64), np.int16)
    at = 0
    for one in layouts:
        coefficients[at : at + one.head] = one.blocks().view(np.int16)
        at += one.head + one.size
    size, data = read_varint(data[size:])
    if size > len(data):
        raise TruncatedError("the payload ends within its weights")
    begin = _with(start or shipped(), data[:size])
    data = data[size:]
    jobs = []
    for parts in stretches(layouts):
        size, data = read_varint(data)
        if size > len(data):
            raise TruncatedError("the payload ends within a stretch")
        jobs.append((parts, data[:size]))
        data = data[size:]
    if data:
        raise FormatError("the payload holds more than its images")

    def stretch(job: tuple[list[Part], memoryview], threads: int) -> None:
        _decode_stretch(coefficients, *job, begin)

    for _ in ordered_map(stretch, jobs, threads):
        pass
    return coefficients.view(np.uint16).reshape(count, 8, 8, 1)


def _with(start: Start, weights: bytes | memoryview) -> Start:
    """With weights of the images' own."""
    return Start.of(fitted.with_told(start.trained, weights), start.model) if weights else start


def taken_apart(blocks: NDArray[np.uint16]) -> tuple[list[Layout], Coefficients]:
    """The layouts, and the blocks again, as numbers with signs."""
    layouts, at = [], 0
    while at < len(blocks):
        one = Layout.of(blocks[at:])
        at += one.head + one.size
        layouts.append(one)
    if not layouts:
        raise CodecError("there are no coefficients")
    return layouts, blocks.view(np.int16)


def stretches(layouts: list[Layout]) -> Iterator[list[Part]]:
    """What is coded by itself."""
    waiting: list[Part] = []
    at = 0
    for one in layouts:
        parts = list(_parts(one, at + one.head))
        at += one.head + one.size
        if len(parts) == 1:
            waiting += parts
            continue
        if waiting:
            yield waiting
            waiting = []
        yield from ([part] for part in parts)
    if waiting:
        yield waiting


def _parts(one: Layout, at: int) -> Iterator[Part]:
    """An image, whose coefficients begin at ``at``; cut where all components can be cut, if it is large."""
    units = {part.height // part.down for part in one.components if part.height % part.down == 0}
    cut = min(round(one.size / STRETCH), *units) if len(units) == 1 and len(one.components) > 1 else 1
    if len(one.components) == 1:
        cut, units = min(round(one.size / STRETCH), one.components[0].height), {one.components[0].height}
    cut = max(cut, 1)
    (unit,) = units if cut > 1 else {1}
    for number in range(cut):
        begins, rows, place = [], [], at
        for part in one.components:
            step = part.height // unit
            first, last = (unit * (number + i) // cut * step if cut > 1 else i * part.height for i in range(2))
            begins.append(place + first * part.width)
            rows.append(last - first)
            place += part.width * part.height
        yield Part(one, tuple(begins), tuple(rows))


def bands(coefficients: Coefficients, parts: list[Part], start: Start) -> Iterator[list[Rows]]:
    """The rows of a stretch, as many together as are coded on one stack."""
    band: list[Rows] = []
    room = BAND
    for part in parts:
        for number, rows in enumerate(part.rows):
            plane = _plane(coefficients, part, number, start)
            first = 0
            while first < rows:
                last = min(rows, first + max(1, -(-room // plane.width)))
                band.append(Rows(plane, first, last))
                room -= (last - first) * plane.width
                first = last
                if room <= 0:
                    yield band
                    band, room = [], BAND
    if band:
        yield band


def _plane(coefficients: Coefficients, part: Part, number: int, start: Start) -> Plane:
    own, luma = part.layout.components[number], part.layout.components[0]
    before = part.layout.components[min(1, number)]
    alike = (before.width, part.rows[min(1, number)]) == (own.width, part.rows[number])
    cls = number if number < CLASSES else 0

    def rows_of(index: int) -> Coefficients:
        width, begin = part.layout.components[index].width, part.begins[index]
        return coefficients[begin : begin + width * part.rows[index]]

    quant, luma_quant, before_quant = (np.maximum(np.array(one.table, np.int32), 1) for one in (own, luma, before))
    wide = own.width + 4
    across, down = layout.ratios(luma, own)
    return Plane(
        rows_of(number), own.width, cls, quant, (65536 + quant // 2) // quant,
        (start.trained.least[cls].astype(np.int64) * quant >> 8).astype(np.int32), begins(quant, cls),
        _lines(wide), np.zeros((3, wide, 64), np.uint8), _lines(wide), _lines(wide),
        np.zeros((3, wide), np.int64), np.zeros((3, wide), np.int64),
        rows_of(0), luma.width, part.rows[0], across, down, luma_quant,
        rows_of(min(1, number)) if alike else np.zeros_like(rows_of(number)), before_quant,
    )  # fmt: skip


def _lines(width: int) -> Coefficients:
    return np.zeros((3, width, 64), np.int16)


def job_of(plane: Plane, model: Model, start: Start, work: Work) -> Job:
    """What kernels want."""
    return Job(plane, model, start.weights[plane.cls], tables(), work)


def new_work() -> Work:
    """Room for what belongs to a block, and to a question."""
    luma, second = np.zeros((2, 64), np.int16)
    return Work(np.zeros(256, np.int32), luma, second, np.zeros((2, 64), np.int16), np.zeros(LANES, np.int64))


def _encode_stretch(coefficients: Coefficients, parts: list[Part], start: Start) -> bytes:
    out, model, room = [], start.fresh(), new_work()
    starts = freqs = np.empty(0, np.uint32)
    for band in bands(coefficients, parts, start):
        most = sum((rows.last - rows.first) * rows.plane.width for rows in band) * QUESTIONS
        if most > starts.size:
            starts, freqs = (np.empty(most, np.uint32) for _ in range(2))  # pages that are not used cost nothing
        length = 0
        for rows in band:
            length = coding.encode(starts, freqs, length, rows.first, rows.last, job_of(rows.plane, model, start, room))
        stack = Stack()
        stack.push(starts[:length], freqs[:length], PRECISION)
        out += [varint(len(stack)), stack.pack()]
    return b"".join(out)


def _decode_stretch(coefficients: Coefficients, parts: list[Part], data: memoryview, start: Start) -> None:
    model, room = start.fresh(), new_work()
    for band in bands(coefficients, parts, start):
        words, data = read_varint(data)
        size = 8 + 4 * words
        if size > len(data):
            raise TruncatedError("the payload ends within a band of rows")
        stack = Stack.unpack(data[:size], 1)
        data = data[size:]
        for rows in band:
            stack.pull(coding.decode, rows.first, rows.last, job_of(rows.plane, model, start, room))
        if not stack.is_initial():
            raise FormatError("a band of rows holds more than its coefficients")
    if data:
        raise FormatError("a stretch holds more than its coefficients")
