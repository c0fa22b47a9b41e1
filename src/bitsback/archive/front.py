"""What stands in front of the kinds: reversible steps from images as they are to images as a kind sees them.

A *front* is a list of steps, none for most images. It belongs to a set of images, is the same for all of its blocks,
and is written once in the head of each chunk. Each step says what its result is like from what its input is like alone,
so that a reader knows what it is about to decode before it decodes it. Layout: ``docs/format.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.archive.fields import Cursor, ascending, varint, varints
from bitsback.errors import CodecError, FormatError, UnsupportedVersionError
from bitsback.kinds import colours, ycbcr
from bitsback.kinds import lots as kinds
from bitsback.kinds.adaptive import CODER as ADAPTIVE
from bitsback.kinds.base import Coder, Images, Lot
from bitsback.kinds.distinct import distinct

SLAB = 1 << 18
"""Samples that a step works on at a time, so that what it makes meanwhile takes little memory."""

FRONT_BYTES = 1 << 24
"""What undoing a front takes besides the images, at most."""

MAX_STEPS = 8
"""Of a front."""

MOST_ENLARGED = 255
"""How often a pixel is repeated in a direction, at most."""


class Form(NamedTuple):
    """What images are like, but for their size."""

    channels: int
    sample_bytes: int
    levels: int | None = None
    """How many values samples take, if that is known: they are 0 and up to that many less one."""

    @property
    def dtype(self) -> str:
        return "uint8" if self.sample_bytes == 1 else "uint16"


def form_of(lots: Sequence[Images]) -> Form:
    """What lots of images are like."""
    return Form(lots[0].shape[3], lots[0].itemsize)


@dataclass(frozen=True, slots=True)
class Levels:
    """Samples are replaced by their ranks among the values that occur: one table for all channels, or one for each."""

    tables: tuple[tuple[int, ...], ...]
    """Ascending values."""

    OP = 1

    def form(self, form: Form) -> Form:
        """What becomes of images. FormatError if it does not apply to such."""
        if len(self.tables) not in (1, form.channels):
            raise FormatError(f"{len(self.tables)} tables of levels do not fit {form.channels} channels")
        if any(not table or table[-1] >= 1 << 8 * form.sample_bytes for table in self.tables):
            raise FormatError("a level does not fit its sample type")
        most = max(map(len, self.tables))
        return Form(form.channels, 1 if most <= 1 << 8 else 2, max(most, 2))

    def apply(self, images: Images) -> Images:
        """Images (n, H, W, C) in the light of this step; their samples must be of the levels."""
        out = np.empty(images.shape, np.uint8 if max(map(len, self.tables)) <= 1 << 8 else np.uint16)
        for channels, table in self._channels():
            ranks = np.zeros(1 << 8 * images.itemsize, out.dtype)
            ranks[list(table)] = np.arange(len(table))
            for here, there in slabs(images, out):
                there[:, channels] = ranks[here[:, channels]]
        return out

    def undo(self, images: Images, form: Form) -> Images:
        """The inverse, for images that were of ``form``. FormatError for ranks that are not there."""
        out = np.empty(images.shape, form.dtype)
        for channels, table in self._channels():
            if int(images[..., channels].max(initial=0)) >= len(table):
                raise FormatError("a sample has the rank of no level")
            values = np.array(table, out.dtype)
            for here, there in slabs(images, out):
                there[:, channels] = values[here[:, channels]]
        return out

    def _channels(self) -> Iterator[tuple[slice, tuple[int, ...]]]:
        if len(self.tables) == 1:
            yield slice(None), self.tables[0]
        else:
            yield from ((slice(c, c + 1), table) for c, table in enumerate(self.tables))

    def encode(self) -> bytes:
        return varint(len(self.tables)) + b"".join(varint(len(table)) + ascending(table) for table in self.tables)

    @classmethod
    def read(cls, cursor: Cursor) -> Levels:
        tables = []
        for _ in range(cursor.count()):
            count = cursor.count()
            if not count:
                raise FormatError("a table without levels")
            tables.append(tuple(cursor.ascending(count)))
        return cls(tuple(tables))

    def __str__(self) -> str:
        return "ranks of levels"


def slabs(*arrays: Images) -> Iterator[tuple[NDArray[Any], ...]]:
    """The pixels of arrays of as many, (n, H, W, C) and C-contiguous, some at a time: views of (pixels, C)."""
    flat = [array.reshape(-1, array.shape[3]) for array in arrays]
    step = max(1, SLAB // max(one.shape[1] for one in flat))
    return (tuple(one[start : start + step] for one in flat) for start in range(0, len(flat[0]), step))


@dataclass(frozen=True, slots=True)
class Less:
    """The first and the third channel less the second: red and blue less green. Modulo the sample type's size, with
    half of that added, so that small differences are neighbours."""

    OP = 2

    def form(self, form: Form) -> Form:
        """See :meth:`Levels.form`."""
        if form.channels < 3:
            raise FormatError(f"{form.channels} channels are no colours")
        return Form(form.channels, form.sample_bytes)

    def apply(self, images: Images) -> Images:
        """See :meth:`Levels.apply`."""
        out = images.copy()
        for channel in (0, 2):
            out[..., channel] -= images[..., 1] - images.dtype.type(_half(images))
        return out

    def undo(self, images: Images, form: Form) -> Images:
        """See :meth:`Levels.undo`."""
        out = images.copy()
        for channel in (0, 2):
            out[..., channel] += images[..., 1] - images.dtype.type(_half(images))
        return out

    def encode(self) -> bytes:
        return b""

    @classmethod
    def read(cls, cursor: Cursor) -> Less:
        return cls()

    def __str__(self) -> str:
        return "red and blue less green"


@dataclass(frozen=True, slots=True)
class Planes:
    """Channels are coded apart: each has a payload of its own. Of the second and the third, one of ``down`` rows and of
    ``across`` columns is coded, as the others are the same. The last step of a front, if it is there."""

    down: int = 1
    across: int = 1

    OP = 3

    def form(self, form: Form) -> Form:
        """See :meth:`Levels.form`."""
        return form._replace(channels=1)

    def apply(self, images: Images) -> Images:
        """Nothing to do yet: see :func:`encode_behind`."""
        return images

    def undo(self, images: Images, form: Form) -> Images:
        """Nothing to do any more: see :func:`decode_behind`."""
        return images

    def plane(self, images: Images, channel: int) -> Images:
        """What is coded of a channel, (n, H, W, 1)."""
        down, across = self._steps(channel)
        return np.ascontiguousarray(images[:, ::down, ::across, channel : channel + 1])

    def put(self, plane: Images, channel: int, images: Images) -> None:
        """The inverse."""
        down, across = self._steps(channel)
        whole = plane.repeat(down, axis=1).repeat(across, axis=2) if down * across > 1 else plane
        images[..., channel : channel + 1] = whole[:, : images.shape[1], : images.shape[2]]

    def lots(self, lots: Sequence[Lot], channel: int) -> list[Lot]:
        """Lots of what is coded of a channel."""
        down, across = self._steps(channel)
        return [Lot(n, (-(-height // down), -(-width // across), 1)) for n, (height, width, _) in lots]

    def _steps(self, channel: int) -> tuple[int, int]:
        return (self.down, self.across) if channel in (1, 2) else (1, 1)

    def encode(self) -> bytes:
        return varints([self.down, self.across])

    @classmethod
    def read(cls, cursor: Cursor) -> Planes:
        down, across = cursor.varints(2)
        if not (1 <= down <= MOST_ENLARGED and 1 <= across <= MOST_ENLARGED):
            raise FormatError("one of 1 to 255 rows or columns is coded")
        return cls(down, across)

    def __str__(self) -> str:
        return "channels apart"


@dataclass(frozen=True, slots=True)
class Colours:
    """Pixels are replaced by their places in a table of colours: one of all images of a block, or each image's own. The
    tables stand in the payload. The last step of a front, if it is there."""

    own: bool
    sample_bytes: int
    """Of a place."""
    rare: bool = False
    """Whether places from 255 on are listed apart, so that those of a byte are enough: of one table, and 255 stands for
    the next of these."""

    OP = 4

    def form(self, form: Form) -> Form:
        """See :meth:`Levels.form`."""
        return Form(1, self.sample_bytes)

    def split(self, lots: Sequence[Images]) -> tuple[list[Images], list[Images], Images]:
        """The tables, (colours, channels) each; the images of places; and what is listed of them. CodecError for what
        has too many colours."""
        groups = [image[None] for images in lots for image in images] if self.own else [_flat(lots)]
        tables, places = [], []
        for pixels in groups:
            found = colours.count(pixels.reshape(-1, pixels.shape[-1]))
            if found is None or len(found.table) > self.most:
                raise CodecError("the images have too many colours")
            sort = not self.own and (self.rare or len(found.table) <= SORTED)
            table, indices = _by_frequency(found) if sort else found
            tables.append(table)
            places.append(indices)
        flat, at, out = np.concatenate(places), 0, []
        listed = flat[flat >= RARE] if self.rare else flat[:0]
        flat = (flat.clip(max=RARE) if self.rare else flat).astype(f"u{self.sample_bytes}")
        for images in lots:
            size = images.size // images.shape[3]
            out.append(flat[at : at + size].reshape(*images.shape[:3], 1))
            at += size
        return tables, out, listed

    @property
    def most(self) -> int:
        """Colours that a table may have."""
        return 1 << 16 if self.rare else 1 << 8 * self.sample_bytes

    def encode_tables(self, tables: Sequence[Images], listed: Images) -> bytes:
        """How many colours each has; and all of them, as one row of pixels, coded by the adaptive kind. What is listed,
        likewise."""
        coded = ADAPTIVE.encode(np.concatenate(tables)[None, None])
        out = varints([*map(len, tables), len(coded)]) + coded
        if self.rare:
            coded = ADAPTIVE.encode(listed.astype(np.uint16)[None, None, :, None])
            out += varints([len(listed), len(coded)]) + coded
        return out

    def decode_tables(self, cursor: Cursor, lots: Sequence[Lot], form: Form) -> tuple[list[Images], Images]:
        """The inverse. FormatError for tables that are none of such images."""
        most = [height * width for n, (height, width, _) in lots for _ in range(n)]
        most = most if self.own else [sum(most)]
        counts = cursor.varints(len(most))
        if any(not 1 <= count <= min(top, self.most) for count, top in zip(counts, most, strict=True)):
            raise FormatError("a table of more colours than there are pixels, or of none")
        coded = cursor.take(cursor.varint())
        row = ADAPTIVE.decode(coded, 1, (1, sum(counts), form.channels), form.dtype)[0, 0]
        listed = np.empty(0, np.uint16)
        if self.rare:
            count = cursor.varint()
            if count > sum(most):
                raise FormatError("more places are listed than there are pixels")
            listed = ADAPTIVE.decode(cursor.take(cursor.varint()), 1, (1, count, 1), np.uint16)[0, 0, :, 0]
        return np.split(row, np.cumsum(counts)[:-1]), listed

    def paint(self, tables: Sequence[Images], lots: Sequence[Images], listed: Images) -> list[Images]:
        """The inverse of :meth:`split`. FormatError for places beyond a table."""
        if self.rare:
            flat = np.concatenate([images.reshape(-1) for images in lots]).astype(np.uint16)
            if np.count_nonzero(flat == RARE) != len(listed):
                raise FormatError("not as many places are listed as there should be")
            flat[flat == RARE] = listed
            ends = np.cumsum([images.size for images in lots])[:-1]
            parts = np.split(flat, ends)
            lots = [part.reshape(images.shape) for part, images in zip(parts, lots, strict=True)]
        if not self.own:
            return [colours.paint(images, tables[0]) for images in lots]
        left = iter(tables)
        return [np.concatenate([colours.paint(image[None], next(left)) for image in images]) for images in lots]

    def encode(self) -> bytes:
        return bytes([self.sample_bytes | self.rare << 6 | self.own << 7])

    @classmethod
    def read(cls, cursor: Cursor) -> Colours:
        (how,) = cursor.take(1)
        if how not in (1, 2, 1 | 1 << 6, 1 | 1 << 7, 2 | 1 << 7):
            raise FormatError("places in a table of colours are of 1 or 2 bytes")
        return cls(bool(how >> 7), how & 3, bool(how >> 6 & 1))

    def __str__(self) -> str:
        return "each image's own colours" if self.own else "colours"


@dataclass(frozen=True, slots=True)
class Enlarged:
    """Images whose every pixel is repeated, so many times in each direction, are replaced by what was so enlarged."""

    down: int
    across: int

    OP = 5

    def form(self, form: Form) -> Form:
        """See :meth:`Levels.form`."""
        return form

    def apply(self, images: Images) -> Images:
        """See :meth:`Levels.apply`."""
        return np.ascontiguousarray(images[:, :: self.down, :: self.across])

    def undo(self, images: Images, form: Form) -> Images:
        """See :meth:`Levels.undo`."""
        return images.repeat(self.down, axis=1).repeat(self.across, axis=2)

    def encode(self) -> bytes:
        return varints([self.down, self.across])

    @classmethod
    def read(cls, cursor: Cursor) -> Enlarged:
        down, across = cursor.varints(2)
        if not (1 <= down <= MOST_ENLARGED and 1 <= across <= MOST_ENLARGED):
            raise FormatError("images are enlarged by 1 to 255")
        return cls(down, across)

    def __str__(self) -> str:
        return f"images enlarged by {self.down} x {self.across}"


@dataclass(frozen=True, slots=True)
class YCbCr:
    """Red, green and blue that were computed from Y, Cb and Cr, as decoders of JPEG files and of video do, become these
    again: see :mod:`bitsback.kinds.ycbcr`."""

    matrix: int
    """The number of one of :data:`bitsback.kinds.ycbcr.MATRICES`."""

    OP = 6

    def form(self, form: Form) -> Form:
        """See :meth:`Levels.form`."""
        if form.channels < 3 or form.sample_bytes != 1:
            raise FormatError(f"{form.channels} channels of {form.sample_bytes} bytes were not YCbCr")
        return Form(form.channels, 1)

    def apply(self, images: Images) -> Images:
        """See :meth:`Levels.apply`. CodecError for pixels that come from no Y, Cb and Cr."""
        out = np.empty_like(images)
        for here, there in zip(images, out, strict=True):
            back = ycbcr.widest(here[None], self.matrix)
            if back is None:
                raise CodecError("the images were not YCbCr")
            there[:] = back[0][0]
        return out

    def undo(self, images: Images, form: Form) -> Images:
        """See :meth:`Levels.undo`."""
        out = np.empty_like(images)
        for here, there in slabs(images, out):
            there[:] = ycbcr.to_rgb(here, self.matrix)
        return out

    def encode(self) -> bytes:
        return bytes([self.matrix])

    @classmethod
    def read(cls, cursor: Cursor) -> YCbCr:
        (matrix,) = cursor.take(1)
        if matrix >= len(ycbcr.MATRICES):
            raise UnsupportedVersionError(f"matrix {matrix} of YCbCr is unknown to this version")
        return cls(matrix)

    def __str__(self) -> str:
        return "YCbCr"


def _by_frequency(found: colours.Found) -> colours.Found:
    """The most frequent colours first: then high bytes of places are nearly all zero."""
    order = np.argsort(-np.bincount(found.indices, minlength=len(found.table)), kind="stable")
    return colours.Found(found.table[order], np.argsort(order)[found.indices])


def _flat(lots: Sequence[Images]) -> Images:
    return np.concatenate([images.reshape(-1, images.shape[3]) for images in lots])


def _half(images: Images) -> int:
    return 1 << (8 * images.itemsize - 1)


Step = Levels | Less | Planes | Colours | Enlarged | YCbCr
Front = tuple[Step, ...]
"""Steps in the order in which they are applied."""

_STEPS = (Levels, Less, Planes, Colours, Enlarged, YCbCr)
_OPS: dict[int, Callable[[Cursor], Step]] = {step.OP: step.read for step in _STEPS}


def forms(front: Front, form: Form) -> list[Form]:
    """What images of a form are like before each step, and after the last."""
    out = [form]
    if any(isinstance(step, Planes | Colours) for step in front[:-1]):
        raise FormatError(f"{front[0]}, and then there is another step")
    for step in front:
        out.append(step.form(out[-1]))
    return out


def reduced(front: Front, lots: Sequence[Lot]) -> list[Lot]:
    """Lots as large as they are behind a front; their channels are as before. FormatError if they cannot be."""
    for step in front:
        if isinstance(step, Enlarged):
            if any(height % step.down or width % step.across for _, (height, width, _) in lots):
                raise FormatError(f"images of another size than {step}")
            lots = [Lot(n, (height // step.down, width // step.across, c)) for n, (height, width, c) in lots]
    return list(lots)


def apply(front: Front, lots: Sequence[Images]) -> list[Images]:
    """Images as a kind sees them."""
    out = list(lots)
    for step in front:
        out = step.split(out)[1] if isinstance(step, Colours) else [step.apply(images) for images in out]
    return out


def undo(front: Front, lots: Sequence[Images], form: Form) -> list[Images]:
    """The inverse, but for colours; ``form`` is that of the images as they are. FormatError if no images would look
    like these."""
    out = list(lots)
    for step, before in zip(reversed(front), reversed(forms(front, form)[:-1]), strict=True):
        if not isinstance(step, Colours):
            out = [step.undo(images, before) for images in out]
    return out


class Seen(NamedTuple):
    """Lots of images behind a front, as a coder is to see them: what several coders may share."""

    before: bytes
    """What a payload begins with: tables of colours."""
    parts: tuple[tuple[Images, ...], ...]
    """The lots; of channels apart, those of each channel."""
    apart: bool = False


def see(front: Front, lots: Sequence[Images]) -> Seen:
    """Lots of images behind a front. CodecError if it does not apply to such."""
    last = front[-1] if front else None
    if isinstance(last, Colours):
        tables, places, listed = last.split(apply(front[:-1], lots))
        return Seen(last.encode_tables(tables, listed), (tuple(places),))
    coded = apply(front, lots)
    if not isinstance(last, Planes):
        return Seen(b"", (tuple(coded),))
    channels = range(coded[0].shape[3])
    return Seen(b"", tuple(tuple(last.plane(images, c) for images in coded) for c in channels), apart=True)


def encode_seen(seen: Seen, coder: Coder, threads: int = 1) -> bytes:
    """A payload of a coder; of channels apart, one for each with its size; of colours, after their tables."""
    payloads = [kinds.encode(coder, lots, threads) for lots in seen.parts]
    return seen.before + b"".join(varint(len(one)) + one if seen.apart else one for one in payloads)


def encode_behind(front: Front, coder: Coder, lots: Sequence[Images], threads: int = 1) -> bytes:
    """Lots of images coded behind a front: see :func:`encode_seen`."""
    return encode_seen(see(front, lots), coder, threads)


def decode_behind(
    front: Front, coder: Coder, payload: bytes, lots: Sequence[Lot], form: Form, threads: int = 1
) -> list[Images]:
    """The inverse: lots of images of ``form``. FormatError, and errors of the coder."""
    before, coded = [form, *forms(front, form)][-2:]
    last = front[-1] if front else None
    lots = reduced(front, lots)
    seen = [Lot(n, (height, width, coded.channels)) for n, (height, width, _) in lots]
    cursor = Cursor(payload)
    if isinstance(last, Colours):
        tables, listed = last.decode_tables(cursor, lots, before)
        places = _decoded(coder, cursor.take(cursor.left), seen, coded, threads)
        return undo(front, last.paint(tables, places, listed), form)
    if not isinstance(last, Planes):
        return undo(front, _decoded(coder, payload, seen, coded, threads), form)
    out = [np.empty((n, height, width, before.channels), coded.dtype) for n, (height, width, _) in lots]
    for channel in range(before.channels):
        planes = _decoded(coder, cursor.take(cursor.varint()), last.lots(seen, channel), coded, threads)
        for images, plane in zip(out, planes, strict=True):
            last.put(plane, channel, images)
    if cursor.left:
        raise FormatError("the payload holds more than the images")
    return undo(front, out, form)


def _decoded(coder: Coder, payload: bytes, lots: Sequence[Lot], form: Form, threads: int) -> list[Images]:
    images = kinds.decode(coder, payload, lots, form.dtype, threads)
    if kinds.lots_of(images) != tuple(lots) or any(one.dtype != form.dtype for one in images):
        raise FormatError(f"{coder.name} decoded to other sizes than announced")
    return images


def memory_behind(front: Front, coder: Coder, lots: Sequence[Lot], form: Form, payload: int, threads: int = 1) -> int:
    """Bytes that decoding takes at most, what is decoded included."""
    coded = forms(front, form)[-1]
    seen = [Lot(n, (height, width, coded.channels)) for n, (height, width, _) in reduced(front, lots)]
    size = sum(n * height * width * form.channels for n, (height, width, _) in lots) * 2
    besides = size * len(front) + FRONT_BYTES + payload if front else 0
    if front and isinstance(front[-1], Colours):
        pixels = sum(n * height * width for n, (height, width, _) in lots)
        besides += ADAPTIVE.memory(1, (1, pixels, form.channels), form.dtype, payload)
    return kinds.memory(coder, seen, coded.dtype, payload, threads) + besides


def encode(front: Front) -> bytes:
    """A front in bytes: the number of steps, and for each its number and what belongs to it."""
    return varint(len(front)) + b"".join(bytes([step.OP]) + step.encode() for step in front)


def read(cursor: Cursor) -> Front:
    """The inverse of :func:`encode`, of what stands next. FormatError, UnsupportedVersionError."""
    count = cursor.count()
    if not 1 <= count <= MAX_STEPS:
        raise FormatError(f"a front of {count} steps")
    steps = []
    for _ in range(count):
        (op,) = cursor.take(1)
        if op not in _OPS:
            raise UnsupportedVersionError(f"step {op} in front of images is unknown to this version")
        steps.append(_OPS[op](cursor))
    return tuple(steps)


# What may pay ---------------------------------------------------------------------------------------------------------

UPSAMPLED = 0.8
"""Pairs of columns, of all, that are the same where colours are taken for upsampled."""

SORTED = 1 << 10
"""Colours of one table that are worth being put in another order than their own, which is the shortest to tell."""

RARE = 255
"""Part of the format."""

SELDOM = 64
"""Of so many pixels fewer than one is rare."""

LOOKED = 1 << 12
"""Pixels that are enough to see that an image has many colours."""

LINES = 16
"""Rows, or columns, that are compared at a time to see whether images are enlarged."""

SPARSE = 15 / 16
"""Levels in use, of those up to the largest, that are few enough for ranks to be tried."""


def candidates(
    lots: Sequence[Images],
    levels: tuple[int, int] | None = None,
    few: bool = False,
    decoded: tuple[int, int, int] | None = None,
) -> list[Front]:
    """What may stand in front of images, the first of which always can; ``levels``: the only two that they have;
    ``few``: they are of few colours, each; ``decoded``: they were YCbCr, see :func:`bitsback.kinds.ycbcr.found`."""
    if decoded:
        matrix, *shared = decoded
        apart: list[Front] = [(YCbCr(matrix), Planes(*shared))] if shared != [1, 1] else []
        return [(), (YCbCr(matrix),), *apart]
    if few and (found := _of_few_colours(lots)):
        return [(), *found]
    if levels is not None:
        return [(Levels((tuple(sorted(set(levels))),)),)]
    coloured: list[Front] = [(Less(), Planes())] if _upsampled(lots) else []
    used = _used(lots)
    if used is None:
        return [(), *coloured]
    tops = [int(np.flatnonzero(channel)[-1]) + 1 for channel in used]
    narrow = lots[0].itemsize == 2 and max(tops) <= 1 << 8
    whole: Front = (Levels((tuple(range(max(tops))),)),) if narrow else ()
    if sum(int(channel.sum()) for channel in used) > SPARSE * sum(tops):
        return [whole, *(whole + front for front in coloured)]
    tables = [tuple(map(int, np.flatnonzero(channel))) for channel in used]
    ranks = Levels((tables[0],) if len(set(tables)) == 1 else tuple(tables))
    return [whole, (ranks,), *(whole + front for front in coloured)]


def enlarged(lots: Sequence[Images]) -> tuple[Enlarged, ...]:
    """What images were enlarged by, if they were: what divides all places of rows, and columns, that differ from the
    one before."""
    repeats = []
    for axis in (1, 2):
        found = math.gcd(*(images.shape[axis] for images in lots))
        for image in (image for images in lots for image in images):
            if found == 1:
                break
            lines = image.swapaxes(0, axis - 1)
            for start in range(1, len(lines), LINES):
                before, here = lines[start - 1 : start + LINES - 1], lines[start : start + LINES]
                edges = np.flatnonzero((here != before[: len(here)]).any(axis=(1, 2))) + start
                found = math.gcd(found, *map(int, edges))
                if found == 1:
                    break
        repeats.append(max(step for step in range(1, MOST_ENLARGED + 1) if found % step == 0))
    return (Enlarged(*repeats),) if max(repeats) > 1 else ()


def few_colours(images: Images) -> bool:
    """Whether images of several channels, (n, H, W, C), have few colours each, as far as three of them tell."""
    count, channels = len(images), images.shape[3]
    if channels == 1 or channels * images.itemsize > 8:
        return False
    for number in sorted({0, count // 2, count - 1}):
        pixels = images[number].reshape(-1, channels)
        looked = pixels[:: -(-len(pixels) // LOOKED)]
        if len(looked) < len(pixels) and 2 * len(distinct(colours.keys(looked))) > len(looked):
            return False
        found = len(distinct(colours.keys(pixels)))
        if 4 * found > len(pixels) or (found > 1 << 8 and 32 * found > len(pixels)):
            return False
    return True


def _of_few_colours(lots: Sequence[Images]) -> list[Front]:
    """Places in one table, and in each image's own."""
    found: list[Front] = []
    for own in (False, True):
        groups = [image for images in lots for image in images] if own else [_flat(lots)]
        keys = [colours.keys(pixels.reshape(-1, pixels.shape[-1])) for pixels in groups]
        counts = [np.unique(one, return_counts=True)[1] for one in keys]
        most = max(map(len, counts))
        rare = not own and SELDOM * int(np.sort(counts[0])[:-RARE].sum()) < len(keys[0])
        if most <= 1 << 16 and (not own or len(counts) > 1):
            found.append((Colours(own, 1 if most <= 1 << 8 or rare else 2, rare and most > 1 << 8),))
    return found


