import dataclasses
import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import structs

from archive.archives import (
    FakeModel,
    contents,
    contents_of,
    digits,
    file_item,
    flipped,
    folder_item,
    good,
    hardlink_item,
    image_item,
    library,
    mixed_items,
    noise,
    opened,
    pack,
    stream_item,
    symlink_item,
)
from bitsback import api
from bitsback.archive import Archive, Library, Rebuilt, Settings, atomic, container, edit, plan, writer
from bitsback.archive.container import ContainerReader, Kind, System
from bitsback.archive.edit import append, rebuild
from bitsback.archive.item import Item
from bitsback.archive.member import Type
from bitsback.archive.report import Report
from bitsback.archive.structure import Member
from bitsback.errors import BitsBackError, ChangedError, ChecksumError, FormatError, OutputExistsError

SMALL = Settings(block=1 << 10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.bba"
    path.write_bytes(pack(mixed_items(), SMALL)[0])
    return path


def add(path: Path, items: list[Item], **options: Any) -> Report:
    return append(path, items, options.pop("library", None) or library(), options.pop("settings", SMALL), **options)


def read(path: Path) -> dict[str, bytes | BitsBackError]:
    with Archive(path, library=library()) as archive:
        assert archive.test() == []
        return contents(archive)


# Adding.


def test_members_are_added_without_writing_anew(path: Path) -> None:
    before = path.read_bytes()
    items = [image_item("e.npy", digits(30, seed=9)), file_item("f", b"text"), folder_item("g"), symlink_item("h", "f")]
    report = add(path, items)
    assert path.read_bytes().startswith(before) and report.bytes_out == path.stat().st_size
    assert read(path) == contents_of(mixed_items()) | contents_of(items)
    with Archive(path, library=library()) as archive:
        assert archive.names == [item.entry.name for item in [*mixed_items(), *items]]
        models = [chunk for chunk in archive.structure.all_chunks if chunk.kind == Kind.MODEL]
        assert len(models) == 1  # it is in there already
    assert [kept.name for kept in report.members] == ["e.npy", "f", "g", "h"]


def test_again_and_again(path: Path) -> None:
    expected = contents_of(mixed_items())
    for number in range(container.EARLIER + 2):
        add(path, [file_item(f"{number}", noise(99, number))])
        expected[f"{number}"] = noise(99, number)
    assert read(path) == expected


def test_a_name_that_is_there_is_superseded(path: Path) -> None:
    add(path, [file_item("b/text.txt", b"new"), image_item("d.npy", digits(3, seed=8))])
    expected = (
        contents_of(mixed_items()) | {"b/text.txt": b"new"} | contents_of([image_item("d.npy", digits(3, seed=8))])
    )
    assert read(path) == expected
    add(path, [file_item("b/text.txt", b"newer")])
    assert read(path) == expected | {"b/text.txt": b"newer"}
    with Archive(path, library=library()) as archive:  # what was another name of the old file is a file of its own
        twin = archive.find("b/twin.txt")
        assert (twin.type, twin.target, archive.read("b/twin.txt")[:4]) == (Type.FILE, "", b"some")
        assert archive.names.count("b/text.txt") == 1


def test_what_is_refused_leaves_the_archive_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(OutputExistsError, match=r"'d\.npy': is in the archive already"):
        add(path, [file_item("new", b"x"), file_item("d.npy", b"y")], keep_old=True)
    assert path.read_bytes() == before


def test_what_was_not_stored_supersedes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes while it is read, or cannot be named: the old one stays."""
    monkeypatch.setattr(plan, "CHUNK_BYTES", 1000)
    report = add(path, [stream_item("d.npy", [b"x" * 1500], 2500), file_item("\0", b""), folder_item("z")])
    assert {one.name for one in report.skipped} == {"d.npy", "\0"}
    assert read(path) == contents_of(mixed_items())
    with Archive(path, library=library()) as archive:
        assert archive.names[-1] == "z"


def failing(items: list[Item], error: BaseException) -> Iterator[Item]:
    yield from items
    raise error


@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt(), ChangedError("x")])
def test_an_append_that_fails_leaves_the_archive_as_it_was(path: Path, error: BaseException) -> None:
    before = path.read_bytes()
    items = [file_item(f"{n}", noise(99, n)) for n in range(9)]
    with pytest.raises(type(error)):
        add(path, failing(items, error))  # type: ignore[arg-type]
    assert path.read_bytes() == before


def test_a_disk_that_is_full_leaves_the_archive_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    room = [5, 60, 300, 1000, 1400]
    for size in room:
        left = size

        def write(self: Any, data: Any, size: int = size) -> None:
            nonlocal left
            left -= len(data)
            if left < 0:
                self._stream.write(bytes(data)[: len(data) // 2])
                raise OSError(28, "no space left on device")
            self._stream.write(data)
            self.size += len(data)

        with monkeypatch.context() as patch:
            patch.setattr(container.ContainerWriter, "_write", write)
            with pytest.raises(OSError, match="no space left"):
                add(path, [file_item("new", noise(2000))])
        assert path.read_bytes() == before


def test_what_could_not_be_written_is_not_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file writes what it holds back when it is cut off or closed: to a disk that is full then, or no more."""
    before = path.read_bytes()
    full = True

    class Disk(io.FileIO):
        def write(self, data: Any) -> int:
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    def opened_raw(path: Path, mode: str, buffering: int = -1) -> Any:
        return Disk(path, mode.replace("b", ""))

    monkeypatch.setattr(Path, "open", opened_raw)
    monkeypatch.setattr(edit, "Archive", lambda path, **options: Archive(before, **options))
    with pytest.raises(OSError, match="No space left") as raised:
        add(path, [file_item("more.txt", b"more")])
    full = False
    monkeypatch.undo()
    assert raised.value.filename == str(path)
    assert path.read_bytes() == before


needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="no locks that are waited for")


