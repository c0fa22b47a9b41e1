import errno
import hashlib
import importlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from archive.fake_archive import FakeArchive, Member, pack
from archive.trees import look, nobody, open_below, room
from bitsback.archive import atomic
from bitsback.archive.extract import Outcome, extract
from bitsback.archive.folders import Folders
from bitsback.archive.member import Entry, Type
from bitsback.archive.names import MACOS, POSIX, WINDOWS, Rules
from bitsback.errors import ChecksumError, FormatError, OutputExistsError, UnsafePathError

module = importlib.import_module("bitsback.archive.extract")  # the room has a function of that name

FILE, FOLDER, SYMLINK, HARDLINK = Type.FILE, Type.FOLDER, Type.SYMLINK, Type.HARDLINK


def link(name: str, target: str, **options: Any) -> Entry:
    return Entry(name, SYMLINK, target=target, **options)


def hard(name: str, target: str, **options: Any) -> Entry:
    return Entry(name, HARDLINK, target=target, **options)


def folder(name: str, mode: int | None = None, mtime_ns: int | None = None) -> Entry:
    return Entry(name, FOLDER, mtime_ns, mode)


def tree(top: Path) -> list[str]:
    """Names below a folder, folders with a slash."""
    return sorted(os.fsdecode(name) + ("/" if thing.kind == "folder" else "") for name, thing in look(top).items())


def read(top: Path) -> dict[str, str]:
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}


@contextmanager
def umask(bits: int) -> Iterator[None]:
    old = os.umask(bits)
    try:
        yield
    finally:
        os.umask(old)


