"""FITS: the images of astronomy, in the first unit and its extensions. (FITS Standard 4.0, sections 3 to 5 and 7.1.)"""

from __future__ import annotations

import math
import re

from bitsback.errors import ImageError
from bitsback.files.numbers import samples, slices
from bitsback.files.picture import Buffer, Content
from bitsback.files.places import Files, Numbers, Samples, Span, read_places
from bitsback.files.words import MIN_BYTES

_RECORD, _CARD = 2880, 80
_TYPES = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}
_VALUE = re.compile(rb"(.{8})= +(-?\d+|T|F|'[^']*')", re.DOTALL)


def read(data: Buffer) -> Content:
    """Take a FITS file apart. Raises ImageError if it is damaged or holds no images."""
    found: list[Samples | Numbers | Files] = []
    at, reason = 0, "no images in a FITS file"
    while at < len(data):
        fields, start = _header(data, at)
        if fields is None:
            break
        axes: list[int] = [int(fields.get(b"NAXIS%d" % k, 0)) for k in range(int(fields.get(b"NAXIS", 0)), 0, -1)]
        if any(axis < 0 for axis in axes) or len(axes) > 99:
            raise ImageError("a damaged FITS header")
        of_type = _TYPES.get(int(fields.get(b"BITPIX", 0)), "")
        if not of_type:
            raise ImageError("a damaged FITS header")
        count = math.prod(axes)
        extra = int(fields.get(b"PCOUNT", 0))
        size = (count + extra) * int(of_type[1:]) * int(fields.get(b"GCOUNT", 1)) if axes else 0
        if len(axes) >= 2 and count and fields.get(b"XTENSION", b"'IMAGE   '").rstrip(b" '") == b"'IMAGE":
            axes = slices(axes)
            try:
                if of_type in ("u1", "i2"):
                    found.append(samples(start, axes, of_type, big=True))
                elif count * int(of_type[1:]) >= MIN_BYTES:
                    found.append(Numbers([Span(start, count * int(of_type[1:]))], axes, of_type, big=True))
                else:
                    reason = "an array of few numbers"
            except ImageError as error:
                reason = str(error)
        if size < 0:
            raise ImageError("a damaged FITS header")
        at = start + -(-size // _RECORD) * _RECORD
    if not found:
        raise ImageError(reason)
    return read_places("fits", data, found)


def _header(data: Buffer, at: int) -> tuple[dict[bytes, bytes] | None, int]:
    """The values of a header, and where it ends; None if none begins there."""
    fields: dict[bytes, bytes] = {}
    first = at
    if bytes(data[at : at + 8]) not in (b"SIMPLE  ", b"XTENSION"):
        return None, at
    while at < len(data) and at - first < 1 << 22:
        card = bytes(data[at : at + _CARD])
        at += _CARD
        if card.startswith(b"END     "):
            return fields, first + -(-(at - first) // _RECORD) * _RECORD
        if match := _VALUE.match(card):
            fields.setdefault(match[1].rstrip(), match[2])
    raise ImageError("a FITS header without an end")
