"""Samples, or files, lie at these places of a file, through this codec: what most formats come to.

A format module reads headers until it can say that, as :class:`Samples`, :class:`Whole` or :class:`Files`; what is
neither stays as it is, byte for byte. A *span* is a run of bytes of the file. The bytes of the spans of an array,
decoded by its codec and one after the other, are a raster (:mod:`bitsback.files.raster`), or a file that is taken apart
as any other is, down to a few files in files; what cannot be stays bytes.

The blob holds, array by array, what stands where rows are padded, what the codec was free to choose, and the blobs of
files; then all bytes that belong to no span, in the order of the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bitsback.errors import ImageError
from bitsback.files import formats, gz, words
from bitsback.files.codings import CODECS, codec_of
from bitsback.files.packed import Sections, section
from bitsback.files.picture import Budget, Buffer, Content, Images, NoImageError, Recipe
from bitsback.files.raster import Beside, Layout, Shape, kept_beside, narrowed, pack_beside, unpack, without_defaults
from bitsback.files.within import Read, attempt, write_inner

MAX_SPANS = 1 << 16
"""In a file."""

MAX_ALIGN = 1 << 16

MOST_PADDED = 512
"""Bytes that a place may be filled up to a multiple of, by zeros that are not kept."""


class Span(NamedTuple):
    """Bytes of a file."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


class Samples(NamedTuple):
    """An array of images in a file.

    ``codec``: what each span is coded by (:func:`~bitsback.files.codings.codec_of`), or nothing. With one, ``page``:
    after so many bytes of the raster a new span begins; and ``step``: so many hold all spans but the last of a page.
    ``stored``: of how many bits the numbers are, if they are of fewer than their samples. ``together``: how many spans
    in a row are a piece, if that is not each. Where each image is a piece, those that cannot be decoded are left out.
    """

    spans: list[Span]
    shape: Shape
    layout: Layout = Layout()
    codec: str = ""
    step: int = 0
    page: int = 0
    stored: int = 0
    together: Sequence[int] = ()


class Numbers(NamedTuple):
    """An array of numbers in a file that are no samples, as :mod:`bitsback.files.words` takes them.

    ``axes``: slowest first; ``of_type`` and ``big``: as for :func:`bitsback.files.numbers.read_numbers`. ``codec``,
    ``step``, ``page`` and ``together`` as of :class:`Samples`; ``planes``: bytes of a row and channels, where TIFF's
    predictor 3 was applied to the raster; ``differences``: the same, where predictor 2 was.
    """

    spans: list[Span]
    axes: list[int]
    of_type: str
    big: bool = False
    codec: str = ""
    step: int = 0
    page: int = 0
    planes: tuple[int, int] = (0, 0)
    differences: tuple[int, int] = (0, 0)
    together: Sequence[int] = ()


class Files(NamedTuple):
    """Files in a file, one in each span: by ``read``, or as their first bytes announce.

    ``sizes``: bytes of each, where there is a codec. ``front``: what stands behind the first two bytes of each when it
    is taken apart, but not in the span. ``together``: as of :class:`Samples`.
    """

    spans: list[Span]
    codec: str = ""
    sizes: Sequence[int] = ()
    read: Read | None = None
    front: bytes = b""
    together: Sequence[int] = ()


class _Taken(NamedTuple):
    """What was made of an array, or of files: of all spans together."""

    recipe: Recipe
    spans: list[Span]
    parts: list[Images]
    blob: list[bytes]
    corrections: int = 0


