"""``bitsback lab``."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bitsback.cli import options
from bitsback.cli.exits import OK, SKIPPED
from bitsback.cli.extras import need
from bitsback.cli.output import count_words, say
from bitsback.cli.written import write_all
from bitsback.errors import ImageError, OutputExistsError

if TYPE_CHECKING:
    from bitsback.models import Model

_COMMANDS = {
    "model": ("bitsback.cli.lab", "Look into a model: samples, latents, what costs how much."),
    "paper": ("bitsback.cli.lab_paper", "Train and measure what the paper on bits back coding did."),
}

SUFFIX = ".html"
MOST = 2000
"""Images that are looked at, at most."""


class _Lazy(options.Group):
    """A group that imports a command's module only to run it or to show its help."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[name][0]), f"{name}_command")
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])


@click.group("lab", cls=_Lazy)
def lab_command() -> None:
    """Experiments: look into a model, or do the paper's measurements again."""


@click.command("model")
@click.argument("model", type=options.MODEL, metavar="MODEL")
@click.argument("images", type=options.FILE, nargs=-1, metavar="[IMAGES...]")
@click.option(
    "-o", "--output", required=True, type=options.FILE, metavar="PAGE", help="The page to write, e.g. look.html."
)
@click.option("--figures", type=options.FOLDER, metavar="FOLDER", help="Write the figures there too, as PNG and SVG.")
@click.option("--samples", type=options.Whole(1, 64), default=16, show_default=True, help="Images to draw.")
@click.option("--seed", type=options.Whole(0), default=0, show_default=True, help="Of all that is drawn.")
@options.force
@options.quiet
def model_command(
    model: str, images: tuple[str, ...], output: str, figures: str | None, samples: int, seed: int, force: bool
) -> int:
    """Look into a model.

    MODEL is a name or a model file (.bbm), IMAGES are files and folders of its kind of images. The page shows images
    drawn from the model by decoding random bits; where in each image the bits go; the easiest and the hardest; and, of
    a model with latents, what these keep, carry and do. Without IMAGES there are samples only.
    """
    page = Path(output)
    if page.suffix != SUFFIX:
        raise click.UsageError(f"the page's name must end in {SUFFIX}")
    if page.exists() and not force:
        raise OutputExistsError(f"{page}: is already there (--force overwrites)")
    need("matplotlib", "lab", "the lab")
    from bitsback.lab.model import figures as drawn
    from bitsback.lab.model import html, look
    from bitsback.models import Model

    loaded = Model.load(model)
    found, names, left_out = _read(loaded, images)
    if images and not found:
        raise ImageError(f"none of the images is of the model's kind: {loaded.name} takes {loaded.takes}")
    seen = look(loaded, found, names, samples, seed)
    files = {page: html(seen).encode()}
    if figures is not None:
        files |= {Path(figures) / name: data for name, data in drawn(seen).items()}
    write_all(files, force)
    said = f" at {seen.scores.bits.mean():.4f} bits/dim" if seen.scores else ""
    say(f"{page}: {count_words(len(found), 'image')}{said}, {count_words(samples, 'sample')}")
    return SKIPPED if left_out else OK


def _read(model: "Model", inputs: Sequence[str]) -> tuple[list[Any], list[str], int]:
    """The images that the model takes, at most ``MOST`` of them, and their names; and how many files were left out."""
    if not inputs:
        return [], [], 0
    from bitsback.archive.gather import gather, read_whole
    from bitsback.archive.member import Type
    from bitsback.files import parse
    from bitsback.lab.model import fitting

    sources, skipped = gather(inputs)
    for one in skipped:
        say(f"skipped {one.name}: {one.reason}")
    left_out = len(skipped)
    images: list[Any] = []
    names: list[str] = []
    for source in sources:
        if source.entry.type != Type.FILE:
            continue
        picture = parse(read_whole(source), source.name)
        parts = [fit for part in picture.images if (fit := fitting(model, part)) is not None]
        if not parts:
            say(f"skipped {source.name}: not {model.takes}")
            left_out += 1
        for part in parts:
            images += list(part)
            names += [source.name] if len(part) == 1 else [f"{source.name} {number}" for number in range(len(part))]
    chosen = [k * len(images) // MOST for k in range(MOST)] if len(images) > MOST else range(len(images))
    return [images[k] for k in chosen], [names[k] for k in chosen], left_out


__all__ = ["lab_command", "model_command"]
