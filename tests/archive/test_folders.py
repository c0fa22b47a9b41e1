import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.trees import deep, open_below, room
from bitsback.archive.folders import (
    MAX_OPEN,
    Folders,
    Spot,
    decode,
    encode,
    lstat_path,
    open_parent,
    open_path,
    spot_in,
)
from bitsback.errors import UnsafePathError


@pytest.fixture
def place() -> Iterator[Path]:
    with room() as place:
        yield place


@given(st.binary(max_size=20))
def test_any_bytes_are_a_name(name: bytes) -> None:
    assert encode(decode(name)) == name


@given(st.text(st.characters(), max_size=20))
def test_any_text_is_a_name(name: str) -> None:
    encoded = encode(name)
    assert encode(decode(encoded)) == encoded


def test_paths_longer_than_the_system_takes(place: Path) -> None:
    def put(descriptor: int, level: int) -> None:
        if level == 499:
            with open(os.open(b"file", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor), "wb") as file:
                file.write(b"deep")

    deep(place, 500, "folder-of-20-letters", put)
    path = f"{place}/{'folder-of-20-letters/' * 500}file"
    assert len(path) > 10_000
    assert lstat_path(path).st_size == 4
    with open(open_path(path, os.O_RDONLY), "rb") as file:
        assert file.read() == b"deep"
    parent = open_parent(path)
    assert os.stat(b"file", dir_fd=parent).st_size == 4
    os.close(parent)
    for attempt in (lambda: open_path(path + "x", os.O_RDONLY), lambda: lstat_path(path + "x")):
        with pytest.raises(FileNotFoundError):
            attempt()
    with pytest.raises(NotADirectoryError):
        open_path(path + "/x", os.O_RDONLY)
    assert open_below(place) == 0


@pytest.mark.parametrize("path", ["a", "./a", "a/", "b/../a"])
def test_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path)
    for given_path in (path, f"{tmp_path}/{path}"):
        parent = open_parent(given_path)
        assert os.path.samestat(os.fstat(parent), tmp_path.stat())
        os.close(parent)


@pytest.mark.parametrize("by_descriptor", [True, False])
def test_folders_are_entered_and_made(tmp_path: Path, by_descriptor: bool) -> None:
    with Folders(str(tmp_path), descriptors=by_descriptor) as folders:
        with pytest.raises(FileNotFoundError):
            folders.enter(["a", "b"])
        assert list(tmp_path.iterdir()) == []
        for parts in (["a", "b"], ["a"], ["a", "c", "d"], [], ["x"], ["a", "b"], ["a", "c"]):
            handle = folders.enter(parts, make=True)
            assert os.path.samestat(os.stat(handle), tmp_path.joinpath(*parts).stat())
            spot = spot_in(handle, "file")
            Path(tmp_path, *parts, "file").write_bytes(b"12")
            info, other = spot.lstat(), spot.beside("other").lstat()
            assert info is not None and info.st_size == 2 and other is None
            assert spot.name == "file" and spot.beside("other").name == "other"
    assert open_below(place) == 0


def test_the_depth_of_a_tree_costs_few_descriptors(place: Path) -> None:
    parts = ["d"] * 1500
    with Folders(str(place)) as folders:
        for depth in range(0, 1501, 6):
            folders.enter(parts[:depth], make=True)
            assert open_below(place) <= MAX_OPEN + 1
        identity = os.stat(folders.enter(parts)).st_ino
        for depth in range(1500, 0, -1):
            folders.enter(parts[:depth])
            assert open_below(place) <= MAX_OPEN + 1
        assert os.stat(folders.enter(parts)).st_ino == identity
    assert open_below(place) == 0


@pytest.mark.parametrize("by_descriptor", [True, False])
@pytest.mark.parametrize("target", ["../far", "inside", "nowhere", "/"])
def test_links_are_not_followed(tmp_path: Path, by_descriptor: bool, target: str) -> None:
    top = tmp_path / "top"
    (top / "inside").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    (top / "link").symlink_to(target)
    (top / "file").write_bytes(b"")
    os.mkfifo(top / "pipe")
    with Folders(str(top), descriptors=by_descriptor) as folders:
        for make in (False, True):
            for parts in (["link"], ["link", "deeper"], ["inside", "..", "link", "x"]):
                with pytest.raises(UnsafePathError, match="link: is a symbolic link"):
                    folders.enter(parts, make=make)
            for name in ("file", "pipe"):
                with pytest.raises(UnsafePathError, match="not a folder"):
                    folders.enter([name, "x"], make=make)
    assert list((tmp_path / "far").iterdir()) == [] and list((top / "inside").iterdir()) == []


def test_a_link_that_appears_is_seen_when_a_folder_is_entered_anew(tmp_path: Path) -> None:
    with Folders(str(tmp_path)) as folders:
        first = os.stat(folders.enter(["a", "b"], make=True))
        (tmp_path / "a").rename(tmp_path / "moved")
        (tmp_path / "a").symlink_to("/")
        assert os.path.samestat(os.stat(folders.enter(["a", "b"])), first)  # the folder itself, wherever it is now
        folders.reset()
        with pytest.raises(UnsafePathError):
            folders.enter(["a", "b"])


def test_a_target_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        Folders(str(tmp_path / "file"))
    (tmp_path / "link").symlink_to(".")
    with Folders(str(tmp_path / "link")) as folders:  # the caller's own choice
        assert folders.spot(["file"]).lstat() is not None


def test_spots_by_path(tmp_path: Path) -> None:
    spot = Spot(str(tmp_path / "a"))
    assert spot.beside("b") == Spot(str(tmp_path / "b")) and spot.name == "a" and spot.lstat() is None
