"""``bitsback lab paper``."""

import json
from dataclasses import replace
from pathlib import Path

import click

from bitsback.cli import options
from bitsback.cli.extras import need
from bitsback.cli.output import say, write_json
from bitsback.cli.written import write_all
from bitsback.errors import OutputExistsError

RESULTS = "results.json"


@click.command("paper")
@click.option("--data", type=click.Path(path_type=Path), metavar="FOLDER", required=True,
              help="Where the MNIST images are: train-images-idx3-ubyte.gz and t10k-images-idx3-ubyte.gz.")  # fmt: skip
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), metavar="FOLDER", required=True,
              help="Where to write: weights, results.json, table.md, figures, paper.html.")  # fmt: skip
@click.option("--epochs", type=(options.Whole(1), options.Whole(1)), metavar="BINARISED FULL",
              help="How long to train. Default: 40 30.")  # fmt: skip
@click.option("--seed", type=options.Whole(0), default=0, show_default=True, help="Of all that is left to chance.")
@click.option("--quick", is_flag=True, help="A tiny run of everything, in seconds; its figures mean nothing.")
@options.force
@options.quiet
@options.as_json
def paper_command(
    data: Path,
    folder: Path,
    epochs: tuple[int, int] | None,
    seed: int,
    quick: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Do the measurements of the paper on bits back coding again.

    Two networks are trained on MNIST, binarised and 8-bit, in floating point, and code its test set with bits back.
    All is decoded and compared. It takes about half an hour on two cores, most of it training. The weights are kept in
    the output folder, and used again if the command is run again with --force.

    Townsend, Bird & Barber, "Practical lossless compression with latent variables using bits back coding", ICLR 2019,
    arXiv 1901.04866.
    """
    if (folder / RESULTS).exists() and not force:
        raise OutputExistsError(f"{folder / RESULTS}: is already there (--force measures again, with the same weights)")
    need("matplotlib", "lab", "the lab")
    from bitsback.lab import paper, paper_page

    extent = paper.QUICK if quick else paper.Extent(paper.EPOCHS)
    if epochs is not None:
        extent = replace(extent, epochs=dict(zip(("binarised", "full"), epochs, strict=True)))
    found = paper.results(paper.reproduce(data, folder, extent, seed, say), extent, seed)
    found = json.loads(json.dumps(found))  # as it will be read, so that a page made from the file is the same
    files = {folder / name: content for name, content in paper_page.files(found).items()}
    files |= {folder / RESULTS: json.dumps(found, indent=1).encode() + b"\n"}
    write_all(files, force=True)
    if as_json:
        write_json(found)
    else:
        click.echo(paper_page.parts(found)["results"])
        say(f"{folder / 'paper.html'}: the page with all of it")
    return 0
