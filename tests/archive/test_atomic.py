import errno
import os
import stat
from pathlib import Path

import pytest

from bitsback.archive import atomic
from bitsback.errors import OutputExistsError


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


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "far").write_bytes(b"far")
    (tmp_path / "a").symlink_to("far")
    with pytest.raises(OutputExistsError), atomic.write(tmp_path / "a"):
        pytest.fail("the block must not run")
    with atomic.write(tmp_path / "a", overwrite=True) as file:
        file.write(b"new")
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "far").read_bytes() == b"far"


def test_a_dangling_link_counts_as_being_there(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(OutputExistsError), atomic.write(tmp_path / "a"):
        pytest.fail("the block must not run")


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
