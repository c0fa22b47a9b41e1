import gzip
import zlib

import numpy as np
import pytest

from bitsback.files import parse, write

IDX = b"\0\0\x08\x03\0\0\0\2\0\0\0\2\0\0\0\6" + bytes(range(24))


def with_fields(content):
    """A gzip file with every optional field of its header."""
    header = b"\x1f\x8b\x08\x1e\x01\x02\x03\x04\x02\x03" + b"\x02\0ab" + b"name\0" + b"comment\0"
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflater.compress(content) + deflater.flush()
    return header, header + body + zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")


def test_idx_in_gzip(check_file):
    data = gzip.compress(IDX, mtime=1234)
    picture = check_file(data, "images-idx3-ubyte.gz")
    assert picture.parts[0].shape == (2, 2, 6, 1)
    again = write(picture.recipe, picture.blob, picture.parts)
    assert gzip.decompress(again) == IDX and again[:10] == data[:10]


def test_every_header_field_is_kept(check_file):
    header, data = with_fields(IDX)
    assert gzip.decompress(data) == IDX
    picture = check_file(data, "a.gz")
    assert picture.blob == header + IDX[:16]


@pytest.mark.parametrize("inner", [b"P5 3 2 255 abcdef", b"P2 3 1 9 1 2\n3\n"])
def test_other_formats_in_gzip(inner, check_file):
    picture = check_file(gzip.compress(inner), "a.pgm.gz")
    assert picture.parts[0].shape[2] == 3


def test_what_else_is_in_gzip_is_kept_without_a_note(kept):
    kept(gzip.compress(b"a text"), "", "a.txt.gz")
    kept(gzip.compress(gzip.compress(IDX)), "", "a.gz.gz")
    kept(gzip.compress(b""), "", "a.gz")


def test_damaged_files_are_kept(kept):
    good = gzip.compress(IDX)
    kept(good[:-9], "cut off", "a.gz")
    kept(good[:-1], "wrong checksum", "a.gz")
    kept(good[:-8] + bytes(8), "wrong checksum", "a.gz")
    kept(good + good, "something after its end", "a.gz")
    kept(good[:3] + b"\xe0" + good[4:], "unknown gzip flags", "a.gz")
    kept(good[:10] + b"\xff" * 30, "damaged gzip content", "a.gz")
    kept(good[:3] + b"\x08" + good[4:10] + b"name without end", "damaged", "a.gz")
    kept(gzip.compress(IDX[:-1]), "promises 24 bytes before 23", "a.gz")


def test_a_bomb_is_bounded(kept, monkeypatch):
    monkeypatch.setattr("bitsback.files.gz.MAX_SAMPLES", 1000)
    big = b"P5 100 100 255 " + bytes(10_000)
    kept(gzip.compress(big), "too large", "a.gz")


def test_gzip_is_not_promised_to_be_exact():
    picture = parse(gzip.compress(IDX, compresslevel=1))
    assert not picture.exact and np.array_equal(picture.parts[0].ravel(), np.arange(24))