@pytest.fixture(params=[True, False], ids=["descriptors", "paths"])
def out(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target that does not exist yet; by descriptors, and as on systems that have none of folders."""
    if not request.param:
        monkeypatch.setattr(module, "Folders", lambda target: Folders(target, descriptors=False))
    return tmp_path / "out"


# What comes out -------------------------------------------------------------------------------------------------------


def test_files_folders_and_links(out: Path) -> None:
    archive = pack(
        *(folder("a"), "a/x", "b/deep/y", folder("empty"), link("a/to-x", "x"), link("a/up", "../b/deep")),
        *(hard("a/same", "a/x"), hard("z/same", "a/x"), "a/none"),
        data={"a/none": b""},
    )
    told: list[int] = []
    result = extract(archive, out, progress=told.append, durable=True)
    assert tree(out) == [
        "a/",
        "a/none",
        "a/same",
        "a/to-x",
        "a/up",
        "a/x",
        "b/",
        "b/deep/",
        "b/deep/y",
        "empty/",
        "z/",
        "z/same",
    ]
    assert (out / "a/x").read_bytes() == b"a/x" and (out / "b/deep/y").read_bytes() == b"b/deep/y"
    assert (out / "a/to-x").readlink() == Path("x") and (out / "a/up").readlink() == Path("../b/deep")
    assert (out / "a/x").samefile(out / "z/same") and (out / "a/x").stat().st_nlink == 3
    assert sum(told) == len("a/x") + len("b/deep/y")
    assert sorted(archive.asked) == ["a/none", "a/x", "b/deep/y"]
    assert sorted(result.folders) == [out / "a", out / "empty"]
    assert sorted(result.written) == sorted(
        out / n for n in ("a/x", "a/none", "a/same", "a/to-x", "a/up", "b/deep/y", "z/same")
    )
    assert result == Outcome(result.written, result.folders)


@pytest.mark.parametrize(
    "time_ns", [0, 1, -1, -2_145_916_800_000_000_001, 13_569_465_600_123_456_789, 15_032_385_535 * 10**9]
)
def test_times_of_any_year(out: Path, time_ns: int) -> None:
    entries = (folder("d", mtime_ns=time_ns), Entry("d/f", mtime_ns=time_ns), link("d/l", "f", mtime_ns=time_ns))
    assert extract(pack(*entries, folder("d/e", mtime_ns=time_ns)), out).warnings == []
    assert {name: thing.mtime_ns for name, thing in look(out).items()} == dict.fromkeys(
        (b"d", b"d/e", b"d/f", b"d/l"), time_ns
    )


@pytest.mark.parametrize("time_ns", [1 << 65, -(1 << 62), 1 << 100, -(1 << 100)])
def test_times_that_no_file_system_holds_are_one_warning(out: Path, time_ns: int) -> None:
    archive = pack(*(Entry(name, mtime_ns=time_ns) for name in ("a", "b", "c")), link("d", "a", mtime_ns=time_ns))
    (warning,) = extract(archive, out).warnings
    assert "the time of " in warning and " and 3 more could not be restored" in warning
    assert tree(out) == ["a", "b", "c", "d"]


MODES = [
    0o7777,
    0o6755,
    0o4711,
    0o2755,
    0o1777,
    0o777,
    0o666,
    0o664,
    0o640,
    0o600,
    0o555,
    0o500,
    0o444,
    0o100,
    0o002,
    0,
]


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027, 0])
def test_modes_are_what_the_umask_leaves(out: Path, mask: int) -> None:
    entries = [entry for mode in MODES for entry in (folder(f"d{mode:o}", mode), Entry(f"d{mode:o}/f", mode=mode))]
    with umask(mask):
        result = extract(pack(*entries, "plain", "new/plain"), out)
    assert result.warnings == []
    for name, thing in look(out).items():
        mode = (
            int(name.partition(b"/")[0][1:], 8) if name.startswith(b"d") else 0o777 if thing.kind == "folder" else 0o666
        )
        assert thing.mode == mode & 0o777 & ~mask, name


@pytest.mark.parametrize("mask", [0o022, 0o077, 0])
def test_modes_are_whole_where_that_is_asked_for(out: Path, mask: int) -> None:
    entries = [entry for mode in MODES for entry in (folder(f"d{mode:o}", mode), Entry(f"d{mode:o}/f", mode=mode))]
    with umask(mask):
        result = extract(pack(*entries, "plain", folder("new")), out, preserve=True)
    assert result.warnings == []
    for name, thing in look(out).items():
        mode = int(name.partition(b"/")[0][1:], 8) if name.startswith(b"d") else None
        usual = (0o777 if thing.kind == "folder" else 0o666) & ~mask
        assert thing.mode == (usual if mode is None else mode), name


def test_nobody_sees_what_was_private(tmp_path: Path) -> None:
    """Not even for the moment before it gets its mode."""
    seen: list[int] = []
    archive = pack(folder("p", 0o700), Entry("p/f", mode=0o600), Entry("g", mode=0o640), piece=1)

    def spy(_: int) -> None:
        seen.extend(thing.mode & 0o007 for name, thing in look(tmp_path).items())

    for preserve in (False, True):
        extract(archive, tmp_path / str(preserve), preserve=preserve, progress=spy)
    seen = [mode for mode in seen if mode not in (0o5,)]  # the target itself is the umask's
    assert len(seen) > 4 and set(seen) == {0}


def test_folders_that_pass_on_their_group_do_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    extract(pack(folder("d", 0o755)), tmp_path)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o2755


def test_folders_without_rights_are_filled_all_the_same() -> None:
    with room() as place:
        archive = pack(folder("a", 0o500, 1), folder("a/b", 0, 2), "a/b/x", folder("a/b/c", 0o111, 3), "a/b/c/y")
        with nobody():
            result = extract(archive, place / "out")
            assert result.warnings == [] and len(result.written) == 2
        assert {
            name: (thing.mode, thing.mtime_ns) for name, thing in look(place / "out").items() if thing.kind == "folder"
        } == {
            b"a": (0o500, 1),
            b"a/b": (0, 2),
            b"a/b/c": (0o111, 3),
        }


def test_a_mode_or_time_of_a_folder_that_was_there_stays(out: Path) -> None:
    (out / "d").mkdir(parents=True)
    (out / "d").chmod(0o700)
    extract(pack(folder("d", 0o755, 5), "d/x"), out)
    assert stat.S_IMODE((out / "d").stat().st_mode) == 0o700 and (out / "d").stat().st_mtime_ns != 5
    extract(pack(folder("d", 0o755, 5), "d/x"), out, overwrite=True)
    assert stat.S_IMODE((out / "d").stat().st_mode) == 0o755 and (out / "d").stat().st_mtime_ns == 5


def test_chosen_members_only(out: Path) -> None:
    archive = pack("a/x", hard("a/y", "a/x"), folder("b"), "b/z", link("l", "b"))
    extract(archive, out, [archive.members[1], archive.members[3]])
    assert read(out) == {"a/y": "a/x", "b/z": "b/z"} and archive.asked.count("a/x") == 1
    assert extract(archive, out, []) == Outcome()


def test_leading_folders_can_be_dropped(out: Path) -> None:
    archive = pack(
        folder("a"), "a/x", hard("a/b/y", "a/x"), "top", link("a/b/l", "../x"), "c/x", link("a/b/l2", "../../x")
    )
    result = extract(archive, out, strip_components=1)
    assert tree(out) == ["b/", "b/l", "b/y", "x"] and (out / "x").samefile(out / "b/y")
    assert [name for name, _ in result.skipped] == ["c/x", "a/b/l2"]


def test_hard_links_to_nothing(out: Path) -> None:
    for target in ("no", "l", "d", "h"):
        archive = pack("a", link("l", "a"), folder("d"), hard("h", target))
        with pytest.raises(FormatError, match="h: is a hard link to"):
            extract(archive, out / target)
        result = extract(archive, out / target, damaged=True)
        assert [name for name, _ in result.failed] == ["h"] and (out / target / "a").exists()


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../x", "/abs", "a/../../x", "..", "", "a//x", "./x", "a\0b", "a/"])
def test_unsafe_names_are_left_out_and_named(out: Path, name: str) -> None:
    for kind in (FILE, FOLDER, SYMLINK, HARDLINK):
        archive = pack("good", Entry(name, kind, target="good"), "later")
        result = extract(archive, out / kind.name)
        assert tree(out / kind.name) == ["good", "later"]
        ((left, error),) = result.skipped
        assert left == name and isinstance(error, UnsafePathError)
    assert sorted(path.name for path in out.parent.iterdir()) == ["out"]


def test_names_that_are_no_utf_8(out: Path) -> None:
    extract(pack("latin\udce9", link("l\udcff", "x\udcff")), out)
    assert sorted(os.listdir(os.fsencode(out))) == [b"latin\xe9", b"l\xff"]
    assert os.readlink(os.fsencode(out / "l\udcff")) == b"x\xff"


def test_names_from_windows_that_are_no_unicode(tmp_path: Path) -> None:
    assert extract(pack("a\ud800b", link("l", "\ud800")), tmp_path).skipped == []
    assert sorted(os.listdir(os.fsencode(tmp_path))) == [b"a\xed\xa0\x80b", b"l"]


def test_other_systems_rename_and_say_so(out: Path) -> None:
    archive = pack(folder("run 1:2"), "run 1:2/a?", "Case", "case", "aux", hard("run 1:2/again", "case"))
    result = extract(archive, out, rules=WINDOWS)
    assert read(out) == {
        "run 1_2/a_": "run 1:2/a?",
        "Case": "Case",
        "case~2": "case",
        "aux_": "aux",
        "run 1_2/again": "case",
    }
    assert [(name, path.relative_to(out).as_posix()) for name, path, _ in result.renamed] == [
        ("run 1:2", "run 1_2"),
        ("run 1:2/a?", "run 1_2/a_"),
        ("case", "case~2"),
        ("aux", "aux_"),
    ]
    assert all(why for _, _, why in result.renamed)
    assert read(out.parent / "out") == read(out)


def test_nfc_and_nfd(out: Path) -> None:
    archive = pack("caf\xe9", "cafe\u0301")
    result = extract(archive, out, rules=MACOS)
    assert [name for name, _, _ in result.renamed] == ["cafe\u0301"] and sorted(read(out).values()) == [
        "cafe\u0301",
        "caf\xe9",
    ]
    assert extract(archive, out / "posix").renamed == []


def test_what_the_file_system_thinks_of_names_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unusual = pack("a:b", "Case", "case", "caf\xe9", "cafe\u0301", "\udcff").members
    usual = pack("a b", "case", "caf\xe9").members
    with Folders(str(tmp_path)) as folders:
        assert module.rules_of(folders, usual) == module.rules_of(folders, unusual) == POSIX
        assert os.listdir(tmp_path) == []
        opened = os.open

        def fat(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if set(os.fsencode(path)) & set(b'<>:"|?*\\'):
                raise OSError(errno.EINVAL, "Invalid argument")
            return opened(path, flags, mode, dir_fd=dir_fd)

        def strict(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            os.fsencode(path).decode()
            return opened(path, flags, mode, dir_fd=dir_fd)

        def utf8(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            try:
                return strict(path, flags, mode, dir_fd=dir_fd)
            except UnicodeDecodeError:
                raise OSError(errno.EILSEQ, "Illegal byte sequence") from None

        monkeypatch.setattr(os, "open", fat)
        assert module.rules_of(folders, unusual) == WINDOWS and module.rules_of(folders, usual) == POSIX
        monkeypatch.setattr(os, "open", utf8)
        assert module.rules_of(folders, unusual) == Rules(text=True)
        monkeypatch.setattr(os, "open", opened)
        with folding(monkeypatch):
            assert module.rules_of(folders, unusual) == Rules(case=True, marks=True)
        assert os.listdir(tmp_path) == []


@contextmanager
def folding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file system that takes upper and lower case, and accents in whichever form, for the same."""
    real = {name: getattr(os, name) for name in ("stat", "open", "mkdir", "link", "symlink", "unlink", "replace")}

    def there(path: Any, dir_fd: int | None) -> Any:
        if not isinstance(path, bytes | str) or b"/" in os.fsencode(path) or dir_fd is None:
            return path
        for other in os.listdir(dir_fd):
            if MACOS.fold(other) == MACOS.fold(os.fsdecode(path)):
                return os.fsencode(other)
        return path

    with monkeypatch.context() as patch:
        for name in ("stat", "open", "mkdir", "unlink"):
            one = lambda path, *a, real=real[name], dir_fd=None, **o: real(there(path, dir_fd), *a, dir_fd=dir_fd, **o)  # noqa: E731
            patch.setattr(os, name, one)
        patch.setattr(
            os, "symlink", lambda src, dst, dir_fd=None: real["symlink"](src, there(dst, dir_fd), dir_fd=dir_fd)
        )
        for name in ("link", "replace"):

            def two(
                src: Any, dst: Any, real: Any = real[name], src_dir_fd: Any = None, dst_dir_fd: Any = None, **o: Any
            ) -> None:
                real(there(src, src_dir_fd), there(dst, dst_dir_fd), src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **o)

            patch.setattr(os, name, two)
        patch.setattr(os, "supports_follow_symlinks", {os.link})
        yield


@pytest.mark.parametrize("overwrite", [False, True])
def test_twins_are_found_where_nobody_expected_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    """A folder of the target may be of another file system: nothing of ours is lost, whatever the rules said."""
    archive = pack("d/Case", "d/case", hard("d/CASE", "d/case"), link("d/cAse", "x"), folder("D"), "D/x")
    with folding(monkeypatch):
        result = extract(archive, tmp_path, overwrite=overwrite, rules=POSIX)
    everything = look(tmp_path)
    assert sum(thing.kind == "file" for thing in everything.values()) == 4
    digests = {thing.content for thing in everything.values() if thing.kind == "file"}
    assert digests == {hashlib.sha256(name.encode()).hexdigest() for name in ("d/Case", "d/case", "D/x")}
    assert sum(thing.kind == "link" for thing in everything.values()) == 1
    assert {name for name, _, _ in result.renamed} >= {"d/CASE", "d/cAse"} and result.skipped == []


# What is there already ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["file", "link to a file", "dangling link", "pipe"])
def test_what_is_there_is_an_error_before_anything_is_written(out: Path, what: str) -> None:
    victim = out.parent / "victim"
    victim.write_text("victim")
    for entry in (Entry("d/x"), link("d/x", "y"), hard("d/x", "a")):
        archive = pack("a", folder("d"), entry, "z")
        top = out / entry.type.name
        (top / "d").mkdir(parents=True)
        path = top / "d" / "x"
        if what == "file":
            path.write_text("mine")
        elif what == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(victim if "file" in what else "nowhere")
        before = look(top)
        with pytest.raises(OutputExistsError, match=r"d/x: is already there"):
            extract(archive, top)
        assert look(top) == before
        result = extract(archive, top, keep_existing=True)
        ((name, error),) = result.skipped
        assert name == "d/x" and isinstance(error, OutputExistsError)
        assert tree(top) == ["a", "d/", "d/x", "z"] and look(top)[b"d/x"] == before[b"d/x"]
        extract(archive, top, overwrite=True)
        assert tree(top) == ["a", "d/", "d/x", "z"] and victim.read_text() == "victim"
        assert (
            path.is_symlink()
            if entry.type == SYMLINK
            else path.read_text() == ("a" if entry.type == HARDLINK else "d/x")
        )


def test_a_folder_is_never_replaced(out: Path) -> None:
    for entry in (Entry("d/x"), link("d/x", "y"), hard("d/x", "a")):
        top = out / entry.type.name
        (top / "d/x/mine").mkdir(parents=True)
        with pytest.raises(OutputExistsError, match="d/x: is a folder"):
            extract(pack("a", entry), top, overwrite=True)
        assert tree(top) == ["d/", "d/x/", "d/x/mine/"]


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"keep_existing": True}])
@pytest.mark.parametrize("there", ["file", "link", "dangling link", "pipe"])
def test_nothing_is_written_through_what_is_there(out: Path, options: dict[str, bool], there: str) -> None:
    far = out.parent / "far"
    far.mkdir()
    out.mkdir()
    if there == "file":
        (out / "a").write_text("")
    elif there == "pipe":
        os.mkfifo(out / "a")
    else:
        (out / "a").symlink_to("../far" if there == "link" else "nowhere")
    before = look(out)
    for entries in (("b", "a/x"), ("b", folder("a")), ("b", "a/deep/x"), ("b", link("a/l", "x"))):
        with pytest.raises(UnsafePathError, match=r"a: is (not a folder|a symbolic link)"):
            extract(pack(*entries), out, **options)  # type: ignore[arg-type]
        assert look(out) == before and list(far.iterdir()) == []


