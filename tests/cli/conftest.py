"""Running the command line, in this process or in one of its own."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bitsback.cli import main


class Result(NamedTuple):
    """An exit code, standard output as bytes, and the lines of standard error."""

    code: int
    out: bytes
    err: list[str]


Run = Callable[..., Result]


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``run("list", path, stdin=b"...")`` in this process, with ``tmp_path`` as the working folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        assert b"Traceback" not in err
        return Result(int(stopped.value.code or 0), out, err.decode().splitlines())

    return run


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., "subprocess.Popen[bytes]"]:
    """The same in a process of its own, still running."""

    def spawn(*arguments: object, **options: object) -> "subprocess.Popen[bytes]":
        # A background job of a shell has SIGINT ignored, and so would its children
        program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        program += "; from bitsback.cli import main; main()"
        command = [sys.executable, "-c", program, *map(str, arguments)]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(command, cwd=tmp_path, **options)  # type: ignore[call-overload, no-any-return]

    return spawn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five small arrays and a text."""
    folder = tmp_path / "in"
    folder.mkdir(parents=True)
    for number in range(5):
        np.save(folder / f"{number}.npy", (np.arange(900) * (number + 3) % 240).reshape(30, 30).astype(np.uint8))
    (folder / "text.txt").write_text("text " * 50)
    return folder


@pytest.fixture
def archive(folder: Path, run: Run) -> Path:
    """The folder as ``in.bba``, in the working folder."""
    assert run("compress", "in", "-q", "--model", "none").code == 0
    return folder.with_name("in.bba")