@pytest.fixture
def adding(path: Path, tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Starts a process that adds a file of this name to the archive, in a folder of its own."""
    begun: list[subprocess.Popen[str]] = []

    def begin(name: str) -> subprocess.Popen[str]:
        (tmp_path / name).write_text(name)
        command = [sys.executable, "-m", "bitsback", "add", str(path), name]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        begun.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@needs_locks
def test_processes_that_add_wait_for_each_other(path: Path, adding: Callable[[str], "subprocess.Popen[str]"]) -> None:
    names = ["one.txt", "two.txt", "three.txt"]
    before = read(path)
    with atomic.alone(path):
        processes = [adding(name) for name in names]
        for process in processes:
            assert process.stderr is not None
            assert "another process is writing to it" in process.stderr.readline()
        assert read(path) == before
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert read(path) == before | {name: name.encode() for name in names}


@needs_locks
def test_who_waits_takes_the_archive_that_is_there_then(
    path: Path, tmp_path: Path, adding: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    with atomic.alone(path):
        process = adding("one.txt")
        assert process.stderr is not None and "another process" in process.stderr.readline()
        (tmp_path / "other.bba").write_bytes(pack([file_item("other.txt", b"other")])[0])
        (tmp_path / "other.bba").replace(path)
    assert process.wait(60) == 0
    assert read(path) == {"other.txt": b"other", "one.txt": b"one.txt"}


def test_what_does_not_read_back_is_taken_off_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    wrong = Library([FakeModel(wrong=True)], shipped=False, forced=True, load=FakeModel.from_bytes)
    with pytest.raises(ChecksumError):
        add(path, [image_item("e.npy", digits(30))], library=wrong)
    assert path.read_bytes() == before
    add(path, [image_item("e.npy", digits(30))], library=wrong, check=False)
    assert path.read_bytes() != before


def test_an_append_cut_off_at_any_byte_leaves_an_archive(path: Path) -> None:
    old, expected = path.read_bytes(), contents_of(mixed_items())
    items = [file_item("d.npy", b"new"), file_item("other", noise(300)), image_item("e.npy", digits(2))]
    add(path, items)
    data = path.read_bytes()
    for size in range(len(old), len(data), 11):
        archive = opened(data[:size])
        assert archive.structure.tail == size - len(old) and archive.names == [
            item.entry.name for item in mixed_items()
        ]
        assert archive.test(threads=1)[:1] == (
            [f"{size - len(old)} bytes follow the end, as where adding to it was cut short"] if size > len(old) else []
        )
    for size in (len(old) + 1, len(data) - 33, len(data) - 1):
        path.write_bytes(data[:size])
        assert read_quietly(path) == expected
        add(path, items)  # the rest is put out of the way
        assert path.read_bytes() == data


def read_quietly(path: Path) -> dict[str, bytes | BitsBackError]:
    with Archive(path, library=library()) as archive:
        return contents(archive)


def test_nothing_is_added_to_a_damaged_end(path: Path) -> None:
    """What was added last may still be had by recovery; it is not written over."""
    add(path, [file_item("new", noise(300))])
    data = flipped(path.read_bytes(), path.stat().st_size - 3)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="the end is damaged"):
        add(path, [file_item("newer", b"")])
    assert path.read_bytes() == data
    assert "new" in good(opened(data, damaged=True))


def test_data_are_on_disk_before_they_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    add(path, [file_item("new", noise(300))])
    assert sizes == [path.stat().st_size - container.FOOTER_SIZE, path.stat().st_size]


def test_names_are_kept_as_the_archive_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system: what has no name there is left out, and said."""
    with monkeypatch.context() as patch:
        patch.setattr(writer, "HERE", System.WINDOWS)
        patch.setattr(container, "HERE", System.WINDOWS)
        data, _ = pack([file_item("\ud800", b"x"), file_item("ü", b"y")])
    assert opened(data).structure.system == System.WINDOWS and opened(data).names == ["\ud800", "ü"]
    path = tmp_path / "a.bba"
    path.write_bytes(pack([file_item("a", b"x")])[0])
    report = add(path, [file_item("\ud800", b"x"), file_item("\udcff", b"y")])
    assert [one.name for one in report.skipped] == ["\ud800"] and "Posix" in report.skipped[0].reason
    assert read(path) == {"a": b"x", "\udcff": b"y"}
    with pytest.raises(BitsBackError, match="no name in an archive of a Posix system"):
        rebuild(
            [(opened(path.read_bytes()), opened(path.read_bytes()).members), (opened(data), opened(data).members)],
            io.BytesIO(),
        )


# Putting together anew.


def rebuilt(*parts: tuple[Archive, list[Member]]) -> tuple[bytes, Rebuilt]:
    stream = io.BytesIO()
    out = rebuild(parts, stream)
    assert out.size == len(stream.getvalue())
    return stream.getvalue(), out


def assert_right(data: bytes, expected: dict[str, bytes], members: list[Member]) -> None:
    archive = opened(data)
    assert archive.test() == [] and contents(archive) == expected
    assert archive.names == [member.name for member in members]
    assert [member.ordinal for member in archive.members] == list(range(len(members)))
    for new, old in zip(archive.members, members, strict=True):
        assert (new.mtime_ns, new.mode, new.size, new.parts, new.exact) == (
            old.mtime_ns, old.mode, old.size, old.parts, old.exact
        )  # fmt: skip
        assert new.type == old.type or (old.type, new.type) == (Type.HARDLINK, Type.FILE)


@pytest.mark.parametrize("seed", range(12))
def test_any_members_in_any_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 2:
        monkeypatch.setattr(plan, "MAX_MEMBERS", 4)
        monkeypatch.setattr(plan, "CHUNK_SAMPLES", 1 << 10)
        monkeypatch.setattr(plan, "CHUNK_BYTES", 1 << 10)
    random = Random(seed)
    archive = opened(pack(mixed_items(), Settings(block=1 << 10, hashes=seed % 3 == 0))[0])
    chosen = random.sample(archive.members, random.randrange(len(archive.members) + 1))
    expected = contents_of(mixed_items())
    data, out = rebuilt((archive, chosen))
    assert_right(data, {member.name: expected[member.name] for member in chosen if member.content is not None}, chosen)
    assert out.lost == [] and out.members == chosen
    again, _ = rebuilt((opened(data), opened(data).members))
    assert contents(opened(again)) == contents(opened(data)) and len(again) == len(data)


def test_all_members_cost_what_they_did() -> None:
    data, _ = pack(mixed_items(), SMALL)
    archive = opened(data)
    again, _ = rebuilt((archive, archive.members))
    assert abs(len(again) - len(data)) < 10
    old, new = archive.structure.chunks, opened(again).structure.chunks
    assert [archive.payload(chunk) for chunk in old] == [opened(again).payload(chunk) for chunk in new]


def test_nothing_is_left_of_what_is_removed() -> None:
    secret = noise(600, 3)
    items = [
        file_item("secret", secret),
        file_item("a", noise(700)),
        image_item("b.npy", digits(20)),
        image_item("c.npy", digits(20, seed=5)),
    ]
    archive = opened(pack(items, SMALL)[0])
    data, _ = rebuilt((archive, [member for member in archive.members if member.name in ("a", "b.npy")]))
    assert secret[:20] not in data and len(data) < 2200
    assert len(opened(data)) == 20
    data, _ = rebuilt((archive, []))
    assert opened(data).members == [] and len(data) < 150


def test_links_of_files_that_are_left_out() -> None:
    first = file_item("a", b"text", linked=True)
    items = [first, hardlink_item("b", first), hardlink_item("c", first), file_item("d", b"text")]
    archive = opened(pack(items)[0])
    data, _ = rebuilt((archive, archive.members[1:]))
    assert [(m.name, m.type, m.target) for m in opened(data).members] == [
        ("b", Type.FILE, ""), ("c", Type.HARDLINK, "b"), ("d", Type.FILE, "")
    ]  # fmt: skip
    assert contents(opened(data)) == dict.fromkeys("bcd", b"text")


def test_several_archives_become_one(path: Path) -> None:
    add(path, [file_item("d.npy", b"newer"), file_item("new", b"new")])
    one = opened(path.read_bytes())
    two = opened(
        pack([file_item("b/text.txt", b"other"), image_item("x.npy", digits(30, seed=3)), folder_item("a")], SMALL)[0]
    )
    bare = opened(pack([file_item("bare", b"1", None, None)])[0])
    data, out = rebuilt((one, one.members), (two, two.members), (bare, bare.members))
    expected = contents(one) | contents(two) | contents(bare)
    assert contents(opened(data)) == expected and opened(data).test() == []
    assert sorted(opened(data).names) == sorted({*one.names, *two.names, *bare.names})
    assert len([chunk for chunk in ContainerReader(data).chunks if chunk.kind == Kind.MODEL and not chunk.is_copy]) == 1
    assert out.lost == [] and len(out.members) == len(expected) + 2


def test_different_archives_have_different_runs() -> None:
    archives = [opened(pack([file_item("a", b"1"), file_item(name, noise(99))])[0]) for name in "bcd"]
    a, b, c = ((archive, archive.members) for archive in archives)
    runs = {ContainerReader(rebuilt(*parts)[0]).header.id for parts in ((a, b), (a, c), (b, a), (a, b, c))}
    assert len(runs) == 4


def test_what_is_lost_is_left_out_and_said() -> None:
    items = mixed_items()
    expected = contents_of(items)
    data, _ = pack(items, SMALL)
    chunk = opened(data).structure.chunks[0]
    for place in range(chunk.chunk.payload_offset, chunk.chunk.end, 61):
        archive = opened(flipped(data, place), damaged=True)
        new, out = rebuilt((archive, archive.members))
        assert_right(new, good(archive), out.members)
        lost = {member.name for member in out.lost}
        assert lost == expected.keys() - good(archive).keys() and all(member.problem for member in out.lost)
        assert {member.name for member in out.members} == set(archive.names) - lost


def test_a_damaged_archive_is_not_put_together_as_if_it_were_sound() -> None:
    data, _ = pack(mixed_items(), SMALL)
    for chunk in opened(data).structure.chunks:
        archive = opened(flipped(data, chunk.chunk.payload_offset + 5))
        with pytest.raises(ChecksumError):
            rebuilt((archive, archive.members))


def test_the_public_names() -> None:
    assert set(edit.__all__) == {"Rebuilt", "append", "rebuild"}


# What was put together is compared before it takes the place of anything.


def spoil(monkeypatch: pytest.MonkeyPatch, kind: Kind, least: int = 1) -> None:
    """Let archives be written of which a byte is another one, and all checks of the container are right."""
    right = container.ContainerWriter.add

    def add(self: container.ContainerWriter, what: Kind, head: bytes, payload: bytes, flags: int = 0) -> int:
        wrong = what == kind and len(payload) > least
        return right(self, what, head, flipped(bytes(payload), len(payload) // 2) if wrong else payload, flags)

    monkeypatch.setattr(container.ContainerWriter, "add", add)


@pytest.fixture
def files_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive made of files, with no model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name, size in (("a", 999), ("b", 2000), ("c", 30)):
        (tmp_path / "in" / name).write_bytes(noise(size, size))
    api.compress("in", tmp_path / "own.bba", model="none", threads=1)
    return tmp_path / "own.bba"


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.DIRECTORY])
def test_what_does_not_read_back_replaces_nothing(files_of: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    before = files_of.read_bytes()
    other = files_of.parent / "other.bba"
    with monkeypatch.context() as patch:
        spoil(patch, kind)
        for wrong in (
            lambda: api.remove(files_of, ["in/c"]),
            lambda: api.merge([files_of], files_of, force=True),
            lambda: api.recover(files_of, files_of, force=True),
            lambda: api.merge([files_of], other),
        ):
            with pytest.raises(BitsBackError):
                wrong()
            assert files_of.read_bytes() == before and not other.exists()
        api.merge([files_of], other, verify=False)
    with pytest.raises(BitsBackError):
        api.decompress(other, files_of.parent / "out")
    left = api.remove(files_of, ["in/c"]).members
    with api.open(files_of) as archive:
        assert archive.names == [member.name for member in left] == ["in", "in/a", "in/b"]


def test_contents_that_are_mixed_up_are_noticed(files_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check of the new archive is right, but two files have changed places."""
    right = edit._directories

    def swapped(archive: Archive, members: list[Member], *numbers: int) -> Any:
        out, taken = right(archive, members, *numbers)
        rows = out[0].rows
        a, b = (row for row in rows if row.content is not None and row.entry.name.endswith(("a", "b")))
        other = {a.content: b.content, b.content: a.content}
        mixed = [structs.replace(row, content=other.get(row.content, row.content)) for row in rows]
        return [dataclasses.replace(out[0], rows=mixed)], taken

    monkeypatch.setattr(edit, "_directories", swapped)
    with pytest.raises(ChecksumError):
        api.remove(files_of, ["in/c"])


def test_who_replaces_an_archive_waits_for_who_adds_to_it(files_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[Path] = []
    monkeypatch.setattr(atomic, "_lock", lambda file, path: locked.append(path))
    other = files_of.parent / "other.bba"
    api.merge([files_of], other)
    api.recover(files_of, other, force=True)
    api.remove(files_of, ["in/c"], files_of.parent / "third.bba")
    assert not locked
    api.remove(files_of, ["in/c"])
    api.merge([other, files_of], files_of, force=True)
    api.recover(files_of, files_of, force=True)
    assert locked == [files_of] * 3