def read_places(
    kind: str,
    data: Buffer,
    arrays: Sequence[Samples | Numbers | Files],
    budget: Budget | None = None,
    *,
    sparse: bool = False,
    align: int = 1,
    hollow: Callable[[int, memoryview], Iterable[Buffer]] | None = None,
) -> Content:
    """The content of a file whose samples, and files, were found.

    ``sparse``: it may hold anything besides. ``align``: files in it are followed by what makes their sizes multiples of
    that. ``hollow``: what is to be kept of bytes between places, of which the first one is given, too. Raises
    ImageError where they are not what was said.
    """
    view = memoryview(data)
    budget = budget or Budget()
    arrays = [one if isinstance(one, Files) or one.codec else one._replace(spans=_joined(one.spans)) for one in arrays]
    _check_order(sorted(span for one in arrays for span in one.spans), len(view))
    taken: list[_Taken] = []
    wrong: ImageError | None = None
    for one in arrays:
        try:
            taken += _taken_together(view, one, budget) if one.together else _taken(view, one, budget, align)
        except ImageError as error:  # of one, while there may be others
            wrong = wrong or error
    parts = [part for one in taken for part in one.parts]
    if not parts:
        raise wrong or NoImageError("no pixels")
    order = sorted(span for one in taken for span in one.spans)
    rest = len(view) - sum(span.size for span in order)
    if rest > budget.others + 4 * sum(part.nbytes for part in parts):
        raise NoImageError
    if not sparse and rest > (1 << 16) + sum(part.nbytes for part in parts):
        raise ImageError("most of the file is not images")
    blob: list[Buffer] = [piece for one in taken for piece in one.blob]
    padded = align if _is_padded(view, order, align) else 1
    at = 0
    for span in order:
        blob += hollow(at, view[at : span.start]) if hollow else [view[at : span.start]]
        at = span.end + -span.size % padded
    blob += hollow(at, view[at:]) if hollow else [view[at:]]
    recipe: Recipe = {"format": kind, "arrays": [one.recipe for one in taken]}
    recipe |= {"padded": padded} if padded > 1 else {}
    sure = all(isinstance(one, Files) for one in arrays)  # each of which was put together again
    corrections = sum(one.corrections for one in taken)
    return Content(parts, recipe, b"".join(blob), sure, corrections=corrections)


