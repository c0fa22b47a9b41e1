"""``bitsback info``."""

from typing import TYPE_CHECKING, Any

import click

from bitsback.archive.container import Kind
from bitsback.cli import options
from bitsback.cli.output import count_words, printable, size_words, write_json
from bitsback.cli.source import archive_input

if TYPE_CHECKING:
    from bitsback.archive import Archive


@click.command("info")
@click.argument("archive")
@options.models
@options.verbose
@options.quiet
@options.as_json
def info_command(archive: str, models: tuple[str, ...], verbose: int, as_json: bool) -> int:
    """Show an archive's format, models, blocks and totals. -v adds a line for each block."""
    with archive_input(archive, models=models, spool=False) as opened:
        facts = _facts(opened)
    if as_json:
        write_json(facts)
        return 0
    click.echo(f"format    bba {facts['format']}")
    click.echo(f"size      {facts['size']:,} bytes ({size_words(facts['size'])}), of {facts['bytes_in']:,}")
    click.echo(f"holds     {count_words(facts['images'], 'image')} in {count_words(facts['files'], 'file')}")
    rate = facts["bits_per_dim"]
    click.echo(f"images    {facts['samples']:,} samples{'' if rate is None else f', {rate:.3f} bits/dim'}")
    for model in facts["models"]:
        size = f", {size_words(model['bytes'])}" if model["bytes"] else ""
        click.echo(f"model     {printable(model['name'])}  sha256:{model['id']}  {model['found']}{size}")
    click.echo(f"blocks    {len(facts['blocks']):,}")
    if verbose:
        for block in facts["blocks"]:
            words = [f"{block['offset']:>12,}", f"{block['size']:>12,} bytes", f"{block['kind']:<5}"]
            if block["images"]:
                words.append(
                    f"{count_words(block['images'], 'image')} {block['shape']} {block['dtype']}, {block['route']}"
                )
            if block["bytes"]:
                words.append(f"{block['bytes']:,} bytes {block['packing']}")
            click.echo("  ".join(words))
    return 0


def _facts(archive: "Archive") -> dict[str, Any]:
    chunks = {chunk.block.offset: chunk.head for chunk in archive.chunks}
    samples = sum(head.images.samples for head in chunks.values() if head.images)
    others = sum(len(chunk.block.head) + chunk.block.payload_size for chunk in archive.chunks if not chunk.head.images)
    blocks = []
    for block in archive.blocks:
        head = chunks.get(block.offset)
        images, data = (head.images, head.data) if head else (None, None)
        blocks.append(
            {
                "offset": block.offset,
                "size": block.end - block.offset,
                "kind": {kind.value: kind.name.lower() for kind in Kind}.get(block.kind, str(block.kind)),
                "images": images.count if images else 0,
                "shape": "x".join(map(str, images.shape)) if images else None,
                "dtype": images.dtype if images else None,
                "route": images.route.name.lower() if images else None,
                "bytes": data.size if data else 0,
                "packing": data.packing.name.lower() if data else None,
            }
        )
    return {
        "format": ".".join(map(str, archive.version)),
        "size": archive.size,
        "files": len(archive.members),
        "images": len(archive),
        "bytes_in": sum(member.size for member in archive.members),
        "samples": samples,
        "bits_per_dim": 8 * (archive.size - others) / samples if samples else None,
        "models": _models(archive),
        "blocks": blocks,
    }


def _models(archive: "Archive") -> list[dict[str, Any]]:
    from bitsback.errors import BitsBackError

    embedded = {block.head.hex(): block.payload_size for block in archive.blocks if block.kind == Kind.MODEL}
    given = {model.id for model in archive.library.given}
    models = []
    for identity in sorted({model for member in archive.members for model in member.models}):
        try:
            name, found = archive.model(identity).name, "given" if identity in given else "installed"
        except BitsBackError:
            name, found = "?", "not found"
        if identity in embedded:
            found = "embedded"
        models.append({"id": identity, "name": name, "found": found, "bytes": embedded.get(identity, 0)})
    return models
