import errno
import os
import pickle
import socket
import stat
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import chdir
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.trees import deep, nobody, open_below, room
from bitsback.archive import atomic
from bitsback.archive.folders import encode, open_parent
from bitsback.archive.gather import (
    Source,
    gather,
    member_name,
    member_names,
    read_image,
    read_pieces,
    read_start,
    read_whole,
    remove,
)
from bitsback.archive.member import Entry, Type
from bitsback.errors import BitsBackError, ChangedError, InputError, LimitError
from bitsback.files import Skipped

FILE, FOLDER, SYMLINK, HARDLINK = Type.FILE, Type.FOLDER, Type.SYMLINK, Type.HARDLINK


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def place() -> Iterator[Path]:
    with room() as place:
        yield place


def touch(*paths: str | bytes, data: bytes = b"x") -> None:
    for path in map(os.fsencode, paths):
        os.makedirs(os.path.dirname(path) or b".", exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def found(*paths: str | Path, exclude: tuple[str, ...] = ()) -> list[tuple[str, Type]]:
    """What is gathered when nothing is left out."""
    sources, skipped = gather(paths, exclude=exclude)
    assert skipped == []
    return [(source.name, source.entry.type) for source in sources]


def names(*paths: str | Path, exclude: tuple[str, ...] = ()) -> list[str]:
    return [name for name, _ in found(*paths, exclude=exclude)]


def only(path: str | Path) -> Source:
    ((source,), _) = gather([path])
    return source


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name", "cut"),
    [
        *(
            ("a", "a", ""),
            ("a/b", "a/b", ""),
            ("./a", "a", ""),
            ("a/./b//c/", "a/b/c", ""),
            (".", "", ""),
            ("./", "", ""),
        ),
        *(
            ("./", "", ""),
            ("/a/b", "a/b", "/"),
            ("//a", "a", "/"),
            ("/", "", "/"),
            ("..", "", ".."),
            ("../..", "", "../.."),
        ),
        *(("../a", "a", "../"), ("a/../b", "b", "a/../"), ("../x/../../y/z", "y/z", "../x/../../")),
        *(("/x/../y", "y", "/x/../"), ("..a/b..", "..a/b..", ""), ("a\\b:c ", "a\\b:c ", "")),
        *((os.fsdecode(b"\xff/\xc3\xa9"), "\udcff/é", ""),),
    ],
)
def test_what_a_given_path_is_called(path: str, name: str, cut: str) -> None:
    assert member_name(path) == (name, cut)


def test_given_paths_keep_their_folders(here: Path) -> None:
    for top in ("A", "B"):
        touch(f"{top}/data/0.txt", f"{top}/data/1.txt")
    assert names("A/data", "B/data/1.txt") == ["A/data", "A/data/0.txt", "A/data/1.txt", "B/data/1.txt"]


def test_what_paths_from_the_root_share_is_left_out(here: Path) -> None:
    touch("A/data/0.txt", "A/data/1.txt", "B/data/1.txt")
    assert names(here / "A/data/0.txt") == ["0.txt"]
    assert names(here / "A/data") == ["data", "data/0.txt", "data/1.txt"]
    assert names(here / "A/data/0.txt", here / "B/data") == ["A/data/0.txt", "B/data", "B/data/1.txt"]
    assert names(here / "A", here / "A/data/1.txt") == ["A", "A/data", "A/data/0.txt", "A/data/1.txt"]
    # As tar has it, where the name of what is given from here on might be the same
    assert names(here / "A/data/0.txt", "B/data/1.txt") == [f"{here}/A/data/0.txt"[1:], "B/data/1.txt"]
    assert member_names([]) == [] and member_names(["/"]) == [("", "/")]


_PARTS = st.lists(st.sampled_from(["a", "b", "c d", "é", "."]), min_size=1, max_size=4)


