"""The command group, and the one place where errors become a line and an exit code."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

import bitsback
from bitsback.cli.exits import FAILED, OK, USAGE
from bitsback.cli.output import say, tell_progress
from bitsback.errors import BitsBackError

_COMMANDS = {
    "compress": "Put images, arrays and folders into an archive.",
    "decompress": "Take files out of an archive.",
    "list": "Show what is in an archive, without decoding it.",
    "test": "Decode everything and check everything, writing nothing.",
    "info": "Show an archive's format, models, blocks and totals.",
    "models": "Show, add and remove models.",
    "train": "Make a model of your own images.",
    "lab": "Look into a model; reproduce the paper.",
    "bench": "Compare with gzip, bz2, xz, PNG, WebP and JPEG XL on your images.",
}


class Interrupted(BaseException):
    """A signal asks to stop. Not an Exception, so that only clean-up code sees it."""

    def __init__(self, number: int) -> None:
        self.number = number


class _Lazy(click.Group):
    """A group that imports a command's module only to run it or to show its help."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"bitsback.cli.{name}"), f"{name}_command")
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(bitsback.__version__, "-V", "--version", prog_name="bitsback", message="%(prog)s %(version)s")
def app() -> None:
    """Practical lossless compression of images with latent-variable models.

    Exit codes: 0 done; 1 an input failed or an archive is damaged; 2 wrong usage; 3 done, but something was left out;
    128 + n stopped by signal n (130: Ctrl-C). Others may come. Signal USR1: say how far the work is.

    Environment: BITSBACK_THREADS, BITSBACK_MODEL_PATH, XDG_DATA_HOME, NO_COLOR.
    """


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """What :func:`bitsback.cli.main` does."""
    try:
        with _signals():
            code = app.main(arguments, prog_name="bitsback", standalone_mode=False) or OK
            sys.stdout.flush()
    except Interrupted as stop:
        _stop(stop.number)
    except (click.Abort, KeyboardInterrupt):
        _stop(signal.SIGINT)
    except BaseException as error:
        code = _explain(error)
    sys.exit(code)


def _explain(error: BaseException) -> int:
    """One line on stderr, and the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "bitsback"
        say(f"{error.format_message()} (try: {command} --help)", error=True)
        return USAGE
    if isinstance(error, OSError):
        if error.errno == errno.EPIPE:
            _silence_stdout()
            return FAILED
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        say(f"{where}{(error.strerror or str(error)).lower()}", error=True)
        if error.errno == errno.ENOSPC:
            _silence_stdout()
        return FAILED
    if isinstance(error, BitsBackError):
        say(str(error), error=True)
    elif isinstance(error, MemoryError):
        say("not enough memory (-T 1 needs less, and -M sets a limit)", error=True)
    else:
        say(f"internal error, please report it: {type(error).__name__}: {error}", error=True)
    return FAILED


def _silence_stdout() -> None:
    """Nobody takes our output any more: let the interpreter's last flush go nowhere instead of failing."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
    except (OSError, ValueError):
        return


@contextmanager
def _signals() -> Iterator[None]:
    """Turn the usual signals into :class:`Interrupted`, once; while we clean up, more of them change nothing.

    USR1 asks for a line on how far the work is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) != signal.SIG_IGN}

    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    def tell(number: int, frame: FrameType | None) -> None:
        tell_progress()

    for number in before:
        signal.signal(number, stop)
    if hasattr(signal, "SIGUSR1"):
        before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, tell)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int) -> NoReturn:
    """Leave at once: threads that still work on a chunk have nothing more to say."""
    say("stopped; nothing half-written was left", error=True)
    sys.stderr.flush()
    os._exit(128 + number)