def test_the_target_may_be_a_link_but_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    extract(pack("a"), tmp_path / "link")
    assert read(tmp_path / "real") == {"a": "a"}
    with pytest.raises(OutputExistsError, match="not a folder"):
        extract(pack("a"), tmp_path / "real/a")


# Symbolic links -------------------------------------------------------------------------------------------------------

SAFE = [
    "x",
    "../x",
    "../../x",
    "./x",
    "d/e/f",
    "../d/../x"[:4] + "y",
    ".",
    "..",
    "../..",
    "no\nline",
    "a:b",
    "a\\..\\b",
]
LEADING_OUT = ["/", "/etc/passwd", "../../..", "../../../x", "x/..", "x/../../../y", "../x/..", "./../../../z", "//x"]


def test_links_that_stay_inside(out: Path) -> None:
    result = extract(pack(*(link(f"a/b/{n}", target) for n, target in enumerate(SAFE))), out)
    assert result.skipped == []
    assert [os.readlink(out / f"a/b/{n}") for n in range(len(SAFE))] == SAFE


def test_links_that_lead_out_are_made_only_if_that_is_asked_for(out: Path) -> None:
    archive = pack("x", *(link(f"a/b/{n}", target) for n, target in enumerate(LEADING_OUT)))
    result = extract(archive, out)
    assert tree(out) == ["x"]
    assert [name for name, _ in result.skipped] == [f"a/b/{n}" for n in range(len(LEADING_OUT))]
    assert all(isinstance(error, UnsafePathError) and "(-p makes it)" in str(error) for _, error in result.skipped)
    assert extract(archive, out / "p", preserve=True).skipped == []
    assert [os.readlink(out / f"p/a/b/{n}") for n in range(len(LEADING_OUT))] == LEADING_OUT


