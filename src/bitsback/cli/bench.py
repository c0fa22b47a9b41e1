"""``bitsback bench``."""

import bz2
import gzip
import io
import lzma
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import click

from bitsback.cli import options
from bitsback.cli.output import count_words, say, size_words, write_json
from bitsback.errors import BitsBackError, ImageError

Groups = list[Any]
"""Arrays (n, H, W, C), one for each kind of image."""

Measured = tuple[int, float, float]
"""Bytes, seconds to encode, seconds to decode."""


@dataclass(slots=True)
class Row:
    """What one codec made of the images. Speeds in MB of samples a second of wall time."""

    codec: str
    bytes: int
    bits_per_dim: float
    ratio: float
    encode: float
    decode: float


@dataclass(slots=True)
class FileRow:
    """What one program made of JPEG files. Speeds in MB of files a second of wall time."""

    codec: str
    bytes: int
    ratio: float
    encode: float
    decode: float


@click.command("bench")
@click.argument("inputs", type=options.FILE, nargs=-1, required=True, metavar="INPUT...")
@click.option("-n", "--images", "limit", type=options.Whole(1), default=1000, metavar="N",
              help="Use at most N images, evenly spread. Default: 1000.")  # fmt: skip
@click.option("-m", "--model", default="auto", type=options.MODEL, metavar="MODEL", help="As for compress.")
@options.effort
@click.option("-T", "--threads", type=options.Whole(0), default=1, metavar="N",
              help="Threads for bitsback; the others use one. Default: 1.")  # fmt: skip
@options.verbose
@options.quiet
@options.as_json
def bench_command(
    inputs: tuple[str, ...], limit: int, model: str, effort: Any, threads: int, verbose: int, as_json: bool
) -> int:
    """Compare with gzip, bz2, xz, PNG, WebP and JPEG XL on your images.

    All get the same samples: bitsback as arrays, gzip, bz2 and xz as one stream for each kind of image, the image
    formats one image at a time. Every result is decoded and compared. bitsback's bytes are the whole archive; the
    model's file is not in there, and its size is shown. JPEG XL needs the package imagecodecs.

    JPEG files are a table of their own: as files, byte for byte, next to JPEG XL's transcoding (imagecodecs) and Lepton
    (lepton_jpeg_python).
    """
    from bitsback import api

    groups, total, jpegs = _load(inputs, limit)
    told = _bench_files(jpegs, api.library_for(model), effort, threads, as_json) if jpegs else {}
    if told and not groups:
        if as_json:
            write_json(told)
        return 0
    samples = sum(group.size for group in groups)
    raw = sum(group.nbytes for group in groups)
    if not samples:
        raise ImageError("there are no images among the inputs")
    count = sum(len(group) for group in groups)
    chosen = "" if count == total else f" of {total:,}"
    say(f"{count_words(count, 'image')}{chosen}, {samples:,} samples, {size_words(raw)}")
    library = api.library_for(model)
    _warm_up(groups, library, effort)
    rows = []
    codecs: list[tuple[str, Callable[[], Measured | None]]] = [
        ("bitsback", lambda: _bitsback(groups, library, effort, threads)),
        ("gzip -9", lambda: _stream(groups, gzip.compress, gzip.decompress)),
        ("bz2 -9", lambda: _stream(groups, bz2.compress, bz2.decompress)),
        ("xz -6", lambda: _stream(groups, lzma.compress, lzma.decompress)),
        ("PNG", lambda: _each("PNG", groups)),
        ("WebP", lambda: _each("WebP", groups)),
        ("JPEG XL", lambda: _each("JPEG XL", groups)),
    ]
    for name, (size, encode, decode) in _measured(codecs, "not for these images, or not installed"):
        rate = 8 * size / samples
        rows.append(Row(name, size, rate, raw / size, raw / encode / 1e6, raw / decode / 1e6))
    if as_json:
        found = {"images": count, "samples": samples, "raw_bytes": raw, "rows": [asdict(row) for row in rows]}
        write_json(found | told)
        return 0
    click.echo(f"{'codec':<10} {'bytes':>12} {'bits/dim':>9} {'ratio':>7} {'enc MB/s':>9} {'dec MB/s':>9}")
    for row in rows:
        speeds = f"{row.encode:>9.2f} {row.decode:>9.2f}"
        click.echo(f"{row.codec:<10} {row.bytes:>12,} {row.bits_per_dim:>9.4f} {row.ratio:>7.2f} {speeds}")
    return 0


