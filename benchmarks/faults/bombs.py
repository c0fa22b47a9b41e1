"""Small archives that announce, or expand to, much: what opening them costs.

    python benchmarks/faults/bombs.py [--only WORD] [--actions test,recover,...] [--json FILE]

Every one is refused, or decoded, within a second of processor time and 400 MB of memory, by every command that opens
archives; the error, if there is one, is one of ours. Kernels are warm: compiling is not what is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import craft
import numpy as np
from craft import Made, block, of_blocks, zeros

from bitsback.archive.container import HEADER_SIZE, Header, Index, Kind, System
from bitsback.archive.directory import Content, Row
from bitsback.archive.fields import varint, varints
from bitsback.archive.head import Bytes, DataHead, Piece
from bitsback.archive.member import Entry, Type
from bitsback.archive.packing import Packing

SECONDS, MEGABYTES = 1.0, 400
"""What a bomb may cost: of processor time, and of memory at its peak, the interpreter and all modules included."""

BOMBS: dict[str, Callable[[], bytes]] = {}

Make = Callable[[], bytes]


def bomb(name: str) -> Callable[[Make], Make]:
    """Note a bomb in the table."""

    def note(make: Make) -> Make:
        BOMBS[name] = make
        return make

    return note


# Directories ----------------------------------------------------------------------------------------------------------

TYPES, NAMES, CONTENTS, TARGETS, SIZES, RECIPES, PARTS = 1, 2, 6, 7, 16, 18, 20
ROWS = 1 << 16


def numbered(count: int, first: int = 0) -> bytes:
    return b"".join(b"%x\0" % number for number in range(first, first + count))


@bomb("2^20 names in 16 directories")
def _names() -> bytes:
    """All of the same empty content."""
    fields = {NAMES: numbered(ROWS), CONTENTS: varint(1)}
    return craft.archive(
        [
            craft.raw_directory(fields | {SIZES: varint(0)}, ROWS, 1),
            *(
                craft.raw_directory(fields | {NAMES: numbered(ROWS, k * ROWS)}, ROWS, 0, (k * ROWS, 1))
                for k in range(1, 16)
            ),
        ]
    )


@bomb("2^20 folders in 16 directories")
def _folders() -> bytes:
    fields = [{NAMES: numbered(ROWS, k * ROWS), TYPES: varint(Type.FOLDER)} for k in range(16)]
    return craft.archive(craft.raw_directory(one, ROWS, 0, (k * ROWS, 0)) for k, one in enumerate(fields))


@bomb("a directory of 64 MiB of nothing")
def _empty_names() -> bytes:
    return craft.archive([craft.raw_directory({NAMES: bytes(60 << 20)}, ROWS, 0)])


@bomb("2^16 members that share a content of 2^16 arrays")
def _shared() -> bytes:
    head = DataHead(
        [craft.block(bytes(ROWS), (1, 1, 1), 0, ROWS)[0]],
        [Piece(0, part, 0, 1) for part in range(1, ROWS + 1)],
    )
    fields = {
        NAMES: numbered(ROWS),
        CONTENTS: varint(1),
        SIZES: varint(ROWS),
        RECIPES: craft.NPY.encode() + b"\0",
        PARTS: varint(ROWS),
    }
    return craft.archive([craft.raw_directory(fields, ROWS, 1), craft.data(head, bytes(ROWS))])


def _named(name: bytes) -> bytes:
    """A folder of this name."""
    return craft.archive([craft.raw_directory({NAMES: name + b"\0", TYPES: varint(Type.FOLDER)}, 1, 0)])


@bomb("a name of 60 MiB")
def _long_name() -> bytes:
    return _named(b"a" * (60 << 20))


@bomb("a name of 30 million folders")
def _deep_name() -> bytes:
    return _named(b"a/" * (30 << 20) + b"a")


@bomb("a name of 30,000 folders")
def _deep_folder() -> bytes:
    return _named(b"a/" * 30_000 + b"a")


@bomb("4,000 names of 1,000 folders")
def _deep_names() -> bytes:
    rows = [Row(Entry(f"{number:x}/" + "a/" * 1000 + "a", Type.FOLDER)) for number in range(4000)]
    return craft.archive([craft.directory(rows, [])])


@bomb("a link that says 60 MiB")
def _long_target() -> bytes:
    fields = {NAMES: b"a\0", TYPES: varint(Type.SYMLINK), TARGETS: b"b" * (60 << 20) + b"\0"}
    return craft.archive([craft.raw_directory(fields, 1, 0)])


@bomb("2^16 links to each other")
def _links() -> bytes:
    rows = [Row(Entry(f"{n:x}", Type.HARDLINK, target=f"{(n + 1) % ROWS:x}"), 0) for n in range(ROWS)]
    return craft.archive([craft.directory(rows, [Content(0, 0)])])


@bomb("a recipe nested 2 million deep")
def _nested_json() -> bytes:
    return of_blocks([block(zeros(64), (8, 8, 1))], "[" * (2 << 20))


@bomb("a recipe of 4 MiB of numbers")
def _long_json() -> bytes:
    return of_blocks([block(zeros(64), (8, 8, 1))], '{"format":"npy","head":0,"x":[%s]}' % ("1," * (2 << 20) + "1"))[:]


# Heads ----------------------------------------------------------------------------------------------------------------

BLOCKS, IMAGE_PIECES, BYTES, BYTE_PIECES, VOID = 2, 3, 4, 5, 6


def pieces(count: int, length: int = 1) -> bytes:
    """So many pieces of content 0, all alike, in a few bytes."""
    columns = (varint(0), varint(0), varint(0), varint(length))
    return varint(count) + b"".join(varint(len(one)) + one for one in columns)


def section(size: int, packed: int = 0) -> bytes:
    return bytes([Packing.STORED]) + varints((size, packed)) + bytes(8)


@bomb("2^17 pieces in each of 100 heads")
def _pieces() -> bytes:
    one = craft.raw_data({BYTES: section(1 << 17, 0), BYTE_PIECES: pieces(1 << 17)})
    return craft.archive([one] * 100)


@bomb("2^17 pieces in each of 1,000 heads that are wrong")
def _wrong_pieces() -> bytes:
    one = craft.raw_data({BYTES: section(7, 0), BYTE_PIECES: pieces(1 << 17)})
    return craft.archive([one] * 1000)


@bomb("2^16 blocks in each of 100 heads")
def _blocks() -> bytes:
    one = bytes([0, 1]) + varints((0, 0, 1, 0, 1, 1, 1, 1)) + bytes(8)
    columns = (varint(0), varint(1), varint(0), varint(ROWS))
    whole = varint(1) + b"".join(varint(len(each)) + each for each in columns)
    return craft.archive([craft.raw_data({BLOCKS: one * ROWS, IMAGE_PIECES: whole})] * 100)


@bomb("100,000 chunks")
def _chunks() -> bytes:
    return craft.archive([craft.raw_data({})] * 100_000)


@bomb("100,000 directories of nobody")
def _directories() -> bytes:
    return craft.archive([craft.raw_directory({}, 0, 0)] * 100_000)


@bomb("2,000 spoilt chunks and 20,000 names")
def _spans() -> bytes:
    """Every message about a chunk says which files it has something of."""
    count = 2000
    rows = [Row(Entry(f"{n:x}"), min(n, count - 1)) for n in range(20_000)]
    contents = [Content(1, 1) for _ in range(count)]
    chunks = [
        craft.data(DataHead(data=Bytes(Packing.DEFLATE, 1, 0, 1), byte_pieces=[Piece(n, 0, 0, 1)]), b"x")
        for n in range(count)
    ]
    return craft.archive([craft.directory(rows, contents), *chunks])


# Contents -------------------------------------------------------------------------------------------------------------


@bomb("60 contents with a piece in each of 60 chunks of a MiB")
def _woven() -> bytes:
    """To have one of them, all chunks are unpacked; each ends in another chunk."""
    count, size = 60, 1 << 20
    content_pieces: list[list[Piece]] = [[] for _ in range(count)]
    at = [0] * count
    for chunk in range(count):
        left = size
        for content in range(chunk, count):  # content c has pieces in chunks 0 to c
            length = 1 if content > chunk else left - (count - chunk - 1)
            content_pieces[chunk].append(Piece(content, 0, at[content], length))
            at[content] += length
    section_, stored = craft.packed(bytes(size))
    rows = [Row(Entry(f"{n}"), n) for n in range(count)]
    contents = [Content(at[n], at[n]) for n in range(count)]
    chunks = [craft.data(DataHead(data=section_, byte_pieces=one), stored) for one in content_pieces]
    return craft.archive([craft.directory(rows, contents), *chunks])


@bomb("a file of 100 arrays that lie in 100 blocks of a MiB")
def _blocks_of_one() -> bytes:
    """Of each block it has one image; the rest is another file's."""
    count, images, size = 100, 1 << 10, 1 << 20
    payload = zeros(size)
    one, _ = block(payload, (32, 32, 1), count=images)
    heads = [DataHead([one], [Piece(0, n + 1, 0, 1), Piece(1, n + 1, 0, images - 1)]) for n in range(count)]
    contents = [Content(1 << 20, 0, "{}", (1,) * count), Content(size, 0, "{}", (images - 1,) * count)]
    rows = [Row(Entry("a"), 0), Row(Entry("b"), 1)]
    return craft.archive([craft.directory(rows, contents), *(craft.data(head, payload) for head in heads)])