def _upsampled(lots: Sequence[Images]) -> bool:
    """Whether columns repeat the ones to their left once green is taken out: as where colours had half the columns."""
    if lots[0].shape[3] < 3:
        return False
    same = pairs = 0
    for images in (lots[0], lots[len(lots) // 2], lots[-1]):
        if images.shape[2] < 2:
            continue
        image = images[len(images) // 2]
        colours = image[..., 0] - image[..., 1]
        even, odd = colours[:, : image.shape[1] // 2 * 2 : 2], colours[:, 1::2]
        same, pairs = same + int((even == odd).sum()), pairs + even.size
    return same > UPSAMPLED * pairs


def _used(lots: Sequence[Images]) -> NDArray[np.bool] | None:
    """Which levels occur, (channels, levels); None if nearly all do, which a beginning may show."""
    channels, size = lots[0].shape[3], 1 << 8 * lots[0].itemsize
    used = np.zeros((channels, size), np.bool)
    for images in lots:
        for (pixels,) in slabs(images):
            for channel in range(channels):
                used[channel, pixels[:, channel]] = True
            if used.sum() > SPARSE * used.size:
                return None
    return used


__all__ = [
    "Colours",
    "Enlarged",
    "Form",
    "Front",
    "Less",
    "Levels",
    "Planes",
    "Seen",
    "Step",
    "YCbCr",
    "apply",
    "candidates",
    "decode_behind",
    "encode",
    "encode_behind",
    "encode_seen",
    "enlarged",
    "few_colours",
    "form_of",
    "forms",
    "memory_behind",
    "read",
    "reduced",
    "see",
    "undo",
]
