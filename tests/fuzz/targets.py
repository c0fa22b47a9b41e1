"""What is fuzzed: functions of bytes, from behind the checksums on, which an attacker computes as we do.

Whatever the bytes are, nothing but an error of ours may come of them, and where something comes back, what is said
here holds. :data:`TARGETS` has them by name, :data:`SEEDS` what each begins with. ``run.py`` fuzzes; ``test_corpus.py``
has each of them look at its seeds, at what was ever found (``corpus/``), and at a few things near to them.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

import bitsback
from bitsback import files
from bitsback.archive import Archive, names
from bitsback.archive import directory as directories
from bitsback.archive.container import ContainerReader, Kind, System
from bitsback.archive.head import decode_head
from bitsback.archive.limits import Limits
from bitsback.archive.member import Entry, Type
from bitsback.archive.packing import Packing
from bitsback.errors import BitsBackError
from bitsback.files import formats
from bitsback.files.deflate import put_together, take_apart
from bitsback.kinds.adaptive import payload as adaptive
from bitsback.kinds.adaptive.known import KNOWN
from bitsback.kinds.base import Lot
from bitsback.kinds.filtered import payload as filtered
from bitsback.kinds.jpeg import payload as coefficients
from bitsback.models import file as model_files

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "benchmarks" / "faults"), str(ROOT / "tests")]
import craft  # noqa: E402

from helpers import tiny_model_file  # noqa: E402
from models.context_models import context_file  # noqa: E402
from phases import phases_file  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
SMALL = Limits(pixels=1 << 14, chunk=1 << 16, section=1 << 16, table=1 << 18, memory=1 << 27, members=1 << 12)
"""So that nothing takes long."""

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {}
SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {}


def target(function: Target) -> Target:
    """Note a target. Errors of ours are what it may end in."""

    def checked(data: bytes) -> None:
        with suppress(BitsBackError):
            function(data)

    TARGETS[function.__name__] = checked
    return function


def seeds(name: str) -> Callable[[Callable[[], Iterator[bytes]]], Callable[[], Iterator[bytes]]]:
    """Note what a target begins with."""

    def note(function: Callable[[], Iterator[bytes]]) -> Callable[[], Iterator[bytes]]:
        SEEDS[name] = function
        return function

    return note


# Heads and directories ------------------------------------------------------------------------------------------------


@target
def head(data: bytes) -> None:
    """Of a chunk of data, what is written of it is read as the same."""
    found = decode_head(data, SMALL)
    assert decode_head(found.encode(), SMALL) == found


@target
def directory(data: bytes) -> None:
    """How many members and contents, one byte each, and the fields. Names, targets and times come back."""
    if len(data) < 3:
        return
    one = directories.DirectoryHead(Packing.STORED, 0, 0, data[0], data[1], len(data) - 3)
    system = System.WINDOWS if data[2] & 1 else System.POSIX
    found = directories.decode(one, data[3:], system)
    assert len(found.rows) == one.members and len(found.contents) == one.contents
    start, packed = found.encode(system)
    again = directories.decode(directories.read_head(start), packed, system)
    assert again.rows == found.rows


def chunks(kind: Kind) -> Iterator[tuple[bytes, bytes]]:
    """Heads and payloads in golden archives."""
    for name in ("grown", "own", "pixels"):
        reader = ContainerReader((GOLDEN / f"{name}.bba").read_bytes())
        yield from ((chunk.head, reader.payload(chunk)) for chunk in reader.chunks if chunk.kind == kind)


@seeds("head")
def _heads() -> Iterator[bytes]:
    return (head for head, _ in chunks(Kind.DATA))


@seeds("directory")
def _directories() -> Iterator[bytes]:
    for start, payload in chunks(Kind.DIRECTORY):
        one = directories.read_head(start)
        body = directories.unpack(one.packing, payload, one.size)
        yield bytes([one.members, one.contents, 0]) + body


# Archives -------------------------------------------------------------------------------------------------------------

_CHUNK = struct.Struct("<BBHH")


@target
def archive(data: bytes) -> None:
    """Chunks: kind, flags, sizes of head and payload, and these. All checks are made right; then all is read, and it is
    recovered from, too. A file that comes back has the size that it is said to have."""
    made = []
    while len(data) >= _CHUNK.size and len(made) < 64:
        kind, flags, a, b = _CHUNK.unpack_from(data)
        data = data[_CHUNK.size :]
        if kind in (Kind.DATA, Kind.DIRECTORY, Kind.MODEL, Kind.PARITY) and flags < 2:
            made.append(craft.Made(Kind(kind), data[:a], data[a : a + b], flags))
        data = data[a + b :]
    whole = craft.archive(made)
    for damaged in (False, True):
        with suppress(BitsBackError), Archive(whole, limits=SMALL, damaged=damaged) as opened:
            for member, content in opened.contents(threads=1):
                if not isinstance(content, BitsBackError):
                    size = sum(map(len, content))
                    assert size == member.size or member.pixels_only


@seeds("archive")
def _archives() -> Iterator[bytes]:
    """Of few and small things: what is asked here is how they hang together."""
    with tempfile.TemporaryDirectory(prefix="bitsback-fuzz-") as work:
        small = Path(work, "small")
        (small / "deep").mkdir(parents=True)
        for name, data in (("note", b"a note"), ("deep/a.png", _pictures()["PNG"]), ("b.npz", _pictures()["npz"])):
            (small / name).write_bytes(data)
        (small / "link").symlink_to("note")
        made = [bitsback.compress(small / "deep", model="none"), bitsback.compress(small, model="none", parity=0.1)]
    for whole in (*made, (GOLDEN / "own.bba").read_bytes()):
        reader = ContainerReader(whole)
        parts = []
        for chunk in reader.chunks:
            payload = reader.payload(chunk)
            if len(payload) < 1 << 16 and chunk.kind != Kind.INDEX:
                parts.append(_CHUNK.pack(chunk.kind, chunk.flags, len(chunk.head), len(payload)) + chunk.head + payload)
        yield b"".join(parts)


# Payloads -------------------------------------------------------------------------------------------------------------


@target
def payload(data: bytes) -> None:
    """Which kind, type and shape, six bytes, and the payload. What it decodes to is coded and decoded to the same."""
    if len(data) < 6:
        return
    how, *shape = data[:6]
    n, height, width, channels = (1 + value % most for value, most in zip(shape, (3, 24, 24, 5), strict=False))
    dtype = np.dtype(np.uint16 if how & 4 else np.uint8)
    if how & 3 == 0:
        images = adaptive.decode(data[6:], n, (height, width, channels), dtype)
        again = adaptive.decode(adaptive.encode(images, "fast"), n, (height, width, channels), dtype)
        np.testing.assert_array_equal(again, images)
    elif how & 3 == 1:
        lots = [Lot(n, (height, width, channels)), Lot(1, (1 + shape[4] % 9, 3, channels))]
        adaptive.decode_lots(data[6:], lots, dtype)
    elif how & 3 == 2:
        lots = [Lot(n, (height, width, channels)), Lot(1, (1 + shape[4] % 9, 3, channels))]
        filtered.decode(data[6:], lots, dtype)
    else:
        coefficients.decode(data[6:], 1 + shape[0] % 64)


@seeds("payload")
def _payloads() -> Iterator[bytes]:
    for cases in KNOWN.values():
        for one in cases:
            n, height, width, channels = one.whole
            if n <= 3 and height <= 24 and width <= 24 and channels <= 5:
                wide = 4 if np.dtype(one.dtype).itemsize == 2 else 0
                yield bytes([wide, n - 1, height - 1, width - 1, channels - 1, 0]) + one.payload
    random = np.random.default_rng(0)
    lots = [random.integers(0, 9, (2, 7, 5, 1)).astype(np.uint8), random.integers(0, 9, (1, 4, 3, 1)).astype(np.uint8)]
    yield bytes([2, 1, 6, 4, 0, 3]) + filtered.encode(lots)
    yield bytes([1, 1, 6, 4, 0, 3]) + adaptive.encode_lots(lots)
    parts = files.parse(_pictures()["JPEG"]).parts
    yield bytes([3, len(parts[0]) - 1, 0, 0, 0, 0]) + coefficients.encode(parts[0])


@target
def model(data: bytes) -> None:
    """The content of a model file, safetensors. What is read of it is written, and read as the same."""
    _, config, tensors = model_files.parse(_stored(data))
    _, again, others = model_files.parse(_stored(model_files.content(config, tensors)))
    assert again == config and tensors.keys() == others.keys()


def _stored(content: bytes) -> bytes:
    """A model file that is not packed, as to pack takes longer than all else."""
    digest = hashlib.sha256(content).digest()
    return struct.pack("<8sBBI32s", model_files.MAGIC, model_files.VERSION, 0, len(content), digest) + content


@seeds("model")
def _models() -> Iterator[bytes]:
    yield from map(model_files.unpack, (tiny_model_file(2), context_file((1, None, 0, 2)), phases_file(1, 2)))


# Files ----------------------------------------------------------------------------------------------------------------


@target
def file(data: bytes) -> None:
    """A file of any format: what is taken apart is put together, and its words are numbers of its size."""
    picture = files.parse(data)
    if picture.recipe is None:
        assert picture.raw == data
        return
    assert files.write(picture.recipe, picture.blob, picture.parts) == data
    files.values(picture.recipe, picture.blob, picture.parts)


@target
def recipe(data: bytes) -> None:
    """A recipe, in JSON, ended by a zero byte, and a blob, put together with images that it may not be for."""
    text, _, blob = data.partition(b"\0")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(found, dict):
        return
    blob = blob[: 1 << 14]
    parts = [np.arange(60, dtype=np.uint8).reshape(1, 5, 4, 3), np.arange(70, dtype=np.uint16).reshape(2, 5, 7, 1)]
    for some in (parts[:1], parts[1:], parts):
        with suppress(BitsBackError):
            files.check_bulk(found, [one.shape for one in some], 1 << 16, True)
            files.write(found, blob, some)
        with suppress(BitsBackError):
            files.values(found, blob, some)


@cache
def _pictures() -> dict[str, bytes]:
    """A small file of each format."""
    ramp = np.add.outer(np.arange(9), 3 * np.arange(12)).astype(np.uint8)
    image, out = Image.fromarray(np.stack([ramp, ramp // 2, 90 - ramp], 2)), {}
    for name in ("PNG", "BMP", "TIFF", "GIF", "JPEG", "TGA", "PPM", "ICO"):
        stream = io.BytesIO()
        image.save(stream, name)
        out[name] = stream.getvalue()
    for name, save in (("npy", np.save), ("npz", np.savez_compressed)):
        stream = io.BytesIO()
        save(stream, ramp)  # type: ignore[operator]
        out[name] = stream.getvalue()
    return out


@seeds("file")
def _files() -> Iterator[bytes]:
    yield from _pictures().values()


@seeds("recipe")
def _recipes() -> Iterator[bytes]:
    for data in _pictures().values():
        picture = files.parse(data)
        if picture.recipe is not None:
            yield json.dumps(picture.recipe).encode() + b"\0" + picture.blob
    yield from (json.dumps({"format": name, "head": 0, "layout": {}}).encode() for name in formats.FORMATS)


# Deflate and names ----------------------------------------------------------------------------------------------------


@target
def deflate_and_names(data: bytes) -> None:
    """Of an even first byte, a deflate stream, which comes back; of an odd one, names, which stay within."""
    if not data or data[0] % 2 == 0:
        plain, rules, corrections, size = take_apart(data[1:], 1 << 16)
        assert bytes(put_together(plain, rules, corrections)) == data[1 : 1 + size]
        return
    entries = [Entry(name.decode("utf-8", "surrogateescape"), Type.FILE) for name in data[1:].split(b"\0")]
    for rules_ in (names.POSIX, names.MACOS, names.WINDOWS, names.EVERYWHERE):
        found = [where.parts for where in names.place(entries, rules_) if isinstance(where, names.Place)]
        assert len(set(found)) == len(found)
        for parts in found:
            assert parts and not {"", ".", ".."} & set(parts) and not any("/" in part or "\0" in part for part in parts)
            assert not rules_.windows or not any(set(part) & set('\\:*?"<>|') for part in parts)


@seeds("deflate_and_names")
def _streams() -> Iterator[bytes]:
    import zlib

    for level in (1, 6, 9):
        yield b"\0" + zlib.compress(b"a stream of a stream of some length " * 9, level)[2:-4]
    yield b"\1" + "a/b\0a/B\0con\0x.\0é\0e\u0301\0..\0a\\b\0".encode() + b"\xff"
