import gzip
import itertools
import zlib

import numpy as np
import pytest

from bitsback.files import innermost, inside, parse, write
from bitsback.files.gz import MAX_OTHER
from bitsback.files.picture import Budget
from bitsback.files.within import attempt
from files.test_tar import FILES, PGM, packed, saved
from files.test_tiff import jpeg_tiff

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
    picture = check_file(data, "a.gz", pixels=True)
    assert picture.blob == header + IDX[:16]
    picture = check_file(data, "a.gz", exact=True)
    assert header in picture.blob and picture.blob.endswith(IDX[:16])


@pytest.mark.parametrize("pixels", [False, True])
def test_other_formats_in_gzip(pixels, check_file):
    plain, spaced = gzip.compress(b"P5 3 2 255 abcdef"), gzip.compress(b"P2 3 1 9 1 2\n3\n")
    assert check_file(plain, "a.pgm.gz", pixels=pixels).parts[0].shape[2] == 3
    assert check_file(spaced, "a.pgm.gz", pixels=pixels).parts[0].shape[2] == 3


def test_what_else_is_in_gzip_is_kept_without_a_note(kept):
    kept(gzip.compress(b"a text"), "", "a.txt.gz")
    kept(gzip.compress(gzip.compress(IDX)), "", "a.gz.gz")
    kept(gzip.compress(b""), "", "a.gz")


def test_damaged_files_are_kept(kept):
    good = gzip.compress(IDX)
    kept(good[:-9], "cut off", "a.gz")
    kept(good[:-1], "wrong checksum", "a.gz", pixels=True)
    kept(good[:-8] + bytes(8), "wrong checksum", "a.gz", pixels=True)
    kept(good + good, "something after its end", "a.gz", pixels=True)
    kept(good[:3] + b"\xe0" + good[4:], "unknown gzip flags", "a.gz")
    kept(good[:10] + b"\xff" * 30, "damaged gzip content", "a.gz")
    kept(good[:3] + b"\x08" + good[4:10] + b"name without end", "damaged", "a.gz")
    kept(gzip.compress(IDX[:-1]), "promises 24 bytes before 23", "a.gz")


def test_a_bomb_is_bounded(kept, monkeypatch):
    monkeypatch.setattr("bitsback.files.formats.MAX_SAMPLES", 1000)
    big = b"P5 100 100 255 " + bytes(10_000)
    kept(gzip.compress(big), "too large", "a.gz")


def test_what_comes_to_nothing_is_counted():
    """Of many files that unpack to much, in one, only so many are tried."""
    useless = packed({"a.pgm": PGM[:-1], "zeros": bytes(1 << 20)})
    budget = Budget(3 << 20)
    for left in (2, 1, 0, 0):
        assert attempt(gzip.compress(useless), budget) is None
        assert round(budget.left / (1 << 20)) == left


def test_a_file_of_files_in_gzip(check_file):
    """Images of all that is within can be found, and shown."""
    files = {"a.pgm": PGM, "b.txt": b"words", "c.jpg": FILES["c.jpg"], "d.png.gz": gzip.compress(saved("png"), mtime=0)}
    data = gzip.compress(packed(files), mtime=5)
    for one in (data, gzip.compress(packed({"in.tgz": data}), mtime=0)):
        picture = check_file(one, "a.tgz", exact=True)
        assert picture.recipe["format"] == "gzip" and picture.coefficients == {1}
        shapes = [part.shape for part in picture.parts]
        names = [entry.name.removeprefix("in.tgz/") for entry in inside(picture.recipe, picture.blob, shapes)]
        assert names[-4:] == list(files)
        recipe, blob, which = innermost(picture.recipe, picture.blob, shapes, 1)
        assert which == range(1, 2) and write(recipe, blob, picture.parts[1:2]) == files["c.jpg"]
        recipe, blob, which = innermost(picture.recipe, picture.blob, shapes, 2)
        assert write(recipe, blob, picture.parts[2:]) == saved("png")
    assert check_file(data, "a.tgz", pixels=True).exact


def test_a_jpeg_within_a_file_in_gzip(check_file):
    data = gzip.compress(jpeg_tiff(), mtime=5)
    for pixels in (False, True):
        picture = check_file(data, "a.tif.gz", exact=True, pixels=pixels)
        assert picture.coefficients == set(range(len(picture.parts)))


def test_a_file_of_few_images_and_much_else_is_kept(kept):
    much = {"a.pgm": PGM, "b": bytes(MAX_OTHER + 2 * len(PGM))}
    kept(gzip.compress(packed(much), 1), "", "a.tgz")
    assert parse(gzip.compress(packed({"a.pgm": PGM, "b": bytes(9999)}), 1)).parts


def test_pixels_alone_are_not_promised_to_be_exact():
    picture = parse(gzip.compress(IDX, compresslevel=1), pixels=True)
    assert not picture.exact and np.array_equal(picture.parts[0].ravel(), np.arange(24))


@pytest.mark.parametrize("cuts", [[], [0], [3], [16, 20], [16, 16]])
def test_several_members(cuts, check_file):
    cuts = [0, *cuts, len(IDX)]
    members = [gzip.compress(IDX[a:b], level, mtime=a) for level, (a, b) in enumerate(itertools.pairwise(cuts), 1)]
    picture = check_file(b"".join(members), "a.gz", exact=True)
    assert np.array_equal(picture.parts[0].ravel(), np.arange(24)) and len(picture.recipe["members"]) == len(members)


@pytest.mark.parametrize("change", ["crc", "size", "cut", "trailing", "zeros", "not a member"])
def test_odd_endings_come_back(change, check_file):
    good = gzip.compress(IDX, 6, mtime=7)
    data = {
        "crc": good[:-8] + bytes(4) + good[-4:],
        "size": good[:-4] + bytes(4),
        "cut": good[:-3],
        "trailing": good + b"something",
        "zeros": good + bytes(512),
        "not a member": good + b"\x1f\x8b\x08\x00\0\0\0\0\0\0\xff\xff",
    }[change]
    check_file(data, "a.gz", exact=True)