@given(st.lists(_PARTS.map("/".join), min_size=1, max_size=5), st.booleans())
def test_names_differ_where_paths_do(paths: list[str], from_the_root: bool) -> None:
    given_ = [f"/{path}" if from_the_root else path for path in paths]
    named = member_names(given_)
    for path, (name, cut) in zip(given_, named, strict=True):
        assert os.path.normpath(cut + name if from_the_root else name or ".") == os.path.normpath(path)
    for (one, path), (other, second) in combinations(zip(named, given_, strict=True), 2):
        assert (one[0] == other[0]) == (os.path.normpath(path) == os.path.normpath(second))


def test_this_folder_is_its_content(here: Path) -> None:
    touch("a", "b/c")
    for path in (".", "./", "./.", "../here/."):
        want = [("a", FILE), ("b", FOLDER), ("b/c", FILE)]
        assert found(path) == (want if "here" not in path else [("here", FOLDER), *((f"here/{n}", t) for n, t in want)])
    with chdir("b"):
        assert names("..") == ["a", "b", "b/c"]
        assert names("../a") == ["a"]


def test_a_folder_stands_before_its_content_and_numbers_count_by_value(here: Path) -> None:
    touch("d/10.png", "d/9.png", "d/9/x", "d/a-b", "d/a/x", "d/010.png", "d/B", "d/é", b"d/\xff")
    os.mkdir("d/empty")
    order = [
        "d/9",
        "d/9/x",
        "d/9.png",
        "d/010.png",
        "d/10.png",
        "d/B",
        "d/a",
        "d/a/x",
        "d/a-b",
        "d/empty",
        "d/é",
        "d/\udcff",
    ]
    assert names("d") == ["d", *order]


NASTY = [
    *(
        "new\nline",
        "back\\slash",
        "2024-05-01T12:30",
        "end.",
        "end ",
        "con",
        "q?*<>|\"'",
        "Case",
        "case",
        "-rf",
        "~",
        "%",
    ),
    *(
        "\udce9\udcff",
        "\x01\x1b[2J",
        unicodedata.normalize("NFC", "é"),
        unicodedata.normalize("NFD", "é"),
        "...",
        "ö" * 127,
    ),
]


