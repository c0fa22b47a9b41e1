"""JPEG files, byte for byte: quantised coefficients, and all else as it was.

The only part is a sequence of blocks, (n, 8, 8, 1) uint16: first those that say what the others are
(:mod:`bitsback.kinds.jpeg.layout`), then the coefficients of each component, rows of blocks from top to bottom,
negative ones modulo 2^16. The blob is the file without its entropy-coded data. Where an encoder like libjpeg would not
have written these just so, the recipe's ``odd`` says how many bytes at the end of the blob say what is otherwise.
Thumbnails and previews, JPEG files in the blob, are taken apart like the file around them: see :func:`_take_within`.
"""

from __future__ import annotations

import numpy as np

from bitsback.errors import ImageError
from bitsback.files.jpeg.scans import Coefficients, Oddities, decode, encode
from bitsback.files.jpeg.segments import Frame, ScanHeader, Tables, next_marker, walk
from bitsback.files.packed import Sections, varints
from bitsback.files.picture import Buffer, Content, Images, Recipe
from bitsback.kinds.jpeg import Component, Layout

MAX_BLOCKS = 1 << 22
"""In a file that is taken apart."""


MAX_WITHIN = 16
"""Places in a file where another one within is looked for."""


class _Reader:
    """What is learned on a walk through a file."""

    def __init__(self, data: Buffer) -> None:
        self.data = data
        self.blocks: Images | None = None
        self.coefficients: Coefficients | None = None
        self.odd: list[Oddities] = []
        self.rest: list[bytes] = []
        self.done = 0

    def on_scan(self, frame: Frame, header: ScanHeader, tables: Tables) -> int:
        if self.coefficients is None:
            head = layout_of(frame, tables).blocks()
            if frame.blocks > min(MAX_BLOCKS, 8 * len(self.data)):
                raise ImageError("a JPEG file that promises more than it can hold, or is too large to take apart")
            self.blocks = np.zeros((len(head) + frame.blocks, 64), np.uint16)
            self.blocks[: len(head)] = head
            self.coefficients = self.blocks[len(head) :].view(np.int16)
        at, odd = decode(self.data, frame, header, tables, self.coefficients)
        self.odd.append(odd)
        self.rest.append(bytes(self.data[self.done : header.at]))
        self.done = at
        return at


def layout_of(frame: Frame, tables: Tables) -> Layout:
    """What the kind that codes the coefficients has to know."""
    components = []
    for one in frame.components:
        table = tables.quantisation.get(one.table)
        if table is None:
            table = np.ones(64, np.int64)
        components.append(Component(one.width, one.height, one.across, one.down, tuple(table.tolist())))
    return Layout(tuple(components))


def read(data: Buffer) -> Content:
    """Take a JPEG file apart. Raises ImageError if it is of another sort than baseline or progressive with 8 bits."""
    reader = _Reader(data)
    walk(data, reader.on_scan)
    content = _take_within(_content(reader))
    try:
        same = write(content.recipe, content.blob, content.parts) == data
    except ValueError:  # a later scan overwrote what an earlier one had no code for
        same = False
    if not same:
        raise ImageError("it would not come back unchanged")
    return content


def _content(reader: _Reader) -> Content:
    """What was read, to its end."""
    assert reader.blocks is not None
    rest = [*reader.rest, bytes(reader.data[reader.done :])]
    recipe: Recipe = {"format": "jpeg"}
    numbers = [odd.numbers() for odd in reader.odd]
    if any(numbers):
        extra = b"".join(varints(one) for one in numbers)
        recipe["odd"] = len(extra)
        rest.append(extra)
    return Content([reader.blocks.reshape(-1, 8, 8, 1)], recipe, b"".join(rest), sure=True)


