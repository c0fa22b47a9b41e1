"""TIFF and BigTIFF: all pages and sub-pages of samples of 1 to 16 bits, wider integers and floats, in strips or tiles,
subsampled colours,
chunky or in planes; as they are, or by LZW, deflate, PackBits, fax codes or JPEG, lossless too; predictors 1 to 3.

Every tag, and all that is not samples of such a page, is kept as it is, but for the tags that say where strips or tiles
are, and how long, if these are coded: that follows. Tiles are images of an array; so are pages of
one form that follow each other, planes, and the channels of a page, or of a tile, that has more than four.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import structs

from bitsback.errors import ImageError
from bitsback.files.jpeg import lossless
from bitsback.files.picture import Budget, Buffer, Content, Images, Recipe
from bitsback.files.places import MAX_SPANS, Files, Numbers, Samples, Span, read_places, spans_of_one, write_places
from bitsback.files.raster import Layout, Shape

_SIZES = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 13: ("I", 4), 16: ("Q", 8), 18: ("Q", 8)}
"""The types of every tag that matters here: BYTE, SHORT, LONG, IFD, and those of eight bytes."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL, _OFFSETS = 256, 257, 258, 259, 266, 273
_SAMPLES, _ROWS, _COUNTS, _PLANAR, _PREDICTOR = 277, 278, 279, 284, 317
_SUBSAMPLED = 530
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SUB_PAGES, _SIGN = 322, 323, 324, 325, 330, 339

_OLD_JPEG, _JPEG, _TABLES, _PHOTOMETRIC = 6, 7, 347, 262
_WHOLE, _WHOLE_SIZE = 513, 514
"""Where a whole JPEG file is, as previews are kept."""

ADOBE = b"\xff\xee\0\x0eAdobe\0\x64" + bytes(5)
"""Says that the three components of a JPEG file are red, green and blue."""

_FAX = {2: "mh", 3: "g3", 4: "g4"}
_LSM = 34412
"""By microscopes whose software says that there is a predictor where there is none."""

_OPTIONS = 292
_CODECS = {1: "", 5: "lzw", 8: "zlib", 32946: "zlib", 32773: "packbits"}

MAX_PAGES = 1 << 16

Tags = dict[int, tuple[int, ...]]


Page = Samples | Numbers | Files


def read(data: Buffer, budget: Budget) -> Content:
    """Take a TIFF file apart. Raises ImageError if it is damaged, or none of its pages can be."""
    found: list[Page] = []
    told: list[Span] = []  # places of numbers that follow from where spans are
    reason = "a TIFF without pages"
    for tags, fields in _pages(data):
        try:
            page = _page(data, tags, bytes(data[:2]) == b"MM")
        except ImageError as error:
            reason = str(error)
            continue
        if not isinstance(page, Files) and page.codec:
            told += [field.span for field in _pointing(fields)]
        for one in _arrays(page):
            joined = _joined(found[-1], one) if found else None
            if joined is None:
                found.append(one)
            else:
                found[-1] = joined
    if not found:
        raise ImageError(reason)
    told.sort()
    if not told or not _follows(data, told, _coded_spans(found)):
        return read_places("tiff", data, found, budget)
    before = budget.left
    content = read_places("tiff", data, found, budget, hollow=lambda at, some: [bytes(_blank(at, some, told))])
    if _told_spans(content.recipe) == _coded_spans(found):
        return content._replace(recipe=content.recipe | {"filled": 1})
    budget.left = before  # what was damaged stays as it is, its tags, too
    return read_places("tiff", data, found, budget)


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    data = write_places(recipe, blob, parts)
    if not recipe.get("filled"):
        return data
    out = bytearray(data)
    try:
        _fill(out, _told_spans(recipe))
    except (ImageError, struct.error) as error:
        raise ValueError(f"tags that cannot be filled in ({error})") from None
    return bytes(out)


def _arrays(page: Page) -> list[Page]:
    """A page; or, of tiles whose channels are an image each, as they are more than four, every tile as an array."""
    if not isinstance(page, Samples) or page.layout.axes == "nhwc" or page.shape[3] == 1:
        return [page]
    _, height, width, channels = page.shape
    return [page._replace(spans=[span], shape=(channels, height, width, 1)) for span in page.spans]


