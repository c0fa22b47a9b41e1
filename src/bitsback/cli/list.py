"""``bitsback list``."""

import functools
import posixpath
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from bitsback.archive.library import kind_name
from bitsback.archive.member import Type
from bitsback.cli import options
from bitsback.cli.exits import FAILED, OK, SKIPPED
from bitsback.cli.output import count_words, printable, say, standard_output, write_json, write_line
from bitsback.cli.source import archive_input, warn_of_tail
from bitsback.cli.stored import TYPE_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bitsback.archive import Archive, Member
    from bitsback.archive.head import Block
    from bitsback.errors import BitsBackError


@click.command("list")
@click.argument("archive", type=options.FILE)
@click.option("--files", "inner", is_flag=True, help="Show what is inside of tar and zip files, too.")
@click.option("--sha256", is_flag=True, help="Print SHA-256 and name of each file, for sha256sum -c.")
@options.models
@options.decoding
@options.threads
@options.verbose
@options.quiet
@options.as_json
def list_command(
    archive: str,
    inner: bool,
    sha256: bool,
    models: tuple[str, ...],
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
    as_json: bool,
) -> int:
    """Show what is in an archive, without decoding it.

    A line for each member: size, images, how it is kept, name. The size is -, if the file comes back with the same
    pixels but perhaps in other bytes. -v adds permissions, time, type of the samples, and how many samples or bytes
    are decoded to read one image, or the file, at worst; and tells what codes how much, and which files needed
    corrections to come back byte for byte.

    --files shows the files in tar and zip files, with their shapes and formats where these are modelled.

    --sha256 decodes the files that come back byte for byte, unless the archive keeps their SHA-256 (--store-sha256).
    """
    if sha256 and (as_json or verbose):
        raise click.UsageError("--sha256 goes with neither --json nor --verbose")
    limits = options.limits(memory_limit, max_pixels)
    with archive_input(archive, limits=limits, models=models) as opened:
        code = SKIPPED if warn_of_tail(opened, archive) else OK
        if sha256:
            return _print_sha256(opened, threads) or code
        names = model_names(opened)
        cost_of = functools.cache(functools.partial(_cost, opened))  # links share what they hold
        if as_json:
            for member in opened.members:
                facts = _facts(member, names, cost_of(member.content))
                write_json(facts | ({"files": _inner_facts(opened, member)} if inner else {}))
            return code
        sizes = [_size(member) for member in opened.members]
        width = max(map(len, sizes), default=1)
        known: dict[tuple[int, Type], tuple[str, str]] = {}  # what many members are alike in
        for member, size in zip(opened.members, sizes, strict=True):
            key = (id(member.held), member.type)
            if key not in known:
                what = f"{_shapes(member):<14}  {printable(_how(member, names, verbose)):<22}"
                known[key] = f"{_types(member):<6}" if verbose else "", what
            types, what = known[key]
            line = f"{size:>{width}}  {what}  {printable(_name(member))}"
            if verbose:
                line = f"{_mode(member)}  {_time(member)}  {types}  {f'{cost_of(member.content):,}':>10}  {line}"
            write_line(line)
            for one in opened.inside(member) if inner else ():
                shapes, called = _shape_words(one.shapes), printable(f"{member.name}/{one.name}")
                write_line(f"{f'{one.size:,}':>{width}}  {shapes:<14}  {one.format or '-':<22}  {called}")
        if verbose:
            _tell_cost(opened, names)
            _tell_corrections(opened)
    return code


def model_names(archive: "Archive") -> dict[str, str]:
    """The names of the models that an archive needs, by identity; a short identity for those not at hand."""
    from bitsback.errors import BitsBackError

    names = {}
    for identity in sorted({model for member in archive.members for model in member.models}):
        try:
            names[identity] = archive.model(identity).name
        except BitsBackError:
            names[identity] = f"sha256:{identity[:8]}"
    return names


def _size(member: "Member") -> str:
    known = member.content is not None and member.exact
    return f"{member.size:,}" if known else "-"


_ARROWS = {Type.SYMLINK: "->", Type.HARDLINK: "=>"}


def _name(member: "Member") -> str:
    """With what tells the types apart: ``folder/``, ``link -> target``, ``another name => file``."""
    if member.type == Type.FOLDER:
        return f"{member.name}/"
    arrow = _ARROWS.get(member.type)
    return f"{member.name} {arrow} {member.target}" if arrow else member.name


def _how(member: "Member", names: dict[str, str], verbose: int) -> str:
    if member.content is None:
        return TYPE_WORDS[member.type]
    how = " ".join([", ".join(member.how), *(names[model] for model in member.models)])
    return f"{how}, corrected" if verbose and _is_corrected(member) else how


def _is_corrected(member: "Member") -> bool:
    from bitsback.files import is_corrected

    return member.recipe is not None and member.exact and is_corrected(member.recipe)


def _shapes(member: "Member") -> str:
    """``28x28`` for an image, ``60000x28x28`` for an array, ``512x768x3`` in colour."""
    return _shape_words([(part.count, *part.shape) for part in member.arrays])


def _shape_words(shapes: "Sequence[tuple[int, int, int, int]]") -> str:
    words = []
    for count, height, width, channels in shapes:
        words.append("x".join(str(n) for n in (count, height, width, channels)[count == 1 : 3 + (channels > 1)]))
    return " ".join(words[:2]) + (f" +{len(words) - 2}" if len(words) > 2 else "") or "-"


def _types(member: "Member") -> str:
    return " ".join(sorted({part.dtype for part in member.arrays})) or "-"


def _mode(member: "Member") -> str:
    return "-" * 4 if member.mode is None else f"{member.mode:04o}"


