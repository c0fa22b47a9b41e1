"""Archives that no writer makes, put together of the writer's own parts, so that every check in them is right.

Checks find accidents; who means harm computes them as we do. What has to hold against those is everything behind.
"""

from __future__ import annotations

import io
import json
import lzma
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bitsback.archive.container import ContainerWriter, Header, Kind, System, check_sum
from bitsback.archive.directory import Content, Directory, Row
from bitsback.archive.fields import fields, varint, varints
from bitsback.archive.head import Block, Bytes, DataHead, Piece
from bitsback.archive.member import Entry
from bitsback.archive.packing import Packing, pack
from bitsback.kinds.lots import Lot

NPY = '{"format":"npy","head":0,"layout":{}}'
RUN = 0x5EED


class Made(NamedTuple):
    """A chunk to be written."""

    kind: Kind
    head: bytes
    payload: bytes = b""
    flags: int = 0


def archive(chunks: Iterable[Made]) -> bytes:
    """An archive of these chunks."""
    stream = io.BytesIO()
    writer = ContainerWriter(stream, Header(RUN, System.POSIX))
    for chunk in chunks:
        writer.add(chunk.kind, chunk.head, chunk.payload, chunk.flags)
    writer.finish()
    return stream.getvalue()


def directory(rows: Sequence[Row], contents: Sequence[Content], first: tuple[int, int] = (0, 0)) -> Made:
    """A directory as the writer makes it; ``first``: the numbers of its first member and content."""
    return Made(Kind.DIRECTORY, *Directory(*first, rows, contents).encode(System.POSIX))


def raw_directory(values: dict[int, bytes], members: int, contents: int, first: tuple[int, int] = (0, 0)) -> Made:
    """A directory of fields that need not make sense."""
    body = fields(values)
    how, packed = pack(body)
    return Made(Kind.DIRECTORY, bytes([how]) + varints((*first, members, contents, len(body))), packed)


def data(head: DataHead, payload: bytes) -> Made:
    """A chunk of data."""
    return Made(Kind.DATA, head.encode(), payload)


def raw_data(values: dict[int, bytes], payload: bytes = b"") -> Made:
    """A chunk of data with a head of fields that need not make sense."""
    body = fields(values)
    how, packed = pack(body)
    start = b"\0" + bytes([how])
    return Made(Kind.DATA, start + (b"" if how == Packing.STORED else varint(len(body))) + packed, payload)


def packed(content: bytes) -> tuple[Bytes, bytes]:
    """A section of bytes, and what it takes in a payload."""
    how, stored = pack(content)
    return Bytes(how, len(content), check_sum(content), len(stored)), stored


def of_blocks(
    blocks: Sequence[tuple[Block, bytes]],
    recipe: dict[str, Any] | str | None = NPY,
    blob: bytes = b"",
    size: int | None = None,
    extra: Sequence[Made] = (),
    *,
    pixels_only: bool = False,
) -> bytes:
    """An archive of one file: an array of images for each block, and a blob.

    ``size``: what the file is said to have, by default what its arrays and its blob have. ``extra``: chunks in front.
    """
    section, stored = packed(blob) if blob else (None, b"")
    text = json.dumps(recipe, sort_keys=True) if isinstance(recipe, dict) else recipe
    if size is None:
        size = len(blob) + sum(block.samples * block.sample_bytes for block, _ in blocks)
    content = Content(size, len(blob), text, tuple(block.count for block, _ in blocks), pixels_only)
    head = DataHead(
        [block for block, _ in blocks],
        [Piece(0, part, 0, block.count) for part, (block, _) in enumerate(blocks, 1)],
        section,
        [Piece(0, 0, 0, len(blob))] if blob else [],
    )
    payload = b"".join([stored, *(payload for _, payload in blocks)])
    return archive([*extra, directory([Row(Entry("a.npy"), 0)], [content]), data(head, payload)])


def block(
    payload: bytes, shape: tuple[int, int, int], tag: int = 1, count: int = 1, sample_bytes: int = 1, **more: Any
) -> tuple[Block, bytes]:
    """A block that decodes to zeros, if to anything, and its payload."""
    size = count * shape[0] * shape[1] * shape[2] * sample_bytes
    check = check_of_zeros(size) if size <= 1 << 28 else 0
    return Block(tag, sample_bytes, (Lot(count, shape),), len(payload), check, **more), payload


def zeros(size: int) -> bytes:
    """A payload of the adaptive kind: so many bytes of samples, all 0, by LZMA."""
    chain = {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 22, "lc": 3, "pb": 0}
    return b"\x10" + lzma.compress(bytes(size), lzma.FORMAT_RAW, filters=[chain])


def check_of_zeros(size: int) -> int:
    """The check of so many zeros."""
    return check_sum(bytes(size))
