"""The command group, and the one place where errors become a line and an exit code."""

import errno
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

import bitsback
from bitsback.cli import options
from bitsback.cli.exits import FAILED, OK, USAGE
from bitsback.cli.output import STDOUT, prepare, say, silence, standard_output, tell_progress
from bitsback.errors import BitsBackError

_COMMANDS = {
    "compress": "Put images, arrays and folders into an archive.",
    "decompress": "Take files out of an archive.",
    "get": "Take a few files out of an archive, quickly.",
    "list": "Show what is in an archive, without decoding it.",
    "test": "Decode everything and check everything, writing nothing.",
    "info": "Show an archive's format, models, blocks and totals.",
    "view": "Look at the images of an archive, in a browser on this machine.",
    "mount": "Show an archive as a folder, by FUSE.",
    "compare": "Say what differs between two archives, or one and a folder.",
    "add": "Add files and folders to an archive, in place.",
    "remove": "Take files and folders out of an archive for good.",
    "merge": "Put several archives into one.",
    "recover": "Save what is whole in a damaged archive.",
    "models": "Show, add and remove models.",
    "train": "Make a model of your own images.",
    "lab": "Look into a model; reproduce the paper.",
    "bench": "Compare with gzip, bz2, xz, PNG, WebP and JPEG XL on your images.",
}

_ALIASES = {"extract": "decompress"}


class Interrupted(BaseException):
    """A signal asks to stop. Not an Exception, so that only clean-up code sees it."""

    def __init__(self, number: int) -> None:
        self.number = number


class _Raised(Exception):
    """Carries an error past click, which takes the end of a file for Ctrl-C and a broken pipe for its own affair."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Lazy(options.Group):
    """A group that imports a command's module only to run it or to show its help."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise _Raised(error) from error

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        if "" in arguments and not context.resilient_parsing:
            raise click.UsageError("one of the arguments is empty: a variable that is not set?", context)
        return super().parse_args(context, arguments)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, arguments)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message}{_meant(arguments[0])}", context) from None

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        name = _ALIASES.get(name, name)
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"bitsback.cli.{name}"), f"{name}_command")
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _meant(word: str) -> str:
    """What somebody may have had in mind who gave this for a command."""
    if near := get_close_matches(word.lower(), [*_COMMANDS, *_ALIASES]):
        return f" Did you mean {near[0]}?"
    if os.path.lexists(word):
        return f" Did you mean {'decompress' if word.endswith('.bba') else 'compress'} {word}?"
    return ""


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(bitsback.__version__, "-V", "--version", prog_name="bitsback", message="%(prog)s %(version)s")
def app() -> None:
    """Practical lossless compression of images with latent-variable models.

    Exit codes: 0 done; 1 an input failed or an archive is damaged; 2 wrong usage; 3 done, but something was left out or
    is not as it was; 128 + n stopped by signal n (130: Ctrl-C). Others may come. Signal USR1: say how far the work is.

    Environment: BITSBACK_THREADS; BITSBACK_MODEL_PATH, and XDG_DATA_HOME, where models are installed;
    BITSBACK_CACHE_DIR, or else a folder in XDG_CACHE_HOME, where compiled code is kept; NO_COLOR.
    """


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """What :func:`bitsback.cli.main` does."""
    try:
        prepare()
        with _signals(), _warnings():
            code = _attempt(arguments)
    except Interrupted as stop:
        _stop(stop.number)
    except KeyboardInterrupt:
        _stop(signal.SIGINT)
    if code:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            silence(sys.stdout)
    sys.exit(code)


def _attempt(arguments: Sequence[str] | None) -> int:
    """Run a command; every error but an interruption becomes a line and an exit code."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _tell_warning
            code: int = app.main(arguments, prog_name="bitsback", standalone_mode=False) or OK
        with standard_output():
            return code
    except (Interrupted, KeyboardInterrupt):
        raise
    except _Raised as raised:
        if isinstance(raised.error, KeyboardInterrupt):
            raise raised.error from None
        return _explain(raised.error)
    except BaseException as error:
        return _explain(error)


def _tell_warning(message: Warning | str, *where: Any, **what: Any) -> None:
    """A warning of a library is a line like others, whatever line of its code it comes from."""
    say(f"warning: {message}")


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
    words = _words(error)
    if words:
        say(words, error=True)
    if isinstance(error, OSError) and error.filename in (None, STDOUT):
        silence(sys.stdout)
    return FAILED


def _words(error: BaseException) -> str:
    """An error in words; nothing if whoever read our output simply wants no more of it."""
    if isinstance(error, OSError):
        if error.errno == errno.EPIPE and error.filename in (None, STDOUT):
            return ""
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        return f"{f'{name}: ' if name else ''}{(error.strerror or str(error) or type(error).__name__).lower()}"
    if isinstance(error, BitsBackError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory (-T 1 and --effort fast need less, and -M sets a limit)"
    if isinstance(error, RecursionError):
        return "something is nested too deeply"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "the system does not allow as many threads (-T 1 needs none)"
    return f"internal error, please report it: {type(error).__name__}: {error}"


@contextmanager
def _warnings() -> Iterator[None]:
    """Show Python's warnings as lines like all others."""

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        say(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


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
    os._exit(128 + number)
