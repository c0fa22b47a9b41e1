"""PNG and APNG: chunks as they were, pixels by how they were filtered and deflated, unless only pixels are asked for.

Pixels are the samples as they are stored: 1, 2 and 4 bits unscaled, 16 bits in full; of a palette the colours, unless
these do not tell the indices (:mod:`bitsback.files.png_palette`), or are two. Frames of an animation are images like
the first; those of one size that follow each other become one part.

The recipe says what similar files have in common: the header but for the size, the names of the chunks (``IDAT`` and
``fdAT`` once for several in a row), and for each image how its filters were chosen, the rules of the deflate encoder
(:mod:`bitsback.files.deflate`), the size of the chunks that its stream was cut into. The blob holds, chunk by chunk,
what is not pixels, and what the rules do not explain.
"""

from __future__ import annotations

import struct
import zlib
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from bitsback.errors import ImageError
from bitsback.files import png_palette, png_pixels
from bitsback.files.packed import Sections, section, varints
from bitsback.files.picture import MAX_SAMPLES, Buffer, Content, Images, Recipe, can_inflate

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_USUAL_HEAD = 0x789C
_IMAGES = (b"IDAT", b"fdAT")
_CHUNKS, _CHUNK = 1 << 12, 16
"""So many chunks an image may be cut into; more only where there are so many bytes for each."""


class _Chunk(NamedTuple):
    kind: bytes
    body: memoryview
    crc: bytes

    @property
    def sound(self) -> bool:
        return self.crc == _crc(self.kind, self.body)


def read(data: Buffer, pixels: bool = False) -> Content:
    """Take a PNG file apart; ``pixels``: only what its IDAT shows and its other chunks, not how it was deflated.

    Raises ImageError if it is damaged, holds something unknown that is critical, or would not gain by it.
    """
    from bitsback.files.png_rows import Header  # here, so that files without pixels never wait for the compiler

    chunks, trailing = _chunks(memoryview(data))
    wrong = [index for index, chunk in enumerate(chunks) if not chunk.sound]
    if pixels and wrong:
        raise ImageError(f"wrong checksum in the PNG chunk {chunks[wrong[0]].kind.decode()}")
    header = Header.read(bytes(chunks[0].body))
    frames: list[Images] = []
    images: list[Recipe] = []
    names: list[str] = []
    blob: list[bytes] = []
    left, sequence, only_exact, size = MAX_SAMPLES, -1, 0, (header.width, header.height)
    for kind, several in groupby(chunks[1:-1], key=lambda chunk: chunk.kind if _shows(chunk, pixels) else object()):
        run = list(several)
        names.append(run[0].kind.decode("ascii"))
        if not isinstance(kind, bytes):
            blob.append(section(bytes(run[0].body)))
            if run[0].kind == b"fcTL" and len(run[0].body) == 26:
                sequence, *size_given = struct.unpack_from(">III", run[0].body)
                size = (size_given[0], size_given[1])
            continue
        bodies = [chunk.body for chunk in run]
        if kind == b"fdAT":
            bodies, sequence = _without_numbers(bodies, sequence)
        elif frames:
            raise ImageError("the PNG has chunks among its pixels")
        of_frame = Header(*(size if kind == b"fdAT" else (header.width, header.height)), header.depth, header.colour,
                          header.interlace)  # fmt: skip
        left -= of_frame.bytes
        if left < 0:
            raise ImageError(f"a PNG of {header.width} x {header.height} pixels is too large to take apart")
        if pixels:
            frames.append(png_pixels.read_image(bodies, of_frame))
            blob.append(b"")
            continue
        frame, image, extra = _read_image(bodies, of_frame)
        frames.append(frame)
        images.append(image)
        blob.append(extra)
        only_exact += len(extra)
    if not frames or names.count("IDAT") != 1:
        raise ImageError("the PNG has no pixels")
    recipe: Recipe = {"format": "png", "depth": header.depth, "colour": header.colour}
    if header.interlace:
        recipe["interlace"] = 1
    if names != ["IDAT"]:
        recipe["chunks"] = " ".join(names)
    if not pixels:
        recipe["images"] = images if any(image != images[0] for image in images) else images[:1]
    parts = [np.concatenate(list(same)) for _, same in groupby(frames, key=lambda frame: frame.shape)]
    if header.colour == 3 and header.depth > 1 and (found := _painted(parts, names, chunks)):
        parts, said, gone = found
        recipe["palette"] = 1
        blob = [section(said), *(text for place, text in enumerate(blob) if place not in gone)]
    if wrong:
        recipe["crc"] = 1
        blob += [varints(wrong), *(chunks[index].crc for index in wrong)]
    return Content(parts, recipe, b"".join([*blob, trailing]), exact=not pixels, corrections=only_exact)