# Blocks ---------------------------------------------------------------------------------------------------------------

HEAD_ONLY = (1 << 32).to_bytes(8, "little")
"""A stack without words."""


@bomb("an image of 2^40 samples")
def _large() -> bytes:
    return of_blocks([block(b"\x10", (1 << 20, 1 << 20, 1))])


@bomb("2^40 images of a sample")
def _many() -> bytes:
    return of_blocks([block(b"\x10", (1, 1, 1), count=1 << 40)])


@bomb("an image of 2^40 channels")
def _channels() -> bytes:
    return of_blocks([block(b"\x10", (1, 1, 1 << 40))])


for _tag, _name in ((0x00, "plain"), (0x10, "LZMA"), (0x20, "DEFLATE"), (0x40, "smooth"), (0x80, "mixing")):
    _payload = {0x40: b"\0\0" + HEAD_ONLY, 0x80: b"\1\0" + HEAD_ONLY}.get(_tag, b"")
    BOMBS[f"a GiB that is not there, {_name}"] = functools.partial(
        lambda tag, payload: of_blocks([block(bytes([tag]) + payload, (1 << 14, 1 << 14, 4))]), _tag, _payload
    )
    BOMBS[f"128 MiB that are not there, {_name}"] = functools.partial(
        lambda tag, payload: of_blocks([block(bytes([tag]) + payload, (1 << 13, 1 << 14, 1))]), _tag, _payload
    )

