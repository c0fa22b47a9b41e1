"""A tree in, the same tree out: what is gathered, extracted again, is no different."""

import codecs
import errno
import os
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.fake_archive import pack_sources
from archive.trees import deep, look, nobody, room
from bitsback.archive.extract import extract
from bitsback.archive.gather import gather

PARTS = st.one_of(
    st.binary(min_size=1, max_size=12).map(lambda part: part.replace(b"\0", b"0").replace(b"/", b"\\")),
    st.sampled_from(
        [b"Case", b"case", b"caf\xc3\xa9", b"cafe\xcc\x81", b"aux.txt", b"end.", b"end ", b"a:b", b"new\nline"]
    ),
).filter(lambda part: part not in (b".", b".."))
TIMES = st.one_of(
    st.sampled_from([0, -1, 1, -2_145_916_800 * 10**9, 13_569_465_600 * 10**9 + 7, 15_032_385_535 * 10**9]),
    st.integers(-2_147_483_648 * 10**9, 15_032_385_535 * 10**9),  # what ext4 holds
)
THINGS = st.tuples(
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from(["file", "folder", "link", "again"]),
    st.binary(max_size=20).filter(lambda data: b"\0" not in data),
    st.integers(0, 0o7777),
    TIMES,
)
Thing = tuple[list[bytes], str, bytes, int, int]


def build(top: Path, things: list[Thing]) -> None:
    """As much of this as can be; modes and times last, the deepest first."""
    last: list[tuple[bytes, str, int, int]] = []
    files: list[bytes] = []
    for parts, kind, data, mode, time_ns in things:
        path = os.path.join(os.fsencode(top), *parts)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if kind == "folder":
                os.mkdir(path)
            elif kind == "link":
                os.symlink(data or b"nowhere", path)
            elif kind == "again" and files:
                os.link(files[len(data) % len(files)], path)
                continue
            else:
                with open(path, "xb") as file:
                    file.write(data)
                files.append(path)
        except (FileExistsError, NotADirectoryError, FileNotFoundError):
            continue
        except OSError as error:
            if error.errno != errno.ELOOP:  # below a link to itself
                raise
            continue
        last.append((path, kind, mode, time_ns))
    for path, kind, mode, time_ns in sorted(last, reverse=True):
        if kind != "link":
            os.chmod(path, mode if os.geteuid() == 0 else mode | (0o700 if kind == "folder" else 0o400))
        os.utime(path, ns=(0, time_ns), follow_symlinks=False)


@settings(deadline=None, max_examples=100)
@given(st.lists(THINGS, max_size=15), st.sampled_from([0, 0o022, 0o077]))
def test_whatever_the_tree(things: list[Thing], mask: int) -> None:
    with room() as place:
        (place / "in").mkdir()
        build(place / "in", things)
        before = look(place / "in")
        old = os.umask(mask)
        try:
            with chdir(place):
                sources, skipped = gather(["in"])
                result = extract(pack_sources(sources), "out", preserve=True)
        finally:
            os.umask(old)
        assert skipped == [] and (result.skipped, result.renamed, result.warnings) == ([], [], [])
        assert look(place / "out/in") == before
        assert len(result.written) + len(result.folders) == len(sources) == len(before) + 1
        with chdir(place):  # and again, over itself
            assert extract(pack_sources(sources), "out", preserve=True, overwrite=True).warnings == []
        assert look(place / "out/in") == before


@settings(deadline=None, max_examples=30)
@given(st.lists(THINGS, max_size=12))
def test_whatever_the_tree_of_somebody_without_rights(things: list[Thing]) -> None:
    """Without -p, and without being root: contents and times are the same, and modes those that the umask leaves."""
    codecs.lookup("utf-16-le")  # before: nobody may not read the library, maybe
    with room() as place:
        things = [
            (parts, kind, data, mode | 0o600 | 0o100 * (kind == "folder"), t) for parts, kind, data, mode, t in things
        ]
        with nobody():
            (place / "in").mkdir()
            build(place / "in", things)
            before = look(place / "in")
            with chdir(place):
                sources, skipped = gather(["in"])
                result = extract(pack_sources(sources), "out")
        assert skipped == [] and result.warnings == [] and result.renamed == []
        left = {os.fsencode(name.removeprefix("in/")) for name, _ in result.skipped}
        assert all(before[name].kind == "link" for name in left)
        umask = os.umask(0o022)
        os.umask(umask)
        assert look(place / "out/in") == {
            name: thing._replace(mode=thing.mode & 0o777 & ~umask if thing.kind != "link" else thing.mode)
            for name, thing in before.items()
            if name not in left
        }


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_fifteen_hundred_folders(user: str) -> None:
    def put(descriptor: int, level: int) -> None:
        if level % 50 == 49:
            os.close(os.open(b"file", os.O_CREAT | os.O_WRONLY, 0o640, dir_fd=descriptor))
            os.link(b"file", b"again", src_dir_fd=descriptor, dst_dir_fd=descriptor)
            os.symlink(b"..", b"up", dir_fd=descriptor)
            os.utime(b"up", ns=(0, level), dir_fd=descriptor, follow_symlinks=False)

    with room() as place:
        deep(place, 1500, "folder", put)
        (place / "folder").rename(place / "in")
        before = look(place / "in")
        with chdir(place):
            archive = pack_sources(gather(["in"])[0])
            if user == "root":
                result = extract(archive, "out", preserve=True)
            else:
                with nobody():
                    result = extract(archive, "out", preserve=True)
        assert (result.warnings, result.skipped, result.renamed) == ([], [], [])
        assert len(before) == 1499 + 3 * 30 and look(place / "out/in") == before
