import errno
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitsback.archive import atomic
from bitsback.archive.folders import encode
from bitsback.errors import OutputExistsError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_appears_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    with atomic.write(tmp_path / "a") as file:
        file.write(b"one")
        assert [path.name[:3] for path in tmp_path.iterdir()] == [".a."]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"one"}


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "bad")]
)
def test_an_error_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(type(error)), atomic.write(target, overwrite=True) as file:
        file.write(b"new")
        raise error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}
    if isinstance(error, OSError):
        assert error.filename == str(target)


def test_no_overwriting_without_being_asked(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(OutputExistsError), atomic.write(target):
        pytest.fail("the block must not run")
    with atomic.write(target, overwrite=True) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with pytest.raises(OutputExistsError), atomic.write(target) as file:
        file.write(b"mine")
        target.write_bytes(b"theirs")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"theirs"}


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    far = tmp_path / "deep" / "far"
    far.write_bytes(b"far")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("deep/far")
    with pytest.raises(OutputExistsError), atomic.write(tmp_path / "a"):
        pytest.fail("the block must not run")
    with atomic.write(tmp_path / "a", overwrite=True) as file:
        file.write(b"new")
        assert names(tmp_path) == ["a", "b", "deep"]  # whole or not at all, there too
    assert (tmp_path / "a").readlink() == Path("b") and (tmp_path / "b").readlink() == Path("deep/far")
    assert far.read_bytes() == b"new" and names(far.parent) == ["far"]


def test_a_link_to_a_file_without_a_name(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w+b") as file:
        (tmp_path / "a").unlink()
        path = Path(f"/proc/self/fd/{file.fileno()}")
        with pytest.raises(OutputExistsError, match="without a name"), atomic.write(path, overwrite=True):
            pytest.fail("the block must not run")


def test_a_dangling_link_counts_as_being_there(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(OutputExistsError), atomic.write(tmp_path / "a"):
        pytest.fail("the block must not run")


def test_a_dangling_link_names_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("there")
    with atomic.write(tmp_path / "a", overwrite=True) as file:
        file.write(b"new")
    assert (tmp_path / "a").is_symlink() and (tmp_path / "there").read_bytes() == b"new"


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError), atomic.write(tmp_path / "a", overwrite=True):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_written_to(tmp_path: Path, overwrite: bool, linked: bool) -> None:
    pipe = path = tmp_path / "pipe"
    os.mkfifo(pipe)
    if linked:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with atomic.write(path, overwrite=overwrite) as file:
            file.write(b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.lstat().st_mode) and path.is_symlink() is linked


def test_a_device_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    with atomic.write(tmp_path / "null") as file:
        file.write(b"away")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode) and names(tmp_path) == ["null"]
    with pytest.raises(OSError) as full, atomic.write(Path("/dev/full")) as file:
        file.write(b"away")
    assert full.value.errno == errno.ENOSPC and full.value.filename == "/dev/full"


def test_folders_and_sockets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    for name in ("folder", "socket"):
        with (
            pytest.raises(OutputExistsError, match=f"is a {name}"),
            atomic.write(tmp_path / name, overwrite=True),
        ):
            pytest.fail("the block must not run")


def test_a_folder_that_appears_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError, match="is a folder"), atomic.write(tmp_path / "a", overwrite=True):
        (tmp_path / "a").mkdir()
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("bitsback.archive.atomic.link", refuse)
    with atomic.write(tmp_path / "a") as file:
        file.write(b"one")
    with pytest.raises(OutputExistsError), atomic.write(tmp_path / "b") as file:
        (tmp_path / "b").write_bytes(b"theirs")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"one", "b": b"theirs"}


@given(st.text(min_size=1, max_size=255).filter(lambda name: "/" not in name))
def test_unfinished_files_are_known_by_their_name(name: str) -> None:
    part = atomic.part_name(name)
    assert atomic.is_part(part) and part != atomic.part_name(name)
    assert len(encode(part)) <= 255 and "/" not in part
    assert not atomic.is_part(name) or name.endswith(".part")
    at = part.rindex(".part") - 16  # any other check will not do
    assert not atomic.is_part(part[:at] + ("1" if part[at] == "0" else "0") + part[at + 1 :])


@pytest.mark.parametrize("name", [".x.part", "a.part", ".a.deadbeef.part", ".a.0123456789abcdef.part", "part", ""])
def test_names_that_are_not_ours(name: str) -> None:
    assert not atomic.is_part(name)


def test_mode_follows_the_umask_or_is_given(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic.write(tmp_path / "a") as file:
            file.write(b"")
        with atomic.write(tmp_path / "b", mode=0o751, mtime_ns=1_234_567_891) as file:
            file.write(b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o751
    assert (tmp_path / "b").stat().st_mtime_ns == 1_234_567_891


def test_the_longest_name_works(tmp_path: Path) -> None:
    target = tmp_path / ("é" * 127)
    with atomic.write(target) as file:
        file.write(b"x")
    assert target.read_bytes() == b"x"


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.write(tmp_path / "no" / "a"):
        pytest.fail("the block must not run")
