"""``bitsback info``."""

from typing import TYPE_CHECKING, Any

import click

from bitsback.archive.container import DRAFT, Kind
from bitsback.archive.library import kind_name
from bitsback.archive.member import Type
from bitsback.cli import options
from bitsback.cli.exits import OK, SKIPPED
from bitsback.cli.output import count_words, printable, size_words, write_json, write_line
from bitsback.cli.source import archive_input, warn_of_tail

if TYPE_CHECKING:
    from bitsback.archive import Archive
    from bitsback.archive.container import Chunk
    from bitsback.archive.head import Block
    from bitsback.archive.structure import DataChunk


@click.command("info")
@click.argument("archive", type=options.FILE)
@options.models
@options.verbose
@options.quiet
@options.as_json
def info_command(archive: str, models: tuple[str, ...], verbose: int, as_json: bool) -> int:
    """Show an archive's format, models, blocks and totals. -v adds a line for each chunk and each block."""
    with archive_input(archive, models=models) as opened:
        code = SKIPPED if warn_of_tail(opened, archive) else OK
        facts = _facts(opened)
    if as_json:
        write_json(facts)
        return code
    draft = ", a draft that no later version promises to read" if facts["draft"] else ""
    write_line(f"format    bba {facts['format']}{draft}; names of {facts['system']}")
    write_line(f"size      {facts['size']:,} bytes ({size_words(facts['size'])}), of {facts['bytes_in']:,}")
    others = ", ".join(
        count_words(facts[key], word) for key, word in (("folders", "folder"), ("links", "link")) if facts[key]
    )
    write_line(
        f"holds     {count_words(facts['images'], 'image')} in {count_words(facts['files'], 'file')}"
        f"{f', {others}' if others else ''}"
    )
    rate = facts["bits_per_dim"]
    write_line(f"images    {facts['samples']:,} samples{'' if rate is None else f', {rate:.3f} bits/dim'}")
    for model in facts["models"]:
        size = f", {size_words(model['bytes'])}" if model["bytes"] else ""
        write_line(f"model     {printable(model['name'])}  sha256:{model['id']}  {model['found']}{size}")
    write_line(f"runs      {facts['runs']:,}")
    blocks = [block for chunk in facts["chunks"] for block in chunk["blocks"]]
    sizes = [block["samples"] for block in blocks]
    least = f"{min(sizes):,} to " if len({*sizes}) > 1 else ""
    of = f", {count_words(len(blocks), 'block')} of {least}{max(sizes):,} samples" if blocks else ""
    write_line(f"chunks    {len(facts['chunks']):,}{of}")
    for chunk in facts["chunks"] if verbose else ():
        _write_chunk(chunk)
    return code


def _write_chunk(chunk: dict[str, Any]) -> None:
    copy = ", copy" if chunk["copy"] else ""
    words = [f"{chunk['offset']:>12,}", f"{chunk['size']:>12,} bytes", f"{chunk['kind']}{copy}"]
    if chunk["bytes"]:
        words.append(f"{chunk['bytes']:,} bytes {chunk['packing']}")
    write_line("  ".join(words))
    for block in chunk["blocks"]:
        images = f"{count_words(block['images'], 'image')} {block['shape']} {block['dtype']}"
        write_line(f"{'':>12}  {block['size']:>12,} bytes  {images}, {block['how']}")


def _facts(archive: "Archive") -> dict[str, Any]:
    structure = archive.structure
    assert structure.header is not None and structure.end is not None
    data = {chunk.chunk.offset: chunk for chunk in structure.chunks}
    samples = sum(block.samples for chunk in structure.chunks for block in chunk.head.blocks)
    others = sum(
        len(chunk.chunk.head) + chunk.chunk.payload_size for chunk in structure.chunks if not chunk.head.blocks
    )
    types = [member.type for member in archive.members]
    return {
        "format": ".".join(map(str, structure.version)),
        "draft": bool(structure.header.required & DRAFT),
        "system": structure.system.name,
        "size": archive.size,
        "tail": structure.tail,
        "runs": len(structure.end.runs),
        "files": types.count(Type.FILE) + types.count(Type.HARDLINK),
        "folders": types.count(Type.FOLDER),
        "links": types.count(Type.SYMLINK),
        "images": len(archive),
        "bytes_in": sum(member.size for member in archive.members),
        "samples": samples,
        "bits_per_dim": 8 * (archive.size - others) / samples if samples else None,
        "models": _models(archive),
        "chunks": [_chunk(chunk, data.get(chunk.offset)) for chunk in structure.all_chunks],
    }


def _chunk(chunk: "Chunk", data: "DataChunk | None") -> dict[str, Any]:
    section = data.head.data if data else None
    return {
        "offset": chunk.offset,
        "size": chunk.end - chunk.offset,
        "kind": {kind.value: kind.name.lower() for kind in Kind}.get(chunk.kind, str(chunk.kind)),
        "copy": chunk.is_copy,
        "bytes": section.size if section else 0,
        "packing": ("packed" if section.packing else "stored") if section else None,
        "blocks": [
            {
                "size": block.size,
                "images": block.count,
                "shape": _shapes(block),
                "dtype": block.dtype,
                "samples": block.samples,
                "how": kind_name(block.tag),
                "model": block.model.hex() or None,
            }
            for block in (data.head.blocks if data else ())
        ],
    }


def _shapes(block: "Block") -> str:
    """In words; of several shapes the number of them."""
    shapes = list(dict.fromkeys(lot.shape for lot in block.lots))
    if len(shapes) > 1:
        return f"{len(shapes)} shapes, {block.form.channels} channels"
    return "x".join(map(str, shapes[0]))


def _models(archive: "Archive") -> list[dict[str, Any]]:
    from bitsback.errors import BitsBackError

    embedded = {chunk.head.hex(): chunk.payload_size for chunk in archive.structure.each(Kind.MODEL)}
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
