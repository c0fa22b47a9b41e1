"""An archive as a file system, against the folder that it was made of."""

import io
import os
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bitsback

fsspec = pytest.importorskip("fsspec")

from fsspec.implementations.local import LocalFileSystem  # noqa: E402
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fsspec") / "scans"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "empty").mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        image = Image.fromarray(rng.integers(0, 4, (9, 7), np.uint8) * 60)
        image.save(root / "deep" / f"{number}.pgm")
    (root / "deep" / "er" / "notes.txt").write_bytes(b"0123456789" * 100)
    os.link(root / "deep" / "1.pgm", root / "same.pgm")
    (root / "empty" / "link").symlink_to("../deep/er/notes.txt")
    (root / "loop").symlink_to("loop")
    return root


@pytest.fixture(scope="module")
def archive(folder: Path) -> bytes:
    here = Path.cwd()
    os.chdir(folder.parent)
    try:
        return bitsback.compress(folder.name)
    finally:
        os.chdir(here)


@pytest.fixture
def files(archive: bytes) -> Iterator[object]:
    from bitsback.integrations.fsspec import ArchiveFileSystem

    yield ArchiveFileSystem(io.BytesIO(archive))


def test_all_files_are_found_with_their_sizes_and_bytes(files: "fsspec.AbstractFileSystem", folder: Path) -> None:
    real = {str(path.relative_to(folder.parent)) for path in folder.rglob("*") if path.is_file()}
    assert set(files.find("")) | {"scans/empty/link"} == real | {"scans/loop", "scans/empty/link"}
    for name in real:
        path = folder.parent / name
        assert files.cat_file(name) == path.read_bytes()
        if not path.is_symlink():
            assert files.info(name)["size"] == path.stat().st_size
            assert files.modified(name).timestamp() == pytest.approx(path.stat().st_mtime)


def test_folders_are_walked(files: "fsspec.AbstractFileSystem") -> None:
    assert files.ls("", detail=False) == ["scans"]
    assert files.ls("scans/empty", detail=False) == ["scans/empty/link"]
    assert files.isdir("scans/deep/er") and not files.isdir("scans/same.pgm")
    assert files.glob("**/*.pgm") == [*(f"scans/deep/{n}.pgm" for n in range(5)), "scans/same.pgm"]
    assert [entry["name"] for entry in files.ls("scans/same.pgm")] == ["scans/same.pgm"]


def test_parts_of_files(files: "fsspec.AbstractFileSystem", folder: Path) -> None:
    whole = (folder / "deep/er/notes.txt").read_bytes()
    assert files.cat_file("scans/deep/er/notes.txt", 3, 17) == whole[3:17]
    assert files.tail("scans/deep/er/notes.txt", 12) == whole[-12:]
    with files.open("scans/deep/er/notes.txt") as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == whole[-5:]
    with files.open("scans/deep/er/notes.txt", "r") as text:
        assert text.read() == whole.decode()


def test_what_is_not_there(files: "fsspec.AbstractFileSystem") -> None:
    with pytest.raises(FileNotFoundError):
        files.ls("scans/none")
    with pytest.raises(FileNotFoundError):
        files.open("none")
    with pytest.raises(FileNotFoundError, match="too many links"):
        files.cat_file("scans/loop")
    with pytest.raises(IsADirectoryError):
        files.cat_file("scans/deep")
    with pytest.raises(NotImplementedError):
        files.open("scans/new", "wb")


def test_folders_that_no_member_names() -> None:
    from bitsback.integrations.fsspec import ArchiveFileSystem

    files = ArchiveFileSystem(io.BytesIO(bitsback.compress(np.zeros((2, 4, 4), np.uint8))))
    assert files.ls("", detail=False) == ["array.npy"]


def test_urls_are_chained(archive: bytes, folder: Path) -> None:
    if not any(entry.name == "bitsback" for entry in entry_points(group="fsspec.specs")):
        fsspec.register_implementation("bitsback", "bitsback.integrations.fsspec.ArchiveFileSystem", clobber=True)
    fsspec.filesystem("memory").pipe_file("/bucket/a.bba", archive)
    with fsspec.open("bitsback://scans/deep/3.pgm::memory://bucket/a.bba") as file:
        assert file.read() == (folder / "deep/3.pgm").read_bytes()
    many = fsspec.open_files("bitsback://scans/deep/*.pgm::memory://bucket/a.bba")
    assert len(many) == 5


def test_listing_reads_little() -> None:
    """The index and the heads, not what lies between."""
    noise = np.random.default_rng(1).integers(0, 256, (40, 64, 64), np.uint8)
    data = bitsback.compress(noise, model="none", effort="fast")
    fsspec.filesystem("memory").pipe_file("/noise.bba", data)

    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            part = super().read(size)
            Counted.taken += len(part)
            return part

    from bitsback.integrations.fsspec import ArchiveFileSystem

    files = ArchiveFileSystem(Counted(data))
    assert files.ls("", detail=False) == ["array.npy"] and Counted.taken < len(data) // 4


def test_what_is_no_archive(tmp_path: Path) -> None:
    from bitsback.integrations.fsspec import ArchiveFileSystem

    (tmp_path / "a.bba").write_bytes(b"no archive, but long enough to be looked at: " * 9)
    with pytest.raises(bitsback.BitsBackError):
        ArchiveFileSystem(tmp_path / "a.bba")


class TestGet(AbstractFixtures, AbstractGetTests):
    """fsspec's own tests of getting files, the part of its suite that only reads: what they would write first is
    written to a disk, and packed."""

    @pytest.fixture(scope="class")
    @staticmethod
    def fs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
        from bitsback.integrations.fsspec import ArchiveFileSystem

        root = tmp_path_factory.mktemp("suite")
        local, here, scenarios = LocalFileSystem(auto_mkdir=True), AbstractFixtures(), ["bulk", "glob", "same", "ten"]
        here._bulk_operations_scenario_0(local, os.path.join, str(root / "bulk"))
        here._glob_edge_cases_files(local, os.path.join, str(root / "glob"))
        here._dir_and_file_with_same_name_prefix(local, os.path.join, str(root / "same"))
        here._10_files_with_hashed_names(local, os.path.join, str(root / "ten"))
        before = Path.cwd()
        os.chdir(root)
        try:
            data = bitsback.compress(scenarios)
        finally:
            os.chdir(before)
        yield ArchiveFileSystem(io.BytesIO(data))

    test_get_directory_recursive = None
    """It writes through the file system itself."""

    @pytest.fixture
    def fs_path(self) -> str:
        return ""

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self) -> str:
        return "bulk/source"

    @pytest.fixture
    def fs_glob_edge_cases_files(self) -> str:
        return "glob/source"

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self) -> str:
        return "same/source"

    @pytest.fixture
    def fs_10_files_with_hashed_names(self) -> str:
        return "ten/source"
