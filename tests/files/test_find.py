import os
import unicodedata
from pathlib import Path

import pytest

from bitsback.errors import ImageError
from bitsback.files import Skipped, find


def touch(path, data=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_folder_is_named_as_tar_does(tmp_path):
    for name in ("b.png", "a/z.png", "a/deep/er/1.png", "größe.txt"):
        touch(tmp_path / "digits" / name)
    sources, skipped = find([tmp_path / "digits"])
    assert [s.name for s in sources] == ["digits/a/deep/er/1.png", "digits/a/z.png", "digits/b.png", "digits/größe.txt"]
    assert skipped == []
    assert all(s.path.is_file() for s in sources)


def test_times_modes_and_sizes(tmp_path):
    path = touch(tmp_path / "a.png", b"12345")
    path.chmod(0o640)
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    ((source,), _) = find([str(path)])
    assert (source.path, source.name, source.size) == (path, "a.png", 5)
    assert (source.mode, source.mtime_ns) == (0o640, 1_234_567_890_123_456_789)


def test_the_current_folder_has_its_own_name(tmp_path, monkeypatch):
    touch(tmp_path / "here" / "a.png")
    monkeypatch.chdir(tmp_path / "here")
    assert [s.name for s in find([Path()])[0]] == ["here/a.png"]
    monkeypatch.chdir(touch(tmp_path / "here" / "in" / "b").parent)
    assert [s.name for s in find([".."])[0]] == ["here/a.png", "here/in/b"]


def test_given_order_is_kept_and_folders_are_sorted(tmp_path):
    touch(tmp_path / "x" / "2.png"), touch(tmp_path / "x" / "1.png"), touch(tmp_path / "0.png")
    names = [s.name for s in find([tmp_path / "x", tmp_path / "0.png"])[0]]
    assert names == ["x/1.png", "x/2.png", "0.png"]


def test_links_are_skipped_unless_given(tmp_path):
    target = touch(tmp_path / "target" / "a.png")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").symlink_to(target)
    (folder / "dir").symlink_to(target.parent)
    (folder / "loop").symlink_to(folder)
    (folder / "dead").symlink_to(tmp_path / "nothing")
    sources, skipped = find([folder])
    assert sources == []
    assert skipped == [Skipped(f"folder/{name}", "symbolic link") for name in ("dead", "dir", "file", "loop")]
    assert [s.name for s in find([folder / "file", folder / "dir"])[0]] == ["file", "dir/a.png"]


def test_devices_and_empty_folders_are_skipped(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    name = tmp_path.name
    assert find([tmp_path]) == (
        [],
        [Skipped(f"{name}/empty", "empty folder"), Skipped(f"{name}/pipe", "not a regular file")],
    )


def test_unreadable_entries_are_skipped(tmp_path, monkeypatch):
    touch(tmp_path / "d" / "secret.png"), touch(tmp_path / "d" / "b.png"), touch(tmp_path / "d" / "shut" / "c.png")
    access, scandir = os.access, os.scandir

    def scan(path):
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "access", lambda path, mode: "secret" not in str(path) and access(path, mode))
    monkeypatch.setattr(os, "scandir", scan)
    sources, skipped = find([tmp_path / "d"])
    assert [s.name for s in sources] == ["d/b.png"]
    assert skipped == [Skipped("d/secret.png", "permission denied"), Skipped("d/shut", "permission denied")]


def test_names_that_cannot_be_extracted_are_skipped(tmp_path):
    for name in (b"ok", b"back\\slash", b"a:b", b"line\nbreak", b"CON.png", b"dot.", b"\xff\xfe"):
        touch(tmp_path / "d" / os.fsdecode(name))
    sources, skipped = find([tmp_path / "d"])
    assert [s.name for s in sources] == ["d/ok"]
    assert len(skipped) == 6 and all(s.name.isprintable() and s.name.isascii() for s in skipped)


def test_names_are_normalised(tmp_path):
    touch(tmp_path / "d" / unicodedata.normalize("NFD", "größe.png"))
    ((source,), _) = find([tmp_path / "d"])
    assert source.name == unicodedata.normalize("NFC", "d/größe.png") and source.path.is_file()


def test_names_that_collide_are_skipped(tmp_path):
    one, two = touch(tmp_path / "1" / "a.png"), touch(tmp_path / "2" / "A.png")
    sources, skipped = find([one, two, one])
    assert [s.path for s in sources] == [one]
    assert skipped == [
        Skipped("A.png", "another file has the same name"),
        Skipped("a.png", "another file has the same name"),
    ]


def test_what_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ImageError, match=r"nothing\.png: no such file"):
        find([tmp_path / "nothing.png"])
