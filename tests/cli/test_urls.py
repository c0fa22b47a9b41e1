"""URLs on the command line: files in memory, and a web server that counts what is fetched from it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bitsback
from bitsback.cli.app import app
from web import Parts, serving

fsspec = pytest.importorskip("fsspec")


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=True)
    return f"{done.output}{done.exception or ''}"


@pytest.fixture
def memory() -> Iterator[object]:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for number in range(3):
        memory.pipe(f"/bucket/scans/deep/{number}.txt", b"text %d" % number)
    yield memory
    memory.store.clear()


def test_from_urls_to_urls(memory: "fsspec.AbstractFileSystem", tmp_path: Path) -> None:
    run("compress", "memory://bucket/scans", "-o", "memory://archives/a.bba")
    assert "scans/deep/1.txt" in run("list", "memory://archives/a.bba")
    run("decompress", "memory://archives/a.bba", "-C", str(tmp_path))
    assert (tmp_path / "scans" / "deep" / "2.txt").read_bytes() == b"text 2"
    run("compress", "memory://bucket/scans/deep/0.txt", "-o", str(tmp_path / "b.bba"))
    with bitsback.open(tmp_path / "b.bba") as archive:
        assert archive.names == ["0.txt"]


def test_what_is_there_stays(memory: "fsspec.AbstractFileSystem") -> None:
    memory.pipe("/a.bba", b"old")
    assert "already there" in run("compress", "memory://bucket/scans", "-o", "memory://a.bba")
    assert memory.cat("/a.bba") == b"old"
    run("compress", "memory://bucket/scans", "-o", "memory://a.bba", "--force")
    assert memory.cat("/a.bba") != b"old"


def test_what_is_refused(memory: "fsspec.AbstractFileSystem", tmp_path: Path) -> None:
    assert "memory://bucket/no" in run("compress", "memory://bucket/no", "-o", str(tmp_path / "a.bba"))
    assert "do not go together" in run("compress", "memory://bucket", str(tmp_path), "-o", str(tmp_path / "a.bba"))
    assert "name the archive" in run("compress", "memory://bucket/scans")
    assert "--rm needs inputs on disk" in run("compress", "memory://bucket", "--rm", "-o", str(tmp_path / "a.bba"))
    assert run("list", "nosuch://a.bba").count("nosuch://a.bba") == 1
    assert "no such file" in run("list", "memory://no.bba").lower()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def server() -> Iterator[str]:
    with serving() as url:
        yield url


def test_only_what_is_needed_is_fetched(server: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    rng = np.random.default_rng(0)
    for number in range(20):
        (tmp_path / f"{number}.bin").write_bytes(rng.bytes(1 << 17))
    Parts.data = bitsback.compress(sorted(tmp_path.iterdir()))
    Parts.sent = 0
    assert "17.bin" in run("list", server)
    assert Parts.sent < len(Parts.data) / 100
    whole = server.replace("a.bba", "whole.bba")  # of a server that sends all or nothing
    assert "17.bin" in run("list", whole)
    host = server.rpartition("/")[0].rpartition(":")[0]
    told = run("list", f"{host}:1/none.bba").lower()
    assert "none.bba" in told and "connect" in told