def write(recipe: Recipe, blob: bytes, parts: list[Images]) -> bytes:
    """The file again."""
    from bitsback.files.png_rows import Header

    sections = Sections(blob)
    palettes: dict[str, bytes] = {}
    if recipe.get("palette"):
        parts, palette = png_palette.unpaint(parts, sections.section())
        palettes = {"PLTE": palette.colours, "tRNS": palette.transparency or b""}
    frames = [frame for part in parts for frame in part]
    names = recipe.get("chunks", "IDAT").split()
    shows = (b"IDAT",) if "images" not in recipe else _IMAGES
    images = recipe.get("images", [None])
    images = images * (len(frames) if len(images) == 1 else 1)
    if sum(name.encode() in shows for name in names) != len(frames) or len(images) != len(frames):
        raise ValueError("the pixels do not fit the PNG header")

    def header_of(frame: Images) -> Header:
        header = Header(frame.shape[1], frame.shape[0], recipe["depth"], recipe["colour"], recipe.get("interlace", 0))
        if frame.shape[2] != header.channels:
            raise ValueError("the pixels do not fit the PNG header")
        return header

    done, sequence = 0, -1
    first = frames[[name for name in names if name.encode() in shows].index("IDAT")]
    chunks = [(b"IHDR", header_of(first).write())]
    for name in names:
        kind = name.encode("ascii")
        if len(kind) != 4:
            raise ValueError("a chunk's name has four letters")
        if kind not in shows:
            body = palettes.pop(name) if name in palettes else sections.section()
            if kind == b"fcTL" and len(body) == 26:
                (sequence,) = struct.unpack_from(">I", body)
            chunks.append((kind, body))
            continue
        for piece in _write_image(frames[done], header_of(frames[done]), images[done], sections):
            if kind == b"fdAT":
                sequence += 1
                piece = struct.pack(">I", sequence & 0xFFFFFFFF) + piece
            chunks.append((kind, piece))
        done += 1
    chunks.append((b"IEND", b""))
    wrong = sections.varints(len(chunks)) if recipe.get("crc") else []
    crcs = {index: sections.take(4) for index in wrong}
    out = [SIGNATURE]
    for index, (kind, body) in enumerate(chunks):
        out += [struct.pack(">I", len(body)), kind, body, crcs.get(index) or _crc(kind, body)]
    return b"".join([*out, sections.rest()])


def _shows(chunk: _Chunk, pixels: bool) -> bool:
    """Whether a chunk holds an image; the frames of an animation count as chunks where pixels are all that is asked
    for, as how often they are cut decides what numbers follow."""
    return chunk.kind == b"IDAT" or (chunk.kind == b"fdAT" and not pixels)


def _painted(
    parts: list[Images], names: list[str], chunks: list[_Chunk]
) -> tuple[list[Images], bytes, set[int]] | None:
    """The parts in colours, what is said of the palette, and which names' bodies that is."""
    places = {name: names.index(name) for name in ("PLTE", "tRNS") if name in names}
    bodies = {chunk.kind: bytes(chunk.body) for chunk in reversed(chunks)}  # the first of each
    found = png_palette.paint(parts, png_palette.Palette(bodies.get(b"PLTE", b""), bodies.get(b"tRNS")))
    return found and (*found, set(places.values()))


def _crc(kind: bytes, body: Buffer) -> bytes:
    return zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")


def _chunks(view: memoryview) -> tuple[list[_Chunk], bytes]:
    """All chunks to IEND, and the bytes behind it. Raises ImageError."""
    chunks: list[_Chunk] = []
    at = len(SIGNATURE)
    while not chunks or chunks[-1].kind != b"IEND":
        if at + 12 > len(view):
            raise ImageError("the PNG ends before its IEND chunk")
        length, kind = struct.unpack_from(">I4s", view, at)
        stop = at + 12 + length
        name = ascii(kind)[2:-1]
        if stop > len(view):
            raise ImageError(f"the PNG ends within its chunk {name}")
        if not kind.isalpha():
            raise ImageError(f"the PNG has a chunk {name}, which is no name")
        if not kind[0] & 0x20 and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            raise ImageError(f"the PNG chunk {name} is unknown and critical")
        if not chunks and (kind != b"IHDR" or length != 13):
            raise ImageError("the PNG does not begin with its header")
        if (chunks and kind == b"IHDR") or (kind == b"IEND" and length):
            raise ImageError(f"the PNG has an unusual chunk {name}")
        chunks.append(_Chunk(kind, view[at + 8 : stop - 4], bytes(view[stop - 4 : stop])))
        at = stop
    return chunks, bytes(view[at:])