def _joined(one: Page, other: Page) -> Page | None:
    """Two pages as one array, or as files of one sort, if they can be; ``one`` is used up. Where channels are images,
    they cannot: those of both pages would be taken for those of one."""
    if isinstance(one, Samples) and isinstance(other, Samples):
        count, height, width, channels = one.shape
        if one.shape[1:] == other.shape[1:] and one[2:] == other[2:] and one.layout.axes == "nhwc":
            one.spans.extend(other.spans)
            return one._replace(shape=(count + other.shape[0], height, width, channels))
    elif isinstance(one, Numbers) and isinstance(other, Numbers):
        if one.axes[1:] == other.axes[1:] and one[2:] == other[2:]:
            one.spans.extend(other.spans)
            return one._replace(axes=[one.axes[0] + other.axes[0], *one.axes[1:]])
    elif isinstance(one, Files) and isinstance(other, Files) and one[1:] == other[1:]:
        one.spans.extend(other.spans)
        return one
    return None


# Where strips and tiles are -------------------------------------------------------------------------------------------


class _Field(NamedTuple):
    """The values of a tag: where they are, and of which type, as :mod:`struct` names it."""

    span: Span
    form: str


Fields = dict[int, _Field]


def _pointing(fields: Fields) -> list[_Field]:
    """The tags that say where strips or tiles are, and how long."""
    names = (_TILE_OFFSETS, _TILE_COUNTS) if _TILE_OFFSETS in fields else (_OFFSETS, _COUNTS)
    return [fields[name] for name in names if name in fields]


def _coded_spans(pages: Iterable[Page]) -> list[Span]:
    return [span for page in pages if not isinstance(page, Files) and page.codec for span in page.spans]


def _told_spans(recipe: Recipe) -> list[Span]:
    """Those of arrays that are coded."""
    return [span for one in recipe["arrays"] if "codec" in one and "files" not in one for span in spans_of_one(one)]


def _blank(at: int, some: Buffer, told: list[Span]) -> bytearray:
    """Bytes from ``at`` on with zeros for what is told, in order."""
    out = bytearray(some)
    for span in told[max(bisect_left(told, (at, 0)) - 1, 0) :]:
        start, end = max(span.start - at, 0), min(span.end - at, len(out))
        if span.start - at >= len(out):
            break
        if start < end:
            out[start:end] = bytes(end - start)
    return out


def _follows(data: Buffer, told: list[Span], spans: list[Span]) -> bool:
    """Whether the file comes back by :func:`_fill` if such numbers are missing."""
    filled = _blank(0, data, told)
    try:
        _fill(filled, spans)
    except (ImageError, ValueError, struct.error):
        return False
    return bytes(filled) == data


def _fill(data: bytearray, spans: list[Span]) -> None:
    """Put the places of spans, in the order of pages, where these tags are zeros.

    Raises ValueError, ImageError and struct.error if they do not fit."""
    at = 0
    for _, fields in _pages(memoryview(data)):
        pointing = _pointing(fields)
        if len(pointing) < 2 or any(any(data[field.span.start : field.span.end]) for field in pointing):
            continue
        count = len(struct.unpack_from(pointing[0].form, data, pointing[0].span.start))
        for field, numbers in zip(pointing, zip(*spans[at : at + count], strict=True), strict=True):
            struct.pack_into(field.form, data, field.span.start, *numbers)
        at += count
    if at != len(spans):
        raise ValueError("strips or tiles that no tags point at")


# Tags -----------------------------------------------------------------------------------------------------------------


class _Numbering(NamedTuple):
    """How numbers stand in the file: byte order, the letter of an offset, bytes before entries and of one, and how many
    bytes a value may have to stand in its entry."""

    order: str
    offset: str
    number: str
    head: int
    entry: int
    inside: int


