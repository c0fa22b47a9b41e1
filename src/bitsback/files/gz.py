"""A file within gzip (``.gz``), as MNIST and most tar files are distributed, byte for byte.

A gzip file is members one after the other, each with a header, a deflate stream and an ending. The blob holds, member
by member, the header, what the rules of the deflate encoder do not explain, and the ending if it is not what it should
be; then what follows the last member, and the blob of the file inside, which is taken apart as any other is: a tar file
may hold many.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from bitsback.errors import ImageError
from bitsback.files import formats, gz_pixels
from bitsback.files.bulk import PIECE, PIECES
from bitsback.files.packed import Sections, section, varint
from bitsback.files.picture import Budget, Buffer, Content, Images, NoImageError, Recipe

MAX_OTHER = 1 << 23
"""Bytes that are no images, where these are few: following the encoder takes about a second a MB."""

_AT_ONCE = 1 << 14
"""Bytes that are inflated at a time."""

_MAGIC = b"\x1f\x8b\x08"
_NEVER = (None, "gzip")
"""Formats of a content that are not taken apart: none, and another layer."""

_Told = tuple[list[int], bytes, bytes, bytes | None]
"""Of a member: the rules of its stream, its header, corrections, and its ending if it is not what it should be."""


def read(data: Buffer, pixels: bool = False, budget: Budget | None = None) -> Content:
    """Take a gzip file apart; ``pixels``: only what it holds and its header, not how it was deflated, where that can be
    told apart; ``budget``: what files within it may still unpack.

    Raises ImageError if it is damaged, holds nothing that can be taken apart, or would not gain by it.
    """
    view = memoryview(data)
    kind = _announced(view)
    if pixels and kind in gz_pixels.INNER and (content := gz_pixels.read(data)) is not None:
        return content
    budget = budget or Budget()
    inner, members = _inflated(view, budget)
    kind = formats.recognise(inner)
    if kind in _NEVER:
        raise NoImageError
    left = Budget(budget.left, budget.depth, MAX_OTHER)
    budget.take(len(inner))  # which counts if nothing comes of it, too, but not besides what does
    content = formats.read(kind or "", inner, budget=left)
    budget.left = min(budget.left, left.left)
    if len(content.blob) > MAX_OTHER + 4 * sum(part.nbytes for part in content.parts):
        raise NoImageError
    if not content.sure and formats.write(content.recipe, content.blob, content.parts) != inner:
        raise ImageError("the file in the gzip file would not come back unchanged")
    recipes, blob, corrections = _explained(view, members)
    trailing = view[members[-1].end :]
    blob += [section(bytes(trailing)), *(varint(member.size) for member in members[:-1]), content.blob]
    recipe: Recipe = {"format": "gzip", "members": recipes, "inner": content.recipe}
    return Content(content.parts, recipe, b"".join(blob), corrections=corrections + content.corrections)


def within(recipe: Recipe, blob: bytes) -> tuple[Recipe, bytes]:
    """Recipe and blob of the file within. Raises ValueError, KeyError ... if recipe and blob do not fit together."""
    if "members" not in recipe:
        return recipe["inner"], blob[recipe["header"] :]
    sections = Sections(blob)
    _members(recipe, sections)
    return recipe["inner"], sections.rest()


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    if "members" not in recipe:
        return gz_pixels.write(recipe, blob, parts)
    from bitsback.files.deflate import put_together

    if recipe["inner"]["format"] in _NEVER:
        raise ValueError("nothing that gzip files are taken apart for")
    sections = Sections(blob)
    members, trailing, sizes = _members(recipe, sections)
    inner = memoryview(formats.write(recipe["inner"], sections.rest(), parts))
    sizes.append(len(inner) - sum(sizes))
    if sizes[-1] < 0:
        raise ValueError("the members of a gzip file do not fit its content")
    out, at = [], 0
    for (rules, header, corrections, ending), size in zip(members, sizes, strict=True):
        plain = bytes(inner[at : at + size])
        at += size
        out += [header, put_together(plain, rules, corrections), _ending(plain) if ending is None else ending]
    return b"".join([*out, trailing])


class _Member(NamedTuple):
    """Where a member of a gzip file begins, and its stream; where it ends; and how much it holds."""

    start: int
    stream: int
    end: int
    size: int


def _inflated(view: memoryview, budget: Budget) -> tuple[memoryview, list[_Member]]:
    """What all members hold, one after the other. Raises ImageError if it is beyond the budget, which that ends."""
    members: list[_Member] = []
    plain = bytearray()
    at = 0
    while bytes(view[at : at + 3]) == _MAGIC:
        stream, before = at + gz_pixels.header(bytes(view[at : at + (1 << 16)])), len(plain)
        try:
            end = min(_inflate(view, stream, plain, budget) + 8, len(view))
        except (zlib.error, ImageError) as error:
            if not members:
                raise ImageError(f"damaged gzip content ({error})") from None
            del plain[before:]
            break  # it only looks like another member
        members.append(_Member(at, stream, end, len(plain) - before))
        if len(members) > PIECES + len(view) // PIECE:
            raise ImageError("gzip content in very many members")
        at = end
    return memoryview(plain).toreadonly(), members


def _inflate(view: memoryview, at: int, plain: bytearray, budget: Budget) -> int:
    """Put behind ``plain`` what a stream holds, piece by piece, as it may be much; where the stream ends."""
    inflater = zlib.decompressobj(-15)
    while not inflater.eof and at < len(view):
        plain += inflater.decompress(view[at : at + _AT_ONCE])
        at = min(at + _AT_ONCE, len(view))
        if len(plain) > budget.left:
            budget.left = 0
            raise ImageError("it is too large")
    if not inflater.eof:
        raise ImageError("it is cut off")
    return at - len(inflater.unused_data)


def _explained(view: memoryview, members: list[_Member]) -> tuple[list[Recipe], list[bytes], int]:
    """How each member was deflated: entries of the recipe, what belongs to them in the blob, and the bytes of
    corrections in that."""
    from bitsback.files.deflate import take_apart  # here, so that other files never wait for the compiler

    recipes: list[Recipe] = []
    blob: list[bytes] = []
    extra = 0
    for start, stream, end, size in members:
        plain, rules, corrections, used = take_apart(view[stream:end], size)
        recipe: Recipe = {"deflate": rules}
        blob.append(section(bytes(view[start:stream])))
        if corrections:
            recipe["corrected"] = 1
            blob.append(section(corrections))
            extra += len(blob[-1])
        if (ending := bytes(view[stream + used : end])) != _ending(plain):
            recipe["ending"] = 1
            blob.append(section(ending))
        recipes.append(recipe)
    return recipes, blob, extra


def _members(recipe: Recipe, sections: Sections) -> tuple[list[_Told], bytes, list[int]]:
    """What the blob says of each member, and behind the last one; and how much each but the last holds."""
    members = [
        (
            member["deflate"],
            sections.section(),
            sections.section() if member.get("corrected") else b"",
            sections.section() if member.get("ending") else None,
        )
        for member in recipe["members"]
    ]
    return members, sections.section(), [sections.varint() for _ in members[1:]]


def _ending(plain: bytes) -> bytes:
    """The checksum and size that follow a stream."""
    return zlib.crc32(plain).to_bytes(4, "little") + (len(plain) & 0xFFFFFFFF).to_bytes(4, "little")


def _announced(view: memoryview) -> str | None:
    """The format that the content announces. Raises NoImageError if it is none that can be taken apart."""
    start = gz_pixels.header(bytes(view[: 1 << 16]))
    stream = zlib.decompressobj(-15)
    try:
        beginning = stream.decompress(view[start:], formats.MAGIC_BYTES)
    except zlib.error as error:
        raise ImageError(f"damaged gzip content ({error})") from None
    kind = formats.recognise(beginning)
    if not stream.eof and kind in _NEVER:
        raise NoImageError
    return kind


__all__ = ["read", "within", "write"]