def _measured(
    codecs: Iterable[tuple[str, Callable[[], Measured | None]]], without: str
) -> Iterator[tuple[str, Measured]]:
    """Measure one codec after the other; say of those that there are not why they are left out."""
    for name, measure in codecs:
        if (found := measure()) is None:
            say(f"{name}: {without}")
        else:
            yield name, found


def _load(inputs: Iterable[str], limit: int) -> tuple[Groups, int, list[bytes]]:
    """The images of all inputs by kind, thinned out evenly to ``limit``; how many there were; and the JPEG files, which
    are no images here, so many at most."""
    import numpy as np

    from bitsback.archive.gather import gather, read_whole
    from bitsback.archive.member import Type
    from bitsback.files import parse

    sources, skipped = gather(inputs)
    for one in skipped:
        say(f"skipped {one.name}: {one.reason}")
    files = [source for source in sources if source.entry.type == Type.FILE]
    parts, jpegs = [], []
    for file in files:
        picture = parse(data := read_whole(file), file.name)
        parts += picture.images
        jpegs += [data] if picture.recipe.get("format") == "jpeg" else []
    jpegs = [jpegs[i * len(jpegs) // min(limit, len(jpegs))] for i in range(min(limit, len(jpegs)))]
    total = sum(len(part) for part in parts)
    wanted = np.zeros(total, bool)
    wanted[np.arange(min(limit, total)) * total // max(min(limit, total), 1)] = True
    kinds: dict[Any, list[Any]] = {}
    at = 0
    for part in parts:
        taken = part[wanted[at : at + len(part)]]
        at += len(part)
        if len(taken):
            kinds.setdefault((part.shape[1:], part.dtype.name), []).append(taken)
    return [np.concatenate(one) for one in kinds.values()], total, jpegs


def _bench_files(files: list[bytes], library: Any, effort: Any, threads: int, quiet: bool) -> dict[str, Any]:
    """The table of JPEG files: printed, unless ``quiet``, and for JSON."""
    from bitsback.data.peers import TRANSCODERS

    total = sum(map(len, files))
    say(f"{count_words(len(files), 'JPEG file')}, {size_words(total)}")
    _archive_of_files(files[:1], library, effort, 1)
    codecs: list[tuple[str, Callable[[], Measured | None]]] = [
        ("bitsback", lambda: _archive_of_files(files, library, effort, threads)),
        *((name, partial(_transcoded, name, files)) for name in TRANSCODERS),
    ]
    rows = []
    for name, (size, encode, decode) in _measured(codecs, "not installed"):
        rows.append(FileRow(name, size, total / size, total / encode / 1e6, total / decode / 1e6))
    told = {"files": len(files), "file_bytes": total, "file_rows": [asdict(row) for row in rows]}
    if quiet:
        return told
    click.echo(f"{'codec':<10} {'bytes':>12} {'of files':>9} {'ratio':>7} {'enc MB/s':>9} {'dec MB/s':>9}")
    for row in rows:
        speeds = f"{row.encode:>9.2f} {row.decode:>9.2f}"
        click.echo(f"{row.codec:<10} {row.bytes:>12,} {row.bytes / total:>9.4f} {row.ratio:>7.2f} {speeds}")
    return told


def _archive_of_files(files: list[bytes], library: Any, effort: Any, threads: int) -> Measured:
    from bitsback.archive import Archive, Settings, taken, write_archive
    from bitsback.archive.intake import data_item

    stream = io.BytesIO()
    began = time.perf_counter()
    items = [data_item(data, f"{number}.jpg") for number, data in enumerate(files)]
    report = write_archive(stream, items, library, Settings(effort, threads, embed=False))
    encode = time.perf_counter() - began
    began = time.perf_counter()
    decoded = {member.name: b"".join(taken(data)) for member, data in
               Archive(stream, library=library).contents(threads=threads)}  # fmt: skip
    decode = time.perf_counter() - began
    if any(decoded[f"{number}.jpg"] != data for number, data in enumerate(files)):
        raise BitsBackError("bitsback did not give the same files")
    return report.bytes_out, encode, decode


def _transcoded(name: str, files: list[bytes]) -> Measured | None:
    """Another program, file by file; None if it is not installed. What it refuses counts as it is."""
    from bitsback.data.peers import transcoder

    other = transcoder(name)
    if other is None:
        return None
    began = time.perf_counter()
    coded = [other.encode(data) for data in files]
    encode = time.perf_counter() - began
    began = time.perf_counter()
    decoded = [None if one is None else other.decode(one) for one in coded]
    decode = time.perf_counter() - began
    if any(again not in (None, data) for again, data in zip(decoded, files, strict=True)):
        raise BitsBackError(f"{name} did not give the same files")
    return sum(len(data if one is None else one) for one, data in zip(coded, files, strict=True)), encode, decode


def _warm_up(groups: Groups, library: Any, effort: Any) -> None:
    """Compile and load everything before the clock runs."""
    for group in groups:
        _bitsback([group[:2, :64, :64]], library, effort, 1)


def _bitsback(groups: Groups, library: Any, effort: Any, threads: int) -> Measured:
    import numpy as np

    from bitsback.archive import Archive, Settings, taken, write_archive
    from bitsback.archive.intake import array_item

    items = [array_item(_squeezed(group), f"{n}.npy") for n, group in enumerate(groups)]
    stream = io.BytesIO()
    began = time.perf_counter()
    report = write_archive(stream, items, library, Settings(effort, threads, embed=False))
    encode = time.perf_counter() - began
    began = time.perf_counter()
    archive = Archive(stream, library=library)
    decoded = {member.name: b"".join(taken(data)) for member, data in archive.contents(threads=threads)}
    decode = time.perf_counter() - began
    for number, group in enumerate(groups):
        _compare(np.load(io.BytesIO(decoded[f"{number}.npy"])), _squeezed(group), "bitsback")
    return report.bytes_out, encode, decode


def _stream(groups: Groups, compress: Callable[[bytes], bytes], decompress: Callable[[bytes], bytes]) -> Measured:
    raw = [group.tobytes() for group in groups]
    began = time.perf_counter()
    coded = [compress(data) for data in raw]
    encode = time.perf_counter() - began
    began = time.perf_counter()
    decoded = [decompress(data) for data in coded]
    decode = time.perf_counter() - began
    if decoded != raw:
        raise BitsBackError("a byte compressor did not give the same bytes")
    return sum(map(len, coded)), encode, decode


def _each(name: str, groups: Groups) -> Measured | None:
    """One image at a time; None if the codec is not installed, or does not take some of them."""
    from bitsback.data import peers

    peer = peers.find(name)
    if peer is None:
        return None
    every = [image for group in groups for image in group]
    began = time.perf_counter()
    try:
        coded = [peer.encode(image) for image in every]
    except ImageError:
        return None
    encode = time.perf_counter() - began
    began = time.perf_counter()
    decoded = [peer.decode(data) for data in coded]
    decode = time.perf_counter() - began
    if not all(map(peers.same, decoded, every)):
        raise BitsBackError(f"{name} did not give the same samples")
    return sum(map(len, coded)), encode, decode


def _squeezed(group: Any) -> Any:
    """(n, H, W) for one channel, else (n, H, W, C)."""
    return group[..., 0] if group.shape[-1] == 1 else group


def _compare(decoded: Any, image: Any, name: str) -> None:
    import numpy as np

    if not np.array_equal(decoded, image):
        raise BitsBackError(f"{name} did not give the same samples")