def _pages(data: Buffer) -> Iterator[tuple[Tags, Fields]]:
    """The integer tags of each page, and of the pages below it, and where they are."""
    order = "<" if bytes(data[:2]) == b"II" else ">"
    try:
        if struct.unpack_from(order + "H", data, 2)[0] == 43:
            form = _Numbering(order, "Q", "Q", 8, 20, 8)
            if struct.unpack_from(order + "HH", data, 4) != (8, 0):
                raise ImageError("an unknown kind of BigTIFF")
            first = struct.unpack_from(order + "Q", data, 8)[0]
        else:
            form = _Numbering(order, "I", "H", 2, 12, 4)
            first = struct.unpack_from(order + "I", data, 4)[0]
        waiting: list[int] = [first]
        seen: set[int] = set()
        left = 4 * len(data)
        while waiting:
            at = waiting.pop()
            if at in seen:  # pages in a circle
                continue
            if len(seen) == MAX_PAGES:
                raise ImageError(f"a TIFF of more than {MAX_PAGES:,} pages")
            seen.add(at)
            tags, fields, following = _tags(data, at, form)
            left -= sum(map(len, tags.values()))
            if left < 0:
                raise ImageError("TIFF pages that share many numbers")
            waiting += [following] if following else []
            waiting += reversed([below for below in tags.get(_SUB_PAGES, ()) if below])
            yield tags, fields
    except struct.error:
        raise ImageError("the file ends within the TIFF tags") from None


def _tags(data: Buffer, start: int, form: _Numbering) -> tuple[Tags, Fields, int]:
    """The integer tags of a page, where they are, and where the next page is."""
    order = form.order
    (count,) = struct.unpack_from(order + form.number, data, start)
    first = start + form.head
    if count > (len(data) - first) // form.entry:
        raise ImageError("the file ends within the TIFF tags")
    (following,) = struct.unpack_from(order + form.offset, data, first + form.entry * count)
    tags: Tags = {}
    fields: Fields = {}
    for at in range(first, first + form.entry * count, form.entry):
        tag, kind, number = struct.unpack_from(f"{order}HH{form.offset}", data, at)
        if kind not in _SIZES and tag != _TABLES:
            continue
        letter, size = _SIZES.get(kind, ("B", 1))
        where = at + form.entry - form.inside
        if number * size > form.inside:
            (where,) = struct.unpack_from(order + form.offset, data, where)
        if where + number * size > len(data):
            raise ImageError("the file ends within a TIFF tag")
        if number <= MAX_SPANS:
            fields[tag] = _Field(Span(where, number * size), f"{order}{number}{letter}")
            tags[tag] = struct.unpack_from(fields[tag].form, data, where)
    return tags, fields, following


# Pages ----------------------------------------------------------------------------------------------------------------


class _Form(NamedTuple):
    """What the tags of a page say of its samples."""

    bits: int
    channels: int
    kind: str
    """Of numbers: u(nsigned), i (signed), f(loat)."""
    big: bool
    codec: str
    predictor: int
    planes: bool
    reverse: bool