@pytest.mark.parametrize("target", ["C:\\x", "\\x", "..\\..\\..\\x", "C:x", "x\\..\\..\\..\\..\\y"])
def test_links_that_lead_out_on_windows(tmp_path: Path, target: str) -> None:
    assert len(extract(pack(link("a/b", target)), tmp_path, rules=WINDOWS).skipped) == 1
    assert extract(pack(link("a/b", target)), tmp_path, rules=POSIX).skipped == []


@pytest.mark.parametrize("target", ["", "a\0b"])
def test_links_that_cannot_be(out: Path, target: str) -> None:
    for preserve in (False, True):
        result = extract(pack("x", link("l", target)), out, preserve=preserve, overwrite=True)
        assert tree(out) == ["x"] and [name for name, _ in result.skipped] == ["l"]


def test_a_link_out_of_the_archive_is_not_written_through(out: Path) -> None:
    """The attacks of old: a link, and then something below it, or in its place."""
    far = out.parent / "far"
    far.mkdir()
    for n, entries in enumerate(
        (
            (link("d", str(far)), "d/x"),
            ("d/x", link("d", str(far))),
            (link("d", str(far)), folder("d"), "d/x"),
            (link("x", str(far / "new")), "x"),
            (link("d", str(far)), hard("d/x", "a"), "a"),
            (link("d", str(far)), link("d/x", "a")),
            (link("d", "."), link("d/d", ".."), "d/d/far/x"),
        )
    ):
        extract(pack(*entries), out / str(n), preserve=True)
        extract(pack(*entries), out / str(n), preserve=True, keep_existing=True)
        with suppress(UnsafePathError, OutputExistsError):  # the link, or folder, of the first time is in the way
            extract(pack(*entries[::-1]), out / str(n), preserve=True, overwrite=True)
        assert list(far.iterdir()) == []
    assert sorted(path.name for path in out.parent.iterdir()) == ["far", "out"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.ENAMETOOLONG])