for _channels_, _pixels in ((10_000, 1), (40_000, 1), (1_000_000, 1), (1 << 28, 1), (10_000, 100), (129, 8192)):
    BOMBS[f"smooth, {_channels_} channels of {_pixels} pixels"] = functools.partial(
        lambda channels, pixels: of_blocks([block(b"\x40\0\0" + HEAD_ONLY, (1, pixels, channels))]), _channels_, _pixels
    )
for _width in (1 << 19, 1 << 20, 1 << 26):
    BOMBS[f"smooth, rows of {_width}"] = functools.partial(
        lambda width: of_blocks([block(b"\x40\0\0" + HEAD_ONLY, (4, width, 1))]), _width
    )
    BOMBS[f"mixing, rows of {_width}"] = functools.partial(
        lambda width: of_blocks([block(b"\x80\1\0" + HEAD_ONLY, (4, width, 1))]), _width
    )
for _tag, _name in ((0x50, "regressed"), (0x52, "regressed in colour"), (0x90, "blended"), (0x92, "blended in colour")):
    for _rows, _width in ((4, 1 << 9), (512, 1 << 15)):
        BOMBS[f"{_name}, {_rows} rows of {_width} that are not there"] = functools.partial(
            lambda tag, shape: of_blocks([block(bytes([tag]) + b"\0\0" + HEAD_ONLY, shape)]),
            _tag,
            (_rows, _width, 1 + 2 * (_tag % 16 > 0)),
        )