def write_places(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    sections, left = Sections(blob), iter(parts)
    pieces: list[tuple[Span, Buffer]] = []
    for one in recipe["arrays"]:
        spans, whole = spans_of_one(one), pieces_of_one(one)
        made: Iterable[Buffer]
        made = (_files if "files" in one else _numbers if "words" in one else _samples)(one, whole, sections, left)
        if "together" in one:
            made = _scattered(b"".join(made), spans)
        for span, some in zip(spans, made, strict=True):
            if len(some) != span.size:
                raise ValueError("a piece of another size than its place")
            pieces.append((span, some))
    if next(left, None) is not None:
        raise ValueError("arrays are left over")
    pieces.sort(key=lambda piece: piece[0])
    padded = padding_of(recipe)
    out: list[Buffer] = []
    at = 0
    for span, some in pieces:
        out += [sections.take(span.start - at), some, bytes(-span.size % padded)]
        at = span.end + -span.size % padded
    return b"".join([*out, sections.rest()])


def _taken(view: memoryview, one: Samples | Numbers | Files, budget: Budget, align: int = 1) -> list[_Taken]:
    if isinstance(one, Files):
        return _of_files(view, one, budget, align)
    return [_of_numbers(view, one, budget) if isinstance(one, Numbers) else _of_samples(view, one, budget)]


def _taken_together(view: memoryview, one: Samples | Numbers | Files, budget: Budget) -> list[_Taken]:
    """The same where some pieces are of several spans: of a file in which these follow each other."""
    spans, pieces, at = iter(one.spans), dict[Span, list[Span]](), 0
    for count in one.together:
        some = list(islice(spans, count))
        piece = Span(at, sum(span.size for span in some))
        pieces[piece] = some
        at = piece.end
    joined = memoryview(_gathered(view, one.spans)).toreadonly()
    out = []
    for taken in _taken(joined, one._replace(spans=list(pieces), together=()), budget):
        counts: list[list[Any]] = []
        for piece in taken.spans:
            _tell(counts, len(pieces[piece]))
        real = [span for piece in taken.spans for span in pieces[piece]]
        out.append(taken._replace(recipe=taken.recipe | _places(real) | {"together": counts}, spans=real))
    return out


# Places ---------------------------------------------------------------------------------------------------------------


def _check_order(order: Sequence[Span], size: int) -> None:
    if not order:
        raise NoImageError("no pixels")
    if len(order) > MAX_SPANS:
        raise ImageError(f"pixels in {len(order)} pieces")
    if order[0].start < 0 or any(one.end > other.start for one, other in pairwise(order)):
        raise ImageError("pixels that share bytes")
    if order[-1].end > size:
        raise ImageError(f"the file ends {order[-1].end - size} bytes before its pixels do")


def _is_padded(view: memoryview, order: Sequence[Span], align: int) -> bool:
    """Whether zeros make the size of each span a multiple of ``align``."""
    stops = [*(span.start for span in order[1:]), len(view)]
    ends = [span.end + -span.size % align for span in order]
    return all(
        end <= stop and not any(view[span.end : end]) for span, end, stop in zip(order, ends, stops, strict=True)
    )


def padding_of(recipe: Recipe) -> int:
    """Zeros that are not in the blob make the sizes of places multiples of that. Raises ValueError."""
    padded = recipe.get("padded", 1)
    if padded not in (1, MOST_PADDED):
        raise ValueError("places that are filled up strangely")
    return int(padded)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Spans that follow each other, as one."""
    out: list[Span] = []
    for span in spans:
        if out and out[-1].end == span.start:
            out[-1] = Span(out[-1].start, out[-1].size + span.size)
        elif span.size:
            out.append(span)
    return out


def _places(spans: Sequence[Span], align: int = 1) -> Recipe:
    """Each span as the distance from the one before, and what makes its size a multiple of ``align``; and its size."""
    numbers, at = [], 0
    for span in spans:
        numbers += [span.start - at, span.size]
        at = span.end + -span.size % align
    return {"at": numbers} | ({"align": align} if align != 1 else {})


def _spans(numbers: list[int], align: int = 1) -> list[Span]:
    if not 1 <= align <= MAX_ALIGN:
        raise ValueError("places that are aligned to nothing")
    if len(numbers) % 2 or not all(isinstance(number, int) for number in numbers):
        raise ValueError("places come in pairs of numbers")
    spans, at = [], 0
    for gap, size in zip(numbers[::2], numbers[1::2], strict=True):
        if at + gap < 0 or size < 0:
            raise ValueError("a place before the file")
        spans.append(Span(at + gap, size))
        at = spans[-1].end + -size % align
    return spans


# Samples --------------------------------------------------------------------------------------------------------------


def _of_samples(view: memoryview, one: Samples, budget: Budget) -> _Taken:
    size = one.layout.size(one.shape)
    if not size:
        raise ImageError("no pixels")
    recipe: Recipe = {"layout": layout} if (layout := without_defaults(one.layout)) else {}
    raster: Buffer
    if one.codec:
        budget.take(max(size, math.prod(one.shape)))  # of single bits, samples take more than the raster
        raster, choices, spans = _decoded(view, one, size, recipe)
        if len(spans) < len(one.spans):
            one = one._replace(spans=spans, shape=(len(spans), *one.shape[1:]))
            size = one.layout.size(one.shape)
    else:
        raster, choices = _gathered(view, one.spans), b""
    recipe = _places(one.spans) | recipe
    if len(raster) != size:
        raise ImageError(f"{len(raster)} bytes of pixels where {size} are due")
    part = unpack(raster, one.shape, one.layout)
    if one.stored and not np.array_equal(narrowed(part, one.stored, one.layout.signed), part):
        recipe["stored"] = one.stored
    how, beside = kept_beside(raster, part, one.layout)
    if how:
        recipe["beside"] = int(how)
    return _Taken(recipe, list(one.spans), [part], [beside, choices])


def _samples(one: Recipe, spans: list[Span], sections: Sections, parts: Iterator[Images]) -> list[Buffer]:
    part = next(parts)
    layout = msgspec.convert(one.get("layout", {}), Layout)
    how = Beside(one.get("beside", 0))
    raster = pack_beside(part, layout, how, sections.take(how.size(layout, part.shape)))
    return _coded(raster, one, spans, sections) if one.get("codec") else _scattered(raster, spans)


def _of_numbers(view: memoryview, one: Numbers, budget: Budget) -> _Taken:
    shape, order = words.place(one.axes, 1)
    layout = words.Layout(8 * int(one.of_type[1:]), one.of_type[0], one.big, order)
    size = math.prod(shape) * layout.bits // 8
    if size < words.MIN_BYTES:
        raise ImageError("an array of few numbers")
    recipe = _places(one.spans)
    raster: Buffer = b""
    choices = b""
    budget.take(size)
    if one.codec:
        raster, choices, _ = _decoded(view, one, size, recipe)
    else:
        raster = _gathered(view, one.spans)
    if len(raster) != size:
        raise ImageError(f"{len(raster)} bytes of numbers where {size} are due")
    if one.planes[0]:
        recipe["planes"] = list(one.planes)
        raster = from_planes(raster, *one.planes, layout.bits // 8)
    if one.differences[0]:
        recipe["differences"] = list(one.differences)
        raster = from_differences(raster, *one.differences, layout)
    content = words.read(raster, 0, shape, layout)
    recipe |= {"words": content.recipe["layout"]} | ({"parts": len(content.parts)} if len(content.parts) > 1 else {})
    return _Taken(recipe, list(one.spans), content.parts, [section(content.blob), choices])


def _numbers(one: Recipe, spans: list[Span], sections: Sections, parts: Iterator[Images]) -> list[Buffer]:
    recipe = {"format": "words", "head": 0, "layout": one["words"]}
    raster = words.write(recipe, sections.section(), list(islice(parts, one.get("parts", 1))))
    if planes := one.get("planes"):
        raster = to_planes(raster, planes[0], planes[1], one["words"]["bits"] // 8)
    if differences := one.get("differences"):
        raster = to_differences(raster, differences[0], differences[1], msgspec.convert(one["words"], words.Layout))
    return _coded(raster, one, spans, sections) if one.get("codec") else _scattered(raster, spans)


def from_planes(raster: Buffer, row: int, channels: int, size: int) -> bytes:
    """Undo TIFF's predictor 3: of each row the differences of bytes, and those of one significance together."""
    if row < 1 or row % (channels * size) or len(raster) % row:
        raise ImageError("rows that do not fit their numbers")
    rows = np.frombuffer(raster, np.uint8).reshape(-1, row // channels, channels)
    planes = np.cumsum(rows, axis=1, dtype=np.uint8).reshape(len(rows), size, -1)
    return planes.transpose(0, 2, 1).tobytes()


def to_planes(raster: Buffer, row: int, channels: int, size: int) -> bytes:
    """The inverse of :func:`from_planes`. Raises ValueError."""
    if min(row, channels) < 1 or row % (channels * size) or len(raster) % row:
        raise ValueError("rows that do not fit their numbers")
    rows = np.frombuffer(raster, np.uint8).reshape(-1, row // size, size)
    planes = rows.transpose(0, 2, 1).reshape(len(rows), row // channels, channels)
    return np.concatenate([planes[:, :1], np.diff(planes, axis=1)], axis=1).tobytes()


def _rows(raster: Buffer, row: int, channels: int, layout: words.Layout) -> words.Words:
    """The words of rows, (rows, width, channels), in native byte order. Raises ValueError."""
    if min(row, channels) < 1 or row % (channels * layout.bits // 8) or len(raster) % row:
        raise ValueError("rows that do not fit their numbers")
    stored = np.frombuffer(raster, layout.dtype).astype(layout.dtype.newbyteorder("="))
    return stored.reshape(len(raster) // row, -1, channels)


def from_differences(raster: Buffer, row: int, channels: int, layout: words.Layout) -> bytes:
    """Undo TIFF's predictor 2: of each row but its first words the differences to those before. Raises ValueError."""
    rows = _rows(raster, row, channels, layout)
    return np.cumsum(rows, axis=1, dtype=rows.dtype).astype(layout.dtype).tobytes()


def to_differences(raster: Buffer, row: int, channels: int, layout: words.Layout) -> bytes:
    """The inverse of :func:`from_differences`. Raises ValueError."""
    rows = _rows(raster, row, channels, layout)
    return np.concatenate([rows[:, :1], np.diff(rows, axis=1)], axis=1).astype(layout.dtype).tobytes()


def _gathered(view: memoryview, spans: Sequence[Span]) -> Buffer:
    if len(spans) == 1:
        return view[spans[0].start : spans[0].end]
    return b"".join(view[span.start : span.end] for span in spans)


def _scattered(raster: Buffer, spans: Sequence[Span]) -> list[Buffer]:
    at, out = 0, list[Buffer]()
    for span in spans:
        out.append(raster[at : at + span.size])
        at += span.size
    if at != len(raster):
        raise ValueError("places that do not hold all samples")
    return out


def _decoded(view: memoryview, one: Samples | Numbers, size: int, recipe: Recipe) -> tuple[Buffer, bytes, list[Span]]:
    """The raster, the choices of all spans, and these; ``recipe`` learns how they were coded."""
    codec = codec_of(one.codec)
    if len(one.spans) * one.page != size * -(-one.page // one.step):
        raise ImageError("pieces that do not fit their samples")
    alone = isinstance(one, Samples) and one.step == one.page and len(one.spans) == one.shape[0]
    wrong: ImageError | None = None
    spans: list[Span] = []
    hows: list[list[Any]] = []
    plains: list[Buffer] = []
    choices: list[bytes] = []
    for number, span in enumerate(one.spans):
        due = _due(number, one.step, one.page)
        data = view[span.start : span.end]
        known = codec.alike(data, due, hows[-1][1]) if hows else None
        try:
            found = known or codec.decode(data, due)
            plain, how, chosen, used = codec.near(data, due, hows[-1][1], found) if hows else found
            if len(plain) != due:
                raise ImageError(f"a piece of {len(plain)} bytes where {due} are due")
        except ImageError as error:
            if not alone:
                raise
            wrong = wrong or error
            continue
        _tell(hows, how)
        plains.append(plain)
        spans.append(span)
        choices += [section(chosen), section(bytes(view[span.start + used : span.end]))]
    if wrong and not spans:
        raise wrong
    recipe |= {"codec": one.codec, "step": one.step, "page": one.page, "coded": hows}
    return plains[0] if len(plains) == 1 else b"".join(plains), b"".join(choices), spans


def _coded(raster: Buffer, one: Recipe, spans: Sequence[Span], sections: Sections) -> list[Buffer]:
    codec, step, page = codec_of(one["codec"]), one["step"], one["page"]
    if not 1 <= step <= page:
        raise ValueError("pieces that do not fit their samples")
    out, at = list[Buffer](), 0
    for number, (span, how) in enumerate(zip(spans, _told(one, len(spans)), strict=True)):
        chosen, trailing = sections.section(), sections.section()
        plain = raster[at : at + _due(number, step, page)]
        at += len(plain)
        out.append(codec.encode(plain, how, chosen, span.size - len(trailing)) + trailing)
    if at != len(raster):
        raise ValueError("pieces that do not hold all samples")
    return out


def _due(number: int, step: int, page: int) -> int:
    """The plain bytes of a span."""
    return min(step, page - number % -(-page // step) * step)


def _tell(hows: list[list[Any]], how: Any) -> None:
    """Add to pairs of a number and what holds for so many."""
    if hows and hows[-1][1] == how:
        hows[-1][0] += 1
    else:
        hows.append([1, how])


def _told(one: Recipe, spans: int) -> Iterator[Any]:
    """The inverse of :func:`_tell`."""
    if sum(count for count, _ in one["coded"]) != spans:
        raise ValueError("there are not as many pieces as places")
    return (how for count, how in one["coded"] for _ in range(count))


# Files ----------------------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """A file in a file: its recipe (nothing, if it is bytes that were coded), and how it is coded there."""

    span: Span
    content: Content
    how: Any = None
    chosen: tuple[bytes, bytes] = b"", b""

    @property
    def key(self) -> Recipe:
        """What files that stand together have in common."""
        count = len(self.content.parts)
        return {"files": self.content.recipe} | ({"parts": count} if count != 1 else {})


def _of_files(view: memoryview, one: Files, budget: Budget, align: int) -> list[_Taken]:
    """What can be taken apart; those that follow each other and have a recipe in common stand together."""
    if len(one.front) * len(one.spans) > 4 * len(view) + (1 << 20):
        raise ImageError("much that goes in front of little")
    out: list[_Taken] = []
    inner = budget.within()
    last: Recipe | None = None
    for number, span in enumerate(one.spans):
        found = _found(view, one, number, inner)
        if found is None:
            continue
        if last != found.key:
            last = found.key
            extra: Recipe = {"codec": one.codec, "coded": []} if one.codec else {}
            extra |= {"front": len(one.front)} if one.front else {}
            out.append(_Taken(last | extra, [], [], []))
        if one.codec:
            _tell(out[-1].recipe["coded"], found.how)
            out[-1].blob.extend(map(section, found.chosen))
        out[-1].spans.append(span)
        out[-1].parts.extend(found.content.parts)
        out[-1].blob.append(section(found.content.blob))
        corrections = out[-1].corrections + found.content.corrections + len(found.chosen[0])
        out[-1] = out[-1]._replace(corrections=corrections)
    budget.left = inner.left
    return [taken._replace(recipe=taken.recipe | _places(taken.spans, align)) for taken in out]


def _found(view: memoryview, one: Files, number: int, budget: Budget) -> _Found | None:
    """One file, if it, and its codec, can be followed."""
    span = one.spans[number]
    stored = view[span.start : span.end]
    if not one.codec:
        plain = b"".join((stored[:2], one.front, stored[2:])) if one.front else stored
        content = attempt(plain, budget, one.read)
        return _Found(span, content) if content else None
    size, codec, before = one.sizes[number], codec_of(one.codec), budget.left
    try:
        if size > before:
            return None
        plain, how, chosen, used = codec.decode(stored, size)
        if len(plain) != size or codec.encode(plain, how, chosen, used) != stored[:used]:
            return None
        content = attempt(plain, budget, one.read) or Content([], {}, bytes(plain))
        budget.at_least(before, size)
    except (ImageError, ValueError, IndexError):
        return None
    return _Found(span, content, how, (chosen, bytes(stored[used:])))


def _files(one: Recipe, spans: list[Span], sections: Sections, parts: Iterator[Images]) -> Iterator[bytes]:
    count, front = one.get("parts", 1), one.get("front", 0)
    codec = codec_of(one["codec"]) if one.get("codec") else None
    hows = _told(one, len(spans)) if codec else iter([None] * len(spans))
    for span, how in zip(spans, hows, strict=True):
        chosen, trailing = (sections.section(), sections.section()) if codec else (b"", b"")
        data = write_inner(one["files"], sections.section(), list(islice(parts, count)))
        if codec:
            data = codec.encode(data, how, chosen, span.size - len(trailing)) + trailing
        yield data[:2] + data[2 + front :] if front else data


class Inner(NamedTuple):
    """A file in a file that was taken apart: its recipe, its blob, the shapes of its arrays, the first of these among
    those of the file around it, its place there, and where in the blob it is told to its end."""

    recipe: Recipe
    blob: bytes
    shapes: list[Shape]
    first: int
    span: Span
    end: int


def spans_of(recipe: Recipe) -> list[Span]:
    """All places of a file."""
    return [span for one in recipe["arrays"] for span in spans_of_one(one)]


def spans_of_one(one: Recipe) -> list[Span]:
    """The places of an array, or of files. Raises ValueError if there are no such."""
    return _spans(one["at"], one.get("align", 1))


def pieces_of_one(one: Recipe) -> list[Span]:
    """The same, those that are a piece together as one of their sizes."""
    spans = spans_of_one(one)
    if "together" not in one:
        return spans
    counts = [size for count, size in one["together"] for _ in range(min(count, len(spans)))]
    if sum(counts) != len(spans) or min(counts) < 1:
        raise ValueError("pieces that do not fit their places")
    left = iter(spans)
    some = (list(islice(left, count)) for count in counts)
    return [Span(those[0].start, sum(span.size for span in those)) for those in some]


def pass_spans(one: Recipe, sections: Sections) -> None:
    """Pass what the blob says of the pieces of an array."""
    for _ in pieces_of_one(one) if one.get("codec") else ():
        sections.section()
        sections.section()


def inner_blob(one: Recipe, sections: Sections) -> bytes:
    """The blob of the next of some files; before it stands how it is coded, if it is."""
    *_, inner = (sections.section() for _ in range(3 if one.get("codec") else 1))
    return inner


def inner_files(recipe: Recipe, blob: bytes, shapes: Sequence[Shape]) -> Iterator[Inner]:
    """The files in a file, in the order of its recipe.

    Raises ValueError, KeyError, TypeError ... if recipe, blob and shapes do not fit together.
    """
    sections, start = Sections(blob), 0
    for one in recipe["arrays"]:
        each = one.get("parts", 1)
        if "files" not in one:
            if "words" in one:
                sections.section()
            else:
                layout = msgspec.convert(one.get("layout", {}), Layout)
                sections.take(Beside(one.get("beside", 0)).size(layout, shapes[start]))
            pass_spans(one, sections)
            start += each
            continue
        for span in pieces_of_one(one):
            yield Inner(
                one["files"], inner_blob(one, sections), list(shapes[start : start + each]), start, span, sections.at
            )
            start += each


def innermost(recipe: Recipe, blob: bytes, shapes: Sequence[Shape], part: int) -> tuple[Recipe, bytes, range]:
    """Of the file, or the file within it, that has the array ``part``: recipe, blob, and which arrays it has.

    Raises ValueError, KeyError, TypeError ... if recipe, blob and shapes do not fit together.
    """
    while "inner" in recipe:
        recipe, blob = gz.within(recipe, blob)
    if not formats.nests(recipe):
        return recipe, blob, range(len(shapes))
    for one in inner_files(recipe, blob, shapes):
        if one.first <= part < one.first + len(one.shapes):
            found, inner, which = innermost(one.recipe, one.blob, one.shapes, part - one.first)
            return found, inner, range(which.start + one.first, which.stop + one.first)
    raise ValueError("no file has this array")


__all__ = [
    "CODECS",
    "Files",
    "Inner",
    "Numbers",
    "Samples",
    "Span",
    "inner_blob",
    "inner_files",
    "innermost",
    "padding_of",
    "pass_spans",
    "pieces_of_one",
    "read_places",
    "spans_of",
    "spans_of_one",
    "write_places",
]
