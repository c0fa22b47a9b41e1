"""A simple image or array file within gzip (``.gz``), as MNIST is distributed, byte for byte.

A gzip file is members one after the other, each with a header, a deflate stream and an ending. The blob holds, member
by member, the header, what the rules of the deflate encoder do not explain, and the ending if it is not what it should
be; then what follows the last member, and the blob of the file inside.
"""

from __future__ import annotations

import zlib

from bitsback.errors import ImageError
from bitsback.files import formats, gz_pixels
from bitsback.files.packed import Sections, section, varint
from bitsback.files.picture import MAX_SAMPLES, Buffer, Content, Images, NoImageError, Recipe

_MAGIC = b"\x1f\x8b\x08"


def read(data: Buffer, pixels: bool = False) -> Content:
    """Take a gzip file apart; ``pixels``: only what it holds and its header, not how it was deflated.

    Raises ImageError if it is damaged, holds nothing that can be taken apart, or would not gain by it.
    """
    if pixels:
        return gz_pixels.read(data)
    from bitsback.files.deflate import take_apart  # here, so that other files never wait for the compiler

    view = memoryview(data)
    _check_beginning(view)
    members: list[Recipe] = []
    blob: list[bytes] = []
    plains: list[bytes] = []
    at, left, extra = 0, MAX_SAMPLES, 0
    while bytes(view[at : at + 3]) == _MAGIC:
        start = at + gz_pixels.header(bytes(view[at : at + (1 << 16)]))
        try:
            plain, rules, corrections, size = take_apart(view[start:], left)
        except ImageError:
            if not members:
                raise
            break  # it only looks like another member
        stop = start + size
        member: Recipe = {"deflate": rules}
        blob.append(section(bytes(view[at:start])))
        if corrections:
            member["corrected"] = 1
            blob.append(section(corrections))
            extra += len(blob[-1])
        if (ending := bytes(view[stop : stop + 8])) != _ending(plain):
            member["ending"] = 1
            blob.append(section(ending))
        members.append(member)
        plains.append(plain)
        at, left = min(stop + 8, len(view)), left - len(plain)
    inner = plains[0] if len(plains) == 1 else b"".join(plains)
    kind = formats.recognise(inner)
    if kind not in gz_pixels.INNER:
        raise NoImageError
    content = formats.read(kind, inner)
    if formats.write(content.recipe, content.blob, content.parts) != inner:
        raise ImageError("the file in the gzip file would not come back unchanged")
    blob += [section(bytes(view[at:])), *(varint(len(plain)) for plain in plains[:-1]), content.blob]
    recipe: Recipe = {"format": "gzip", "members": members, "inner": content.recipe}
    return Content(content.parts, recipe, b"".join(blob), corrections=extra)


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    if "members" not in recipe:
        return gz_pixels.write(recipe, blob, parts)
    from bitsback.files.deflate import put_together

    if recipe["inner"]["format"] not in (*gz_pixels.INNER, "words"):
        raise ValueError("nothing that gzip files are taken apart for")
    sections = Sections(blob)
    members = [
        (
            member["deflate"],
            sections.section(),
            sections.section() if member.get("corrected") else b"",
            sections.section() if member.get("ending") else None,
        )
        for member in recipe["members"]
    ]
    trailing = sections.section()
    sizes = [sections.varint() for _ in members[1:]]
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


def _ending(plain: bytes) -> bytes:
    """The checksum and size that follow a stream."""
    return zlib.crc32(plain).to_bytes(4, "little") + (len(plain) & 0xFFFFFFFF).to_bytes(4, "little")


def _check_beginning(view: memoryview) -> None:
    """Raise NoImageError if the content does not begin as something that can be taken apart does."""
    start = gz_pixels.header(bytes(view[: 1 << 16]))
    stream = zlib.decompressobj(-15)
    try:
        beginning = stream.decompress(view[start:], formats.MAGIC_BYTES)
    except zlib.error as error:
        raise ImageError(f"damaged gzip content ({error})") from None
    if not stream.eof and formats.recognise(beginning) not in gz_pixels.INNER:
        raise NoImageError


__all__ = ["read", "write"]
