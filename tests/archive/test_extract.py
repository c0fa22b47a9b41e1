import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bitsback.archive import Archive, Library, extract
from bitsback.archive.plan import Item
from bitsback.errors import ChecksumError, OutputExistsError, UnsafePathError

Pack = Callable[..., tuple[bytes, SimpleNamespace]]


@pytest.fixture
def archive(small_archive: bytes, library: Library) -> Archive:
    return Archive(small_archive, library=library)


@pytest.fixture
def named(make: SimpleNamespace, pack_items: Pack) -> Callable[..., Archive]:
    """An archive of text files with these names."""

    def named(*names: str) -> Archive:
        return Archive(pack_items([make.file_item(n, name, b"text") for n, name in enumerate(names)])[0])

    return named


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_files_times_and_modes(archive: Archive, tmp_path: Path) -> None:
    result = extract(archive, tmp_path / "out", threads=1, durable=True)
    assert tree(tmp_path / "out") == sorted(archive.names)
    assert sorted(result.written) == sorted((tmp_path / "out" / name) for name in archive.names)
    for member in archive.members:
        path = tmp_path / "out" / member.name
        info = path.stat()
        assert path.read_bytes() == archive.read(member.name)
        assert info.st_mtime_ns == member.mtime_ns
        assert stat.S_IMODE(info.st_mode) == member.mode


def test_dangerous_mode_bits_are_dropped(make: SimpleNamespace, pack_items: Pack, tmp_path: Path) -> None:
    item = make.file_item(0, "a", b"x")
    item.mode = 0o6777
    extract(Archive(pack_items([item])[0]), tmp_path)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755


def test_without_a_mode_the_umask_decides(make: SimpleNamespace, pack_items: Pack, tmp_path: Path) -> None:
    item: Item = make.file_item(0, "a", b"x")
    item.mode = item.mtime_ns = None
    old = os.umask(0o077)
    try:
        extract(Archive(pack_items([item])[0]), tmp_path)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["../x", "/abs", "a/../../x", "a\\b", "c:x", "con", "x ", "e\u0301"])
def test_unsafe_names_write_nothing(named: Callable[..., Archive], tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafePathError):
        extract(named("good", name), tmp_path / "in" / "out")
    assert tree(tmp_path) == []


def test_names_that_differ_by_case_only(named: Callable[..., Archive], tmp_path: Path) -> None:
    with pytest.raises(UnsafePathError):
        extract(named("Straße", "STRASSE"), tmp_path)
    assert tree(tmp_path) == []


def test_a_file_that_is_a_folder_too(named: Callable[..., Archive], tmp_path: Path) -> None:
    for names in (("a", "A/b"), ("a/b", "A"), ("a/b/c", "a/b/d", "a/b")):
        with pytest.raises(UnsafePathError):
            extract(named(*names), tmp_path)
    assert tree(tmp_path) == []


def test_nothing_is_written_through_a_link(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").symlink_to("../far")
    with pytest.raises(UnsafePathError, match="symbolic link"):
        extract(archive, tmp_path / "out", overwrite=True)
    assert tree(tmp_path) == []


def test_a_link_that_appears_meanwhile(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    out = tmp_path / "out"

    def meddle(_: int) -> None:
        if not (out / "c").exists():
            (out / "c").symlink_to("../far")

    with pytest.raises(UnsafePathError, match="symbolic link"):
        extract(archive, out, threads=1, progress=meddle)
    assert tree(tmp_path / "far") == []


def test_existing_files_are_an_error_before_anything_is_written(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "d.npy").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"d\.npy"):
        extract(archive, tmp_path)
    assert tree(tmp_path) == ["d.npy"]
    result = extract(archive, tmp_path, keep_existing=True)
    assert result.kept == [tmp_path / "d.npy"]
    assert (tmp_path / "d.npy").read_bytes() == b"mine"
    extract(archive, tmp_path, overwrite=True)
    assert (tmp_path / "d.npy").read_bytes() == archive.read("d.npy")


def test_a_link_in_the_place_of_a_file_is_not_followed(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "far").write_bytes(b"far")
    (tmp_path / "d.npy").symlink_to("far")
    with pytest.raises(OutputExistsError):
        extract(archive, tmp_path)
    extract(archive, tmp_path, overwrite=True)
    assert (tmp_path / "far").read_bytes() == b"far"
    assert not (tmp_path / "d.npy").is_symlink()


def test_a_folder_in_the_place_of_a_file(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "d.npy").mkdir()
    with pytest.raises(OutputExistsError):
        extract(archive, tmp_path, overwrite=True)


def test_a_file_in_the_place_of_a_folder(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(UnsafePathError, match="not a folder"):
        extract(archive, tmp_path, overwrite=True)


def test_stripping_leading_folders(archive: Archive, tmp_path: Path) -> None:
    extract(archive, tmp_path, strip=1)
    assert tree(tmp_path) == ["array.npy", "empty", "one.npy", "other.npy", "text.txt", "two.npy"]


def test_stripping_names_together_is_refused(named: Callable[..., Archive], tmp_path: Path) -> None:
    with pytest.raises(UnsafePathError, match="same name"):
        extract(named("a/x", "b/X"), tmp_path, strip=1)


def test_chosen_files_only(archive: Archive, tmp_path: Path) -> None:
    extract(archive, tmp_path, [archive.members[1]])
    assert tree(tmp_path) == ["a/one.npy"]


def test_damage_leaves_no_half_file(small_archive: bytes, library: Library, tmp_path: Path) -> None:
    chunk = Archive(small_archive, library=library).chunks[-1]
    damaged = bytearray(small_archive)
    damaged[chunk.block.payload_offset] ^= 1
    with pytest.raises(ChecksumError):
        extract(Archive(bytes(damaged), library=library), tmp_path / "strict")
    archive = Archive(io.BytesIO(damaged), library=library, damaged=True)
    result = extract(archive, tmp_path / "damaged")
    assert 0 < len(result.failed) < len(archive.members)
    assert len(result.written) + len(result.failed) == len(archive.members)
    for folder in ("strict", "damaged"):
        assert not [name for name in tree(tmp_path / folder) if name.endswith(".part")]