def test_every_legal_name_is_taken_as_it_is(here: Path) -> None:
    touch(*(encode(f"d/{name}") for name in NASTY), *(encode(f"d/in/{name} /x") for name in NASTY if len(name) < 99))
    inner = [part for name in NASTY if len(name) < 99 for part in (f"d/in/{name} ", f"d/in/{name} /x")]
    assert sorted(names("d")) == sorted(["d", "d/in", *(f"d/{name}" for name in NASTY), *inner])


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_names_do_not_depend_on_the_locale(here: Path, locale: str) -> None:
    import subprocess
    import sys

    touch("é", b"\xe9")
    script = "from bitsback.archive.gather import gather; print(ascii([s.name for s in gather(['.'])[0]]))"
    environment = os.environ | {"LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == ascii(["é", "\udce9"]) + "\n"


def test_what_is_cut_off_is_told_once(here: Path) -> None:
    touch("a/x", "b")
    told: list[str] = []
    gather([here / "a", here / "b", "../here/b", "../here/a"], tell=told.append)
    assert [line for line in told if "'/'" in line] == told[:1]
    assert [line for line in told if "'../'" in line] == told[1:]


# What is taken --------------------------------------------------------------------------------------------------------


def test_times_modes_and_sizes(here: Path) -> None:
    touch("file", data=b"12345")
    os.mkdir("folder")
    for path, mode, time_ns in (("file", 0o4640, 1_234_567_890_123_456_789), ("folder", 0o1700, -(10**18) - 1)):
        os.chmod(path, mode)
        os.utime(path, ns=(1, time_ns))
    file, folder = (only(path) for path in ("file", "folder"))
    assert file.entry == Entry("file", FILE, 1_234_567_890_123_456_789, 0o4640, 5)
    assert folder.entry == Entry("folder", FOLDER, -(10**18) - 1, 0o1700, 0)
    for year in (-2_000_000_000, 13_569_465_600):  # 1906 and 2400
        os.utime("file", ns=(1, year * 10**9 + 7))
        assert only("file").entry.mtime_ns == year * 10**9 + 7


def test_links_are_links(here: Path) -> None:
    touch("target/a")
    os.mkdir("d")
    for name, target in (
        ("file", "../target/a"),
        ("dir", "../target"),
        ("loop", "."),
        ("dead", "no"),
        ("abs", "/etc/x\udce9"),
    ):
        os.symlink(encode(target), f"d/{name}")
    sources, skipped = gather(["d"])
    assert skipped == []
    assert [(s.name, s.entry.type, s.entry.target) for s in sources] == [
        ("d", FOLDER, ""),
        ("d/abs", SYMLINK, "/etc/x\udce9"),
        ("d/dead", SYMLINK, "no"),
        ("d/dir", SYMLINK, "../target"),
        ("d/file", SYMLINK, "../target/a"),
        ("d/loop", SYMLINK, "."),
    ]
    assert [s.size for s in sources] == [0] * 6


def test_a_link_that_is_given_is_one_too_but_for_a_slash(here: Path) -> None:
    touch("target/a")
    os.symlink("target", "link")
    os.symlink("target/a", "to-file")
    told: list[str] = []
    assert [source.entry.type for source in gather(["link", "to-file"], tell=told.append)[0]] == [SYMLINK, SYMLINK]
    assert len(told) == 2 and "link/" in told[0]
    assert found("link/") == [("link", FOLDER), ("link/a", FILE)]
    assert found("link/a") == [("link/a", FILE)]
    assert read_whole(only("link/a")) == b"x"


def test_later_names_of_a_file_are_hard_links(here: Path) -> None:
    touch("b/1", "a/2")
    os.link("b/1", "a/0")
    os.link("b/1", "b/3")
    os.link("a/2", "elsewhere")  # another name that is not stored
    sources, _ = gather(["a", "b"])
    assert [(s.name, s.entry.type, s.entry.target, s.size) for s in sources] == [
        ("a", FOLDER, "", 0),
        ("a/0", FILE, "", 1),
        ("a/2", FILE, "", 1),
        ("b", FOLDER, "", 0),
        ("b/1", HARDLINK, "a/0", 1),
        ("b/3", HARDLINK, "a/0", 1),
    ]
    assert [(s.name, s.entry.type) for s in gather(["b"])[0]] == [("b", FOLDER), ("b/1", FILE), ("b/3", HARDLINK)]
    assert read_whole(sources[-1]) == b"x"


def test_what_is_given_twice_is_taken_once(here: Path) -> None:
    touch("d/a", "d/in/b")
    os.symlink("a", "d/link")
    whole = ["d", "d/a", "d/in", "d/in/b", "d/link"]
    assert names("d", "d", "./d/", "d/in", "d/a", "d/link", "../here/./d")[:5] == whole
    assert names("d", "d/a", "d") == whole
    assert names("d/in/b", "d") == ["d/in/b", "d", "d/a", "d/in", "d/link"]


def test_folders_of_one_name_come_together_and_files_of_one_name_do_not(here: Path) -> None:
    touch("x/a", "x/both", "x/sub/1", "x/odd/deep", data=b"1")
    touch("up/x/b", "up/x/both", "up/x/sub/2", "up/x/odd", data=b"2")
    os.mkdir("up/work")
    os.chdir("up/work")
    sources, skipped = gather(["../../x", "../x"])
    assert [s.name for s in sources] == [
        "x",
        "x/a",
        "x/both",
        "x/odd",
        "x/odd/deep",
        "x/sub",
        "x/sub/1",
        "x/b",
        "x/sub/2",
    ]
    assert [one.name for one in skipped] == ["x/both", "x/odd"]
    assert read_whole(sources[2]) == b"1"


def test_nothing_is_stored_below_what_is_no_folder_there(here: Path) -> None:
    touch("target/a")
    os.symlink("target", "link")
    for paths in (["link", "link/a"], ["link", "link/"]):
        sources, skipped = gather(paths)
        assert [s.name for s in sources] == ["link"] and [one.name for one in skipped] == [paths[1].rstrip("/")]
    sources, skipped = gather(["link/a", "link"])
    assert [s.name for s in sources] == ["link/a"] and [one.name for one in skipped] == ["link"]


def test_pipes_sockets_and_devices_are_left_out(here: Path) -> None:
    os.mkdir("d")
    os.mkfifo("d/pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("d/socket")
    sources, skipped = gather(["d", "/dev/null"])
    assert [s.name for s in sources] == ["d"]
    assert skipped == [Skipped("d/pipe", "a pipe"), Skipped("d/socket", "a socket"), Skipped("dev/null", "a device")]


def test_what_cannot_be_read_is_left_out_with_its_reason(place: Path) -> None:
    touch(*(f"{place}/d/{name}" for name in ("open", "secret", "shut/in", "blind/in")))
    for name, mode in (("secret", 0o200), ("shut", 0o000), ("blind", 0o444)):
        os.chmod(place / "d" / name, mode)
    os.link(place / "d/secret", place / "d/too")
    os.chmod(place / "d", 0o755)
    with nobody(), chdir(place):
        sources, skipped = gather(["d"])
        assert not os.access("d/secret", os.R_OK, effective_ids=True)
    assert [s.name for s in sources] == ["d", "d/blind", "d/open", "d/shut"]
    assert [(one.name, one.reason.rpartition(": ")[2]) for one in skipped] == [
        ("d/blind/in", "permission denied"),
        ("d/secret", "permission denied"),
        ("d/shut", "permission denied"),
        ("d/too", "permission denied"),
    ]


def test_what_is_not_there(here: Path) -> None:
    touch("file")
    for path, reason in (("no", "no such file"), ("file/", "not a directory"), ("", "no such file"), ("a\0b", "null")):
        with pytest.raises(InputError, match=reason) as error:
            gather(["file", path])
        assert error.value.name == path and reason in error.value.reason
        assert str(error.value) == f"{path}: {error.value.reason}"


def test_nothing(here: Path) -> None:
    os.mkdir("d")
    assert gather([]) == ([], []) and found(".", exclude=("d",)) == [] and found("d") == [("d", FOLDER)]


def test_left_over_parts_are_no_input(here: Path) -> None:
    part, other = atomic.part_name("a.bba"), ".a.bba.0123456789abcdef.part"
    touch(f"d/{part}", f"d/{other}", f"d/in/{atomic.part_name('ö' * 150)}", "d/a.part")
    told: list[str] = []
    sources, skipped = gather(["d"], tell=told.append)
    assert [s.name for s in sources] == ["d", f"d/{other}", "d/a.part", "d/in"] and skipped == []
    assert len(told) == 2 and part in told[0]


def test_what_is_excluded_is_not_even_looked_at(place: Path) -> None:
    touch(*(f"{place}/{name}" for name in ("d/a.tmp", "d/a", "d/.git/x", "d/raw/1/x.png", "d/raw/y.png", "d/raw.txt")))
    os.chmod(place / "d/.git", 0)
    with nobody(), chdir(place):
        assert names("d", exclude=("*.tmp", ".git", "d/raw/**")) == ["d", "d/a", "d/raw", "d/raw.txt"]
        assert names("d", exclude=(".git", "raw/", "a")) == ["d", "d/a.tmp", "d/raw.txt"]
        inner = ["d/a", "d/raw", "d/raw/1", "d/raw/1/x.png", "d/raw.txt"]
        assert names(".", exclude=(".git", "d/*/y.png", "?.tmp")) == ["d", *inner]
        assert names("d/raw/1", "d/a", exclude=("raw",)) == ["d/a"]
        assert names("d", exclude=("d",)) == names("d/.git", exclude=(".git",)) == []
    with pytest.raises(BitsBackError):
        gather(["/"], exclude=[""])


def test_what_vanishes_meanwhile_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch("d/a", "d/b", "d/in/c")
    listed = os.listdir

    def vanish(path: int) -> list[str]:
        found = listed(path)
        if "a" in found:
            os.unlink("d/a")
            os.rename("d/in", "moved")
            os.symlink("../moved", "d/in")
        return found

    monkeypatch.setattr(os, "listdir", vanish)
    sources, skipped = gather(["d"])
    assert [(s.name, s.entry.type) for s in sources] == [("d", FOLDER), ("d/b", FILE), ("d/in", SYMLINK)]
    assert skipped == [Skipped("d/a", "no such file or directory")]


def test_deep_trees(place: Path) -> None:
    """Fifteen hundred folders, a path that is too long for the system, and files and links on the way."""

    def put(descriptor: int, level: int) -> None:
        if level % 500 == 499:
            with open(os.open(b"file", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor), "wb") as file:
                file.write(b"%d" % level)
            os.symlink(b"../file", b"link", dir_fd=descriptor)

    deep(place, 1500, "folder", put)
    with chdir(place):
        sources, skipped = gather(["folder"])
        assert skipped == [] and len(sources) == 1506
        files = [source for source in sources if source.entry.type == FILE]
        assert len(files[-1].name) > 10_000
        assert [read_whole(source) for source in files] == [b"499", b"999", b"1499"]
        assert [b"".join(read_pieces(source, 2)) for source in files] == [b"499", b"999", b"1499"]
        assert not any(source.changed() for source in sources)
        assert [source.entry.target for source in sources if source.entry.type == SYMLINK] == ["../file"] * 3
        assert names(files[-1].path) == [files[-1].name]  # find -print0 gives such paths, too
        assert remove(sources) == []
        assert os.listdir(place) == []


# Content --------------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=100), st.integers(1, 40))
def test_content_as_a_whole_and_in_pieces(data: bytes, size: int) -> None:
    with room() as place:
        touch(f"{place}/a", data=data)
        source = only(place / "a")
        assert read_whole(source) == read_whole(source, len(data)) == data
        pieces = list(read_pieces(source, size))
        assert b"".join(pieces) == data and [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
        assert all(pieces) and read_start(source, size) == data[:size]
        assert pickle.loads(pickle.dumps(source)) == source


def test_short_reads_are_continued(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Slow(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:  # type: ignore[override]
            return super().read(min(size or 0, 3)) or b""

    monkeypatch.setattr(io, "FileIO", Slow)
    touch("a", data=b"0123456789")
    assert read_whole(only("a")) == b"0123456789" and list(read_pieces(only("a"), 4)) == [b"0123", b"4567", b"89"]


def rewrite(path: Path) -> None:
    """Other bytes, the same size, and even the same time."""
    info = path.stat()
    with path.open("r+b") as file:
        file.write(b"ZZZZ")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def swap(path: Path) -> None:
    """Another file, of the same size and time."""
    info = path.stat()
    other = path.with_name("other")
    other.write_bytes(bytes(info.st_size))
    os.utime(other, ns=(info.st_atime_ns, info.st_mtime_ns))
    other.rename(path)


def become(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


READERS: tuple[Callable[[Source], object], ...] = (
    read_whole,
    lambda source: list(read_pieces(source, 10)),
    lambda source: read_start(source, 5),
    lambda source: read_image(source, 999),
)

CHANGES: dict[str, Callable[[Path], None]] = {
    "grow": lambda path: path.write_bytes(bytes(100)) and None,
    "shrink": lambda path: os.truncate(path, 3),
    "empty": lambda path: os.truncate(path, 0),
    "touch": lambda path: os.utime(path),
    "chmod": lambda path: path.chmod(0o600),
    "rewrite": rewrite,
    "swap": swap,
    "unlink": lambda path: path.unlink(),
    "link": become(lambda path: path.symlink_to("/etc/passwd")),
    "folder": become(lambda path: path.mkdir()),
    "pipe": become(os.mkfifo),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_before_it_is_read(here: Path, change: str) -> None:
    touch("a", data=bytes(64))
    source = only("a")
    assert not source.changed()
    time.sleep(0.01)  # the clock that stamps files is a coarse one
    CHANGES[change](here / "a")
    assert source.changed()
    for read in READERS:
        with pytest.raises(ChangedError) as error:
            read(source)
        assert error.value.name == "a" and error.value.reason
    assert [one.name for one in remove([source])] == ["a"]
    assert os.path.lexists("a") is (change != "unlink")


@pytest.mark.parametrize("change", ["grow", "shrink", "empty", "touch", "chmod", "rewrite"])
def test_a_file_that_changes_while_it_is_read(here: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    touch("a", data=bytes(64))
    source = only("a")
    time.sleep(0.01)
    pieces = read_pieces(source, 16)
    assert next(pieces) == bytes(16)
    CHANGES[change](here / "a")
    with pytest.raises(ChangedError):
        list(pieces)
    # As a whole: it changes between the bytes and the last look
    source = only("a")
    check = Source.check
    looks: list[int] = []

    def late(self: Source, descriptor: int) -> None:
        if looks:
            CHANGES["shrink" if source.size > 3 else "grow"](here / "a")
        looks.append(1)
        check(self, descriptor)

    monkeypatch.setattr(Source, "check", late)
    time.sleep(0.01)
    with pytest.raises(ChangedError):
        read_whole(source)
    assert len(looks) == 2


def test_a_file_that_is_replaced_while_it_is_read_comes_as_it_was(here: Path) -> None:
    """What is read is one state of the file, and nobody's mixture; that it is another by now is for --rm to see."""
    touch("a", data=b"old" * 10)
    source = only("a")
    with source.open() as file:
        assert file.read(3) == b"old"
        swap(here / "a")
        assert file.read() == b"old" * 9
    assert source.changed()


def test_files_that_hold_more_than_they_say() -> None:
    ((source,), _) = gather(["/proc/self/status"])
    assert source.size == 0
    for read in (read_whole, lambda s: list(read_pieces(s, 10))):
        with pytest.raises(ChangedError, match="more bytes than its size"):
            read(source)


def test_limits_are_looked_at_before_anything_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch("a", data=bytes(100))
    source = only("a")
    monkeypatch.setattr(Source, "open", lambda self: pytest.fail("it was opened"))
    with pytest.raises(LimitError, match="a: 100 bytes"):
        read_whole(source, 99)
    assert read_image(source, 99) is None


def test_large_files_are_read_as_a_whole_if_they_begin_as_an_image(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitsback.archive.gather.WHOLE", 50)
    image, other = b"\x93NUMPY" + bytes(94), b"disk" + bytes(96)
    touch("a.npy", data=image)
    touch("b.npy", data=other)
    touch("small", data=other[:50])
    assert read_image(only("a.npy"), 100) == image and read_image(only("a.npy"), 99) is None
    assert read_image(only("b.npy"), 100) is None and read_image(only("small"), 100) == other[:50]


def test_a_large_file_costs_no_memory(here: Path) -> None:
    """12 GiB, of which nothing is on the disk: it is not an image, and taken in pieces."""
    touch("disk.img")
    os.truncate("disk.img", 12 << 30)
    source = only("disk.img")
    assert source.size == 12 << 30 and read_image(source, 1 << 60) is None
    pieces = read_pieces(source, 1 << 20)
    assert len(next(pieces)) == 1 << 20
    with pytest.raises(LimitError):
        read_whole(source, 1 << 30)


def test_errors_of_the_disk_are_no_changes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Broken(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    touch("a", data=bytes(10))
    source = only("a")
    monkeypatch.setattr(io, "FileIO", Broken)
    for read in (read_whole, lambda s: list(read_pieces(s, 3))):
        with pytest.raises(InputError, match="a: input/output error") as error:
            read(source)
        assert not isinstance(error.value, ChangedError)


def test_permissions_that_are_taken_away(place: Path) -> None:
    touch(f"{place}/in/a")
    source = gather([place / "in"])[0][1]
    os.chmod(place / "in", 0)
    with nobody(), pytest.raises(InputError, match="permission denied"):
        read_whole(source)


# Deleting -------------------------------------------------------------------------------------------------------------


def test_what_was_stored_is_deleted(here: Path) -> None:
    touch("d/a", "d/in/b", "kept/x")
    os.symlink("../kept", "d/link")
    os.link("d/a", "d/other")
    os.link("d/a", "kept/third")
    sources, _ = gather(["d"])
    assert remove(sources) == []
    assert os.listdir(".") == ["kept"] and sorted(os.listdir("kept")) == ["third", "x"]


def test_what_changed_or_is_new_stays(here: Path) -> None:
    touch("d/a", "d/b", "d/in/c")
    os.symlink("a", "d/link")
    sources, _ = gather(["d"])
    time.sleep(0.01)
    touch("d/a", data=b"y")
    touch("d/in/new")
    os.unlink("d/link")
    os.symlink("b", "d/link")
    left = remove(sources)
    assert [one.name for one in left] == ["d", "d/a", "d/in", "d/link"]
    assert all(one.reason.startswith("not deleted: ") for one in left)
    assert sorted(os.listdir("d")) == ["a", "in", "link"] and os.listdir("d/in") == ["new"]


def test_nothing_is_deleted_through_a_link(here: Path) -> None:
    touch("d/in/a", "far/a")
    sources, _ = gather(["d"])
    os.rename("d/in", "moved")
    os.symlink("../far", "d/in")
    assert [one.name for one in remove(sources)] == ["d", "d/in", "d/in/a"]
    assert os.listdir("far") == ["a"] and os.listdir("moved") == ["a"]


# Whatever there is ----------------------------------------------------------------------------------------------------

PARTS = st.binary(min_size=1, max_size=8).filter(lambda part: not set(part) & {0, 47} and part not in (b".", b".."))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.lists(PARTS, min_size=1, max_size=4), st.sampled_from("fdl")), max_size=12))
def test_whatever_there_is(things: list[tuple[list[bytes], str]]) -> None:
    with room() as place:
        there = {b"d": "d"}
        os.mkdir(place / "d")
        for parts, kind in things:
            path = b"/".join([b"d", *parts])
            try:
                os.makedirs(os.path.dirname(os.fsencode(place) + b"/" + path), exist_ok=True)
                whole = os.fsencode(place) + b"/" + path
                if kind == "d":
                    os.mkdir(whole)
                elif kind == "l":
                    os.symlink(parts[-1], whole)
                else:
                    with open(whole, "xb") as file:
                        file.write(path)
            except OSError:  # what cannot be there: a name that is taken, or behind a file, or behind a link to itself
                continue
        for folder, folders, files in os.walk(os.fsencode(place) + b"/d"):
            for name in folders + files:
                path = folder + b"/" + name
                kind = "l" if os.path.islink(path) else "d" if os.path.isdir(path) else "f"
                there[path[len(os.fsencode(place)) + 1 :]] = kind
        with chdir(place):
            sources, skipped = gather(["d"])
        assert skipped == []
        kinds = {FILE: "f", FOLDER: "d", SYMLINK: "l", HARDLINK: "f"}
        assert {encode(s.name): kinds[s.entry.type] for s in sources} == there
        assert len(sources) == len(there)
        seen = set()
        for source in sources:
            assert source.name.rpartition("/")[0] in seen or source.name == "d"
            seen.add(source.name)
            if source.entry.type == FILE:
                with chdir(place):
                    assert read_whole(source) == encode(source.name) and not source.changed()


def test_descriptors_are_given_back(here: Path) -> None:
    touch("d/in/a", "d/b")
    os.symlink("b", "d/link")
    sources, _ = gather(["d", "d/b", "d/link"])
    for source in sources:
        if source.entry.type == FILE:
            read_whole(source)
            read_image(source, 10)
    next(read_pieces(sources[-2], 1), None)
    remove(sources)
    os.close(open_parent("x"))
    assert open_below(here) == 0
    assert stat.S_ISDIR(os.stat(".").st_mode)
