import io
import json
import os
import re
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bitsback
from bitsback.archive import Type, gather
from cli.files import archive_of, chunks, names, tree

Run = Callable[..., Any]

posix = pytest.mark.skipif(os.name != "posix", reason="what POSIX has")


@pytest.fixture(autouse=True)
def _without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choosing among the shipped models takes its time, and is tested elsewhere."""
    from bitsback import api
    from bitsback.archive import Library

    known = api.library_for
    monkeypatch.setattr(api, "library_for", lambda model: Library(shipped=False) if model == "auto" else known(model))


def test_a_folder_becomes_an_archive_beside_it(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run("compress", "in")
    assert (done.code, done.out) == (0, b"")
    assert names(tmp_path) == ["in", "in.bba"]
    assert len(done.err) == 1
    start, size, ratio, rate, seconds = done.err[0].split(", ")
    assert start == "5 images and 1 other file"
    assert size.startswith("5.39 kB -> ")
    assert ratio.startswith("ratio ") and rate.endswith(" bits/dim") and " s" in seconds
    assert stat.S_IMODE((tmp_path / "in.bba").stat().st_mode) == 0o666 & ~_umask()
    assert archive_of(tmp_path / "in.bba").names == ["in", *(f"in/{n}.npy" for n in range(5)), "in/text.txt"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@posix
def test_the_summary_counts_what_there_is(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "again.npy").write_bytes((folder / "0.npy").read_bytes())
    (folder / "link").symlink_to("0.npy")
    os.link(folder / "1.npy", folder / "other.npy")
    assert run("compress", "in").err[0].startswith("5 images, 1 duplicate, 1 other file and 2 links, ")
    (tmp_path / "bare").mkdir()
    done = run("compress", "bare")
    assert done.code == 0 and re.fullmatch(r"1 folder, 0 B -> \d+ B, [\d.]+ s", done.err[0])


@posix
def test_verbose_says_of_every_member_how_and_why(run: Run, folder: Path) -> None:
    (folder / "again.npy").write_bytes((folder / "0.npy").read_bytes())
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    (folder / "link").symlink_to("0.npy")
    os.link(folder / "1.npy", folder / "other.npy")
    *said, coded, _ = run("compress", "in", "-v").err
    assert re.fullmatch(r"\d+ images of [\d,]+ samples in all: adaptive, [\d,]+ bytes; filtered [\d,]+", coded)
    lines = dict(line.split(": ", 1) for line in said)
    assert list(lines) == archive_of(Path("in.bba")).names
    assert lines["in"] == "folder"
    assert lines["in/0.npy"].startswith("adaptive (no model takes such images")
    assert lines["in/again.npy"] == "the same as another file, and kept once"
    assert lines["in/link"] == "symbolic link to 0.npy"
    assert lines["in/other.npy"] == "hard link to in/1.npy"
    assert lines["in/text.txt"] == "packed (kept byte by byte)"
    assert re.fullmatch(r"packed \(kept byte by byte; the PNG .*\)", lines["in/bad.png"])


def test_in_any_order(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = rng.integers(0, 256, (12, 9, 8)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "all.npy", arrays)
    for name, image in zip("zyxwvutsrqpo", arrays, strict=True):
        Image.fromarray(image).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "03.png").write_bytes(b"no image")
    done = run("compress", "in", "--any-order")
    assert done.code == 0
    assert done.err[:2] == [
        "1 array: the images are sorted", "12 image files: renamed by number, in the order of their pixels"
    ]  # fmt: skip
    archive = archive_of(tmp_path / "in.bba")
    pngs = [f"in/{k:02}.png" for k in range(13)]
    assert archive.names == ["in", *pngs, "in/all.npy"] and archive.read("in/03.png") == b"no image"
    pngs.remove("in/03.png")
    wanted = sorted(arrays.tolist())
    assert np.load(io.BytesIO(archive.read("in/all.npy"))).tolist() == wanted
    assert [np.asarray(Image.open(io.BytesIO(archive.read(name)))).tolist() for name in pngs] == wanted
    assert run("compress", "in", "--any-order", "--rm", "-o", "x.bba").code == 2


def test_a_damaged_image_is_kept_and_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    done = run("compress", "bad.png")
    assert done.code == 0 and len(done.err) == 2
    assert done.err[0].startswith("bad.png: kept as it is: the PNG ")
    assert archive_of(tmp_path / "bad.png.bba").read("bad.png") == b"\x89PNG\r\n\x1a\nnot really"


def test_many_such_are_counted(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitsback.cli.stored.NOTES", 2)
    (tmp_path / "in").mkdir()
    for number in range(5):
        (tmp_path / "in" / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really %d" % number)
    done = run("compress", "in")
    assert done.code == 0 and len(done.err) == 4
    assert done.err[1].startswith("in/1.png: ")
    assert done.err[2] == "kept as they are: 3 more files (-v tells which, and why)"
    assert sum("the PNG" in line for line in run("compress", "in", "-v", "--force").err) == 5


def test_a_file_called_like_a_message_is_no_message(run: Run, tmp_path: Path) -> None:
    """Notes are known by being notes, not by how they begin."""
    np.save(tmp_path / "smallest", np.zeros((9, 9), np.uint8))
    (tmp_path / "smallest.npy").rename(tmp_path / "smallest")
    (tmp_path / "kept byte by byte").write_text("text")
    done = run("compress", "smallest", "kept byte by byte", "-o", "a.bba")
    assert done.code == 0 and len(done.err) == 1


def test_json_on_standard_output(run: Run, folder: Path) -> None:
    import hashlib

    (folder / "empty").mkdir()
    done = run("compress", "in", "--json", "-q", "--exclude", "4.npy")
    assert (done.code, done.err) == (0, [])
    facts = json.loads(done.out)
    assert facts["output"] == "in.bba" and facts["images"] == 4 and facts["files"] == 7
    assert facts["bytes_out"] == Path("in.bba").stat().st_size
    assert facts["skipped"] == facts["not_deleted"] == facts["warnings"] == []
    members = {member["name"]: member for member in facts["members"]}
    assert members["in/text.txt"] == {
        "name": "in/text.txt", "type": "file", "size": 250, "target": None, "images": 0, "how": "packed",
        "reason": "kept byte by byte", "note": "", "exact": True, "corrections": 0, "unexplained": False,
        "sha256": hashlib.sha256((folder / "text.txt").read_bytes()).hexdigest(),
    }  # fmt: skip
    assert members["in/empty"]["type"] == "folder" and members["in/empty"]["sha256"] is None


@posix
def test_what_is_skipped_is_named_and_gives_3(run: Run, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    done = run("compress", "in")
    assert done.code == 3
    assert "skipped in/pipe: a pipe" in done.err


def test_the_guides_own_find_keeps_the_folders(run: Run, tmp_path: Path) -> None:
    """Equal last parts do not collide: names are the paths, as tar has them."""
    paths = [f"scans/{kind}/{n}.txt" for kind in ("cat", "dog", "eel") for n in range(4)]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "list").write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))
    done = run("compress", "--files0-from", "list", "-o", "a.bba")
    assert (done.code, len(done.err)) == (0, 1)
    assert archive_of(tmp_path / "a.bba").names == paths
    assert run("compress", "--files0-from", "-", "-o", "b.bba", stdin=(tmp_path / "list").read_bytes()).code == 0
    lines = run("compress", "--files0-from", "-", "-o", "c.bba", stdin=b"in/0.npy\nin/1.npy\n")
    assert lines.code == 2 and len(lines.err) == 1 and "end with newlines" in lines.err[0]
    assert (tmp_path / "b.bba").read_bytes() == (tmp_path / "a.bba").read_bytes()
    assert run("compress", "scans/cat", "scans/dog", "-o", "c.bba").code == 0
    assert [name for name in archive_of(tmp_path / "c.bba").names if "." in name] == paths[:8]


@pytest.mark.skipif(sys.platform != "linux", reason="names that Linux allows")
def test_every_legal_name_goes_in(run: Run, tmp_path: Path) -> None:
    """What another system could not hold is for extraction there to judge."""
    folder = tmp_path / "in"
    (folder / "run 12:30").mkdir(parents=True)
    odd = [
        "a:b", "CON", "nul.txt", "trailing.", "trailing ", "back\\slash", "new\nline", "tab\there", "\x01", "q?*|<>\"",
        "cafe\u0301", "caf\xe9", "run 12:30/x", "\udcff", " ", "-rf", "~", "#x", "a" * 255,
    ]  # fmt: skip
    for name in odd:
        (folder / name).write_text(name.encode("utf-8", "surrogateescape").hex())
    done = run("compress", "in")
    assert (done.code, len(done.err)) == (0, 1)
    assert run("decompress", "in.bba", "-C", "out").code == 0
    assert tree(tmp_path / "out" / "in") == tree(folder)
    assert set(names(tmp_path / "out" / "in")) == {name.split("/")[0] for name in odd}


@posix
@pytest.mark.parametrize("year", [1901, 1969, 2400, 2446])
def test_a_time_of_any_year_is_no_danger(run: Run, folder: Path, tmp_path: Path, year: int) -> None:
    """Sources may be deleted only after what was written has been opened by what reads it."""
    when = int((year - 1970) * 365.2425 * 86400) * 10**9 + 123456789
    os.utime(folder / "0.npy", ns=(when, when))
    kept = (folder / "0.npy").stat().st_mtime_ns  # file systems have their own range
    content = tree(folder)
    assert run("compress", "in", "--rm").code == 0
    assert not folder.exists()
    assert run("decompress", "in.bba").code == 0
    assert tree(folder) == content
    assert (folder / "0.npy").stat().st_mtime_ns == kept


def test_an_existing_output_is_left_alone(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.bba").write_bytes(b"mine")
    done = run("compress", "in")
    there = "in.bba: is already there (--force overwrites it, bitsback add adds to it)"
    assert (done.code, done.err) == (1, [f"bitsback: {there}"])
    assert (tmp_path / "in.bba").read_bytes() == b"mine"
    assert run("compress", "in", "--force").code == 0
    assert len(archive_of(tmp_path / "in.bba")) == 5
    assert names(tmp_path) == ["in", "in.bba"]


def test_an_input_is_never_the_output(run: Run, folder: Path) -> None:
    before = (folder / "0.npy").read_bytes()
    done = run("compress", "in/0.npy", "-o", "in/0.npy", "--force")
    assert (done.code, done.err) == (1, ["bitsback: in/0.npy: is both an input and the output"])
    assert (folder / "0.npy").read_bytes() == before


def test_missing_inputs(run: Run, tmp_path: Path) -> None:
    assert run("compress", "nowhere").err == ["bitsback: nowhere: no such file or directory"]
    (tmp_path / "a.txt").write_text("a")
    done = run("compress", "a.txt", "--exclude", "*.txt")
    assert (done.code, done.err) == (1, ["bitsback: nothing to store"])
    assert names(tmp_path) == ["a.txt"]


def test_a_missing_target_folder(run: Run, folder: Path) -> None:
    done = run("compress", "in", "-o", "no/where.bba")
    assert done.code == 1 and len(done.err) == 1 and "no such file" in done.err[0]


def test_an_unknown_model(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run("compress", "in", "-m", "marvel")
    assert done.code == 1 and len(done.err) == 1 and "'marvel'" in done.err[0]
    assert names(tmp_path) == ["in"]


def test_exclude(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "raw").mkdir()
    (folder / "raw" / "x.txt").write_text("x")
    assert run("compress", "in", "--exclude", "[1-3].npy", "--exclude", "raw/").code == 0
    assert archive_of(tmp_path / "in.bba").names == ["in", "in/0.npy", "in/4.npy", "in/text.txt"]
    assert run("compress", "in", "--exclude", "", "-o", "b.bba").code == 2


def test_a_dry_run_writes_nothing(run: Run, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "pipe")
    done = run("compress", "in", "--dry-run", "--exclude", "*.npy", "--rm")
    assert done.code == 3 and done.err[0] == "skipped in/pipe: a pipe" and done.err[1].endswith("nothing was written")
    assert not (tmp_path / "in.bba").exists() and (folder / "text.txt").exists()
    assert run("compress", "in", "--exclude", "*.npy").code == 3
    with bitsback.open(tmp_path / "in.bba") as archive:
        assert done.out.decode().splitlines() == [member.name for member in archive.members]
    assert run("compress", "-", "--dry-run").code == 2


def test_blocks_of_a_chosen_size(run: Run, tmp_path: Path) -> None:
    from bitsback.archive import plan
    from bitsback.cli.options import MAX_BLOCK, MIN_BLOCK

    np.save(tmp_path / "a.npy", np.arange(64 * 256, dtype=np.uint16).astype(np.uint8).reshape(64, 16, 16))
    assert (MIN_BLOCK, MAX_BLOCK) == (plan.MIN_BLOCK, plan.MAX_BLOCK)
    for option, blocks in (("1Ki", 16), ("4096", 4), ("64Ki", 1), ("1Mi", 1)):
        assert run("compress", "a.npy", "-o", "a.bba", "--force", "--block", option).code == 0
        archive = archive_of(tmp_path / "a.bba")
        assert sum(len(chunk.head.blocks) for chunk in archive.structure.chunks) == blocks
        assert len(archive) == 64


def test_store_sha256(run: Run, folder: Path, tmp_path: Path) -> None:
    import hashlib

    assert run("compress", "in", "--store-sha256").code == 0
    stored = {member.name: member.sha256 for member in archive_of(tmp_path / "in.bba").members if member.sha256}
    assert stored == {f"in/{name}": hashlib.sha256(data).hexdigest() for name, data in tree(folder).items()}


def own_model(tmp_path: Path) -> Path:
    """One of 8 x 12 images in two levels, and images that it takes; they fill a block."""
    from helpers import tiny_model_file

    path = tmp_path / "own.bbm"
    path.write_bytes(tiny_model_file(2))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 2, (200, 8, 12), np.uint8))
    return path


def test_an_own_model_goes_in_unless_it_is_told_not_to(run: Run, tmp_path: Path) -> None:
    model = own_model(tmp_path)
    done = run("compress", "x.npy", "-m", model, "-o", "a.bba")
    assert done.code == 0 and re.search(r"with the model tiny-2 \(.*\) inside", done.err[-1])
    assert chunks(tmp_path / "a.bba", "MODEL")
    model_free = run("compress", "x.npy", "-m", model, "-o", "b.bba", "--no-embed-model")
    assert not chunks(tmp_path / "b.bba", "MODEL")
    assert model_free.err[-1] == "the archive needs the model tiny-2, which is not installed: keep its file"
    size = model.stat().st_size
    model.unlink()
    assert run("decompress", "a.bba", "-o", "y.npy").code == 0
    assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
    assert (tmp_path / "a.bba").stat().st_size > size
    for command in (("decompress", "b.bba", "-o", "z.npy"), ("decompress", "b.bba"), ("test", "b.bba")):
        done = run(*command)
        assert done.code == 1 and len(done.err) == 1
        assert re.match(r"bitsback: b\.bba: the model sha256:[0-9a-f]+ is not installed", done.err[0])
    assert not (tmp_path / "z.npy").exists()


def test_an_own_model_beside_a_shipped_one_of_its_name(run: Run, tmp_path: Path) -> None:
    """Models are told apart by what they are, not by what they are called."""
    own_model(tmp_path).rename(tmp_path / "digits.bbm")
    assert run("compress", "x.npy", "-m", "digits.bbm", "-o", "a.bba", "--no-verify").code == 0
    (tmp_path / "digits.bbm").unlink()
    assert run("decompress", "a.bba", "-o", "y.npy").code == 0
    assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()


def test_embed_model_without_a_model(run: Run, folder: Path) -> None:
    assert run("compress", "in", "--embed-model").err[-1] == "no model was used, so none is in the archive"


def test_standard_input_and_output(run: Run, folder: Path) -> None:
    data = (folder / "2.npy").read_bytes()
    done = run("compress", "-", "--stdin-name", "a/two.npy", stdin=data)
    assert done.code == 0
    archive = bitsback.open(done.out)
    assert archive.names == ["a/two.npy"] and archive.read("a/two.npy") == data
    assert archive.members[0].mtime_ns is None and archive.members[0].mode is None
    assert run("decompress", "-", "-o", "-", stdin=done.out).out == data


def test_a_folder_goes_through_a_pipe(run: Run, folder: Path, tmp_path: Path) -> None:
    data = run("compress", "in", "-o", "-", "-q").out
    (tmp_path / "a.bba").write_bytes(data)
    assert run("test", "a.bba").code == 0
    assert run("decompress", "-", "-C", "out", stdin=data).code == 0
    assert tree(tmp_path / "out" / "in") == tree(folder)


@posix
def test_a_pipe_and_a_link_as_output(run: Run, folder: Path, tmp_path: Path) -> None:
    """A pipe is written into, a link leads on; neither is replaced."""
    os.mkfifo(tmp_path / "pipe")
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    done = run("compress", "in", "-o", "pipe")
    reader.join()
    assert done.code == 0 and stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert len(bitsback.open(taken[0])) == 5
    (tmp_path / "there").mkdir()
    (tmp_path / "link.bba").symlink_to("there/real.bba")
    assert run("compress", "in", "-o", "link.bba", "--force").code == 0
    assert (tmp_path / "link.bba").is_symlink() and len(archive_of(tmp_path / "there" / "real.bba")) == 5
    assert run("compress", "in", "-o", "/dev/null").code == 0


@posix
def test_a_reader_that_leaves_is_told_by_the_pipes_name(folder: Path, tmp_path: Path, spawn: Any) -> None:
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).bytes(400_000))  # more than a pipe holds
    os.mkfifo(tmp_path / "pipe")
    process = spawn("compress", "noise", "-o", "pipe", "--model", "none")
    with (tmp_path / "pipe").open("rb") as pipe:
        pipe.read(1)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"bitsback: pipe: broken pipe\n")


def test_bytes_do_not_depend_on_threads(run: Run, folder: Path, tmp_path: Path) -> None:
    for threads in ("1", "2", "0"):
        assert run("compress", "in", "-o", f"{threads}.bba", "-T", threads).code == 0
    assert len({(tmp_path / f"{threads}.bba").read_bytes() for threads in (1, 2, 0)}) == 1


@posix
def test_rm_deletes_all_that_was_stored(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "x").write_text("x")
    (folder / "link").symlink_to("0.npy")
    os.link(folder / "1.npy", folder / "other.npy")
    content = tree(folder)
    done = run("compress", "in", "--rm")
    assert (done.code, len(done.err)) == (0, 1)
    assert names(tmp_path) == ["in.bba"]
    assert run("decompress", "in.bba").code == 0
    assert tree(folder) == content and (folder / "link").is_symlink() and (folder / "a" / "b").is_dir()


@posix
def test_rm_leaves_what_is_not_in_the_archive(run: Run, folder: Path, tmp_path: Path) -> None:
    """A folder stays if something in it does; that is named once, as what was left out."""
    os.mkfifo(folder / "pipe")
    (folder / "x.tmp").write_text("x")
    done = run("compress", "in", "--rm", "--exclude", "*.tmp")
    assert done.code == 3 and done.err[0] == "skipped in/pipe: a pipe"
    assert names(folder) == ["pipe", "x.tmp"]
    (folder / "pipe").unlink()
    done = run("compress", "in", "--rm", "--exclude", "*.tmp", "-o", "b.bba")
    assert (done.code, len(done.err)) == (0, 1)
    assert names(folder) == ["x.tmp"]


def test_rm_leaves_what_changed_meanwhile(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsback import api

    verify = api.compare

    def then(*arguments: Any, **options: Any) -> None:
        verify(*arguments, **options)
        (folder / "3.npy").write_bytes(b"new")

    monkeypatch.setattr(api, "compare", then)
    done = run("compress", "in", "--rm", "--json")
    assert done.code == 3
    assert names(folder) == ["3.npy"] and (folder / "3.npy").read_bytes() == b"new"
    (left,) = json.loads(done.out)["not_deleted"]
    assert left["name"] == "in/3.npy" and "changed" in left["reason"]
    assert done.err[-1] == f"in/3.npy: {left['reason']}"


def test_rm_deletes_nothing_when_it_fails(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.bba").write_bytes(b"mine")
    assert run("compress", "in", "--rm").code == 1
    assert len(names(folder)) == 6


def test_rm_deletes_nothing_unless_all_reads_back(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitsback.archive import Archive

    read = Archive.digests

    def other(self: Archive, *arguments: Any, **options: Any) -> Any:
        return ((member, bytes(32)) for member, _ in read(self, *arguments, **options))

    monkeypatch.setattr(Archive, "digests", other)
    done = run("compress", "in", "--rm")
    assert done.code == 1 and len(done.err) == 1 and "does not come back" in done.err[0]
    assert len(names(folder)) == 6 and names(tmp_path) == ["in"]


@posix
def test_a_file_that_changes_while_it_is_read_is_named_and_the_rest_stored(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitsback.archive import intake

    read = intake.read_image

    def changing(source: gather.Source, limit: int) -> bytes | None:
        if source.name == "in/2.npy":
            Path(source.path).write_bytes(b"shorter")
        return read(source, limit)

    monkeypatch.setattr(intake, "read_image", changing)
    done = run("compress", "in", "--rm")
    assert done.code == 3 and done.err[0].startswith("skipped in/2.npy: it shrank")
    assert names(folder) == ["2.npy"]
    stored = [member for member in archive_of(tmp_path / "in.bba").members if member.type == Type.FILE]
    assert len(stored) == 5


def test_limits(run: Run, folder: Path, tmp_path: Path) -> None:
    """What no reader would open with these is left out and named; it is not stored otherwise, and not deleted."""
    before = names(folder)
    done = run("compress", "in", "--max-pixels", "899", "-o", "b.bba", "--rm")
    assert done.code == 3
    assert sum(re.match(r"skipped in/\d.npy: .*900 pixels.*--max-pixels", line) is not None for line in done.err) == 5
    assert archive_of(tmp_path / "b.bba").names == ["in", "in/text.txt"]
    assert names(folder) == [name for name in before if name != "text.txt"]


@posix
def test_no_escape_sequence_reaches_the_terminal(run: Run, folder: Path) -> None:
    os.mkfifo(folder / "a\x1b[2Jb")
    done = run("compress", "in", "-v")
    assert done.code == 3
    assert any("a\\x1b[2Jb" in line for line in done.err)
    assert not any("\x1b" in line for line in done.err)


@pytest.mark.parametrize("text", ["1", "500M", "2GiB", "3 kB", "1kib"])
def test_sizes(text: str) -> None:
    from bitsback.cli.options import Size

    sizes = {"1": 1, "500M": 500_000_000, "2GiB": 1 << 31, "3 kB": 3000, "1kib": 1024}
    assert Size().convert(text, None, None) == sizes[text]


@pytest.mark.parametrize(("text", "share"), [("5", 5.0), ("5%", 5.0), ("2.5 %", 2.5), (".5", 0.5), ("50", 50.0)])
def test_shares(text: str, share: float) -> None:
    from bitsback.cli.options import Percent

    assert Percent().convert(text, None, None) == share


def test_no_verify_gives_the_same_bytes(run: Run, folder: Path, tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros((3, 9, 9), np.uint8))
    assert (
        run("compress", "-", stdin=stream.getvalue()).out
        == run("compress", "-", "--no-verify", stdin=stream.getvalue()).out
    )
    for option in ([], ["--no-verify"]):
        assert run("compress", "in", "-o", f"{len(option)}.bba", *option).code == 0
    assert (tmp_path / "0.bba").read_bytes() == (tmp_path / "1.bba").read_bytes()
    assert (tmp_path / "0.bba").read_bytes() == run("compress", "in", "-o", "-").out
