import hashlib
import time
import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bitsback.archive.container import System
from bitsback.archive.directory import (
    MAX_RECIPE,
    MAX_ROWS,
    Content,
    Directory,
    Row,
    decode,
    name_bytes,
    name_text,
    read_head,
    sized,
)
from bitsback.archive.fields import column, fields, steps, strings, varints
from bitsback.archive.limits import Limits
from bitsback.archive.member import Entry, Type
from bitsback.archive.packing import Packing, pack
from bitsback.errors import BitsBackError, FormatError, LimitError, UnsupportedVersionError

HASH = hashlib.sha256(b"x").digest()

# Names as file systems have them: on POSIX any bytes, on Windows any 16-bit units.
posix_names = st.binary(max_size=30).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
units = st.text(st.characters(min_codepoint=1), max_size=20)
windows_names = units.map(lambda text: text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass"))
times = st.none() | st.integers(-(10**18), 10**20) | st.integers(-(2**63) * 10**9, 2**63 * 10**9 - 1)
recipes = st.sampled_from(['{"format":"npy"}', '{"format":"png","depth":8}', '{"größe":"\\u0000"}'])


@st.composite
def contents(draw: st.DrawFn) -> Content:
    recipe = draw(st.none() | recipes)
    size = draw(st.integers(0, 1 << 40))
    sha256 = draw(st.none() | st.binary(min_size=32, max_size=32))
    if recipe is None:
        return Content(size, size, sha256=sha256)
    counts = tuple(draw(st.lists(st.integers(1, 1 << 30), max_size=3)))
    return Content(size, draw(st.integers(0, 1 << 30)), recipe, counts, draw(st.booleans()), sha256)


@st.composite
def made(draw: st.DrawFn, names: st.SearchStrategy[str]) -> Directory:
    first_member, first_content = draw(st.integers(0, 1 << 19)), draw(st.integers(0, 1 << 19))
    described = draw(st.lists(contents(), max_size=5))
    rows = []
    for _ in range(draw(st.integers(0, 9))):
        kind = draw(st.sampled_from(Type))
        target = draw(names) if kind in (Type.SYMLINK, Type.HARDLINK) else ""
        known = first_content + len(described)
        content = draw(st.integers(0, known - 1)) if kind in (Type.FILE, Type.HARDLINK) and known else None
        if content is None and kind in (Type.FILE, Type.HARDLINK):
            continue
        entry = Entry(draw(names), kind, draw(times), draw(st.none() | st.integers(0, 0o7777)), 0, target)
        rows.append(Row(entry, content))
    return Directory(first_member, first_content, rows, described)


def again(directory: Directory, system: System = System.POSIX) -> Directory:
    head, payload = directory.encode(system)
    return decode(read_head(head), payload, system)


@settings(deadline=None, max_examples=60)
@given(made(posix_names))
def test_round_trip(directory: Directory) -> None:
    assert again(directory) == directory


@settings(deadline=None, max_examples=30)
@given(made(windows_names))
def test_round_trip_on_windows(directory: Directory) -> None:
    assert again(directory, System.WINDOWS) == directory


@given(posix_names, windows_names)
def test_names(posix: str, windows: str) -> None:
    assert name_text(name_bytes(posix, System.POSIX), System.POSIX) == posix
    assert name_text(name_bytes(windows, System.WINDOWS), System.WINDOWS) == windows


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("a\0b", System.POSIX),
        ("a\0b", System.WINDOWS),
        ("\ud800", System.POSIX),  # from Windows
        ("\udcc3\udca9", System.POSIX),  # not two bytes, but two 16-bit units
        ("\ud83d\ude00", System.WINDOWS),  # one character, spelt as two
    ],
)
def test_names_that_an_archive_cannot_keep_are_named(name: str, system: System) -> None:
    with pytest.raises(BitsBackError, match="no name in an archive of a"):
        name_bytes(name, system)