def _without_numbers(bodies: list[memoryview], sequence: int) -> tuple[list[memoryview], int]:
    """The bodies of fdAT chunks without their numbers, which go on from ``sequence``, and the last one."""
    for body in bodies:
        sequence += 1
        if len(body) < 4 or int.from_bytes(body[:4], "big") != sequence:
            raise ImageError("the frames of the PNG are not in order")
    return [body[4:] for body in bodies], sequence


def _read_image(bodies: list[memoryview], header: Any) -> tuple[Images, Recipe, bytes]:
    """A stream cut into chunks -> samples, the image's part of the recipe, and what the blob has to say."""
    from bitsback.files.deflate import take_apart
    from bitsback.files.png_rows import explain_choices, gather, plain_rows

    data = bodies[0] if len(bodies) == 1 else memoryview(b"".join(bodies))
    if len(bodies) > _most_chunks(data):
        raise ImageError("the pixels of the PNG are cut into too many chunks")
    if not can_inflate(header.size, len(data)):
        raise ImageError("the PNG promises more pixels than it can hold")
    if len(data) < 2 or data[1] & 0x20:
        raise ImageError("damaged PNG pixels (no zlib stream)")
    lines, rules, corrections, size = take_apart(data[2:], header.size)
    if len(lines) != header.size:
        raise ImageError("the PNG holds fewer pixels than its header says")
    frame, kinds = gather(lines, header)
    choice, chosen = explain_choices(kinds, plain_rows(frame[0], header), header)
    image: Recipe = {"deflate": rules}
    blob = b""
    if choice != 0:
        image["filter"] = choice
    if isinstance(choice, list):
        blob += section(chosen)
    if corrections:
        image["corrected"] = 1
        blob += section(corrections)
    if (head := int.from_bytes(data[:2], "big")) != _USUAL_HEAD:
        image["head"] = head
    if (tail := bytes(data[2 + size :])) != zlib.adler32(lines).to_bytes(4, "big"):
        image["tail"] = 1
        blob += section(tail)
    if len(bodies) > 1:
        sizes = list(map(len, bodies))
        if len(set(sizes[:-1])) == 1 and 0 < sizes[-1] <= sizes[0]:
            image["cut"] = sizes[0]
        else:
            image["cut"] = 0
            blob += varints(sizes)
    return frame, image, blob


def _most_chunks(data: Buffer) -> int:
    return _CHUNKS + len(data) // _CHUNK


def _write_image(frame: Images, header: Any, image: Recipe | None, sections: Sections) -> list[bytes]:
    """The inverse of :func:`_read_image`: the bodies of the chunks; of one, filtered and deflated anyhow, for None."""
    if image is None:
        return [png_pixels.write_image(frame, header)]
    from bitsback.files.deflate import put_together
    from bitsback.files.png_rows import choices, filtered, plain_rows

    choice = image.get("filter", 0)
    chosen = sections.section() if isinstance(choice, list) else b""
    corrections = sections.section() if image.get("corrected") else b""
    rows = plain_rows(frame, header)
    lines = filtered(rows, header, choices(choice, chosen, rows, header))
    stream = put_together(lines, image["deflate"], corrections)
    tail = sections.section() if image.get("tail") else zlib.adler32(lines).to_bytes(4, "big")
    data = image.get("head", _USUAL_HEAD).to_bytes(2, "big") + stream + tail
    cut = image.get("cut", len(data))
    most = _most_chunks(data)
    if cut and len(data) // cut >= most:
        raise ValueError("the deflated pixels are cut into too many chunks")
    full, rest = divmod(len(data), cut) if cut else (0, 0)
    sizes = [cut] * full + [rest] * (rest > 0) if cut else sections.varints(most)
    if sum(sizes) != len(data):
        raise ValueError("the chunks do not fit the deflated pixels")
    ends = np.cumsum(sizes).tolist()
    return [data[end - size : end] for end, size in zip(ends, sizes, strict=True)]
