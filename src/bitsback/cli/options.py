"""Options that several commands share."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.cli.output import set_quiet

Function = TypeVar("Function", bound=Callable[..., Any])

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_UNITS |= {f"{unit}i": 1 << 10 * power for power, unit in enumerate(("k", "m", "g", "t"), 1)}


class Size(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """Bytes, with or without a unit: 500M, 2GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+)\s*([kmgt]?i?)b?", str(value).lower())
        if not match or match[2] not in _UNITS:
            self.fail(f"{value!r} is not a size such as 500M or 2GiB", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


def _quiet(context: click.Context, parameter: click.Parameter, value: int) -> None:
    set_quiet(value)


threads = click.option(
    "-T", "--threads", type=click.IntRange(min=0), default=0, envvar="BITSBACK_THREADS", metavar="N",
    help="Threads to use; 0, the default, means all cores. The result does not depend on it.",
)  # fmt: skip
quiet = click.option(
    "-q", "--quiet", count=True, expose_value=False, callback=_quiet, help="No messages; -qq: no errors either."
)
verbose = click.option("-v", "--verbose", count=True, help="Say more; -vv still more.")
as_json = click.option("--json", "as_json", is_flag=True, help="Write the facts as JSON to standard output.")
no_progress = click.option("--no-progress", is_flag=True, help="No progress bar, not even on a terminal.")
models = click.option(
    "-m", "--model", "models", multiple=True, metavar="FILE",
    help="A model file that the archive needs and that is not installed. May be repeated.",
)  # fmt: skip
force = click.option("-f", "--force", is_flag=True, help="Overwrite what is there. Nothing else ever does.")
effort = click.option(
    "-e", "--effort", type=click.Choice(["fast", "normal", "max"]), default="normal",
    help="fast: only models made for speed, chosen by a glance; max: everything is tried. Default: normal.",
)  # fmt: skip
memory_limit = click.option(
    "-M", "--memory-limit", type=Size(), default=DEFAULT_LIMITS.memory, metavar="SIZE",
    help="The most memory that one file may need when it is decoded. Default: 2GiB.",
)  # fmt: skip
max_pixels = click.option(
    "--max-pixels", type=click.IntRange(min=1), default=DEFAULT_LIMITS.pixels, metavar="N",
    help=f"The most pixels of one image. Default: {DEFAULT_LIMITS.pixels:,}.",
)  # fmt: skip


def limits(memory: int, pixels: int) -> Limits:
    """The limits that the two options ask for; a larger memory limit allows for larger chunks too."""
    return Limits(memory=memory, pixels=pixels, chunk=max(DEFAULT_LIMITS.chunk, min(memory, (1 << 32) - 1)))


def combined(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Several options as one decorator, shown in this order."""

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


common = combined(threads, verbose, quiet, no_progress, as_json)
decoding = combined(memory_limit, max_pixels)