def test_file_systems_without_symbolic_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "symlink", refuse)
    result = extract(pack("a", link("l", "a"), link("m", "a")), tmp_path)
    assert tree(tmp_path) == ["a"] and [name for name, _ in result.skipped] == ["l", "m"]


# Somebody meddles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(1, 6))
@pytest.mark.parametrize(
    "members", [("d/0", "d/1", "d/2", "d/3", "d/4"), ("d/e/0", "d/e/1", "d/2", "d/f/3", "d/f/g/4")]
)
def test_a_folder_that_is_swapped_for_a_link(tmp_path: Path, members: tuple[str, ...], after: int) -> None:
    far, out = tmp_path / "far", tmp_path / "out"
    (far / "e").mkdir(parents=True)
    (far / "f/g").mkdir(parents=True)
    before = look(far)
    calls: list[int] = []

    def meddle(_: int) -> None:
        calls.append(1)
        if len(calls) == after:
            (out / "d").rename(out / "moved")
            (out / "d").symlink_to(far)

    for entries in (members, (folder("d", 0o777, 5), *members, link("d/l", "0"))):
        calls.clear()
        with pytest.raises(UnsafePathError, match=r"d(/.*)?: (is a symbolic link|was replaced)"):
            extract(pack(*entries, piece=1000), out, progress=meddle)
        assert look(far) == before
        for left in out.rglob("*"):
            assert not left.name.endswith(".part")
        (out / "d").unlink()
        (out / "moved").rename(tmp_path / f"seen{len(entries)}")


