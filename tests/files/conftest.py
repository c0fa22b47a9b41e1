import json
import struct
import zlib

import numpy as np
import pytest

from bitsback.files import parse, write


@pytest.fixture
def check_file():
    """Take a file apart and put it together again: the same content, and the same bytes where that is promised."""

    def check(data, name="", exact=None, pixels=False):
        picture = parse(data, name, pixels)
        assert picture.parts and picture.raw is None and not picture.note, picture.note
        for part in picture.parts:
            assert part.ndim == 4 and part.dtype in (np.uint8, np.uint16) and part.flags.c_contiguous and part.size
        recipe = json.loads(json.dumps(picture.recipe))
        again = write(recipe, picture.blob, [part.copy() for part in picture.parts])
        if picture.exact:
            assert again == data
        if exact is not None:
            assert picture.exact is exact
        second = parse(again, name, pixels)
        assert (second.recipe, second.blob) == (picture.recipe, picture.blob)
        assert all(map(np.array_equal, second.parts, picture.parts))
        return picture

    return check


@pytest.fixture
def kept():
    """The file is kept as its bytes, and the note says why."""

    def check(data, reason, name="", pixels=False):
        picture = parse(data, name, pixels)
        assert picture.raw == data and not picture.parts and not picture.recipe and not picture.blob
        assert reason in picture.note if reason else picture.note == ""
        assert "\n" not in picture.note

    return check


@pytest.fixture
def make_png():
    """A PNG from its header fields and filtered rows; ``before`` and ``after`` are (type, body) of other chunks."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def make(width, height, depth, colour, lines, interlace=0, before=(), after=(), pieces=1):
        header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
        pixels = zlib.compress(lines)
        cut = -(-len(pixels) // pieces)
        chunks = [(b"IHDR", header), *before]
        chunks += [(b"IDAT", pixels[at : at + cut]) for at in range(0, len(pixels), cut)]
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in [*chunks, *after, (b"IEND", b"")])

    return make
