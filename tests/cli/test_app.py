"""What holds for all commands: help, usage, errors in one line, signals, and the streams that they are given."""

import errno
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest

import bitsback
from bitsback.cli.app import app
from cli.files import names, tree

Run = Callable[..., Any]

COMMANDS = app.list_commands(click.Context(app))


def test_version_and_help(run: Run) -> None:
    assert run("--version").out.decode() == f"bitsback {bitsback.__version__}\n"
    assert run("-V").code == 0
    overview = run("-h").out.decode()
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", overview, re.MULTILINE)


@pytest.mark.parametrize("group", [(), ("lab",)])
def test_a_group_alone_shows_its_help(run: Run, group: tuple[str, ...]) -> None:
    done = run(*group)
    assert (done.code, done.out) == (2, b"")
    assert done.err == run(*group, "--help").out.decode().splitlines()


def test_a_path_in_the_place_of_a_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "a.bba").touch()
    assert "Did you mean compress scans? (" in run("scans").err[0]
    assert "Did you mean decompress a.bba? (" in run("a.bba").err[0]


@pytest.mark.parametrize("command", [*COMMANDS, "extract"])
def test_every_command_has_help(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert (done.code, done.err) == (0, [])
    assert done.out.startswith(b"Usage: bitsback " + command.encode())


def test_the_reference_is_made_of_the_help(run: Run) -> None:
    """The page has a mark, which a hook of the site replaces by what the commands say."""
    root = Path(__file__).parents[2]
    space = runpy.run_path(str(root / "docs" / "hooks.py"))
    about = SimpleNamespace(file=SimpleNamespace(src_uri="reference/command.md"))
    page = space["on_page_markdown"]((root / "docs" / "reference" / "command.md").read_text(), about)
    for command in COMMANDS:
        assert f"## bitsback {command}\n" in page
    words = set(re.findall(r"--[a-z0-9-]+", page))
    for command in COMMANDS:
        assert set(re.findall(r"--[a-z0-9-]+", run(command, "-h").out.decode())) <= words


def test_nothing_heavy_is_imported_for_version_and_help() -> None:
    program = (
        "import sys; from bitsback.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*{'numpy', 'llvmlite', 'onnxruntime', 'bitsback.archive.reader'} & set(sys.modules), 'none')"
    )
    for arguments in (["--version"], ["--help"], ["compress", "--help"], ["get", "--help"]):
        done = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "none", arguments


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("compress",),
        ("compress", "a", "b"),
        ("compress", "-", "b"),
        ("compress", "a", "--nonsense"),
        ("compress", "a", "-T", "-1"),
        ("compress", "a", "-T", "x"),
        ("compress", "a", "-o", ""),
        ("list", ""),
        ("compress", "a", "-M", "lots"),
        ("compress", "a", "--effort", "some"),
        ("compress", "a", "--block", "0"),
        ("compress", "a", "--block", "1"),
        ("compress", "a", "--block", "17Mi"),
        ("compress", "a", "--block", "64KiB"),
        ("compress", "a", "--parity", "0"),
        ("compress", "a", "--parity", "51%"),
        ("compress", "a", "--parity", "nan"),
        ("compress", "a", "--parity", "5", "-o", "-"),
        ("compress", "a", "--parity", "5", "-o", "/dev/null"),
        ("compress", "a", "--rm", "--no-verify"),
        ("compress", "a", "--rm", "--keep"),
        ("compress", "a", "--rm", "-o", "-"),
        ("compress", "a", "--rm", "-o", "/dev/null"),
        ("compress", "-", "--rm", "-o", "b"),
        ("compress", "a", "--json", "-o", "-"),
        ("compress", "-", "-o", "b", "--stdin-name", "/etc/passwd"),
        ("compress", "-", "-o", "b", "--stdin-name", "a/../../b"),
        ("compress", "-", "-o", "b", "--stdin-name", ""),
        ("decompress",),
        ("decompress", "a", "-o", "b", "-C", "c"),
        ("decompress", "a", "-o", "b", "-p"),
        ("decompress", "a", "-o", "-", "--json"),
        ("decompress", "a", "--force", "--skip-existing"),
        ("decompress", "a", "--rm", "member"),
        ("decompress", "a", "--rm", "--exclude", "x"),
        ("decompress", "-", "--rm"),
        ("get", "a"),
        ("get", "a", "b", "c", "-o", "d"),
        ("list", "a", "--sha256", "--json"),
        ("test",),
        ("add", "a"),
        ("remove", "a"),
        ("merge", "a"),
        ("recover", "a"),
        ("recover", "a", "-C", "b", "-o", "c"),
        ("recover", "a", "-o", "c", "-p"),
    ],
)
def test_wrong_usage_is_one_line_and_2(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.code, done.out, len(done.err)) == (2, b"", 1)
    assert done.err[0].startswith("bitsback: ")