def test_a_folder_that_is_swapped_for_another(tmp_path: Path) -> None:
    def meddle(_: int) -> None:
        if not (tmp_path / "moved").exists():
            (tmp_path / "d").rename(tmp_path / "moved")
            (tmp_path / "d").mkdir(mode=0o700)

    with pytest.raises(UnsafePathError, match="d: was replaced"):
        extract(pack(folder("d", 0o777), "d/0", "d/1"), tmp_path, progress=meddle)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700


@pytest.mark.parametrize("what", ["file", "link", "folder"])
def test_what_appears_meanwhile(tmp_path: Path, what: str) -> None:
    """Not overwritten, and not written through, even by a hair's breadth."""
    far = tmp_path / "far"
    far.write_text("far")
    out = tmp_path / "out"

    def appear(_: int) -> None:
        path = out / "x"
        if what == "file":
            path.write_text("mine")
        elif what == "link":
            path.symlink_to(far)
        else:
            path.mkdir()

    archive = pack("x", piece=1000)
    with pytest.raises(OutputExistsError, match="x: is already there"):
        extract(archive, out, progress=appear)
    assert tree(out) == ["x/" if what == "folder" else "x"] and far.read_text() == "far"
    (out / "x").rmdir() if what == "folder" else (out / "x").unlink()
    result = extract(archive, out, progress=appear, keep_existing=True)
    assert [name for name, _ in result.skipped] == ["x"] and result.written == []
    (out / "x").rmdir() if what == "folder" else (out / "x").unlink()
    if what == "folder":
        with pytest.raises(OutputExistsError, match="x: is a folder"):
            extract(archive, out, progress=appear, overwrite=True)
    else:
        extract(archive, out, progress=appear, overwrite=True)
        assert (out / "x").read_text() == "x" and not (out / "x").is_symlink()
    assert far.read_text() == "far" and len(tree(out)) == 1