def _time(member: "Member") -> str:
    return f"{'-':<19}" if member.mtime_ns is None else time_words(member.mtime_ns)


CYCLE_YEARS, CYCLE_SECONDS = 400, 146_097 * 86_400
"""After so many years the calendar repeats."""


def time_words(ns: int) -> str:
    """A time in words: of this place; for years that its system does not know, of Greenwich.

    >>> time_words(-(10**28))
    '-316887383099-11-20 06:13:20Z'
    """
    seconds = ns // 10**9
    try:
        year, *rest = time.localtime(seconds)[:6]
        zone = ""
    except (OverflowError, ValueError, OSError):
        cycles, left = divmod(seconds, CYCLE_SECONDS)
        like = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=left)
        year, *rest = like.timetuple()[:6]
        year, zone = year + CYCLE_YEARS * cycles, "Z"
    month, day, hour, minute, second = rest
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{zone}"


def _cost(archive: "Archive", content: int | None) -> int:
    """Samples that are decoded for one image of a content at worst; for other files, bytes that are unpacked."""
    images, others = 0, 0
    for place in archive.structure.places.get(-1 if content is None else content, ()):
        if place.piece.part:
            images = max(images, *(block.samples for block in archive.structure.blocks(place)))
        elif (section := archive.structure.chunks[place.chunk].head.data) is not None:
            others = max(others, section.size)
    return images or others


def _tell_cost(archive: "Archive", names: dict[str, str]) -> None:
    """What codes how much, and what reading an image costs."""
    blocks = [block for data in archive.structure.chunks for block in data.head.blocks]
    for words, alike in _alike(blocks, names).items():
        images, samples, size = (sum(found) for found in zip(*alike, strict=True))
        rate = 8 * size / samples
        say(f"{count_words(images, 'image')} of {words}: {samples:,} samples in {size:,} bytes, {rate:.3f} bits each")
    sizes = [block.samples for block in blocks]
    if sizes:
        words = f"{count_words(len(sizes), 'block')} of {min(sizes):,} to {max(sizes):,} samples"
        say(f"{words}: no image takes more than that")


def _alike(blocks: "list[Block]", names: dict[str, str]) -> dict[str, list[tuple[int, int, int]]]:
    """Images, samples and bytes of blocks by what is in them and what codes them."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for block in blocks:
        steps = [str(step) for step in reversed(block.front)]
        how = " of ".join([names.get(block.model.hex(), kind_name(block.tag)), *steps])
        channels, bits = block.form.channels, 8 * block.sample_bytes
        words = f"{count_words(channels, 'channel')} of {bits} bits by {how}"
        found.setdefault(words, []).append((block.count, block.samples, block.size))
    return found


def _tell_corrections(archive: "Archive") -> None:
    """What --pixels would have made smaller."""
    from bitsback.files import claimed

    files = [member for member in archive.members if member.type == Type.FILE]
    corrected = sum(_is_corrected(member) for member in files if member.recipe)
    whole = sum(claimed(posixpath.splitext(member.name)[1]) is not None for member in files if member.recipe is None)
    words = [f"{count_words(corrected, 'file')} with corrections, so as to come back byte for byte"] * (corrected > 0)
    words += [f"{count_words(whole, 'image file')} kept whole"] * (whole > 0)
    if words:
        say("; ".join(words))


def _print_sha256(archive: "Archive", threads: int) -> int:
    """A line for each file that comes back byte for byte, as sha256sum writes them."""
    from bitsback.archive.folders import encode

    code = OK
    digests = _digests(archive, threads)
    with standard_output() as stream:
        for member in archive.members:
            if member.content is None:
                continue
            digest = digests.get(member.ordinal)
            if digest is None:
                say(f"skipped {member.name}: comes back with the same pixels, but perhaps in other bytes")
                code = code or SKIPPED
            elif isinstance(digest, Exception):
                say(f"lost {member.name}: {str(digest).removeprefix(f'{member.name!r}: ')}", error=True)
                code = FAILED
            else:
                name = encode(member.name)
                escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
                mark = b"" if escaped == name else b"\\"
                stream.write(mark + digest.hex().encode() + b"  " + escaped + b"\n")
    return code


def _digests(archive: "Archive", threads: int) -> "dict[int, bytes | BitsBackError]":
    """By ordinal, the SHA-256 of the files that come back byte for byte, or why there is none."""
    files = [member for member in archive.members if member.content is not None and member.exact]
    found: dict[int, bytes | BitsBackError] = {
        member.ordinal: bytes.fromhex(member.sha256) for member in files if member.sha256
    }
    rest = [member for member in files if member.ordinal not in found]
    found |= {member.ordinal: digest for member, digest in archive.digests(rest, threads=threads)}
    return found


def _inner_facts(archive: "Archive", member: "Member") -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "size": one.size,
            "format": one.format or None,
            "shapes": [list(shape) for shape in one.shapes],
        }
        for one in archive.inside(member)
    ]


def _facts(member: "Member", names: dict[str, str], cost: int) -> dict[str, Any]:
    return {
        "name": member.name,
        "type": TYPE_WORDS[member.type],
        "size": member.size if member.content is not None and member.exact else None,
        "exact": member.exact,
        "target": member.target or None,
        "images": member.images,
        "parts": [{"shape": [part.count, *part.shape], "dtype": part.dtype} for part in member.arrays],
        "how": list(member.how) if member.content is not None else [],
        "models": [{"id": model, "name": names[model]} for model in member.models],
        "mtime_ns": member.mtime_ns,
        "mode": member.mode,
        "sha256": member.sha256 or None,
        "cost": cost,
    }
