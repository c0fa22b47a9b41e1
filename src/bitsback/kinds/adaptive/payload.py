"""The deterministic route: images that no model takes, in exact integers and without any weights.

A payload is a tag byte and a body. The tag says how the images were coded:

    0x00-0x3F   serial    samples or residuals in a row, and a general compressor: :mod:`.serial`
    0x40-0x47   smooth    predictions that learn, for photos and measurements: :mod:`.smooth`
    0x50-0x6F   regressed least squares, in the light of earlier images: :mod:`.regressed`
    0x70-0x7F   ... of pixels that were not there before: :mod:`.repeats`
    0x80        mixing    counted contexts and repeats, for drawn images of one channel: :mod:`.mixing`
    0x90-0xAF   blended   least squares in two windows, and more contexts, if there is time: :mod:`.blended`
    0xC0        palette   colours, then a payload of their indices (one channel): :mod:`.colours`
    0xC1        levels    sample values that occur, then a payload of their ranks
    0xC2        apart     a payload for each image, if they are at most 16
    0xC3        shapes    a payload for the images of each shape, of lots of several

Lots of images of several shapes are coded by the last of these, or together: by mixing, perhaps within palette.

The encoder tries what may pay on a sample of the images and keeps the smallest. Whatever the images are, a payload is
at most one byte longer than their samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitsback.errors import CodecError, FormatError, TruncatedError
from bitsback.kinds.adaptive import blended, colours, known, mixing, regressed, serial, smooth
from bitsback.kinds.adaptive.cost import Whole, drawable
from bitsback.kinds.base import Effort, Lot
from bitsback.kinds.distinct import distinct
from bitsback.kinds.lots import decode_shapes, encode_shapes, lots_by_shape, lots_of
from bitsback.kinds.shift import moving
from bitsback.kinds.varint import read_varint, varint

Images = NDArray[Any]
"""(n, height, width, channels), uint8 or uint16."""

SMOOTH, REGRESSED, MIXING, BLENDED, PALETTE, LEVELS, APART, SHAPES = 0x40, 0x50, 0x80, 0x90, 0xC0, 0xC1, 0xC2, 0xC3

_SAMPLE = 1 << 15
"""How many samples the choice of a variant looks at; images of up to twice as many are tried whole."""

_RUN = 2
"""At least so many images that follow one another are looked at, if there are so many ..."""

_SERIES, _SERIES_SAMPLES = 4, 1 << 16
"""... and so many, with about so many samples, to see whether they are much like those before them."""

_ALIKE = 0.3
"""Images that follow one another may tell of one another if so many pixels are as much like those before as like those
to the left."""

_SAME, _MOSTLY = 0.1, 0.3
"""Pixels may have been there before if so many are as those around them and there is all the time; else, so many."""

_PLACES = 3
"""Samples of large images are windows from so many times so many places."""

_CLOSE, _TRIED = 1.3, 3
"""Up to so many variants, of sizes within this factor of the smallest on the sample, are tried on all images ..."""

_FURTHER, _GOES_ON = 1 << 17, 0.75
"""... after a closer look, at so many samples: what one gained it gains again, so much of it, with each four times as
many ..."""

_GAIN, _MUCH = 0.99, 0.9
"""What takes longer must be smaller by this factor; and if there is no time, by that one."""

_MOVED_SAMPLES = 1 << 18
"""Of two images whose content moved, so many tell how they are coded."""

_LOST = 2
"""Where smooth images take so many times as much as the best, least squares do not come close; but in the light of an
image before that is much like this one they might."""

_PATIENCE = 1 << 21
"""... if these have no more samples than this."""

_APART_IMAGES, _APART_SAMPLES = 16, 1 << 12
"""Up to so many images, of at least so many samples, are looked at one by one."""

_FLAT = 0.25
"""Images of which the share of pixels that are like the one to the left differs by less are all of one kind."""

_APART = 0.97
"""What images one by one are expected to take must be so much of what they take together: both are guesses."""

_MAYBE = 0.7
"""Lots that take less than this part shape by shape of what they take as drawings together, on some of the shapes, are
no drawings; and those that take more than all of it are: from all shapes drawings learn more yet."""

_CURVE, _NEARER = 1 << 10, 0.7
"""Up to so many colours are put in an order in which near ones are neighbours, if pixels are then so much nearer."""

_MIXED_LEVELS = 1 << 12
"""Grey images of more values than this are not drawn."""


def encode(images: Images, effort: Effort = "normal") -> bytes:
    """Code uint8 or uint16 images (n, H, W, C); the payload is at most one byte longer than the samples.

    ``effort``: by least squares, which take six times as long as the rest, only where they gain much, if that is
    "fast"; by two of them, which take three times as long again, if that is "max".

    >>> import numpy as np
    >>> ramp = np.arange(64 * 64, dtype=np.uint16).reshape(1, 64, 64, 1)
    >>> payload = encode(ramp)
    >>> len(payload) < 100, bool((decode(payload, 1, (64, 64, 1), np.uint16) == ramp).all())
    (True, True)

    Raises CodecError for another type or number of axes.
    """
    if images.ndim != 4 or images.dtype not in (np.uint8, np.uint16):
        raise CodecError(f"the adaptive kind takes uint8 or uint16 (n, H, W, C), not {images.dtype} {images.shape}")
    if images.size == 0:
        return b"\x00"
    images = np.ascontiguousarray(images)
    choices = _close(images, effort)
    payload = _encode_apart(images, choices[0].size, effort) or _smallest(images, choices, effort)
    return payload if len(payload) <= images.nbytes else encode_as(images, 0)


def decode(payload: bytes, count: int, shape: tuple[int, int, int], dtype: DTypeLike) -> Images:
    """The ``count`` images of ``shape`` (H, W, C) and ``dtype`` (uint8 or uint16) that a payload holds, C-contiguous.

    Raises FormatError (or TruncatedError, one of its kind) or EmptyStackError unless the payload holds exactly that
    many samples; never inflates more than that.
    """
    dtype = np.dtype(dtype)
    whole = (count, *shape)
    if dtype not in (np.uint8, np.uint16) or min(whole) < 0:
        raise FormatError(f"the adaptive kind has no images of type {dtype} and shape {whole}")
    if not payload:
        raise TruncatedError("the payload is empty")
    if 0 in whole:
        if payload != b"\x00":
            raise FormatError("the payload holds more than the images")
        return np.empty(whole, dtype)
    return _decode(memoryview(payload), whole, dtype, frozenset())


def encode_lots(lots: Sequence[Images], effort: Effort = "normal") -> bytes:
    """Code lots of images (n, H, W, C) of one type and number of channels: shape by shape, or as drawings together.
    ``effort``: see :func:`encode`."""

    def one(images: Images) -> bytes:
        return encode(images, effort)

    lots = [np.ascontiguousarray(images) for images in lots if images.size]
    if not lots:
        return b""
    found = _form_of_lots(lots)
    if found is None or not drawable([Lot(n, (*shape[:2], 1)) for n, shape in lots_of(found.lots)]):
        return bytes([SHAPES]) + encode_shapes(one, lots)
    known.prove_encoding(known.group(MIXING, found.lots[0].dtype), encode_as)
    some = _some_shapes(lots_of(lots))
    ratio = _MAYBE
    if some:
        apart = encode_shapes(one, [lots[number] for number in some])
        ratio = len(apart) / len(mixing.encode([found.lots[number] for number in some]))
    payloads = []
    if ratio < 1:
        payloads.append(bytes([SHAPES]) + encode_shapes(one, lots))
    if ratio >= _MAYBE:
        payloads.append(found.prefix + bytes([MIXING]) + mixing.encode(found.lots))
    return min(payloads, key=len)


def _some_shapes(lots: Sequence[Lot]) -> list[int]:
    """All lots of some of the shapes, which are a sample of lots; none if that were half of them."""
    by_shape = list(lots_by_shape(lots).values())
    sizes = [n * height * width for n, (height, width, _) in lots]
    places = np.linspace(0, len(by_shape) - 1, max(1, len(by_shape) * _SAMPLE // sum(sizes))).round().astype(int)
    some = [number for place in dict.fromkeys(places.tolist()) for number in by_shape[place]]
    return some if 2 * sum(sizes[number] for number in some) < sum(sizes) else []


def decode_lots(payload: bytes, lots: Sequence[Lot], dtype: DTypeLike) -> list[Images]:
    """The inverse; errors as of :func:`decode`."""
    dtype = np.dtype(dtype)
    some = [lot for lot in lots if lot.n and 0 not in lot.shape]
    decoded = iter(_decode_lots(memoryview(payload), some, dtype, within=frozenset()) if some else ())
    if not some and payload:
        raise FormatError("the payload holds more than the images")
    return [next(decoded) if lot in some else np.empty((lot.n, *lot.shape), dtype) for lot in lots]


def encode_as(images: Images, tag: int) -> bytes:
    """The payload of a variant without others in it.

    Raises nothing if the variant takes such images, but InexactEngineError if it is not computed here as everywhere.
    """
    known.prove_encoding(known.group(tag, images.dtype), encode_as)
    if BLENDED <= tag < BLENDED + regressed.REPEATS:
        body = blended.encode(images, tag - BLENDED)
    elif tag == MIXING:
        body = mixing.encode([images])
    elif REGRESSED <= tag < MIXING:
        body = regressed.encode(images, tag - REGRESSED)
    elif SMOOTH <= tag < REGRESSED:
        body = smooth.encode(images, tag - SMOOTH)
    else:
        body = serial.encode(images, tag)
    return bytes([tag]) + body


def _decode_known(payload: bytes, whole: Whole, dtype: np.dtype[Any]) -> Images:
    return _decode(memoryview(payload), whole, dtype, frozenset())


def _decode(payload: memoryview, whole: Whole, dtype: np.dtype[Any], within: frozenset[int]) -> Images:
    """Images from a payload within others of the tags ``within``: each of these at most once, and not in this order."""
    if not payload:
        raise TruncatedError("the payload is empty")
    tag, body = payload[0], payload[1:]
    known.prove_decoding(known.group(tag, dtype), _decode_known)
    if tag == APART and not within and 1 < whole[0] <= _APART_IMAGES:
        images = np.empty(whole, dtype)
        for image in images:
            size, body = read_varint(body)
            if size > len(body):
                raise TruncatedError("the payload ends within an image")
            image[:] = _decode(body[:size], (1, *whole[1:]), dtype, within | {tag})[0]
            body = body[size:]
        if body:
            raise FormatError("the payload holds more than the images")
        return images
    if tag in (PALETTE, LEVELS) and not within & {PALETTE, LEVELS}:
        channels = whole[3] if tag == PALETTE else 1
        most = whole[0] * whole[1] * whole[2] * (1 if tag == PALETTE else whole[3])
        table, body = _table(body, channels, most, dtype)
        inner = (*whole[:3], 1) if tag == PALETTE else whole
        return colours.paint(_decode(body, inner, colours.index_type(len(table)), within | {tag}), table)
    if tag == MIXING and mixing.takes(whole):
        return mixing.decode(body, [Lot(whole[0], whole[1:])], dtype)[0]
    if tag & 0xF8 == SMOOTH and smooth.takes(whole, tag - SMOOTH):
        return smooth.decode(body, whole, dtype, tag - SMOOTH)
    if BLENDED <= tag < BLENDED + regressed.REPEATS and blended.takes(whole, tag - BLENDED):
        return blended.decode(body, whole, dtype, tag - BLENDED)
    if REGRESSED <= tag < MIXING and regressed.takes(whole, tag - REGRESSED):
        return regressed.decode(body, whole, dtype, tag - REGRESSED)
    return serial.decode(body, whole, dtype, tag)


def _decode_lots(
    payload: memoryview, lots: Sequence[Lot], dtype: np.dtype[Any], within: frozenset[int]
) -> list[Images]:
    """Lots of images from a payload, perhaps within one of colours or levels."""
    if not payload:
        raise TruncatedError("the payload is empty")
    tag, body = payload[0], payload[1:]
    channels = lots[0].shape[2]
    if tag == SHAPES and not within:
        return decode_shapes(lambda part, lot: decode(part, *lot, dtype), bytes(body), lots)
    if tag == PALETTE and not within:
        pixels = sum(lot.n * lot.shape[0] * lot.shape[1] for lot in lots)
        table, body = _table(body, channels, pixels, dtype)
        inner = [Lot(lot.n, (*lot.shape[:2], 1)) for lot in lots]
        indices = _decode_lots(body, inner, colours.index_type(len(table)), within | {tag})
        return [colours.paint(images, table) for images in indices]
    if tag != MIXING or channels != 1 or not drawable(lots):
        raise FormatError(f"lots of images of {channels} channels are not coded by variant {tag:#x}")
    known.prove_decoding(known.group(tag, dtype), _decode_known)
    return mixing.decode(body, lots, dtype)


def _table(body: memoryview, channels: int, most: int, dtype: np.dtype[Any]) -> tuple[Images, memoryview]:
    """The colours (colours, channels) that a payload begins with, of which there cannot be more than ``most``."""
    count, body = read_varint(body)
    size, body = read_varint(body)
    if not 1 <= count <= min(colours.MOST, most):
        raise FormatError(f"the payload announces {count} colours")
    if size > len(body):
        raise TruncatedError("the payload ends within its colours")
    table = _decode(body[:size], (1, 1, count, channels), dtype, frozenset((PALETTE, LEVELS)))[0, 0]
    return table, body[size:]


def prove() -> None:
    """Prove all variants, which coding does with each as it comes up; InexactEngineError as there."""
    for name in known.KNOWN:
        known.prove_encoding(name, encode_as)
        known.prove_decoding(name, _decode_known)


# Choosing -------------------------------------------------------------------------------------------------------------


class _Form(NamedTuple):
    """A way to see the images: what has to be said first, and the images then left to code."""

    prefix: bytes
    images: Images


class _Choice(NamedTuple):
    """What to do with images: the tag of the variant that codes a form of them, and the size to expect."""

    size: float
    tag: int
    form: _Form
    payload: bytes | None
    """Of the form by the variant, if the sample was all of it."""


def _encode_apart(images: Images, together: float, effort: Effort) -> bytes | None:
    """A payload for each image, if they are few, not all of one kind, and may take less than ``together``."""
    if not 1 < len(images) <= _APART_IMAGES or images[0].size < _APART_SAMPLES or not _differ(images):
        return None
    choices = [_close(image[None], effort) for image in images]
    kinds = {(best.form.prefix[:1], best.tag & 0xC0 or best.tag) for best, *_ in choices}
    if len(kinds) == 1 or sum(best.size for best, *_ in choices) > _APART * together:
        return None
    payloads = [_smallest(image[None], close, effort) for image, close in zip(images, choices, strict=True)]
    return bytes([APART]) + b"".join(varint(len(payload)) + payload for payload in payloads)


def _differ(images: Images) -> bool:
    """Whether some images are drawn and others not: by how many pixels are like the one to the left."""
    same = (images[:, :, 1:] == images[:, :, :-1]).all(axis=3)
    flat = same.sum(axis=(1, 2)) / max(1, same[0].size)
    return bool(flat.max() - flat.min() > _FLAT)


def _smallest(images: Images, choices: list[_Choice], effort: Effort) -> bytes:
    """The smallest of the payloads that the choices lead to."""
    if choices[0].size > 0.995 * images.nbytes:
        return encode_as(images, 0)
    close = _closer(choices, effort)
    if images.size > _PATIENCE:
        close = close[:1]
    elif effort != "fast" and any(_repeats(one) for one in choices):
        left = {(one.tag, one.form.prefix) for one in close}  # parts show badly what repeats
        others = {(one.tag, one.form.prefix): one for one in [*choices[:2], *filter(_repeats, choices)]}
        close += [one for key, one in others.items() if key not in left]
    if effort == "max":
        found = [better for one in close for better in _blended(one)]
        close = list({(one.tag, one.form.prefix): one for one in found}.values())
    return min((one.form.prefix + (one.payload or encode_as(one.form.images, one.tag)) for one in close), key=len)


def _repeats(choice: _Choice) -> bool:
    """Whether pixels are asked about that were there before."""
    return REGRESSED + regressed.REPEATS <= choice.tag < MIXING


def _blended(choice: _Choice) -> list[_Choice]:
    """Two regressions for one or none, with the transform of colours that suits a part of the images; and the choice,
    if it is none of such images, or the better one of this part, or was tried whole."""
    images, how = choice.form.images, (choice.tag - SMOOTH if choice.tag < REGRESSED else choice.tag - REGRESSED)
    how %= regressed.REPEATS
    part = _series(images)
    if not SMOOTH <= choice.tag < MIXING or not all(blended.takes(some.shape, how) for some in (images, part)):
        return [choice]
    hows = [how & ~3 | transform for transform in range(smooth.TRANSFORMS)] if images.shape[3] >= 3 else [how]
    size, tag = min((len(encode_as(part, BLENDED + one)), BLENDED + one) for one in hows)
    better = choice._replace(tag=tag, payload=None)
    return [better] if choice.payload is None and size <= len(encode_as(part, choice.tag)) else [better, choice]


def _close(images: Images, effort: Effort) -> list[_Choice]:
    """What is worth a closer look, the most promising first, by a sample."""
    estimates = [one for form in _forms(images) for one in _estimates(form, effort)]
    estimates.sort(key=lambda choice: choice.size)
    return [choice for choice in estimates[:_TRIED] if choice.size <= _CLOSE * estimates[0].size]


def _closer(close: list[_Choice], effort: Effort) -> list[_Choice]:
    """What is worth trying on all of the images, by larger and larger samples: what a variant gains on the best from
    one sample to the next, it is expected to go on to gain, less and less. If there is no time, the best of the first
    of them."""
    samples = _FURTHER
    if any(regressed.MOVED <= one.tag - REGRESSED < regressed.REPEATS for one in close):  # which parts do not show
        return close
    while len(close) > 1:
        most = max(one.form.images.shape[3] for one in close)  # of each form so many pixels, not samples
        shares = [samples * one.form.images.shape[3] // most for one in close]
        parts = [_part(one.form.images, share, _SERIES) for one, share in zip(close, shares, strict=True)]
        if any(part is one.form.images for part, one in zip(parts, close, strict=True)):
            break
        sizes = [
            len(one.form.prefix) + len(encode_as(part, one.tag)) * one.form.images.size / part.size
            for part, one in zip(parts, close, strict=True)
        ]
        best, left = min(sizes), []
        for one, size, share in zip(close, sizes, shares, strict=True):
            gain = max(0.0, one.size / close[0].size - size / sizes[0])
            times = math.log(one.form.images.size / share, 4)
            if size - sizes[0] * gain * _GOES_ON * (1 - _GOES_ON**times) / (1 - _GOES_ON) <= best:
                left.append(one._replace(size=size))
        close = sorted(left, key=lambda choice: choice.size)[: 1 if effort == "fast" else None]
        samples *= 4
    return close


def _estimates(form: _Form, effort: Effort) -> list[_Choice]:
    """What variants would take, judged by a sample."""
    sample = _sample(form.images)
    factor = form.images.size / sample.size

    def estimate(tag: int) -> _Choice:
        payload = encode_as(sample, tag)
        size = len(form.prefix) + len(payload) * factor
        return _Choice(size, tag, form, payload if sample is form.images else None)

    found = [estimate(tag) for tag in _variants(form.images, sample)]
    smooths = [one for one in found if SMOOTH <= one.tag < REGRESSED]
    found += _repeating(form, min(smooths).tag - SMOOTH if smooths else 0, min(found).size, effort)
    if smooths and moving(form.images):
        return found + _moved(form, min(smooths))
    if not smooths or (min(smooths).size > _LOST * min(found).size and not _goes_on(_series(form.images))):
        return found
    return found + _regressed(form, min(smooths), effort)


def _repeating(form: _Form, how: int, most: float, effort: Effort) -> list[_Choice]:
    """Asking whether pixels were there before, if many are as those around them, and if it takes less than so much. It
    takes longest of all, so it must be many if there is no time."""
    series = _series(form.images)
    tag = REGRESSED + regressed.REPEATS + how
    may = _drawn(series) >= (_SAME if effort == "max" else _MOSTLY)
    if series.shape[3] == 1 or not may:
        return []
    if not all(regressed.takes(images.shape, tag - REGRESSED) for images in (form.images, series)):
        return []
    payload = encode_as(series, tag)
    size = len(form.prefix) + len(payload) * form.images.size / series.size
    whole = payload if series is form.images else None
    return [_Choice(size, tag, form, whole)] if size < most * (_MUCH if effort == "fast" else 1) else []


def _drawn(images: Images) -> float:
    """How many of the pixels are as those to the left or above."""
    left, above = ((np.diff(images, axis=axis) == 0).all(axis=3) for axis in (2, 1))
    return float((left[:, 1:] | above[:, :, 1:]).mean()) if min(images.shape[1:3]) > 1 else 0.0


def _goes_on(images: Images) -> bool:
    """Whether pixels are more like those at their places in the image before than like those to the left."""
    before, left = (np.abs(np.diff(images.astype(np.int32), axis=axis)).sum() for axis in (0, 2))
    return bool(before * images.size < left * (images.size - images[0].size))


def _alike(images: Images) -> bool:
    """Whether many of the pixels are as much like those before."""
    if len(images) == 1 or images.shape[2] == 1:
        return len(images) > 1
    before, left = (np.abs(np.diff(images.astype(np.int32), axis=axis)) for axis in (0, 2))
    return bool((before[:, :, 1:] <= left[1:]).mean() > _ALIKE)


def _regressed(form: _Form, smooth_one: _Choice, effort: Effort) -> list[_Choice]:
    """The best of least squares with no, one or two references, if it gains enough for the time it takes over the best
    of smooth images, whose colours it transforms alike."""
    series = _series(form.images)
    alike = _alike(series)
    if effort == "fast" and not alike:
        return []
    known = smooth_one.payload if series is form.images else None
    tag, best = smooth_one.tag - SMOOTH + REGRESSED, len(known or encode_as(series, smooth_one.tag))
    per_byte = smooth_one.size / best
    found: list[_Choice] = []
    most = regressed.MOST_REFERENCES if alike else 0
    for references in range(min(len(series), most + 1)):
        if not regressed.takes(form.images.shape, tag - REGRESSED) or not regressed.takes(
            series.shape, tag - REGRESSED
        ):
            break
        payload = encode_as(series, tag)
        seeing = (len(series) - references) / len(series)  # the part of the images that have so many references
        if len(payload) <= (_MUCH if effort == "fast" and not found else 1 - (1 - _GAIN) * seeing) * best:
            best = len(payload)
            whole = payload if series is form.images else None
            found = [_Choice(best * per_byte, tag, form, whole)]
        elif references and not (effort == "fast" and references == 1):
            break
        tag += regressed.REFERENCE
    return found


def _moved(form: _Form, smooth_one: _Choice) -> list[_Choice]:
    """Least squares in the light of images before, still or moved, judged by whole images, or their middles: crops do
    not show what moves."""
    alone = smooth_one.tag - SMOOTH + REGRESSED
    count, height, width, channels = form.images.shape
    few = form.images[max(0, (count - 3) // 2) :][:3]
    rows = min(height, max(1, _MOVED_SAMPLES // (2 * width * channels)))
    part = np.ascontiguousarray(few[:, (height - rows) // 2 :][:, :rows])
    if not all(regressed.takes(images.shape, alone - REGRESSED) for images in (form.images, part)):
        return []
    factor = form.images[:1].size / part[:1].size
    first = len(encode_as(part[:1], alone))
    found = [_Choice(first * count * factor, alone, form, None)]
    ways = [
        regressed.MOVED,
        *(k * regressed.REFERENCE for k in range(1, min(len(part), regressed.MOST_REFERENCES + 1))),
    ]
    for tag in (alone + way for way in ways):
        payload = encode_as(part, tag)
        others = (len(payload) - first) * (count - 1) / (len(part) - 1)
        whole = payload if part.size == form.images.size else None
        found.append(_Choice((first + others) * factor, tag, form, whole))
    return found


def _forms(images: Images) -> Iterator[_Form]:
    """The images as they are; as indices of their colours; as ranks of their samples; if there are few enough."""
    yield _Form(b"", images)
    count, height, width, channels = images.shape
    sample = _sample(images)
    for tag, some in ((PALETTE, sample.reshape(-1, channels)), (LEVELS, sample.reshape(-1, 1))):
        if (tag == PALETTE and channels == 1) or 4 * len(distinct(colours.keys(some))) > len(some) + 64:
            continue
        pixels = images.reshape(-1, some.shape[1])
        table = colours.table_of(pixels)
        if table is None or 4 * len(table) > len(pixels) + 64 or (tag == LEVELS and not _sparse(table)):
            continue
        shape = (count, height, width, 1) if tag == PALETTE else images.shape
        found = colours.Found(table, colours.places_in(pixels, table))
        found = _along(found, width) if tag == PALETTE else found
        said = _smallest_table(found.table[None, None])
        prefix = bytes([tag]) + varint(len(found.table)) + varint(len(said)) + said
        yield _Form(prefix, found.indices.reshape(shape))


def _along(found: colours.Found, width: int) -> colours.Found:
    """Colours in another order, if then pixels are nearer to those to their left: as in maps of heat, whose colours
    are a curve."""
    if not 2 < len(found.table) <= _CURVE:
        return found
    place = np.empty(len(found.table), found.indices.dtype)
    order = _curve(found.table)
    place[order] = np.arange(len(order))
    along = place[found.indices]
    steps = [int(np.abs(np.diff(one.reshape(-1, width).astype(np.int32))).sum()) for one in (along, found.indices)]
    return colours.Found(found.table[order], along) if steps[0] < _NEARER * steps[1] else found


def _curve(table: Images) -> NDArray[np.int64]:
    """A short way through colours (colours, channels): each is put in where it makes the way least longer."""
    wide = table.astype(np.int64)
    path = [0]
    for number in range(1, len(wide)):
        to = np.abs(wide[path] - wide[number]).sum(axis=1)
        steps = np.abs(np.diff(wide[path], axis=0)).sum(axis=1)
        path.insert(int(np.concatenate([to[:1], to[1:] + to[:-1] - steps, to[-1:]]).argmin()), number)
    return np.array(path)


class _FormOfLots(NamedTuple):
    """The same of lots of images, which are of one channel then."""

    prefix: bytes
    lots: list[Images]


def _form_of_lots(lots: list[Images]) -> _FormOfLots | None:
    """Lots as indices of their colours, or as they are if they have but one channel; None if there are too many."""
    channels = lots[0].shape[3]
    pixels = np.concatenate([images.reshape(-1, channels) for images in lots])
    found = colours.count(pixels)
    if found is None or 4 * len(found.table) > len(pixels) + 64:
        return None
    if channels == 1 and not _sparse(found.table):
        return _FormOfLots(b"", lots)
    said = _smallest_table(found.table[None, None])
    prefix = bytes([PALETTE]) + varint(len(found.table)) + varint(len(said)) + said
    ends = np.cumsum([images.size // channels for images in lots])
    parts = np.split(found.indices.reshape(-1), ends[:-1])
    return _FormOfLots(prefix, [part.reshape(*images.shape[:3], 1) for part, images in zip(parts, lots, strict=True)])


def _smallest_table(table: Images) -> bytes:
    """The payload of colours or levels, (1, 1, n, channels)."""
    tags = [0, serial.LZMA, serial.LZMA | serial.MEDIAN, serial.DEFLATE]
    tags += [SMOOTH] if smooth.takes(table.shape, 0) else []
    return min((encode_as(table, tag) for tag in tags), key=len)


def _sparse(levels: Images) -> bool:
    """Whether the sample values in use are but half of those up to the largest."""
    return 2 * len(levels) <= int(levels[-1, 0]) + 1


def _variants(images: Images, sample: Images) -> Iterator[int]:
    """Tags of the variants that may pay."""
    yield serial.LZMA
    yield serial.COUNTED
    if images.size <= 1 << 12:
        yield from (0, serial.DEFLATE)
    levels = len(distinct(sample))
    two_valued = levels <= 2 and _two_valued(images)
    mixed = mixing.takes(images.shape) and levels <= _MIXED_LEVELS
    yield serial.LZMA | (serial.TWO_VALUES if two_valued else serial.MEDIAN)
    if not (two_valued and mixed):  # two values are never smooth: so there is nothing to compile for them, either
        clear = smooth.CLEAR if smooth.can_be_clear(images) else 0
        yield from (SMOOTH + how for how in range(clear, clear + smooth.TRANSFORMS) if smooth.takes(images.shape, how))
    if mixed:
        yield MIXING


def _two_valued(images: Images) -> bool:
    """Whether they have no more than two values."""
    low, high = images.min(), images.max()
    return bool(((images == low) | (images == high)).all())


def _sample(images: Images) -> Images:
    """Images that follow one another, from several places; of few large ones windows."""
    return _part(images, _SAMPLE, _RUN)


def _series(images: Images) -> Images:
    """The same, of more images that follow one another; if there is but one, the sample."""
    return _part(images, _SERIES_SAMPLES, _SERIES) if len(images) > 1 else _sample(images)


def _part(images: Images, samples: int, run: int) -> Images:
    """About so many samples, in runs of so many images or more; images of up to twice as many are taken whole."""
    count = len(images)
    if images.size <= 2 * samples:
        return images
    wanted = min(count, max(run, samples // images[0].size))
    runs = max(1, wanted // (2 * run))
    each = wanted // runs
    firsts = ((count - each) * (2 * k + 1) // (2 * runs) for k in range(runs))
    area = samples // (runs * each * images.shape[3])
    return np.concatenate([_windows(images[first : first + each], area) for first in firsts])


def _windows(images: Images, area: int) -> Images:
    """Images of about so many pixels, put together of up to nine windows of each image, the same of all."""
    height, width = images.shape[1:3]
    rows = min(height, max(1, int(area**0.5), area // width))
    columns = min(width, max(1, area // rows))
    for axis, part, size in ((1, rows, height), (2, columns, width)):
        if _PLACES <= part < size:
            each = part // _PLACES
            firsts = ((size - each) * (2 * k + 1) // (2 * _PLACES) for k in range(_PLACES))
            images = np.concatenate([images.take(range(at, at + each), axis) for at in firsts], axis)
        else:
            images = images.take(range((size - part) // 2, (size + part) // 2), axis)
    return np.ascontiguousarray(images)
