import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.files import chunks, flip, names

Run = Callable[..., Any]


def test_files_by_name(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    done = run("get", archive, "in/3.npy", "in/text.txt", "-v")
    assert (done.code, done.err) == (0, ["3.npy", "text.txt"])
    for name in ("3.npy", "text.txt"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
        assert (tmp_path / name).stat().st_mtime_ns == (folder / name).stat().st_mtime_ns
    done = run("get", archive, "in/3.npy")
    assert (done.code, done.err) == (1, ["bitsback: 3.npy: is already there (--force overwrites)"])
    assert run("get", archive, "in/3.npy", "--force").code == 0
    assert run("get", archive, "in/4.npy", "-o", "other.npy").code == 0
    assert (tmp_path / "other.npy").read_bytes() == (folder / "4.npy").read_bytes()


def test_to_standard_output_one_after_the_other(run: Run, archive: Path, folder: Path, tmp_path: Path) -> None:
    before = names(tmp_path)
    done = run("get", archive, "in/text.txt", "in/1.npy", "in/text.txt", "-o", "-")
    assert (done.code, done.err) == (0, [])
    text = (folder / "text.txt").read_bytes()
    assert done.out == text + (folder / "1.npy").read_bytes() + text
    assert run("get", "-", "in/text.txt", "-o", "-", stdin=archive.read_bytes()).out == text
    assert names(tmp_path) == before


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_links_and_folders(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to("0.npy")
    os.link(folder / "1.npy", folder / "other.npy")
    assert run("compress", "in", "-q", "--model", "none").code == 0
    assert run("get", "in.bba", "in/other.npy", "-o", "-").out == (folder / "1.npy").read_bytes()
    done = run("get", "in.bba", "in/link")
    assert done.code == 1 and "'in/link': is a symbolic link to '0.npy'" in done.err[0]
    done = run("get", "in.bba", "in")
    assert done.code == 1 and "'in': is a folder" in done.err[0]


def test_a_name_that_is_not_there_stops_before_anything_is_written(run: Run, archive: Path, tmp_path: Path) -> None:
    before = names(tmp_path)
    done = run("get", archive, "in/1.npy", "in/nothing")
    assert (done.code, done.err) == (1, [f"bitsback: {archive}: 'in/nothing': no file of that name in the archive"])
    assert names(tmp_path) == before
    assert run("get", archive, "1.NPY").err[0].endswith("in the archive; there is 'in/1.npy'")


def test_damage_elsewhere_does_not_matter_and_here_it_does(run: Run, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).bytes(3000))
    np.save(tmp_path / "a.npy", np.zeros((30, 30), np.uint8))
    assert run("compress", "a.npy", "noise", "-o", "a.bba", "-q", "--model", "none").code == 0
    flip(tmp_path / "a.bba", chunks(tmp_path / "a.bba", "DATA")[-1][0] + 9)
    assert run("get", "a.bba", "a.npy", "-o", "-").out == (tmp_path / "a.npy").read_bytes()
    done = run("get", "a.bba", "noise", "-o", "out")
    assert done.code == 1 and len(done.err) == 1 and "'noise'" in done.err[0]
    assert not (tmp_path / "out").exists()


def test_little_is_imported(archive: Path, tmp_path: Path) -> None:
    """From a cold process it is imports that take the time."""
    program = (
        "import sys; from bitsback.cli import main\n"
        "try: main(sys.argv[1:6])\n"
        "finally: print(sorted(name for name in sys.modules if name in sys.argv[-1].split()), file=sys.stderr)"
    )
    unwanted = (
        "bitsback.api bitsback.archive.writer bitsback.archive.edit bitsback.archive.gather bitsback.archive.choice "
        "bitsback.models bitsback.nets.engine onnx onnxruntime PIL rich"
    )
    command = [sys.executable, "-c", program, "get", "in.bba", "in/0.npy", "-o", "-", unwanted]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert done.stderr.decode().strip() == "[]"
    assert done.stdout == (tmp_path / "in" / "0.npy").read_bytes()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("list a", ["file,a"]),
        ("compress a b", ["file,b"]),
        ("compress a -o b", ["file,b"]),
        ("decompress a -C b", ["dir,b"]),
        ("compress -m digits", ["plain,digits", "plain,digits-binary"]),
        ("compress -m mine", ["file,mine"]),
    ],
)
def test_the_shell_completes_files_and_models(
    run: Run, words: str, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_BITSBACK_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"bitsback {words}")
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ") + 1))
    assert run(words.split()[0]).out.decode().split() == wanted


def test_the_shell_completes_names(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for name in ("one", "other", "two"):
        (tmp_path / "in" / name).write_text(name)
    assert run("compress", "in").code == 0
    monkeypatch.setenv("_BITSBACK_COMPLETE", "bash_complete")
    every = ["in/", "in/one", "in/other", "in/two"]
    for words, wanted in (("in.bba in/o", every[1:3]), ("in.bba i", every), ("nowhere.bba i", [])):
        monkeypatch.setenv("COMP_WORDS", f"bitsback get {words}")
        monkeypatch.setenv("COMP_CWORD", "3")
        lines = run("get").out.decode().split()
        assert [line.split(",")[1] for line in lines] == wanted