@pytest.mark.parametrize("name", [b"\xff", b"\xc3", b"\xed\xa0\xbd\xed\xb8\x80"])
def test_names_that_are_no_wtf_8(name: bytes) -> None:
    with pytest.raises(FormatError):
        name_text(name, System.WINDOWS)
    assert name_bytes(name_text(name, System.POSIX), System.POSIX) == name


def test_similar_members_cost_little() -> None:
    rows = [Row(Entry(f"images/{n:05}.png", Type.FILE, 10**18 + n * 10**9, 0o644), n) for n in range(1000)]
    described = [Content(500, 0, '{"format":"png"}', (1,)) for _ in range(1000)]
    head, payload = Directory(0, 0, rows, described).encode(System.POSIX)
    assert len(head + payload) < 1500


def test_what_one_member_lacks_the_others_keep() -> None:
    rows = [
        Row(Entry("a", Type.FILE, None, 0), 0),
        Row(Entry("b", Type.FOLDER, -1, None)),
        Row(Entry("c", Type.FILE, 0, 0o7777), 1),
    ]
    directory = Directory(0, 0, rows, [Content(1, 1), Content(1, 1, sha256=HASH)])
    assert again(directory) == directory


def test_sizes_are_those_of_the_content() -> None:
    assert sized(Row(Entry("a"), 0), Content(7, 7)).size == 7
    assert sized(Row(Entry("a", Type.FOLDER)), None).size == 0


def test_modes_that_are_none_are_not_written() -> None:
    with pytest.raises(ValueError, match="no permissions"):
        Directory(0, 0, [Row(Entry("a", Type.FOLDER, None, 0o10000))]).encode(System.POSIX)


# Directories that no writer makes. One member, one content: a file of four bytes.

SOUND: dict[int, bytes] = {2: strings([b"a"]), 16: column([4])}


def packed(
    values: dict[int, bytes], members: int = 1, described: int = 1, *, first: int = 0, size: int = -1
) -> tuple[bytes, bytes]:
    body = fields(values)
    how, payload = pack(body)
    return bytes([how]) + varints([first, 0, members, described, len(body) if size < 0 else size]), payload


def read(head: bytes, payload: bytes, limits: Limits | None = None) -> Directory:
    return decode(read_head(head, limits or Limits()), payload, System.POSIX)


def test_the_sound_one() -> None:
    assert read(*packed(SOUND)) == Directory(0, 0, [Row(Entry("a"), 0)], [Content(4, 4)])


WRONG: dict[str, tuple[dict[int, Any], type[BitsBackError]]] = {
    "no name": ({2: None}, FormatError),
    "two names": ({2: b"a\0b\0"}, FormatError),
    "a name cut short": ({2: b"a"}, FormatError),
    "an unknown type": ({1: b"\4"}, UnsupportedVersionError),
    "two types": ({1: b"\0\1"}, FormatError),
    "more than a second": ({3: steps([1]), 4: varints([10**9 + 1])}, FormatError),
    "a mode of 13 bits": ({5: varints([0o10001])}, FormatError),
    "a content that is to come": ({6: b"\2"}, FormatError),
    "a second content": ({6: b"\0\0"}, FormatError),
    "a target too many": ({7: b"x\0"}, FormatError),
    "no target": ({1: b"\2"}, FormatError),
    "no content for a folder": ({1: b"\1", 6: b"\0"}, FormatError),
    "an unknown flag": ({17: b"\4"}, UnsupportedVersionError),
    "pixels only, without a recipe": ({17: b"\1"}, FormatError),
    "no hash": ({17: b"\2"}, FormatError),
    "a hash too many": ({23: HASH}, FormatError),
    "a recipe that is no text": ({18: b"\xff\0"}, FormatError),
    "two recipes": ({18: b"{}\0{}\0"}, FormatError),
    "a recipe that is not there": ({19: b"\1"}, FormatError),
    "arrays without a recipe": ({20: b"\1"}, FormatError),
    "an array without images": ({18: b"{}\0", 21: b"\0"}, FormatError),
    "arrays without number": ({18: b"{}\0", 20: varints([1 << 60])}, LimitError),
    "an unknown field": ({40: b""}, UnsupportedVersionError),
    "a long recipe": ({18: b"x" * (MAX_RECIPE + 1) + b"\0"}, LimitError),
}