def test_what_was_meant(run: Run) -> None:
    assert "Did you mean compress?" in run("compres", "a").err[0]
    assert "of 0 or more" in run("compress", "a", "-T", "many").err[0]
    assert "a variable that is not set?" in run("compress", "a", "-o", "").err[0]


def test_quiet_twice_silences_errors(run: Run) -> None:
    assert run("test", "nowhere").err == ["bitsback: nowhere: no such file or directory"]
    assert len(run("test", "nowhere", "-q").err) == 1
    done = run("test", "nowhere", "-qq")
    assert (done.code, done.err) == (1, [])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ZeroDivisionError("what?\nreally"), "internal error, please report it: ZeroDivisionError: what?\\nreally"),
        (EOFError(), "internal error, please report it: EOFError: "),
        (MemoryError(), "not enough memory (-T 1 and --effort fast need less, and -M sets a limit)"),
        (RecursionError("maximum recursion depth exceeded"), "something is nested too deeply"),
        (RuntimeError("can't start new thread"), "the system does not allow as many threads (-T 1 needs none)"),
        (OSError(errno.EIO, "Input/output error"), "a.bba: input/output error"),
        (OSError(errno.EIO, "Input/output error", b"b\xff"), "b\\udcff: input/output error"),
        (UnicodeEncodeError("ascii", "\xe9", 0, 1, "no"), "internal error, please report it: UnicodeEncodeError: "),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_any_kind_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    from bitsback.cli import source

    def broken(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(source.Path, "open", broken)
    done = run("info", "a.bba")
    assert (done.code, len(done.err)) == (1, 1)
    assert done.err[0].startswith(f"bitsback: {line}")


@pytest.mark.filterwarnings("default")
def test_a_warning_of_a_library_is_one_line(run: Run, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    from bitsback.archive import Archive

    known = Archive.__init__

    def warning(self: Archive, *arguments: Any, **options: Any) -> None:
        warnings.warn("the cache is\nfull", UserWarning, stacklevel=1)
        known(self, *arguments, **options)

    monkeypatch.setattr(Archive, "__init__", warning)
    assert run("list", archive).err == ["warning: the cache is\\nfull"]
    assert run("list", archive, "-q").err == []


def test_ctrl_c_that_nobody_handles_yet_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsback.cli import app as module
    from bitsback.cli import main

    def interrupted(arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run", interrupted)
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 130


def big(tmp_path: Path) -> None:
    """Something that takes seconds, called ``a.npy``."""
    noise = np.random.default_rng(0).integers(0, 256, (6000, 64, 64), np.uint8)
    np.save(tmp_path / "a.npy", noise.cumsum(axis=1, dtype=np.uint8))


def wait_for_part(tmp_path: Path) -> None:
    for _ in range(12000):
        if list(tmp_path.glob(".*.part")):
            return
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_nothing_behind(tmp_path: Path, spawn: Any, number: int, code: int) -> None:
    big(tmp_path)
    (tmp_path / "a.bba").write_bytes(b"old")
    process = spawn("compress", "a.npy", "-o", "a.bba", "--force", "--model", "none", "-T", "2")
    wait_for_part(tmp_path)
    time.sleep(0.2)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == b"bitsback: stopped; nothing half-written was left\n"
    assert names(tmp_path) == ["a.bba", "a.npy"]
    assert (tmp_path / "a.bba").read_bytes() == b"old"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
def test_a_signal_asks_how_far_it_is(tmp_path: Path, spawn: Any) -> None:
    big(tmp_path)
    process = spawn("compress", "a.npy", "--model", "none", "-T", "2", "--no-verify")
    wait_for_part(tmp_path)
    process.send_signal(signal.SIGUSR1)
    line = process.stderr.readline().decode().rstrip("\n")
    assert re.fullmatch(r"compressing: [\d.]+ k?M?B of 24\.6 MB, \d+ %", line)
    assert process.poll() is None  # and goes on
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "command",
    [
        ("compress", "in", "-o", "-", "--model", "none"),
        ("list", "in.bba"),
        ("list", "in.bba", "--json"),
        ("list", "in.bba", "--sha256"),
        ("info", "in.bba"),
        ("decompress", "in.bba", "in/0.npy", "-o", "-"),
        ("get", "in.bba", "in/0.npy", "-o", "-"),
        ("test", "in.bba", "--json", "-q"),
    ],
)
def test_a_full_disk_behind_standard_output(archive: Path, spawn: Any, command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        process = spawn(*command, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == b"bitsback: standard output: no space left on device\n"


def test_a_cache_that_cannot_be_written_is_one_line(folder: Path, tmp_path: Path, spawn: Any) -> None:
    """And no fault of the input, the output or the user."""
    (tmp_path / "file").touch()
    for command in (("compress", "in", "-o", "out.bba", "--model", "none"), ("decompress", "out.bba", "-C", "out")):
        process = spawn(*command, env=os.environ | {"BITSBACK_CACHE_DIR": str(tmp_path / "file" / "cache")})
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        lines = err.decode().splitlines()
        assert sum("compiled kernels cannot be kept in" in line for line in lines) == 1
        assert all(line.startswith("warning: ") for line in lines if "kernels" in line)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_messages_that_nobody_can_read_do_not_stop_the_work(folder: Path, spawn: Any) -> None:
    with Path("/dev/full").open("wb") as full:
        process = spawn("compress", "in", "--model", "none", "-v", stdout=subprocess.DEVNULL, stderr=full)
        assert process.wait(timeout=60) == 0
    read, write = os.pipe()
    os.close(read)
    process = spawn("decompress", "in.bba", "-C", "out", "-v", stdout=subprocess.DEVNULL, stderr=write)
    os.close(write)
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("command", [("list", "in.bba"), ("list", "in.bba", "--sha256"), ("--help",), ("info", "-h")])
def test_a_closed_pipe_is_silent(archive: Path, spawn: Any, command: tuple[str, ...]) -> None:
    process = spawn(*command)
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def shell(tmp_path: Path, line: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """A command line of the shell, in which ``bitsback`` is this one."""
    run = f'bitsback() {{ "{sys.executable}" -m bitsback "$@"; }}; '
    variables = {**os.environ, "PYTHONPATH": str(Path(bitsback.__file__).parents[1]), **environment}
    return subprocess.run(["sh", "-c", run + line], cwd=tmp_path, env=variables, capture_output=True, timeout=120)


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        ("bitsback list in.bba >&-", 1, "standard output: bad file descriptor"),
        ("bitsback get in.bba in/0.npy -o - >&-", 1, "standard output: bad file descriptor"),
        ("bitsback compress in --model none -q -o - >&-", 1, "standard output: bad file descriptor"),
        ("bitsback decompress - -C b <&-", 1, "standard input: bad file descriptor"),
        ("bitsback compress - -o c.bba <&-", 1, "standard input: bad file descriptor"),
        ("bitsback list nowhere 2>&-", 1, ""),
    ],
)
def test_a_closed_stream_that_is_needed(archive: Path, tmp_path: Path, line: str, code: int, err: str) -> None:
    before = names(tmp_path)
    done = shell(tmp_path, line)
    assert done.returncode == code
    assert done.stderr.decode() == (f"bitsback: {err}\n" if err else "")
    assert names(tmp_path) == before


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("closed", ["<&-", ">&- 2>&- <&-"])
def test_closed_streams_that_are_not_needed(archive: Path, tmp_path: Path, closed: str) -> None:
    """Nor does a file that is opened get the number of one, and messages with it."""
    expected = archive.read_bytes()
    assert shell(tmp_path, f"bitsback compress in --model none -v -o again.bba {closed}").returncode == 0
    assert (tmp_path / "again.bba").read_bytes() == expected
    assert shell(tmp_path, f"bitsback decompress again.bba -v -C out {closed}").returncode == 0
    assert tree(tmp_path / "out" / "in") == tree(tmp_path / "in")


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "utf-16"},
    ],
    ids=str,
)
def test_any_name_through_any_encoding(tmp_path: Path, environment: dict[str, str]) -> None:
    """Names that the streams cannot hold are spelt out, and never an error."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("caf\xe9".encode(), b"caf\xe9", "日本\n\x1b[2J".encode(), b"plain"):
        (folder / os.fsdecode(name)).write_bytes(b"x")
    for command in (
        "compress in --model none -v --json",
        "list in.bba -v",
        "decompress in.bba -C out -v --json",
        "decompress in.bba 'no\xe9thing' -C out",
    ):
        done = shell(tmp_path, f"bitsback {command}", **environment)
        assert done.returncode == ("thing" in command), done.stderr
        assert b"Traceback" not in done.stderr and b"internal" not in done.stderr
    assert names(tmp_path / "out" / "in") == names(folder)
