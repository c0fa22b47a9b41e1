"""zip files, written by zipfile: stored and deflated members are modelled like files."""

import io
import zipfile
import zlib

import numpy as np
import pytest

from bitsback.files import parse, write
from files.test_tar import FILES, GREY, PGM, packed


def zipped(files, kind=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        archive.comment = b"a comment"
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6)), data, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_modelled_like_files(kind, check_file):
    files = FILES | {"f.tar": packed({"a.pgm": PGM, "b.txt": b"words"})}
    picture = check_file(zipped(files, kind), "a.cbz", exact=True)
    alone = [parse(file, name).parts for name, file in files.items()]
    assert picture.recipe["format"] == "zip" and picture.coefficients == {2}
    assert all(map(np.array_equal, picture.parts, [part for parts in alone for part in parts]))
    assert (b"some words" in picture.blob) and (len(picture.blob) > 2000)


def test_zip_in_zip_down_to_where_it_is_bytes(check_file):
    data, parts = PGM, []
    for _ in range(5):
        data = zipped({"inner": data})
        parts.append(len(parse(data, "a.zip").parts))
    assert parts == [1, 1, 1, 0, 0]


def test_a_bomb_is_kept(kept):
    """Members that promise more than is unpacked here, alone or all together."""
    zeros = zlib.compress(bytes(1 << 20), 9)[2:-4]
    pixels = b"P5 1024 1024 255 " + bytes(1 << 20)
    data = bytearray(zipped({"a.pgm": pixels}))
    assert parse(bytes(data), "a.zip").parts
    at = data.rindex(b"PK\1\2")
    data[at + 24 : at + 28] = (1 << 30).to_bytes(4, "little")
    kept(bytes(data), "", "a.zip")
    kept(zipped({"a.bin": zeros}), "", "a.zip")


def test_members_that_cannot_be_are_bytes_between_those_that_can(check_file):
    data = bytearray(zipped({"a.pgm": PGM, "b.pgm": PGM[::-1], "c.pgm": PGM}))
    at = data.rindex(b"PK\1\2")
    data[at + 10 : at + 12] = b"\x63\0"  # an unknown method
    assert len(check_file(bytes(data), "a.zip", exact=True).parts) == 1
    for flag in (1, 8):  # encrypted; sizes that follow
        data = bytearray(zipped({"a.pgm": PGM, "c.pgm": PGM}))
        data[data.rindex(b"PK\1\2") + 8] = flag
        assert len(check_file(bytes(data), "a.zip", exact=True).parts) == (1 if flag == 1 else 2)


def test_what_is_kept(kept):
    kept(zipped({"a.txt": b"words " * 99}), "", "a.docx")
    kept(zipped({"a.pgm": PGM})[:-20], "a damaged zip file", "a.zip")
    data = bytearray(zipped({"a.pgm": PGM, "b.pgm": PGM}))
    at = data.rindex(b"PK\1\2")
    data[at + 42 : at + 46] = bytes(4)  # both in one place
    kept(bytes(data), "share bytes", "a.zip")


def test_damaged_files_come_back_as_they_are():
    good = zipped({"a.pgm": PGM, "b.txt": b"some words " * 5, "c.pgm": b"P5 24 20 255 " + np.roll(GREY, 7).tobytes()})
    rng = np.random.default_rng(1)
    for _ in range(80):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        data = bytes(data)
        picture = parse(data, "a.zip")
        again = picture.raw if picture.raw is not None else write(picture.recipe, picture.blob, picture.parts)
        assert again == data


def test_many_bombs_end_early():
    """What is unpacked of all members together is bounded by the size of the file."""
    pixels = b"P5 1024 1024 255 " + bytes(1 << 20)
    data = zipped({f"{k}.zip": zipped({"a.pgm": pixels[:-1] + bytes([k])}) for k in range(16)})
    assert 0 < len(parse(data, "a.zip").parts) < len(data) * 4096 / (1 << 20) < 16