@pytest.mark.parametrize("what", WRONG)
def test_directories_that_no_writer_makes(what: str) -> None:
    changes, error = WRONG[what]
    with pytest.raises(error):
        read(*packed({tag: value for tag, value in (SOUND | changes).items() if value is not None}))


def test_fields_that_may_be_ignored_are() -> None:
    assert read(*packed(SOUND | {200: b"later"})) == read(*packed(SOUND))


@pytest.mark.parametrize("system", System)
def test_a_hard_link_needs_a_content_and_a_target(system: System) -> None:
    body = SOUND | {1: b"\3", 7: b"b\0"}
    head, payload = packed(body)
    (row,) = decode(read_head(head), payload, system).rows
    assert (row.entry.type, row.entry.target, row.content) == (Type.HARDLINK, "b", 0)


def test_heads() -> None:
    head, payload = packed(SOUND)
    for bad in (head + b"\0", head[:-1], b""):
        with pytest.raises(FormatError):
            read_head(bad)
    with pytest.raises(FormatError):
        read(*packed(SOUND, size=99))
    with pytest.raises(UnsupportedVersionError):
        read(b"\x09" + head[1:], payload)
    for limits in (Limits(members=0), Limits(table=3)):
        with pytest.raises(LimitError):
            read_head(head, limits)
    for bad_head, _ in (
        packed(SOUND, MAX_ROWS + 1),
        packed(SOUND, described=MAX_ROWS + 1),
        packed(SOUND, first=1 << 60),
    ):
        with pytest.raises(LimitError):
            read_head(bad_head)


BOMB = 16 << 20

BOMBS: dict[str, dict[int, bytes]] = {
    "names": SOUND | {2: bytes(BOMB)},
    "targets": SOUND | {7: bytes(BOMB)},
    "recipes": SOUND | {18: bytes(BOMB)},
    "modes": SOUND | {5: bytes(BOMB)},
    "sizes": SOUND | {16: bytes(BOMB)},
    "counts": SOUND | {18: b"{}\0", 20: varints([MAX_ROWS]), 21: bytes(BOMB)},
    "hashes": SOUND | {23: bytes(BOMB)},
    "unknown": SOUND | {255: bytes(BOMB)},
}


@pytest.mark.parametrize("what", BOMBS)
def test_few_bytes_do_not_become_many_things(what: str) -> None:
    """16 MiB of zeros are a few kB when packed, and could be 16 Mi things of a list."""
    body = fields(BOMBS[what])
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    head = bytes([Packing.DEFLATE]) + varints([0, 0, 1, 1, len(body)])
    payload = deflate.compress(body) + deflate.flush()
    assert len(payload) < 100_000
    tracemalloc.start()
    began = time.process_time()
    try:
        if what == "unknown":
            assert read(head, payload)
        else:
            with pytest.raises(BitsBackError):
                read(head, payload)
        seconds = time.process_time() - began
        assert tracemalloc.get_traced_memory()[1] < 4 * BOMB and seconds < 2
    finally:
        tracemalloc.stop()


@settings(deadline=None)
@given(st.dictionaries(st.integers(1, 24), st.binary(max_size=12), max_size=9), st.integers(0, 3), st.integers(0, 3))
def test_any_fields_give_a_directory_or_a_known_error(values: dict[int, bytes], members: int, described: int) -> None:
    try:
        found = read(*packed(values, members, described))
    except BitsBackError:
        return
    rows = [structs.replace(row, content=row.content) for row in found.rows]
    assert again(replace(found, rows=rows)) == found