def _take_within(content: Content) -> Content:
    """Take whole JPEG files in the blob apart: their blocks follow those of the file, their blobs what is left of its
    own."""
    size = content.recipe.get("odd", 0)
    blob, extra = content.blob[: len(content.blob) - size], content.blob[len(content.blob) - size :]
    found: list[Content] = []
    told: list[list[int]] = []
    left: list[bytes] = []
    done, at = 0, 2
    for _ in range(MAX_WITHIN):
        at = blob.find(b"\xff\xd8\xff", at)
        if at < 0:
            break
        inner, end = _whole(blob[at:])
        if inner is None:
            at += 1
            continue
        odd = inner.recipe.get("odd", 0)
        told.append([at - done, len(inner.blob) - odd, odd])
        left.append(blob[done:at])
        found.append(inner)
        done = at = at + end
    if not found:
        return content
    left += [blob[done:], *(inner.blob for inner in found), extra]
    blocks = np.concatenate([content.parts[0], *(inner.parts[0] for inner in found)])
    return content._replace(parts=[blocks], recipe=content.recipe | {"within": told}, blob=b"".join(left))


def _whole(data: bytes) -> tuple[Content | None, int]:
    """A JPEG file that ``data`` begins with, and its size; None if it is damaged, or has no end."""
    reader = _Reader(data)
    try:
        walk(data, reader.on_scan)
        marker, end = next_marker(data, reader.done) or (0, 0)
        if marker != 0xD9:
            return None, 0
        reader.data = data[:end]
        content = _content(reader)
        return (content, end) if write(content.recipe, content.blob, content.parts) == data[:end] else (None, 0)
    except (ImageError, ValueError, IndexError):
        return None, 0


def _put_within(recipe: Recipe, blob: bytes, blocks: Images) -> tuple[bytes, Images]:
    """The inverse of :func:`_take_within`: the blob, without what is odd, and the blocks of the file around."""
    told = recipe["within"]
    whole = len(blob) - sum(size + odd for _, size, odd in told)
    out, place, at = list[bytes](), whole, 0
    all_blocks = blocks.reshape(-1, 64)
    first = Layout.of(all_blocks)
    begin = first.head + first.size
    for gap, size, odd in told:
        if gap < 0 or size < 0 or odd < 0 or at + gap > whole:
            raise ValueError("files within that do not fit the file")
        inner = Layout.of(all_blocks[begin:])
        count = inner.head + inner.size
        own: Recipe = {"format": "jpeg"} | ({"odd": odd} if odd else {})
        out += [blob[at : at + gap], write(own, blob[place : place + size + odd], [blocks[begin : begin + count]])]
        at, place, begin = at + gap, place + size + odd, begin + count
    if begin != len(blocks):
        raise ValueError("there are not as many coefficients as there should be")
    return b"".join([*out, blob[at:whole]]), blocks[: first.head + first.size]


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    (part,) = parts
    if part.shape[1:] != (8, 8, 1) or part.dtype != np.uint16:
        raise ValueError("no blocks of coefficients")
    size = recipe.get("odd", 0)
    if not 0 <= size <= len(blob):
        raise ValueError("more is odd than there is")
    rest, extra = blob[: len(blob) - size], Sections(blob[len(blob) - size :])
    if "within" in recipe:
        rest, part = _put_within(recipe, rest, part)
    blocks = np.ascontiguousarray(part).reshape(-1, 64)
    out: list[bytes] = []
    done = 0

    def on_scan(frame: Frame, header: ScanHeader, tables: Tables) -> int:
        nonlocal done
        head = layout_of(frame, tables).blocks() if not out else None
        if head is not None and not np.array_equal(blocks[: len(head)], head):
            raise ValueError("the coefficients are those of another image")
        coefficients = blocks[len(blocks) - frame.blocks :].view(np.int16)
        if len(blocks) != frame.blocks + 1 + len(frame.components):
            raise ValueError("there are not as many coefficients as there should be")
        out.append(rest[done : header.at])
        out.append(encode(frame, header, tables, coefficients, Oddities.of(extra.varints(size) if size else [])))
        done = header.at
        return done

    walk(rest, on_scan)
    return b"".join([*out, rest[done:]])
