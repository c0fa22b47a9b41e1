import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitsback.cli.list import time_words
from cli.files import chunks, flip, tree
from files.test_tar import PGM, packed

Run = Callable[..., Any]


def test_a_line_for_each_member(run: Run, archive: Path) -> None:
    done = run("list", archive)
    assert (done.code, done.err) == (0, [])
    lines = done.out.decode().splitlines()
    assert lines[0].split() == ["-", "-", "folder", "in/"]
    assert lines[1].split() == ["1,028", "30x30", "adaptive", "in/0.npy"]
    assert lines[6].split() == ["250", "-", "packed", "in/text.txt"]


def test_what_is_inside_of_files(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.tar").write_bytes(packed({"x/a.pgm": PGM, "b.txt": b"words"}))
    assert run("compress", "a.tar", "-q", "--model", "none").code == 0
    lines = [line.split() for line in run("list", "a.tar.bba", "--files").out.decode().splitlines()]
    assert lines[0][-1] == "a.tar" and lines[1:] == [
        [f"{len(PGM)}", "20x24", "pnm", "a.tar/x/a.pgm"],
        ["5", "-", "-", "a.tar/b.txt"],
    ]
    (facts,) = map(json.loads, run("list", "a.tar.bba", "--files", "--json").out.splitlines())
    assert [one["name"] for one in facts["files"]] == ["x/a.pgm", "b.txt"]
    assert facts["files"][0] == {"name": "x/a.pgm", "size": len(PGM), "format": "pnm", "shapes": [[1, 20, 24, 1]]}


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_types_are_told_apart(run: Run, folder: Path) -> None:
    (folder / "link").symlink_to("../elsewhere")
    os.link(folder / "1.npy", folder / "other.npy")
    assert run("compress", "in", "-q", "--model", "none").code == 0
    lines = {line.split("  ")[-1].strip(): line for line in run("list", "in.bba").out.decode().splitlines()}
    assert "symbolic link" in lines["in/link -> ../elsewhere"]
    assert "1,028" in lines["in/other.npy => in/1.npy"]
    facts = {fact["name"]: fact for fact in map(json.loads, run("list", "in.bba", "--json").out.splitlines())}
    assert [facts[f"in/{name}"]["type"] for name in ("link", "other.npy")] == ["symbolic link", "hard link"]
    assert facts["in/link"]["target"] == "../elsewhere" and facts["in/link"]["size"] is None


def test_no_size_for_what_comes_back_in_other_bytes(run: Run, tmp_path: Path) -> None:
    """As a PNG that some other deflate encoder wrote."""
    data = recompressed(tmp_path / "a.png")
    assert run("compress", "a.png", "-q", "--model", "none").code == 0
    (fact,) = map(json.loads, run("list", "a.png.bba", "--json").out.splitlines())
    line = run("list", "a.png.bba").out.decode().split()
    if fact["exact"]:
        assert fact["size"] == len(data) and line[0] == f"{len(data):,}"
    else:
        assert fact["size"] is None and line[0] == "-"
        done = run("list", "a.png.bba", "--sha256")
        assert (done.code, done.out) == (3, b"") and done.err[0].startswith("skipped a.png: ")


def recompressed(path: Path) -> bytes:
    """A PNG with an image data stream in many stored pieces, which no usual encoder makes."""
    import struct
    import zlib

    rows = b"".join(b"\0" + bytes(range(row, row + 20)) for row in range(20))
    pieces = [rows[at : at + 33] for at in range(0, len(rows), 33)]
    stream = b"\x78\x01"
    for number, piece in enumerate(pieces):
        stream += struct.pack("<BHH", number == len(pieces) - 1, len(piece), len(piece) ^ 0xFFFF) + piece
    stream += struct.pack(">I", zlib.adler32(rows))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 20, 20, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", stream) + chunk(b"IEND", b""))
    with Image.open(path) as image:
        assert image.size == (20, 20)
    return path.read_bytes()


def test_verbose_adds_mode_time_type_and_cost(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "0.npy").chmod(0o604)
    os.utime(folder / "0.npy", ns=(0, 10**18))
    np.save(folder / "many.npy", np.zeros((64, 16, 16), np.uint8))
    assert run("compress", "in", "-q", "--model", "none", "--block", "1Ki").code == 0
    done = run("list", "in.bba", "-v")
    lines = {line.split()[-1]: line.split() for line in done.out.decode().splitlines()}
    mode, *when, kind, cost = lines["in/0.npy"][:5]
    assert mode == "0604" or os.name == "nt"
    assert " ".join(when) == time_words(10**18)
    assert (kind, cost) == ("uint8", "900")
    assert lines["in/many.npy"][4] == "1,024"
    assert int(lines["in/text.txt"][4].replace(",", "")) >= 250
    kinds = [re.fullmatch(r"(\d+) images of 1 channel of 8 bits by (.*): ([\d,]+) samples in \d+ bytes, .*", line)
             for line in done.err[:-1]]  # fmt: skip
    assert sum(int(found[1]) for found in kinds if found) == 69
    assert {found and found[2] for found in kinds} == {"adaptive", "filtered"}
    assert sum(int(found[3].replace(",", "")) for found in kinds if found) == 20_884
    assert done.err[-1:] == ["23 blocks of 768 to 1,024 samples: no image takes more than that"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1970-01-01 00:00:00"),
        (-1, "1969-12-31 23:59:59"),
        (951_782_400, "2000-02-29 00:00:00"),
        (253_402_300_800, "10000-01-01 00:00:00"),
        (-62_135_596_801, "0000-12-31 23:59:59"),
        (146_097 * 86_400 * 10**9 + 951_782_400, "400000002000-02-29 00:00:00Z"),
        (-146_097 * 86_400 * 10**9, "-399999998030-01-01 00:00:00Z"),
    ],
)
def test_times_of_any_year(seconds: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    if hasattr(time, "tzset"):
        time.tzset()
    assert time_words(seconds * 10**9 + 999_999_999) == words


def test_json_lines(run: Run, archive: Path, folder: Path) -> None:
    facts = [json.loads(line) for line in run("list", archive, "--json").out.splitlines()]
    assert [fact["name"] for fact in facts] == ["in", *(f"in/{n}.npy" for n in range(5)), "in/text.txt"]
    assert facts[1]["parts"] == [{"shape": [1, 30, 30, 1], "dtype": "uint8"}]
    assert facts[1]["mtime_ns"] == (folder / "0.npy").stat().st_mtime_ns
    assert facts[1]["cost"] == 4500 and facts[1]["how"] == ["adaptive"] and facts[0]["how"] == []


@pytest.mark.parametrize("options", [[], ["--store-sha256"]])
def test_sha256_is_what_the_files_have(run: Run, folder: Path, options: list[str]) -> None:
    assert run("compress", "in", "-q", "--model", "none", *options).code == 0
    done = run("list", "in.bba", "--sha256")
    assert (done.code, done.err) == (0, [])
    expected = [f"{hashlib.sha256(data).hexdigest()}  in/{name}" for name, data in sorted(tree(folder).items())]
    assert done.out.decode().splitlines() == expected


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("sha256sum"), reason="needs sha256sum")
def test_sha256sum_reads_it_whatever_the_names(run: Run, folder: Path, tmp_path: Path) -> None:
    for name in ("back\\slash", "new\nline", "\udcff", "caf\xe9", " ", "\\n", "*star"):
        (folder / name).write_text(name.encode("utf-8", "surrogateescape").hex())
    os.link(folder / "1.npy", folder / "other.npy")
    assert run("compress", "in", "-q", "--model", "none").code == 0
    listed = run("list", "in.bba", "--sha256").out
    assert listed.count(b"\n") == 14
    check = ["sha256sum", "--check", "--strict", "--quiet"]
    done = subprocess.run(check, input=listed, cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (folder / "0.npy").write_bytes(b"other")
    assert subprocess.run(check, input=listed, cwd=tmp_path, capture_output=True).returncode == 1


def test_sha256_of_a_damaged_archive_names_what_is_lost(run: Run, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).bytes(3000))
    (tmp_path / "text").write_text("text " * 50)
    assert run("compress", "noise", "text", "-o", "a.bba", "-q", "--model", "none").code == 0
    flip(tmp_path / "a.bba", chunks(tmp_path / "a.bba", "DATA")[-1][0] + 9)
    done = run("list", "a.bba", "--sha256")
    assert done.code == 1 and done.err[0].startswith("bitsback: lost noise: ")
    assert done.out.decode().split() == [hashlib.sha256(b"text " * 50).hexdigest(), "text"]


def test_it_comes_through_a_pipe_or_is_redirected(archive: Path, spawn: Any) -> None:
    with archive.open("rb") as file:
        piped, redirected = spawn("list", "-", stdin=subprocess.PIPE), spawn("list", "-", stdin=file)
        outs = [piped.communicate(archive.read_bytes(), timeout=60)[0], redirected.communicate(timeout=60)[0]]
    assert piped.returncode == redirected.returncode == 0
    assert outs[0] == outs[1] and outs[0].count(b"\n") == 7


def test_damage(run: Run, archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-3])
    done = run("list", archive)
    assert done.code == 1 and len(done.err) == 1
    assert done.err[0].endswith("cut off (bitsback recover saves what is whole)")
