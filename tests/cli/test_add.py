import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.files import archive_of, chunks, names, tree

Run = Callable[..., Any]


@pytest.fixture
def grown(run: Run, archive: Path, folder: Path) -> Path:
    """The archive with one more file, and another text."""
    (folder / "new.txt").write_text("new")
    (folder / "text.txt").write_text("other")
    assert run("add", archive, "in/new.txt", "in/text.txt", "-q", "--model", "none").code == 0
    return archive


def test_what_is_added_comes_back_with_the_rest(run: Run, grown: Path, folder: Path, tmp_path: Path) -> None:
    assert run("decompress", grown, "-C", "out").code == 0
    assert tree(tmp_path / "out" / "in") == tree(folder)
    assert run("test", grown).code == 0


def test_what_was_there_stays_as_it_is(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    before = archive.read_bytes()
    (folder / "more").mkdir()
    (folder / "more" / "x.tmp").write_text("x")
    (folder / "more" / "y.txt").write_text("y")
    done = run("add", archive, "in/more", "--exclude", "*.tmp", "--json", "--model", "none", "--store-sha256")
    assert done.code == 0 and len(done.err) == 1
    facts = json.loads(done.out)
    assert facts["archive"] == str(archive)
    assert [member["name"] for member in facts["members"]] == ["in/more", "in/more/y.txt"]
    assert archive.read_bytes().startswith(before)
    assert [bool(member.sha256) for member in archive_of(archive).members[-2:]] == [False, True]


def test_keep_old_refuses_names_that_are_there(run: Run, archive: Path, folder: Path) -> None:
    before = archive.read_bytes()
    (folder / "new.txt").write_text("new")
    done = run("add", archive, "in/new.txt", "in/text.txt", "--keep-old", "--model", "none")
    assert done.code == 1 and len(done.err) == 1 and "'in/text.txt'" in done.err[0]
    assert archive.read_bytes() == before
    assert run("add", archive, "in/new.txt", "--keep-old", "--model", "none").code == 0


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_to_what_is_superseded_keeps_its_content(run: Run, folder: Path, tmp_path: Path) -> None:
    os.link(folder / "text.txt", folder / "zwei.txt")
    assert run("compress", "in", "-q", "--model", "none").code == 0
    (folder / "text.txt").unlink()
    (folder / "text.txt").write_text("new")
    assert run("add", "in.bba", "in/text.txt", "--model", "none").code == 0
    assert run("decompress", "in.bba", "-C", "out").code == 0
    assert (tmp_path / "out" / "in" / "text.txt").read_text() == "new"
    assert (tmp_path / "out" / "in" / "zwei.txt").read_text() == "text " * 50
    assert run("remove", "in.bba", "in/text.txt").code == 0
    assert run("get", "in.bba", "in/zwei.txt", "-o", "-").out == b"text " * 50


def test_failures_leave_it_as_it_was(run: Run, archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = archive.read_bytes()
    (folder / "new.txt").write_text("new")
    assert run("add", archive, "nowhere").err == ["bitsback: nowhere: no such file or directory"]
    done = run("add", "in.bba", "in.bba")
    assert done.code == 1 and len(done.err) == 1 and "both an input and the output" in done.err[0]
    assert run("add", "in/0.npy", "in/new.txt").err == ["bitsback: in/0.npy: not a bitsback archive"]
    assert run("add", "none.bba", "in/new.txt").err == ["bitsback: none.bba: no such file or directory"]
    assert not Path("none.bba").exists()
    from bitsback.archive import Archive

    monkeypatch.setattr(Archive, "digests", lambda self, members, **options: ((one, b"") for one in members))
    done = run("add", archive, "in/new.txt", "--model", "none")
    assert done.code == 1 and len(done.err) == 1
    assert archive.read_bytes() == before
    assert names(folder.parent) == ["in", "in.bba"]


def test_remove_writes_it_anew_without_a_trace(run: Run, grown: Path, folder: Path, tmp_path: Path) -> None:
    size = grown.stat().st_size
    done = run("remove", grown, "in/[0-3].npy", "in/text.txt", "-v", "--json")
    assert done.code == 0
    gone = [*(f"in/{n}.npy" for n in range(4)), "in/text.txt"]
    assert done.err[:5] == [f"removed {name}" for name in gone]
    facts = json.loads(done.out)
    assert facts["removed"] == gone and facts["members"] == 3 and facts["bytes_out"] == grown.stat().st_size < size
    assert archive_of(grown).names == ["in", "in/4.npy", "in/new.txt"]
    assert b"other" not in grown.read_bytes()
    assert run("decompress", grown, "-C", "out").code == 0
    assert tree(tmp_path / "out" / "in") == {name: tree(folder)[name] for name in ("4.npy", "new.txt")}


def test_remove_into_another_file(run: Run, archive: Path, tmp_path: Path) -> None:
    before = archive.read_bytes()
    assert run("remove", archive, "in", "-o", "b.bba").code == 0
    assert archive.read_bytes() == before and archive_of(tmp_path / "b.bba").names == []
    assert run("test", "b.bba").code == 0
    done = run("remove", archive, "in/0.npy", "-o", "b.bba")
    assert (done.code, done.err) == (1, ["bitsback: b.bba: is already there (--force overwrites)"])
    assert run("remove", archive, "in/0.npy", "-o", "b.bba", "--force").code == 0
    done = run("remove", archive, "in/nothing")
    assert done.code == 1 and len(done.err) == 1 and archive.read_bytes() == before


def test_merge(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    before = tree(folder)
    (folder / "text.txt").write_text("newer")
    (folder / "5.npy").write_bytes(before["4.npy"])
    assert run("compress", "in/text.txt", "in/5.npy", "-o", "b.bba", "-q", "--model", "none").code == 0
    done = run("merge", archive, "b.bba", "-o", "c.bba", "--json")
    assert done.code == 0 and json.loads(done.out)["members"] == 8
    assert run("decompress", "c.bba", "-C", "out").code == 0
    assert tree(tmp_path / "out" / "in") == tree(folder) != before
    assert run("merge", archive, "-o", "c.bba").code == 1
    done = run("merge", "nowhere", "-o", "d.bba")
    assert (done.code, done.err) == (1, ["bitsback: nowhere: no such file or directory"])
    assert not (tmp_path / "d.bba").exists()


def test_merge_drops_what_does_not_count_any_more(run: Run, grown: Path, tmp_path: Path) -> None:
    assert len(chunks(grown, "INDEX")) == 0  # indexes are not among the chunks that are listed
    assert run("merge", grown, "-o", "b.bba").code == 0
    assert (tmp_path / "b.bba").stat().st_size < grown.stat().st_size
    assert sorted(archive_of(tmp_path / "b.bba").names) == sorted(archive_of(grown).names)
