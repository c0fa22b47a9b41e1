"""JPEG files, and several in one: MPO, which cameras write for pairs, previews and gain maps.

(CIPA DC-007, "Multi-Picture Format".) A segment of the first image lists where all are; each is a file within the file.
"""

from __future__ import annotations

import struct

from bitsback.errors import ImageError
from bitsback.files import jpeg
from bitsback.files.picture import Budget, Buffer, Content
from bitsback.files.places import Files, Span, read_places

_SEARCHED = 1 << 18
"""Bytes in which the segment stands."""

_MARK, _ENTRIES, _MOST = b"MPF\0", 0xB002, 256


def read(data: Buffer, budget: Budget) -> Content:
    """Take a JPEG file apart, or those in an MPO file. Raises ImageError if it is of another sort."""
    spans = _images(memoryview(data))
    if len(spans) > 1:
        try:
            content = read_places("mpo", data, [Files(spans, read=lambda one, _: jpeg.read(one))], budget, sparse=True)
        except ImageError:
            return jpeg.read(data)
        if len(content.parts) == len(spans):
            return content
    return jpeg.read(data)


def _images(view: memoryview) -> list[Span]:
    """Where the images are, by the list; nothing if there is none that makes sense."""
    head = bytes(view[:_SEARCHED])
    at = head.find(_MARK)
    if at < 6 or head[at - 4 : at - 2] != b"\xff\xe2":
        return []
    start = at + len(_MARK)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[start : start + 4])
    try:
        if order is None:
            return []
        first = start + struct.unpack_from(order + "I", head, start + 4)[0]
        (count,) = struct.unpack_from(order + "H", head, first)
        for entry in range(first + 2, first + 2 + 12 * count, 12):
            tag, _, size, where = struct.unpack_from(order + "HHII", head, entry)
            if tag == _ENTRIES:
                found = [struct.unpack_from(order + "4xII", head, start + where + 16 * k) for k in range(size // 16)]
                starts = [start + offset if offset else 0 for _, offset in found]
                if len(found) > _MOST or starts[:1] != [0] or starts != sorted(starts):
                    return []
                ends = [*starts[1:], len(view)]  # Pillow gives wrong sizes from the third image on
                return [
                    Span(at, max(0, min(size, end - at)))
                    for (size, _), at, end in zip(found, starts, ends, strict=True)
                ]
    except struct.error:
        pass
    return []


__all__ = ["read"]