def _page(data: Buffer, tags: Tags, big: bool) -> Page:
    """Where the samples of a page are. ImageError with the reason if that cannot be said."""
    compression = _one(tags, _COMPRESSION, _OLD_JPEG)
    if compression == _OLD_JPEG and {_WHOLE, _WHOLE_SIZE} <= set(tags):
        return Files([Span(_one(tags, _WHOLE, 0), _one(tags, _WHOLE_SIZE, 0))])
    if compression == _JPEG:
        return _jpeg(data, tags)
    form = _form(tags, big)
    if form.codec == "lzw" and _is_old(data, tags):
        form = form._replace(codec="oldlzw")
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    if min(width, height, form.channels) < 1:
        raise ImageError("a TIFF without size")
    channels = 1 if form.planes else form.channels
    if _TILE_WIDTH in tags:
        names = (_TILE_OFFSETS, _TILE_COUNTS) if _TILE_OFFSETS in tags else (_OFFSETS, _COUNTS)
        rows, columns = _one(tags, _TILE_HEIGHT, 0), _one(tags, _TILE_WIDTH, 0)
        if min(rows, columns) < 1:
            raise ImageError("TIFF tiles without size")
        tiles = -(-height // rows) * -(-width // columns) * (form.channels if form.planes else 1)
        return _array(tags, form, names, (tiles, rows, columns, channels), rows)
    rows = min(_one(tags, _ROWS, height), height)
    if rows < 1:
        raise ImageError("TIFF strips without rows")
    if _one(tags, _PHOTOMETRIC, 0) == 6 and (form.bits, form.planes, form.channels) == (8, False, 3):
        across, down = tags.get(_SUBSAMPLED, (2, 2))
        if (across, down) != (1, 1) and min(across, down) >= 1 and max(across, down) <= 4:
            shape = (1, -(-height // down), -(-width // across), across * down + 2)
            return _array(tags, form, (_OFFSETS, _COUNTS), shape, -(-rows // down))
    shape = (form.channels if form.planes else 1, height, width, channels)
    return _array(tags, form, (_OFFSETS, _COUNTS), shape, rows)


def _is_old(data: Buffer, tags: Tags) -> bool:
    """Whether LZW is as it was before TIFF 6.0, low bits first: its first code shows it."""
    (first, *_) = tags.get(_TILE_OFFSETS) or tags.get(_OFFSETS) or (0,)
    beginning = bytes(data[first : first + 2])
    return len(beginning) == 2 and beginning[0] == 0 and beginning[1] & 1 == 1


def _one(tags: Tags, tag: int, default: int) -> int:
    """The value of a tag, whose values have to be all the same."""
    values = tags.get(tag, (default,))
    if not values or any(value != values[0] for value in values):
        raise ImageError("a TIFF with unusual samples")
    return values[0]


def _form(tags: Tags, big: bool) -> _Form:
    bits, sign, compression = _one(tags, _BITS, 1), _one(tags, _SIGN, 1), _one(tags, _COMPRESSION, 1)
    codec = _fax(tags) if compression in _FAX else _CODECS.get(compression)
    if codec is None:
        raise ImageError(f"a TIFF with compression {compression}")
    kind = {1: "u", 2: "i", 3: "f", 4: "u"}.get(sign, "")
    is_array = bits in (16, 32, 64) if kind == "f" else 1 <= bits <= 16 or bits in (32, 64) or (bits, codec) == (24, "")
    if not kind or not is_array or (kind == "i" and bits not in (8, 16, 32, 64)) or (compression in _FAX and bits > 1):
        raise ImageError(f"a TIFF with samples of {bits} bits, of kind {sign}")
    predictor = 1 if _LSM in tags or bits == 24 else _one(tags, _PREDICTOR, 1)
    words = kind == "f" or bits > 16
    if predictor not in (1, 2) and (predictor, kind) != (3, "f"):
        raise ImageError("a TIFF with an unusual predictor")
    if predictor == 2 and bits == 1:
        raise ImageError("a TIFF with an unusual predictor")
    reverse = _one(tags, _FILL, 1) != 1
    if reverse and (words or (codec and compression not in _FAX)):
        raise ImageError("a TIFF with reversed bits")
    planes = _one(tags, _PLANAR, 1) == 2
    return _Form(bits, _one(tags, _SAMPLES, 1), kind, big, codec, predictor, planes, reverse and not codec)


def _fax(tags: Tags) -> str:
    """The name of the codec: with it go the width of rows, the order of bits and whether rows may be told by the row
    above."""
    compression = _one(tags, _COMPRESSION, 1)
    words = [_FAX[compression], str(_one(tags, _TILE_WIDTH if _TILE_OFFSETS in tags else _WIDTH, 0))]
    words += ["reverse"] if _one(tags, _FILL, 1) == 2 else []
    return " ".join(words + ["above"] * (compression == 3 and _one(tags, _OPTIONS, 0) & 1))


def _array(tags: Tags, form: _Form, names: tuple[int, int], shape: Shape, rows: int) -> Page:
    """The strips or tiles of an array, so many rows each. A tile, a page or a plane is an image."""
    count, height, width, channels = shape
    if form.kind == "f" or form.bits > 16:
        row = width * channels * form.bits // 8
        spans = _spans(tags, names, row * rows, row * height, count, bool(form.codec))
        axes = [count, height, width, *[channels] * (channels > 1)]
        if form.bits == 24:  # big-endian ones, in words of 32 bits
            row = width * channels * 4
            return Numbers(spans, axes, "u4", False, "three", row * rows, row * height)
        rows_of = (row, channels)
        planes, differences = (rows_of if form.predictor == number else (0, 0) for number in (3, 2))
        where = (row * rows, row * height) if form.codec else (0, 0)
        big = form.big or form.predictor == 3
        return Numbers(spans, axes, f"{form.kind}{form.bits // 8}", big, form.codec, *where, planes, differences)
    layout = Layout(
        bits=form.bits,
        big=form.big and form.bits == 16,
        signed=form.kind == "i",
        differences=form.predictor == 2,
        reverse=form.reverse,
    )
    row = layout.row_bytes(width, channels)
    if channels > 4:  # each an image
        if layout.is_packed:
            raise ImageError(f"a TIFF of {channels} channels")
        layout = structs.replace(layout, axes="hwnc")
        shape = (channels, height, width, 1) if count == 1 else shape  # else see _arrays
    spans = _spans(tags, names, row * rows, row * height, count, bool(form.codec))
    return Samples(spans, shape, layout, form.codec, *((row * rows, row * height) if form.codec else (0, 0)))


def _spans(tags: Tags, names: tuple[int, int], step: int, page: int, pages: int, coded: bool) -> list[Span]:
    """Strips or tiles of ``step`` bytes, all but the last of ``page`` bytes, which are a plane or so."""
    offsets, counts = tags.get(names[0], ()), tags.get(names[1], ())
    if len(offsets) != len(counts) or len(offsets) != pages * -(-page // step):
        raise ImageError("a TIFF whose strips or tiles do not fit its size")
    spans = []
    for number, (offset, count) in enumerate(zip(offsets, counts, strict=True)):
        due = min(step, page - number % -(-page // step) * step)
        if not coded and count < due:
            raise ImageError("TIFF strips that are too short")
        spans.append(Span(offset, count if coded else due))
    return spans


def _jpeg(data: Buffer, tags: Tags) -> Files | Samples:
    """Strips or tiles that are JPEG files but for their tables, which stand in a tag.

    Where colours are red, green and blue, a marker says so, that decoders know.
    """
    names = (_TILE_OFFSETS, _TILE_COUNTS) if _TILE_OFFSETS in tags else (_OFFSETS, _COUNTS)
    offsets, counts = tags.get(names[0], ()), tags.get(names[1], ())
    if len(offsets) != len(counts):
        raise ImageError("a TIFF whose strips or tiles do not fit its size")
    spans = [Span(offset, count) for offset, count in zip(offsets, counts, strict=True) if count]
    tables = bytes(tags.get(_TABLES, ()))
    front = tables[2:-2] if tables[:2] == b"\xff\xd8" and tables[-2:] == b"\xff\xd9" else b""
    if spans and not front and (found := _lossless(data, spans, _one(tags, _SAMPLES, 1))):
        return found
    colours = _one(tags, _SAMPLES, 1) == 3 and _one(tags, _PHOTOMETRIC, 0) == 2
    return Files(spans, front=(ADOBE if colours else b"") + front)


def _lossless(data: Buffer, spans: list[Span], channels: int) -> Samples | None:
    """Lossless JPEG, as DNG has it: what it takes for the components of a pixel may be neighbours in a mosaic."""
    try:
        head = lossless.header(data[spans[0].start : spans[0].end])
    except ImageError:
        return None
    rows, columns, count = head.shape
    if columns * count % channels or channels > 4:
        raise ImageError("lossless JPEG of another size")
    size = 1 if head.bits <= 8 else 2
    shape, piece = (len(spans), rows, columns * count // channels, channels), rows * columns * count * size
    return Samples(spans, shape, Layout(8 * size), f"ljpeg {size}", piece, piece)