# What the file system refuses -----------------------------------------------------------------------------------------


def refusing(code: int) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EINVAL, errno.EACCES, errno.EROFS, errno.EIO])
def test_metadata_that_is_refused_is_a_warning_for_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    entries = [
        entry for n in range(4) for entry in (folder(f"d{n}", 0o750, 5), Entry(f"d{n}/f", mode=0o640, mtime_ns=5))
    ]
    monkeypatch.setattr(os, "chmod", refusing(code))
    monkeypatch.setattr(os, "utime", refusing(code))
    for preserve in (False, True):
        with umask(0o022):
            result = extract(pack(*entries, link("l", "d0")), tmp_path / str(preserve), preserve=preserve)
        assert len(result.written) == 5 and len(result.folders) == 4
        kinds = {line.partition(" of ")[0]: line for line in result.warnings}
        assert set(kinds) == (
            {"permissions", "the time"} if preserve else {"the time"}
        )  # without -p, none are to be set
        assert all(os.strerror(code).lower() in line for line in result.warnings)
        assert "and 7 more" in kinds["the time"]


def test_modes_that_are_other_than_they_were_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT has no modes: files are created, and nobody complains."""
    seen = os.stat

    def fat(path: Any, **options: Any) -> os.stat_result:
        info = seen(path, **options)
        return os.stat_result(
            (info.st_mode | 0o755, *info[1:]), {k: getattr(info, k) for k in ("st_mtime_ns", "st_atime_ns")}
        )

    monkeypatch.setattr(os, "stat", fat)
    (warning,) = extract(pack(*(Entry(name, mode=0o600) for name in "abc")), tmp_path).warnings
    assert warning.startswith("permissions of '") and "and 2 more" in warning
    assert extract(pack(*(Entry(name, mode=0o755) for name in "abc")), tmp_path, overwrite=True).warnings == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV, errno.EACCES])
def test_hard_links_that_are_refused_become_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "link", refusing(code))
    for overwrite in (False, True):
        archive = pack(Entry("a", mode=0o640, mtime_ns=5), hard("d/b", "a", mode=0o640, mtime_ns=5), hard("c", "a"))
        if code == errno.EXDEV and not overwrite:
            with pytest.raises(OSError):  # within one folder that is no answer
                extract(archive, tmp_path)
            continue
        result = extract(archive, tmp_path, overwrite=overwrite)
        assert read(tmp_path) == {"a": "a", "d/b": "a", "c": "a"}
        (warning,) = result.warnings
        assert warning.startswith("the hard link of ") and "and 1 more" in warning
        assert look(tmp_path)[b"d/b"][1:3] == (0o640, 5)
        assert len(result.written) == 3 and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG])
def test_names_that_the_file_system_refuses_after_all_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def picky(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **options: Any) -> Any:
            if b"sour" in os.fsencode(path):  # no word that names for the time being may have, which are hexadecimal
                raise OSError(code, os.strerror(code))
            return real(path, *rest, **options)

        return call

    real_open = os.open
    for name in ("open", "mkdir"):
        monkeypatch.setattr(os, name, picky(getattr(os, name)))
    monkeypatch.setattr(module, "suppress", lambda *_: __import__("contextlib").nullcontext())
    archive = pack("good", "sour", folder("sour-folder"), "sour-folder/x", "good2", hard("also", "sour"))
    result = extract(archive, tmp_path)
    monkeypatch.setattr(os, "open", real_open)
    assert tree(tmp_path) == ["good", "good2"]
    assert sorted(name for name, _ in result.skipped) == ["sour", "sour-folder", "sour-folder/x"]


# Damage, full disks, signals ------------------------------------------------------------------------------------------


def broken(first: bytes) -> Iterator[bytes]:
    yield first
    raise ChecksumError("block 7 is damaged")


def test_damage_leaves_no_half_file(out: Path) -> None:
    for data in (ChecksumError("block 7 is damaged"), broken(b"half")):
        archive = pack("a", "b", "c", hard("d", "b"), data={"b": data})
        with pytest.raises(ChecksumError):
            extract(archive, out / "strict", overwrite=True)
        assert not (out / "strict/b").exists() and not list(out.rglob("*.part"))
    for data in (ChecksumError("block 7 is damaged"), broken(b"half")):
        archive = pack("a", "b", "c", hard("d", "b"), data={"b": data})
        result = extract(archive, out / "damaged", damaged=True, overwrite=True)
        assert read(out / "damaged") == {"a": "a", "c": "c"}
        assert [name for name, _ in result.failed] == ["b", "d"] and sorted(p.name for p in result.written) == [
            "a",
            "c",
        ]
        assert all(isinstance(error, ChecksumError) for _, error in result.failed)


def test_a_content_that_never_comes(out: Path) -> None:
    class Forgetful(FakeArchive):
        def contents(self, members: Sequence[Member], threads: int = 0) -> Iterator[Any]:
            yield from ((m, d) for m, d in super().contents(members, threads) if m.name != "b")

    archive = Forgetful(pack("a", "b", "c").members)
    with pytest.raises(FormatError, match="b: the archive has no content"):
        extract(archive, out)
    assert [name for name, _ in extract(archive, out, damaged=True, overwrite=True).failed] == ["b"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "Input/output error")]
)
@pytest.mark.parametrize("at", ["write", "flush", "publish"])
def test_a_full_disk_leaves_what_is_finished(
    out: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, at: str
) -> None:
    archive = pack(*(f"d/{n}" for n in range(6)), piece=1000)
    done: list[str] = []
    fail = refusing(error.errno or 0)

    class Filling(atomic.Part):
        def create(self, *arguments: Any, **options: Any) -> Any:
            super().create(*arguments, **options)
            done.append(self._where)
            if len(done) > 3 and at != "publish":
                self.file = Full(self.file, at, fail)  # type: ignore[assignment]
            return self.file

        def publish(self, *arguments: Any, **options: Any) -> None:
            (fail if len(done) > 3 and at == "publish" else super().publish)(*arguments, **options)

    monkeypatch.setattr(atomic, "Part", Filling)
    with pytest.raises(OSError) as full:
        extract(archive, out)
    assert full.value.errno == error.errno and full.value.filename == done[-1] and done[-1].startswith(str(out / "d"))
    assert tree(out) == ["d/", *sorted(f"d/{os.path.basename(name)}" for name in done[:3])]


class Full:
    """A file that cannot be written any more."""

    def __init__(self, file: Any, at: str, fail: Callable[..., None]) -> None:
        self._file = file
        setattr(self, at, fail)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_full_disk_for_once_in_truth(tmp_path: Path) -> None:
    """A file system of one megabyte, where the tests may make one."""
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=False, capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        archive = pack("a", "b", "c", data=dict.fromkeys("abc", bytes(400_000)), piece=4096)
        with pytest.raises(OSError) as full:
            extract(archive, small)
        assert full.value.errno == errno.ENOSPC and full.value.filename == str(small / archive.asked[-1])
        assert tree(small) == sorted(archive.asked[:-1]) and len(archive.asked) == 3
    finally:
        subprocess.run(["umount", small], check=True)


def test_errors_of_the_archive_are_not_those_of_the_target(out: Path) -> None:
    def lost() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.EIO, "Input/output error", "archive.bba")

    with pytest.raises(OSError) as error:
        extract(pack("a", data={"a": lost()}), out)
    assert error.value.filename == "archive.bba" and list(out.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_no_half_file(out: Path, error: type[BaseException]) -> None:
    calls: list[int] = []

    def stop(_: int) -> None:
        calls.append(1)
        if len(calls) == 5:
            raise error

    with pytest.raises(error):
        extract(pack(*"abcdefgh", piece=1000), out, progress=stop)
    assert len(tree(out)) == 4 and set("".join(tree(out))) <= set("abcdefgh")


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    archive = pack("a/b/x", hard("c/y", "a/b/x"), link("c/l", "../a"), folder("e", 0o700))
    extract(archive, tmp_path)
    extract(archive, tmp_path, overwrite=True)
    with pytest.raises(OutputExistsError):
        extract(archive, tmp_path)
    assert open_below(tmp_path) == 0
