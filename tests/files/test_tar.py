"""tar files of all dialects, written by tarfile: members that are modelled like files, and all else as it is."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from bitsback.errors import FormatError
from bitsback.files import parse, tar, write
from bitsback.files.picture import DEEPEST

RNG = np.random.default_rng(3)
GREY = (np.add.outer(np.arange(20), np.arange(24)) * 5).astype(np.uint8)
PGM = b"P5 24 20 255 " + GREY.tobytes()


def saved(kind, image=GREY):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


FILES = {
    "a.pgm": PGM,
    "folder/notes.txt": b"some words\n" * 9,
    "folder/b.bmp": saved("bmp"),
    "empty": b"",
    "c.jpg": saved("jpeg", np.kron(GREY, np.ones((2, 2), np.uint8))),
    "long/" * 30 + "d.png": saved("png"),
    "e.npy": b"\x93NUMPY\x01\0",
}


def packed(files, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000.25
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "a.pgm"
        archive.addfile(link)
    return out.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_modelled_like_files(form, check_file):
    files = FILES if form != tarfile.USTAR_FORMAT else {name.replace("long/" * 30, ""): FILES[name] for name in FILES}
    data = packed(files, form)
    picture = check_file(data, "a.tar", exact=True)
    assert picture.recipe["format"] == "tar" and picture.coefficients == {2}
    alone = [parse(file, name).parts for name, file in files.items()]
    assert all(map(np.array_equal, picture.parts, [part for parts in alone for part in parts]))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        known = [(member.name, member.size) for member in archive if member.isfile()]
    found = [(member.name.decode(), member.span.size) for member in tar.members(data)]
    assert found == known


def test_the_first_dialect(check_file):
    """Version 7: no magic, just a sum."""
    data = bytearray(packed({"a.pgm": PGM}, tarfile.USTAR_FORMAT))
    for at in (0, 1024):
        data[at + 257 : at + 500] = bytes(243)
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    assert check_file(bytes(data), "a.tar", exact=True).recipe["format"] == "tar"


def test_sums_and_sizes_follow(check_file):
    """They are not kept where they are as usual; elsewhere headers are kept as they are."""
    good = packed({"a.pgm": PGM, "b.txt": b"words " * 99, "c.pgm": PGM}, tarfile.USTAR_FORMAT)
    blob = check_file(good, "a.tar", exact=True).blob
    assert b"%011o" % len(PGM) not in blob and b"%011o" % 594 in blob and good[148:156] not in blob
    for at, other in ((148, b" %05o\0 " % int(good[148:154], 8)), (124, b"%11o " % len(PGM))):
        data = bytearray(good)
        data[at : at + len(other)] = other
        if at == 124:
            data[148:156] = b" " * 8
            data[148:156] = b"%06o\0 " % sum(data[:512])
        assert (other in check_file(bytes(data), "a.tar", exact=True).blob) is True


def test_zeros_that_fill_up_are_not_kept(check_file):
    """Unless they are something else, or missing."""
    good = packed({"a.pgm": PGM, "b.pgm": PGM}, tarfile.USTAR_FORMAT)
    picture = check_file(good, "a.tar", exact=True)
    assert picture.recipe["padded"] == 512
    blob = len(picture.blob)
    odd = good[: 512 + len(PGM)] + b"x" + good[512 + len(PGM) + 1 :]
    short = good[: 3 * 512 + len(PGM)]
    for data in (odd, short):
        picture = check_file(data, "a.tar", exact=True)
        assert "padded" not in picture.recipe and picture.parts
    assert len(check_file(odd, "a.tar", exact=True).blob) == blob + 2 * (-len(PGM) % 512)
    with pytest.raises(FormatError, match="strangely"):
        write(picture.recipe | {"padded": 1 << 30}, picture.blob, picture.parts)


def test_alike_files_have_one_recipe(check_file):
    data = packed({f"{k}.pgm": b"P5 24 20 255 " + np.roll(GREY, k).tobytes() for k in range(9)})
    (one,) = check_file(data, "a.tar", exact=True).recipe["arrays"]
    assert len(one["at"]) == 18 and one["files"]["format"] == "pnm"


def test_tar_in_tar_down_to_where_it_is_bytes(check_file):
    data = PGM
    for depth in range(1, DEEPEST + 2):
        data = packed({"inner": data})
        if depth <= DEEPEST:
            assert np.array_equal(check_file(data, exact=True).parts[0][0, :, :, 0], GREY)
    assert parse(data, "a.tar").raw == data


def test_what_is_cut_off_is_bytes(check_file):
    data = packed({"a.pgm": PGM, "b.pgm": PGM})
    for size in (len(PGM) + 512, len(data) - 9000, 1024 + 2048 + 100):
        assert check_file(data[: len(data) - size % len(data)], "a.tar", exact=True).parts
    assert len(check_file(data[: 512 * 3] + b"x" * 512 + data[512 * 4 :], exact=True).parts) == 1


def test_what_is_kept(kept):
    kept(packed({"a.txt": b"words " * 99, "b.pgm": PGM[:-1]}), "", "a.tar")
    kept(packed({}), "", "a.tar")
    kept(packed({"a.pgm": PGM})[:700], "", "a.tar")
    kept(b"BM" + bytes(600), "", "a.tar.txt")


def test_damaged_files_come_back_as_they_are():
    good = packed({name: data for name, data in FILES.items() if not name.endswith(("png", "jpg"))})
    rng = np.random.default_rng(1)
    for _ in range(80):
        data = bytearray(good)
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(4000)] = rng.integers(256)
        data = bytes(data[: int(rng.choice([len(data), rng.integers(600, len(data))]))])
        picture = parse(data, "a.tar")
        again = picture.raw if picture.raw is not None else write(picture.recipe, picture.blob, picture.parts)
        assert again == data
