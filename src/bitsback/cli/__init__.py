"""The command line. Heavy modules are imported by the commands that need them, when they run."""

from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line on ``arguments`` (default: those of the process) and exit with its code.

    0: done. 1: an input failed, or an archive is damaged. 2: wrong usage. 3: done, but something was left out, or is
    not as it was. 128 + n: stopped by signal n (130: Ctrl-C).
    """
    try:
        from bitsback.cli.app import run

        run(arguments)
    except KeyboardInterrupt:  # before, or after, there was somebody to handle it
        raise SystemExit(130) from None