@bomb("2^16 palettes in 2^16 blocks of a pixel")
def _palettes() -> bytes:
    """Each of them learns its one colour."""
    payload = b"\xc0" + varints((1, 12)) + b"\x40\0\0" + HEAD_ONLY + b"\x40\0\0" + HEAD_ONLY
    return of_blocks([block(payload, (1, 1, 2))] * 4096)


@bomb("LZMA of more than the image")
def _more() -> bytes:
    return of_blocks([block(zeros(1 << 30), (64, 64, 1))])


# Recipes --------------------------------------------------------------------------------------------------------------

TABLE = {"format": "words", "head": 0, "layout": {"bits": 64, "kind": "f", "table": 2}}


def of_zeros(size: int, recipe: Any, blob: bytes = b"", says: int | None = None, **more: Any) -> bytes:
    """A file of an array of so many zeros."""
    shape = (max(1, size >> 12), min(size, 1 << 12), 1)
    return of_blocks([block(zeros(size), shape)], recipe, blob, says, **more)


@bomb("words: 64 MiB become 512, of which the directory knows nothing")
def _words() -> bytes:
    return of_zeros(64 << 20, TABLE, bytes(16), 10)


@bomb("words: 16 MiB become 128")
def _honest_words() -> bytes:
    return of_zeros(16 << 20, TABLE, bytes(16), 128 << 20)


@bomb("rows of a pixel, padded to four bytes: 64 MiB become 256")
def _padded() -> bytes:
    size = 64 << 20
    one = block(zeros(size), (size, 1, 1))
    return of_blocks([one], {"format": "bmp", "head": 0, "layout": {"align": 4}}, b"", 10)


@bomb("a plain PGM of 64 MiB in one row")
def _plain() -> bytes:
    size = 64 << 20
    one = block(zeros(size), (1, size, 1))
    return of_blocks([one], {"format": "pnm", "plain": 2}, b"P2\n", 10)


@bomb("a PNG of 16 MiB that says it has ten bytes")
def _png() -> bytes:
    return of_zeros(16 << 20, {"format": "png", "colour": 0, "depth": 8}, b"", 10, pixels_only=True)


@bomb("gzip in gzip in gzip")
def _gzip() -> bytes:
    recipe: dict[str, Any] = {"format": "npy", "head": 0, "layout": {}}
    for _ in range(200):
        recipe = {"format": "gzip", "header": 10, "inner": recipe}
    return of_blocks([block(zeros(64), (8, 8, 1))], recipe, bytes(10), pixels_only=True)


@bomb("gzip around 8 times as many words")
def _gzip_words() -> bytes:
    recipe = {"format": "gzip", "header": 10, "inner": TABLE}
    return of_zeros(64 << 20, recipe, bytes(26), 10, pixels_only=True)


def _npz_entry(number: int, blob: int, array: Any = None) -> dict[str, Any]:
    return {
        "name": f"{number}.npy", "time": [1980, 1, 1, 0, 0, 0], "fields": [0, 3, 20, 20, 0, 0], "extra": "",
        "comment": "", "zip64": False, "blob": blob, "array": array or {},
    }  # fmt: skip


@bomb("an npz of one array and the same megabyte 5,000 times")
def _npz_back() -> bytes:
    size = 1 << 20
    entries = [_npz_entry(0, 0, json.loads(craft.NPY))]
    for number in range(5000):
        entries += [_npz_entry(2 * number + 1, size), _npz_entry(2 * number + 2, -size)]
    entries.append(_npz_entry(10_001, size))
    recipe = {"format": "npz", "entries": entries, "comment": "", "structure": 0}
    return of_blocks([block(zeros(64), (8, 8, 1))], recipe, bytes(size), 10)


@bomb("an npz of npz of 8 times as many words")
def _npz_words() -> bytes:
    recipe = {"format": "npz", "entries": [_npz_entry(0, 16, TABLE)], "comment": "", "structure": 0}
    return of_zeros(64 << 20, recipe, bytes(16), 10)


