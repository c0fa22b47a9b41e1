"""Options that several commands share."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from bitsback.archive.limits import DEFAULT_LIMITS, Limits
from bitsback.cli.exits import USAGE
from bitsback.cli.output import set_quiet

Function = TypeVar("Function", bound=Callable[..., Any])

MIN_BLOCK, MAX_BLOCK = 1 << 10, 1 << 24
"""Samples of a block: those of :mod:`bitsback.archive.plan`, which takes its time to import."""

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_UNITS |= {f"{unit}i": 1 << 10 * power for power, unit in enumerate(("k", "m", "g", "t"), 1)}


class Name(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A name of something on disk, or a URL, which the shell completes by its own rules."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type=self.name)]


class ModelName(Name):
    """The name of an installed model, or of a model's file."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from bitsback.models.search import find

        found = sorted({found.name for found in find() if found.name.startswith(incomplete)})
        return [*map(CompletionItem, found)] or super().shell_complete(ctx, param, incomplete)


FILE, FOLDER, MODEL = Name("file"), Name("dir"), ModelName("file")


class Group(click.Group):
    """A group that shows its help, which is wrong usage, when no command is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(USAGE)
        return super().parse_args(ctx, args)


class InSections(click.Command):
    """A command with so many options that its help shows them by what they are about.

    Args:
        sections: the names of options, by the headings that they stand under; what is in none comes last.
    """

    def __init__(self, *arguments: Any, sections: dict[str, str], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._sections = {heading: names.split() for heading, names in sections.items()}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shown = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        records = {one.name: record for one in shown if (record := one.get_help_record(ctx))}
        for heading, names in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([records.pop(name) for name in names])
        with formatter.section("Other options"):
            formatter.write_dl(list(records.values()))


class Size(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A number with or without a unit: bytes (500M, 2GiB), or samples (64Ki)."""

    name = "size"

    def __init__(self, what: str = "a size such as 500M or 2GiB", unit: str = "b") -> None:
        self._what, self._unit = what, unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(rf"([0-9]+)\s*([kmgt]?i?){self._unit}?", str(value).lower())
        if not match or match[2] not in _UNITS:
            self.fail(f"{value!r} is not {self._what}", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


class Whole(click.ParamType):  # type: ignore[type-arg]
    """A whole number, with a lowest and perhaps a highest value."""

    name = "number"

    def __init__(self, low: int, high: int | None = None) -> None:
        self._low, self._high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            number = self._low - 1
        if number < self._low or (self._high is not None and number > self._high):
            asked = f"of {self._low} or more" if self._high is None else f"from {self._low} to {self._high}"
            self.fail(f"{value!r} is not a whole number {asked}", param, ctx)
        return number


class Samples(Size):
    """How many samples a block has."""

    def __init__(self) -> None:
        super().__init__("a number of samples such as 64Ki or 1Mi", "")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        samples = super().convert(value, param, ctx)
        if value != 0 and not MIN_BLOCK <= samples <= MAX_BLOCK:
            self.fail(f"a block has 1Ki to 16Mi samples, not {value}", param, ctx)
        return samples


class Percent(click.ParamType):  # type: ignore[type-arg]
    """A share: 5 or 5%."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*%?", str(value))
        if not match or not 0 < float(match[1]) <= 50:
            self.fail(f"{value!r} is not a share such as 5%, of more than nothing and at most 50%", param, ctx)
        return float(match[1])


def _quiet(context: click.Context, parameter: click.Parameter, value: int) -> None:
    set_quiet(value)


threads = click.option(
    "-T", "--threads", type=Whole(0), default=0, envvar="BITSBACK_THREADS", metavar="N",
    help="Threads to use; 0, the default, means all cores. The result does not depend on it.",
)  # fmt: skip
quiet = click.option(
    "-q", "--quiet", count=True, expose_value=False, callback=_quiet, help="No messages; -qq: no errors either."
)
verbose = click.option("-v", "--verbose", count=True, help="Say more; -vv still more.")
as_json = click.option("--json", "as_json", is_flag=True, help="Write the facts as JSON to standard output.")
no_progress = click.option("--no-progress", is_flag=True, help="No progress bar, not even on a terminal.")
models = click.option(
    "-m", "--model", "models", multiple=True, type=FILE, metavar="FILE",
    help="A model file that the archive needs, and that is neither in it nor installed. May be repeated.",
)  # fmt: skip
force = click.option("-f", "--force", is_flag=True, help="Overwrite what is there. Nothing else ever does.")
effort = click.option(
    "-e", "--effort", type=click.Choice(["fast", "normal", "max"]), default="normal",
    help="fast: only models made for speed, chosen by a glance; max: everything is tried. Default: normal.",
)  # fmt: skip
model = click.option(
    "-m", "--model", default="auto", type=MODEL, metavar="MODEL",
    help="A model's name or file, to be used wherever it fits, even where something else would be smaller; auto, the "
    "default, finds the best; none does without.",
)  # fmt: skip
embed_model = click.option(
    "--embed-model/--no-embed-model", default=None,
    help="Put all the models that are used into the archive, or none. Default: those that do not come with bitsback.",
)  # fmt: skip
block = click.option(
    "--block", type=Samples(), default=0, metavar="SAMPLES",
    help="How many samples are coded together, and decoded to read one image: 64Ki, 1Mi ... Default: what takes 0.1 "
    "to 0.5 seconds, and more where images tell much of each other.",
)  # fmt: skip
store_sha256 = click.option(
    "--store-sha256", is_flag=True, help="Keep the SHA-256 of each file, 32 bytes each, for list --sha256."
)
pixels = click.option(
    "--pixels", is_flag=True,
    help="Of PNG, gzip and npz files, keep pixels and metadata only: smaller and faster, but they come back in other "
    "bytes. All else comes back byte for byte in any case.",
)  # fmt: skip
no_verify = click.option(
    "--no-verify", is_flag=True, help="Do not open the finished archive and compare it with the inputs."
)
no_verify_anew = click.option(
    "--no-verify", is_flag=True, help="Do not open the new archive and compare it with what it is made of."
)
parity = click.option(
    "--parity", type=Percent(), default=0.0, metavar="PERCENT",
    help="Write so much more that recover can repair any damage to that share of the archive, 50 at most. Needs an "
    "output that can be read again.",
)  # fmt: skip
exclude = click.option(
    "--exclude", multiple=True, metavar="PATTERN",
    help="Leave out what has such a name, as in .gitignore: '*.tmp' in whatever folder, 'a/*/raw' from the beginning "
    "of the name, 'cache/' for folders only. May be repeated.",
)  # fmt: skip
preserve = click.option(
    "-p", "--preserve", is_flag=True,
    help="Restore permissions whole, without regard to the umask, and symbolic links wherever they lead.",
)  # fmt: skip
skip_existing = click.option(
    "-k", "--skip-existing", is_flag=True, help="Leave files alone that are there (then exit with 3)."
)
directory = click.option(
    "-C", "--directory", type=FOLDER, metavar="DIR", help="Where the files go; made if need be. Default: here."
)
memory_limit = click.option(
    "-M", "--memory-limit", type=Size(), default=DEFAULT_LIMITS.memory, metavar="SIZE",
    help="The most memory that one file may need when it is decoded. Default: 2GiB.",
)  # fmt: skip
max_pixels = click.option(
    "--max-pixels", type=Whole(1), default=DEFAULT_LIMITS.pixels, metavar="N",
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
storing = combined(model, effort, embed_model, block, store_sha256, pixels, exclude, no_verify)
