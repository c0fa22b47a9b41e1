"""Parity in an archive: what of it may be damaged, and the archive is still read."""

import io
from pathlib import Path

import pytest

from archive.archives import contents, contents_of, digits, file_item, flipped, image_item, library, noise, opened, pack
from bitsback.archive import Archive, Settings
from bitsback.archive.container import FOOTER_SIZE, FRAME_SIZE, Chunk, ContainerReader, Kind
from bitsback.archive.edit import append
from bitsback.archive.protect import protect, share_of
from bitsback.errors import BitsBackError

ITEMS = [image_item("a.npy", digits(9)), file_item("b", noise(5000)), file_item("c", b"some text")]
MORE = [file_item("d", noise(300, 1))]


@pytest.fixture(scope="module")
def plain() -> bytes:
    return pack(ITEMS)[0]


@pytest.fixture(scope="module")
def data(plain: bytes) -> bytes:
    stream = io.BytesIO(plain)
    protect(stream, 0.05)
    return stream.getvalue()


@pytest.fixture(scope="module")
def grown(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """With more behind the parity, and parity for that."""
    path = tmp_path_factory.mktemp("grown") / "a.bba"
    path.write_bytes(data)
    append(path, MORE, library(), Settings())
    return path.read_bytes()


def parity_of(data: bytes) -> Chunk:
    return next(chunk for chunk in ContainerReader(data).chunks if chunk.kind == Kind.PARITY)


def assert_read(data: bytes, expected: dict[str, bytes], word: str = "parity") -> None:
    archive = opened(data)
    assert contents(archive) == expected
    assert any(word in problem for problem in archive.test())


def test_wherever_parity_is_damaged_the_archive_is_read(plain: bytes, data: bytes) -> None:
    chunk, expected = parity_of(data), contents_of(ITEMS)
    ends = range(chunk.end, len(data))
    for place in (*range(len(plain), len(plain) + FRAME_SIZE), *ends):
        assert_read(flipped(data, place), expected)
    assert_read(flipped(data, chunk.payload_offset + 5000), expected, "payload")
    assert_read(data[: chunk.end] + bytes(len(data) - chunk.end), expected, "follow the end")


def test_damage_before_the_parity_is_not_taken_for_the_parity_s(plain: bytes, data: bytes) -> None:
    for place in range(len(plain) - FOOTER_SIZE - FRAME_SIZE, len(plain)):
        with pytest.raises(BitsBackError):
            opened(flipped(data, place))


def test_damage_to_parity_that_more_follows(plain: bytes, data: bytes, grown: bytes) -> None:
    expected = contents_of([*ITEMS, *MORE])
    assert contents(opened(grown)) == expected and opened(grown).test() == []
    for place in (*range(len(plain), len(plain) + FRAME_SIZE), *range(parity_of(data).end, len(data))):
        assert_read(flipped(grown, place), expected)
    last = [chunk for chunk in ContainerReader(grown).chunks if chunk.kind == Kind.PARITY][-1]
    for place in range(last.end, len(grown), 3):
        assert_read(flipped(grown, place), expected)


def test_what_was_added_is_never_passed_over(plain: bytes, tmp_path: Path) -> None:
    """Its end is no end of parity, so that what was there before cannot stand for the archive."""
    path = tmp_path / "a.bba"
    path.write_bytes(plain)
    append(path, MORE, library(), Settings())
    whole = path.read_bytes()
    start = max(chunk.end for chunk in ContainerReader(whole).chunks)
    for place in (*range(start, len(whole), 5), len(whole) - 1):
        with pytest.raises(BitsBackError):
            opened(flipped(whole, place))


def test_adding_where_parity_is_damaged_makes_it_anew(plain: bytes, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.bba"
    for place in (len(plain) + 9, len(data) - 9, parity_of(data).end + 9):
        path.write_bytes(flipped(data, place))
        append(path, MORE, library(), Settings())
        with Archive(path, library=library()) as archive:
            assert contents(archive) == contents_of([*ITEMS, *MORE])
            assert share_of(archive.structure) == 0.05