@bomb("an npz of 2^15 arrays")
def _npz_many() -> bytes:
    count = 1 << 15
    entries = [_npz_entry(n, 0, json.loads(craft.NPY)) for n in range(count // 4)]
    recipe = {"format": "npz", "entries": entries, "comment": "", "structure": 0}
    head = DataHead(
        [block(bytes(len(entries)), (1, 1, 1), 0, len(entries))[0]],
        [Piece(0, part, 0, 1) for part in range(1, len(entries) + 1)],
    )
    content = Content(10, 0, json.dumps(recipe), (1,) * len(entries), True)
    return craft.archive([craft.directory([Row(Entry("a.npz"), 0)], [content]), craft.data(head, bytes(len(entries)))])


# Indexes and ends -----------------------------------------------------------------------------------------------------


def footer(offset: int, run: int = craft.RUN) -> bytes:
    """The end of an archive whose index stands there."""
    from bitsback.archive.container import _CHECK, _FOOTER, END_MAGIC, check_sum

    start = _FOOTER.pack(offset, run)
    return start + _CHECK.pack(check_sum(start)) + END_MAGIC


def framed(kind: int, offset: int, number: int, payload: bytes, run: int = craft.RUN, head: bytes = b"") -> bytes:
    """A chunk as it stands in the file."""
    from bitsback.archive.container import _CHECK, _FRAME, SYNC, check_sum

    frame = _FRAME.pack(SYNC, kind, 0, 0, run, number, len(head), offset, len(payload), check_sum(payload))
    return frame + _CHECK.pack(check_sum(frame + head)) + head + payload


START = Header(craft.RUN, System.POSIX).encode()


@bomb("an index of 60 million chunks of no bytes")
def _index() -> bytes:
    index = framed(Kind.INDEX, HEADER_SIZE, 60 << 20, Index(sizes=[0] * (60 << 20)).encode())
    return START + index + footer(HEADER_SIZE)


@bomb("an index that removes 60 million members")
def _removed() -> bytes:
    payload = varints((1, 0, 0, 0, 60 << 20)) + bytes(60 << 20)
    return START + framed(Kind.INDEX, HEADER_SIZE, 0, payload) + footer(HEADER_SIZE)


@bomb("indexes in circles")
def _circle() -> bytes:
    payload = Index(previous=HEADER_SIZE, runs=[craft.RUN]).encode()
    return START + framed(Kind.INDEX, HEADER_SIZE, 0, payload) + footer(HEADER_SIZE)


@bomb("20,000 indexes, each after the other")
def _chain() -> bytes:
    parts, at, previous, runs = [START], HEADER_SIZE, 0, []
    for number in range(20_000):
        payload = Index(previous, number, [], [], runs[-32:]).encode()
        chunk = framed(Kind.INDEX, at, number, payload)
        parts += [chunk, footer(at)]
        previous, at = at, at + len(chunk) + 32
        runs.append(craft.RUN)
    return b"".join(parts)


@bomb("a million ends that are none")
def _ends() -> bytes:
    return START + footer(HEADER_SIZE) * (1 << 18)


@bomb("a million magic words of ends")
def _end_words() -> bytes:
    from bitsback.archive.container import END_MAGIC

    return START + END_MAGIC * (1 << 20)


@bomb("ends that share indexes which overlap")
def _overlap() -> bytes:
    """Each index holds all that follow it; none of them is right."""
    inner = b""
    for _ in range(2000):
        at = HEADER_SIZE
        inner = framed(Kind.INDEX, at, 1, inner) + footer(at)
    return START + inner


@bomb("a million beginnings of chunks")
def _syncs() -> bytes:
    from bitsback.archive.container import SYNC

    return START + SYNC * (1 << 20)


@bomb("400,000 beginnings of chunks that look good")
def _frames() -> bytes:
    from bitsback.archive.container import SYNC

    return START + (SYNC + b"\1\0\0\0") * 400_000


@bomb("chunks in chunks in chunks")
def _russian() -> bytes:
    """Each payload but the outermost is spoilt, and holds the next."""
    inner = b""
    for number in range(3000):
        inner = framed(Kind.DATA, 0, number, inner, head=b"\0\0")[:-1] + b"x"
    return START + inner


# Parity ---------------------------------------------------------------------------------------------------------------


def _unit(**claims: int) -> bytes:
    from bitsback.archive.parity import _CHECKED, _HEAD, MAGIC, SECTOR

    values = {
        "run": craft.RUN, "start": 0, "end": 4096, "place": 0, "table": 0, "share": 50_000, "strands": 1, "strand": 0,
        "rows": 2, "row": 0, "room": 2, "last": 0,
    } | claims  # fmt: skip
    head = _HEAD.pack(MAGIC, 0, *values.values(), 0)
    body = head[_CHECKED:].ljust(SECTOR - _CHECKED, b"\0")
    from bitsback.archive.container import check_sum

    return MAGIC + check_sum(body).to_bytes(8, "little") + body


@bomb("units of parity for a petabyte")
def _parity_large() -> bytes:
    return (
        START
        + bytes(4096 - HEADER_SIZE)
        + b"".join(_unit(end=1 << 41, place=4096 * n, row=n, rows=9000, strands=60_000, room=32) for n in range(1, 40))
    )


@bomb("units of parity for 60,000 sectors, of 1,000 sets")
def _parity_many() -> bytes:
    return (
        START
        + bytes(4096 - HEADER_SIZE)
        + b"".join(_unit(end=4096 * 60_000, place=4096 * n, rows=5000, row=0, room=32, table=n) for n in range(1, 1000))
    )


# Models ---------------------------------------------------------------------------------------------------------------


def _context_payload(count: int, height: int, width: int) -> bytes:
    """Empty stacks for all pieces of images of a context model."""
    from bitsback.kinds.context import tiles

    shape = (count, height, width, 4)
    lanes, number = tiles.lanes(shape), tiles.piece_count(shape)
    return bytes(number - 1) + HEAD_ONLY * (lanes * number)


@functools.cache
def _hostile_model(hidden: int = 1, memories: int = 32, taps: int = 28, size: int = 0) -> bytes:
    """A context model of four channels with as many memories and taps as there may be, and with right answers to what
    it is proved with."""
    from bitsback.kinds.base import ImageSpec
    from bitsback.kinds.context.config import ContextConfig
    from bitsback.kinds.context.network import ContextNetwork, ContextSpec, Feature, Memory, RegressionSpec, Tap
    from bitsback.kinds.likelihoods import MixtureSpec
    from bitsback.models import Model
    from bitsback.models.file import dump
    from bitsback.nets.layers import Weights

    channels, west = 4, Tap("value", 0, 0, -1)
    spec = ContextSpec(
        features=((Feature(Tap("value", 0, -1, 0)),) * 1,) * channels,
        hidden=((hidden,) * 4,) * channels,
        regression=RegressionSpec(tuple(Tap("value", i % 4, -(1 + i // 7), -(i % 7)) for i in range(taps)))
        if taps
        else None,
        memories=tuple(Memory(k % 4, (west,) * 48) for k in range(memories)),
    )

    def weights(outputs: int, inputs: int) -> Weights:
        return Weights(np.ones((outputs, inputs), np.int16), np.zeros(outputs, np.int32), np.full(outputs, 4, np.uint8))

    parameters = 3 * 16
    layers = [[weights(layer.outputs, layer.inputs) for layer in spec.layers(c, parameters)] for c in range(channels)]
    network = ContextNetwork(spec, channels, parameters, np.arange(8192).astype(np.uint8), layers)
    image = ImageSpec(size, size, channels, 256)
    config = ContextConfig(name="hostile", image=image, likelihood=MixtureSpec(16), context=spec, colour=(0, 1, 2, 3))
    if size:  # to know the answers would take long, and that is what is asked: what it takes to look at wrong ones
        return dump(config, network.tensors())
    return Model.made(config, network.tensors()).data


def with_model(model: bytes, blocks: Any) -> bytes:
    """An archive that embeds a model; ``blocks`` of its identity."""
    from bitsback.models.file import claimed

    identity = bytes.fromhex(claimed(model))
    return of_blocks(blocks(identity), extra=[Made(Kind.MODEL, identity, model)])


for _log in (14, 18):
    BOMBS[f"2^{_log} images of a pixel for a model with 32 memories"] = functools.partial(
        lambda count: with_model(
            _hostile_model(),
            lambda model: [block(_context_payload(count, 1, 1), (1, 1, 4), tag=2, count=count, model=model)],
        ),
        1 << _log,
    )


@bomb("an image of 2^24 pixels for a model with 32 memories")
def _hostile_large() -> bytes:
    return with_model(
        _hostile_model(), lambda model: [block(_context_payload(1, 4096, 4096), (4096, 4096, 4), tag=2, model=model)]
    )


@bomb("an image of a pixel for the most expensive model")
def _expensive() -> bytes:
    return with_model(
        _hostile_model(130), lambda model: [block(_context_payload(1, 1, 1), (1, 1, 4), tag=2, model=model)]
    )


@bomb("a model whose images have 4096 pixels an edge")
def _proof() -> bytes:
    """What a model is proved with is of that size, too."""
    return with_model(
        _hostile_model(size=4096),
        lambda model: [block(_context_payload(1, 4096, 4096), (4096, 4096, 4), tag=2, model=model)],
    )


@bomb("2^18 images of a pixel for the photo model")
def _photos() -> bytes:
    from bitsback.kinds.context import tiles
    from bitsback.models import Model

    count = 1 << 18
    number = tiles.piece_count((count, 1, 1, 3))
    payload = bytes(number - 1) + HEAD_ONLY * number * tiles.lanes((count, 1, 1, 3))
    return of_blocks([block(payload, (1, 1, 3), tag=2, count=count, model=bytes.fromhex(Model.load("photos").id))])


@bomb("a model file of 250 MiB")
def _model_size() -> bytes:
    return craft.archive(
        [
            Made(Kind.MODEL, b"m" * 32, bytes(250 << 20)),
            *_split(of_blocks([block(b"", (1, 1, 1), tag=2, model=b"m" * 32)])),
        ]
    )


@bomb("a model that unpacks to 32 MiB of configuration")
def _model_text() -> bytes:
    import lzma
    import struct

    content = struct.pack("<Q", 32 << 20) + b"[" * ((32 << 20) - 8)
    packed = lzma.compress(
        content, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20}]
    )
    digest = hashlib.sha256(content).digest()
    model = struct.pack("<8sBBI32s", b"\x8fBBM\r\n\x1a\n", 2, 1, len(content), digest) + packed
    return with_model(model, lambda identity: [block(b"", (1, 1, 1), tag=2, model=identity)])


def _split(archive: bytes) -> Iterator[Made]:
    """The chunks of an archive."""
    from bitsback.archive.container import ContainerReader

    reader = ContainerReader(archive)
    for chunk in reader.chunks:
        yield Made(Kind(chunk.kind), chunk.head, reader.payload(chunk), chunk.flags)


# Measuring ------------------------------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """What an action on a bomb took, and how it ended."""

    bomb: str
    action: str
    size: int
    seconds: float
    megabytes: float
    end: str
    right: bool
    """Whether it ended well, or in an error of ours."""

    @property
    def cheap(self) -> bool:
        return self.right and self.seconds <= SECONDS and self.megabytes <= MEGABYTES


ACTIONS: dict[str, list[str]] = {
    "list": ["list", "-v", "FILE"],
    "json": ["list", "--json", "FILE"],
    "info": ["info", "FILE"],
    "test": ["test", "FILE"],
    "get": ["get", "FILE", "a.npy", "-o", "OUT"],
    "decompress": ["decompress", "FILE", "-C", "OUT"],
    "recover": ["recover", "FILE", "-C", "OUT"],
    "rescue": ["recover", "FILE", "-o", "OUT"],
}


def probe(name: str, path: Path, action: str, threads: int = 1) -> Cost:
    """Do something with a bomb in a process of its own, which begins with what this one has loaded."""
    out = Path(tempfile.mkdtemp(prefix="bitsback-bombs-"))
    told = out / "told"
    pid = os.fork()
    if not pid:
        _child(
            [word.replace("FILE", str(path)).replace("OUT", str(out / "out")) for word in ACTIONS[action]],
            told,
            threads,
        )
    _, status, used = os.wait4(pid, 0)
    text = told.read_text(errors="replace") if told.exists() else ""
    subprocess.run(["rm", "-rf", out], check=False)  # shutil.rmtree does not go as deep as some names do
    code = os.waitstatus_to_exitcode(status)
    right = (
        code in (0, 1, 3)
        and "Traceback" not in text
        and "internal error" not in text
        and "not enough memory" not in text
    )
    lines = text.strip().splitlines()
    end = f"{code}: {lines[-1 if 'Traceback' in text else 0][:200] if lines else ''}"
    return Cost(name, action, path.stat().st_size, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, end, right)


def _child(arguments: list[str], told: Path, threads: int) -> None:
    """Run a command, and end."""
    code = 99
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
        os.environ["BITSBACK_THREADS"] = str(threads)
        sys.stdout, sys.stderr = Path(os.devnull).open("w"), told.open("w")  # noqa: SIM115
        from bitsback.cli import main

        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def warm() -> None:
    """Load and compile all that decoding needs, so that it is there in every process that begins here."""
    import bitsback
    from bitsback.archive import Archive

    random = np.random.default_rng(0)
    noisy = np.cumsum(random.integers(-2, 3, (1, 40, 40, 3)), 1).astype(np.uint8)
    for images, model in (
        (noisy, "photos"),
        (random.integers(0, 2, (20, 28, 28), np.uint8), "digits-binary"),
        (random.integers(0, 256, (20, 28, 28), np.uint8), "digits"),
    ):
        Archive(bitsback.compress(images, model=model, threads=1)).test(threads=1)
    from bitsback.kinds.adaptive import payload

    payload.prove()
    for tag in (0x00, 0x10, 0x14, 0x20, 0x40, 0x50, 0x80, 0x90):
        for dtype in (np.uint8, np.uint16):
            images = np.arange(64, dtype=dtype).reshape(1, 8, 8, 1)
            payload.decode(payload.encode_as(images, tag), 1, (8, 8, 1), dtype)
    with contextlib.redirect_stderr(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        from bitsback.cli import main

        path = Path(folder, "a.bba")
        path.write_bytes(of_blocks([block(zeros(64), (8, 8, 1))]))
        for action in ACTIONS.values():
            with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
                main([word.replace("FILE", str(path)).replace("OUT", f"{folder}/out") for word in action])
            shutil.rmtree(f"{folder}/out", ignore_errors=True)
            Path(folder, "out").unlink(missing_ok=True)


def costs(names: list[str], actions: list[str]) -> Iterator[Cost]:
    """What each action on each of the bombs takes."""
    warm()
    with tempfile.TemporaryDirectory(prefix="bitsback-bombs-") as folder:
        for name in names:
            path = Path(folder, "bomb.bba")
            # made elsewhere, as what it takes to make one would count
            pid = os.fork()
            if not pid:
                try:
                    path.write_bytes(BOMBS[name]())
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
            for action in actions:
                yield probe(name, path, action)
            path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="bombs whose name holds this")
    parser.add_argument("--actions", default=",".join(ACTIONS), help="what to do with them")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    options = parser.parse_args()
    names = [name for name in BOMBS if options.only in name]
    found = []
    for cost in costs(names, options.actions.split(",")):
        found.append(cost)
        mark = " " if cost.cheap else "!"
        took = f"{cost.seconds:6.2f} s {cost.megabytes:6.0f} MB {cost.size:>10,} B"
        print(f"{mark} {took}  {cost.action:10} {cost.bomb:60} {cost.end}", flush=True)
    dear = [cost for cost in found if not cost.cheap]
    print(f"{len(names)} bombs, {len(found)} actions; too dear, or ended badly: {len(dear)}")
    if options.json:
        options.json.write_text(json.dumps([cost._asdict() for cost in found], indent=1))
    sys.exit(bool(dear))


if __name__ == "__main__":
    main()
