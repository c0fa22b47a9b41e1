import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bitsback.errors import BitsBackError, ModelNotFoundError
from bitsback.models import Model, candidates, installed, search
from helpers import tiny_model_file, with_config
from models.hostile import hostile

SHAPE = (8, 12, 1)
Put = Callable[[str, str, str], str]


def named(name: str, seed: int = 0) -> bytes:
    return with_config(tiny_model_file(seed=seed), name=name)


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """``put("user", "a", name)`` writes ``a.bbm`` into one of four folders, which are the whole search path."""
    folders = {"one": tmp_path / "one", "two": tmp_path / "two", "zoo": tmp_path / "zoo"}
    monkeypatch.setenv("BITSBACK_MODEL_PATH", os.pathsep.join([str(folders["one"]), "", str(folders["two"])]))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(search, "ZOO", folders["zoo"])
    folders["user"] = tmp_path / "data" / "bitsback" / "models"

    def put(where: str, file: str, name: str) -> str:
        folders[where].mkdir(parents=True, exist_ok=True)
        (folders[where] / f"{file}.bbm").write_bytes(named(name))
        return Model.from_bytes(named(name)).id

    return put


def test_the_order(put: Put, tmp_path: Path) -> None:
    for where in ("zoo", "user", "two", "one"):
        put(where, "b", where)
        put(where, "a", f"{where}-a")
    found = search.find()
    assert [(one.name, one.where) for one in found] == [
        (name, where) for where in ("path", "path", "user", "shipped") for name in ("a", "b")
    ]
    assert [one.path.parent.name for one in found[::2]] == ["one", "two", "models", "zoo"]
    assert installed() == [one.path for one in found]
    for where in ("one", "two", "user", "zoo"):
        assert Model.load("b").name == where
        next(one for one in search.find() if one.name == "b").path.unlink()
    with pytest.raises(ModelNotFoundError, match=r"'b': not a \.bbm file, nor one of a$"):
        Model.load("b")


def test_a_folder_is_searched_once(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("user", "a", "a")
    monkeypatch.setenv("BITSBACK_MODEL_PATH", str(search.user_folder()))
    assert [one.where for one in search.find()] == ["path"]


def test_what_is_no_model_file_is_passed_over(put: Put, tmp_path: Path) -> None:
    put("one", "good", "good")
    one = tmp_path / "one"
    (one / "folder.bbm").mkdir()
    (one / "gone.bbm").symlink_to("nowhere")
    (one / "loop.bbm").symlink_to("loop.bbm")
    (one / "._good.bbm").write_bytes(b"what a Mac leaves behind")
    (one / ".good.bbm.0123.part").write_bytes(b"half")
    (one / "good.json").write_text("{}")
    (one / "link.bbm").symlink_to("good.bbm")
    if hasattr(os, "mkfifo"):
        os.mkfifo(one / "pipe.bbm")
    assert [found.name for found in search.find()] == ["good", "link"]
    assert search.find()[0].card == one / "good.json"


def test_folders_that_cannot_be_read_are_passed_over(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = put("zoo", "good", "good")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "locked").mkdir(mode=0)
    names = [tmp_path / "file", tmp_path / "file" / "inside", tmp_path / "locked", "x" * 5000, "nowhere"]
    monkeypatch.setenv("BITSBACK_MODEL_PATH", os.pathsep.join(map(str, names)))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    assert [found.name for found in search.find()] == ["good"]
    assert Model.find(identity).id == identity


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are those of POSIX")
def test_a_file_that_cannot_be_read_breaks_nothing(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made to fail here, as root may read everything."""
    identity = put("zoo", "good", "good")
    put("one", "locked", "locked")
    opened = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "locked.bbm":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    assert [model.name for model in candidates(SHAPE, np.uint8)] == ["good"]
    assert Model.find(identity).name == "good"
    with pytest.raises(BitsBackError, match=r"locked\.bbm: permission denied$"):
        Model.load("locked")


@pytest.mark.parametrize("name", ["empty", "zip", "version 9", "flipped in a weight", "a huge layer", "deep nesting"])
def test_junk_is_no_candidate(put: Put, tmp_path: Path, name: str) -> None:
    identity = put("zoo", "good", "good")
    for folder in ("one", "data/bitsback/models"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "junk.bbm").write_bytes(hostile(name))
    for _ in range(2):
        assert [model.name for model in candidates(SHAPE, np.uint8)] == ["good"]
    assert Model.find(identity).name == "good"
    with pytest.raises(BitsBackError, match=r"one/junk\.bbm: "):
        Model.load("junk")


def test_a_huge_file_is_not_even_hashed(put: Put, tmp_path: Path) -> None:
    identity = put("zoo", "good", "good")
    (tmp_path / "one").mkdir()
    with (tmp_path / "one" / "huge.bbm").open("wb") as file:
        file.truncate(1 << 40)
    assert Model.find(identity).name == "good"
    assert len(candidates(SHAPE, np.uint8)) == 1


def test_a_file_that_changes_is_read_anew(put: Put, tmp_path: Path) -> None:
    put("one", "a", "first")
    assert [model.name for model in candidates(SHAPE, np.uint8)] == ["first"]
    second = put("one", "a", "the-second")
    assert [model.name for model in candidates(SHAPE, np.uint8)] == ["the-second"]
    assert Model.find(second).name == "the-second"


def test_own_models_are_tried_at_every_effort(put: Put) -> None:
    put("zoo", "photos", "photos")
    put("zoo", "photos-fast", "photos-fast")
    put("user", "mine", "mine")
    put("one", "mine-fast", "mine-fast")
    put("two", "copy", "photos")

    def names(effort: str) -> list[str]:
        return [model.name for model in candidates(SHAPE, np.uint8, effort=effort)]

    assert names("normal") == ["mine-fast", "photos", "mine"]
    assert names("fast") == ["mine-fast", "photos", "mine", "photos-fast"]
    assert names("max") == ["mine-fast", "photos", "mine", "photos-fast"]
    assert candidates((12, 8, 1), np.uint8) == []


def test_own_models_are_not_held_to_small_images(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules["bitsback.models.model"].LARGEST, "thumbnails", 4)
    put("zoo", "thumbnails", "thumbnails")
    assert candidates(SHAPE, np.uint8) == []
    put("user", "thumbnails", "thumbnails")
    assert len(candidates(SHAPE, np.uint8)) == 1


def test_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        assert search.user_folder() == tmp_path / "data" / "bitsback" / "models"
    usual = {"linux": ".local/share", "darwin": "Library/Application Support", "win32": "Local"}
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_DATA_HOME", value)
        for platform, place in usual.items():
            monkeypatch.setattr(sys, "platform", platform)
            assert search.user_folder() == tmp_path / place / "bitsback" / "models"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    monkeypatch.setattr(sys, "platform", "linux")
    assert search.user_folder() is None
    assert {found.where for found in search.find()} == {"shipped"}
