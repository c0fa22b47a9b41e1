"""What recipes make, measured before it is made; and recipes that would make much of little."""

import contextlib
import gzip
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitsback import files
from bitsback.errors import FormatError
from bitsback.files import bulk, parse
from bitsback.files.bulk import CODED, PIECES, check_bulk
from bitsback.files.packed import section, varint, varints
from bitsback.files.picture import MAX_SAMPLES

Shape = tuple[int, int, int, int]
Made = tuple[dict[str, Any], bytes, list[NDArray[Any]]]

NPY = {"format": "npy", "head": 0, "layout": {}}
WORDS = {"format": "words", "head": 0, "layout": {"bits": 64, "kind": "f", "table": 2}}
RULES = [6, 8, 0, 15, 0]
MEMBER = {"deflate": RULES}
MEGA: Shape = (1, 1 << 10, 1 << 10, 1)


def places(shape: Shape, spans: int, **more: Any) -> dict[str, Any]:
    return {"format": "tiff", "arrays": [{"at": [0, 1] * spans, **more}]}


def within(at: list[int], recipe: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"format": "tar", "arrays": [{"at": at, "files": recipe, **more}]}


LIES: dict[str, tuple[dict[str, Any], list[Shape]]] = {
    "words": (WORDS, [MEGA]),
    "wide words": ({**WORDS, "layout": {"bits": 1 << 40, "kind": "u"}}, [MEGA]),
    "padded rows": ({"format": "bmp", "head": 0, "layout": {"align": 4}}, [(1, 1 << 20, 1, 1)]),
    "plain text": ({"format": "pnm", "plain": 2}, [MEGA]),
    "long plain text": ({"format": "pnm", "plain": 2}, [(1, 1, 1 << 23, 1)]),
    "gzip around words": ({"format": "gzip", "header": 10, "inner": WORDS}, [(16, 1 << 10, 1 << 10, 1)]),
    "gzip in gzip": ({"format": "gzip", "inner": {"format": "gzip", "inner": WORDS}}, [(99, 1 << 10, 1 << 10, 1)]),
    "members of gzip": ({"format": "gzip", "members": [MEMBER] * (PIECES + 9), "inner": NPY}, [(1, 8, 8, 1)]),
    "npz of words": ({"format": "npz", "members": [{"deflate": RULES, "array": WORDS}]}, [(16, 1 << 10, 1 << 10, 1)]),
    "members of npz": ({"format": "npz", "members": [MEMBER] * (PIECES + 9)}, []),
    "a member of less than nothing": ({"format": "npz", "entries": [{"blob": -5}]}, []),
    "png": ({"format": "png", "depth": 8, "colour": 0, "images": [{}]}, [(1, 1 << 14, 1 << 12, 1)]),
    "frames of png": ({"format": "png", "depth": 8, "colour": 0, "images": [{}]}, [(9000, 1, 1, 1)]),
    "chunks of png": (
        {"format": "png", "depth": 8, "colour": 0, "chunks": "tEXt " * 99_999, "images": [{}]}, [(1, 1, 1, 1)]
    ),
    "spans": (places(MEGA, 9000, codec="zlib"), [(1, 8, 8, 1)]),
    "a codec": (places(MEGA, 1, codec="lzw"), [(1, 1 << 14, 1 << 14, 1)]),
    "files in files": (within([0, 1] * 9000, {"format": "npy", "head": 0, "layout": {}}), [(1, 1, 1, 1)] * 9000),
    "files without arrays": (within([0, 1] * 9000, {}, parts=0), []),
    "too few arrays": (within([0, 1, 0, 1], NPY), [MEGA]),
    "bytes in files in files": (within([0, 1], within([0, 1], NPY)), [(1, 1 << 14, 1 << 10, 1)]),
    "a file in a file, deflated": (within([0, 1], NPY, codec="deflate"), [(1, 1 << 14, 1 << 15, 1)]),
    "less than no arrays": (within([0, 1], NPY, parts=-1), [MEGA]),
    "too many arrays": ({"format": "tiff", "arrays": [{"at": [0, 1]}]}, [MEGA, MEGA]),
    "no format": ({"head": 3}, [MEGA]),
    "an unknown format": ({"format": "xyz"}, [MEGA]),
    "no layout": ({"format": "bmp", "layout": {"bits": 7}}, [MEGA]),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_what_makes_more_than_its_file_is_refused_before(name: str) -> None:
    recipe, shapes = LIES[name]
    began = time.process_time()
    with pytest.raises(FormatError):
        check_bulk(recipe, shapes, 1000)
    assert time.process_time() - began < 2


def test_what_is_inflated_is_bounded_whatever_a_file_says_of_its_size() -> None:
    for recipe in (LIES["png"][0], LIES["gzip around words"][0], {**WORDS}, places(MEGA, 1, codec="zlib")):
        with pytest.raises(FormatError):
            check_bulk(recipe, [(1, 1 << 15, MAX_SAMPLES >> 14, 1)], 1 << 40)


def test_files_that_only_keep_their_pixels_may_be_larger_than_they_were() -> None:
    recipe: dict[str, Any] = {"format": "npy", "head": 0, "layout": {}}
    with pytest.raises(FormatError):
        check_bulk(recipe, [(1, 300, 1000, 1)], 200_000)
    assert check_bulk(recipe, [(1, 300, 1000, 1)], 200_000, exact=False).size == 300_000


def test_what_is_coded_takes_more_memory() -> None:
    found = bulk.bulk({"format": "png", "depth": 4, "colour": 0, "images": [{}]}, [(3, 10, 5, 1)])
    assert found == (3 * 10 * (1 + 3), 3, 120, 120) and found.memory == (1 + CODED) * 120


# What goes on within a size that is honest.


def idle(kind: str, chosen: bytes, how: Any, size: int, part: NDArray[Any]) -> Made:
    one = {"at": [0, size], "codec": kind, "step": part.nbytes, "page": part.nbytes, "coded": [[1, how]]}
    return {"format": "tiff", "arrays": [one]}, section(chosen) + section(b""), [part]


def _packbits() -> Made:
    return idle("packbits", b"\x80" * (8 << 20), 0, 8 << 20, np.zeros((1, 8, 8, 1), np.uint8))


def _lzw() -> Made:
    return idle("lzw", varint(8 << 20) + bytes(8 << 20), [], 9 << 20, np.zeros((1, 8, 8, 1), np.uint8))


def _short_lzw() -> Made:
    """Runs of two codes each: the table begins anew every time."""
    part = (np.arange(1 << 18) % 251).astype(np.uint8).reshape(1, 512, 512, 1)
    runs = varints([2] * (1 << 17))
    return idle("lzw", runs, [], -(-(1 << 17) * 3 * 9 // 8), part)


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Compile what deflates, which is not what is measured."""
    data = gzip.compress(b"P5 6 9 255 " + bytes(54))
    assert parse(data, "a.pgm.gz").parts


def _numbers() -> Made:
    """A list of corrections that says that it is long."""
    image = {"deflate": RULES, "corrected": 1}
    blob = section(b"\xff" * (1 << 20))
    return {"format": "png", "depth": 8, "colour": 0, "images": [image]}, blob, [np.zeros((1, 8, 8, 1), np.uint8)]


def _cut() -> Made:
    """Pixels that are cut into chunks of nothing."""
    image = {"deflate": RULES, "cut": 0}
    blob = varint(4 << 20) + bytes(4 << 20)
    return {"format": "png", "depth": 8, "colour": 0, "images": [image]}, blob, [np.zeros((1, 8, 8, 1), np.uint8)]


def _filters() -> Made:
    image = {"deflate": RULES, "filter": []}
    blob = section(b"\xff" * (1 << 20))
    return {"format": "png", "depth": 8, "colour": 0, "images": [image]}, blob, [np.zeros((1, 8, 8, 1), np.uint8)]


def _scans() -> Made:
    """As many scans of a progressive JPEG as there can be, each of nothing new."""
    sof = b"\xff\xc2\0\x0b\x08" + (800).to_bytes(2, "big") * 2 + b"\1\1\x11\0"
    dqt = b"\xff\xdb\0\x43\0" + b"\1" * 64
    dht = b"\xff\xc4\0\x14\x00" + b"\1" + bytes(15) + b"\0"
    sos = b"\xff\xda\0\x08\1\1\0\0\0\0"
    scan = b"\xff\xda\0\x08\1\1\0\0\0\0"
    assert sos == scan
    return {"format": "jpeg"}, b"\xff\xd8" + dqt + sof + dht + scan * 50_000, [np.zeros((10_002, 8, 8, 1), np.uint16)]


@pytest.mark.parametrize("make", [_packbits, _lzw, _short_lzw, _numbers, _cut, _filters, _scans])
def test_little_is_not_gone_through_again_and_again(make: Callable[[], Made]) -> None:
    recipe, blob, parts = make()
    with contextlib.suppress(FormatError):
        files.write(recipe, b"", parts)  # so that all is loaded
    tracemalloc.start()
    began = time.process_time()
    try:
        data = files.write(recipe, blob, parts)
    except FormatError:
        data = b""
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 2 and peak < 200 << 20, (len(data), seconds, peak)


# What is legitimate.


def test_large_arrays_of_words_take_little_more_than_themselves() -> None:
    array = np.zeros((1 << 21, 2), np.float64)
    array[::3] = 1.5
    part = np.ascontiguousarray(array > 0).astype(np.uint8).reshape(1, 1 << 21, 1, 2)
    blob = np.array([0.0, 1.5]).view("<u8")
    blob = np.sort(np.where(blob >> 63, ~blob, blob | np.uint64(1 << 63)).astype("<u8")).tobytes()
    recipe = {"format": "words", "head": 0, "layout": {"bits": 64, "kind": "f", "table": 2}}
    tracemalloc.start()
    data = files.write(recipe, blob, [part])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert data == array.tobytes() and peak < 2.7 * len(data)


def test_words_in_any_order_of_axes() -> None:
    array = np.random.default_rng(0).normal(size=(3, 7, 5, 2)).astype(">f4")
    for axes in ((0, 1, 2, 3), (1, 0, 3, 2), (3, 2, 1, 0)):
        data = files.npy_bytes(np.asfortranarray(np.tile(array.transpose(axes), (2, 2, 2, 1))))
        picture = parse(data, "a.npy")
        assert picture.parts and files.write(picture.recipe, picture.blob, picture.parts) == data


def test_what_is_refused_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [b"P5 6 9 255 ", *(b"%c" % k for k in range(54))]
    members = b"".join(gzip.compress(piece, 6, mtime=0) for piece in pieces)
    assert parse(members, "a.pgm.gz").parts
    monkeypatch.setattr(bulk, "PIECES", 20)
    picture = parse(members, "a.pgm.gz")
    assert picture.raw == members and "pieces are too many" in picture.note
