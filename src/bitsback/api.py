"""The library's face: compress, decompress, open; add, remove, merge, recover.

They work on arrays, files and folders. What the command line does, it does through this module.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from bitsback.archive import (
    Archive,
    Library,
    Limits,
    Member,
    Rebuilt,
    Report,
    Settings,
    atomic,
    edit,
    gather,
    write_archive,
)
from bitsback.archive.choice import EFFORTS, Effort
from bitsback.archive.extract import extract
from bitsback.archive.intake import array_item, items_of
from bitsback.archive.item import Item
from bitsback.archive.limits import DEFAULT_LIMITS
from bitsback.archive.patterns import select
from bitsback.archive.protect import mended, protect, share_of
from bitsback.archive.verify import verify as compare
from bitsback.archive.workers import WAITING, Kept, Submits, Workers
from bitsback.archive.writer import Progress
from bitsback.errors import BitsBackError, FormatError, ImageError, LimitError, OutputExistsError
from bitsback.files import Skipped

if TYPE_CHECKING:
    from bitsback.models import Model

Path_ = str | os.PathLike[str]
Input: TypeAlias = "NDArray[Any] | Path_ | Iterable[Path_]"

Models: TypeAlias = "str | Path | Model | Sequence[str | Path | Model]"

ARRAY_NAME = "array.npy"
"""The name of the only file in an archive that was made of an array."""


@overload
def compress(
    data: Input, out: None = None, *, model: str | Path | Model = ..., effort: Effort = ..., threads: int = ...,
    verify: bool = ..., embed_model: bool | None = ..., block: int = ..., store_sha256: bool = ...,
    pixels: bool = ..., parity: float = ..., exclude: Sequence[str] = ..., limits: Limits = ...,
    executor: Submits | None = ..., resume: Path_ | None = ...,
) -> bytes: ...  # fmt: skip
@overload
def compress(
    data: Input, out: Path_ | BinaryIO, *, model: str | Path | Model = ..., effort: Effort = ..., threads: int = ...,
    verify: bool = ..., force: bool = ..., embed_model: bool | None = ..., block: int = ..., store_sha256: bool = ...,
    pixels: bool = ..., parity: float = ..., exclude: Sequence[str] = ..., limits: Limits = ...,
    progress: Progress | None = ..., executor: Submits | None = ..., resume: Path_ | None = ...,
) -> Report: ...  # fmt: skip
def compress(
    data: Input,
    out: Path_ | BinaryIO | None = None,
    *,
    model: str | Path | Model = "auto",
    effort: Effort = "normal",
    threads: int = 0,
    verify: bool = True,
    force: bool = False,
    embed_model: bool | None = None,
    block: int = 0,
    store_sha256: bool = False,
    pixels: bool = False,
    parity: float = 0.0,
    exclude: Sequence[str] = (),
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    executor: Submits | None = None,
    resume: Path_ | None = None,
) -> bytes | Report:
    """Put an array, a file, a folder, or several of them into an archive.

    Args:
        data: an array, best uint8 or uint16 with the axes (n, height, width) or (n, height, width, channels); or a
            path; or several paths. Folders are taken with all that is in them, and names are those that tar would
            give, but without the folders above that paths from the root on share, if all are.
        out: the archive's path, or a binary stream to write to. Without it, the archive is returned as bytes.
        model: "auto" tries the installed models and takes the best for each kind of image; "none" does without; else
            a model, its name, or the path of its file, to be used wherever it fits, even where something else would
            be smaller.
        effort: "fast" tries few models, those made for speed, on a small sample; "max" tries all of them on a large
            one, and the close ones on everything.
        threads: how many to use, 0 for all cores. The archive does not depend on it.
        verify: open the finished archive and compare every member with what went in.
        force: overwrite ``out``.
        embed_model: whether the models that were used go into the archive, so that nobody has to look for them; None
            takes those that do not come with bitsback.
        block: samples that are coded together, and decoded for one image; 0 for as many as take about a tenth of a
            second.
        store_sha256: keep the SHA-256 of each file, 32 bytes each, besides the one over all files of a chunk.
        pixels: of PNG, gzip and npz files keep pixels and metadata, not how they were deflated: smaller, faster, and
            the files come back in other bytes. All others come back byte for byte in any case.
        parity: the share of the archive's sectors of 4 KiB that may be damaged and still be repaired: 0.05 for 5 %.
        exclude: patterns of names to leave out, see :func:`bitsback.archive.gather`.
        limits: what a reader of the archive will be able to cope with.
        progress: called with the number of input bytes newly done.
        executor: whose workers code the blocks, and decode them when they are compared: an executor of
            :mod:`concurrent.futures` with processes, or a ``distributed.Client``. The archive does not depend on it.
            What workers lose is done again, at last by this process.
        resume: a folder for finished blocks, so that a run that was cut off goes on where it was when it is started
            again in the same words. Emptied at the end.

    Returns:
        The archive's bytes; or, with ``out``, a :class:`~bitsback.archive.Report` of what was stored how. Files that
        could not be stored are in ``report.skipped``; without ``out`` they cause a warning.

    Raises:
        OutputExistsError: ``out`` is there, or is one of the inputs.
        ImageError: there is nothing to store.
        ModelNotFoundError: there is no such model.
        ChecksumError: what was written does not read back; then there is no ``out``.
        OSError: the disk is full, and the like; then there is no ``out``.

    >>> import numpy as np, bitsback
    >>> stripes = np.tile(np.arange(16, dtype=np.uint8), (50, 16, 1))
    >>> archive = bitsback.compress(stripes)
    >>> len(archive) < 500
    True
    >>> bool((bitsback.decompress(archive) == stripes).all())
    True
    """
    skipped: list[Skipped] = []
    sources: list[gather.Source] = []
    if hasattr(data, "__array_interface__"):
        items: Iterable[Item] = [array_item(cast("NDArray[Any]", data), ARRAY_NAME)]
    else:
        sources, skipped = gather.gather(_paths(cast("Path_ | Iterable[Path_]", data)), exclude=exclude)
        items = items_of(sources, skipped, limits, threads, pixels=pixels)
        if not sources:
            raise ImageError(f"nothing to store{f': {skipped[0].name}: {skipped[0].reason}' if skipped else ''}")
    buffer = io.BytesIO()
    report = store(
        items,
        buffer if out is None else out,
        library=library_for(model),
        settings=replace(
            settings_for(effort, threads, embed_model, block, store_sha256, pixels),
            workers=Workers(executor) if executor is not None else None,
            kept=Kept(Path(resume)) if resume is not None else None,
        ),
        sources=sources,
        skipped=skipped,
        check=verify,
        force=force,
        parity=parity,
        limits=limits,
        progress=progress,
    )
    if out is not None:
        return report
    if skipped:
        warnings.warn(f"{len(skipped)} files were not stored: {skipped[0].name}: {skipped[0].reason}", stacklevel=2)
    return buffer.getvalue()


def settings_for(
    effort: Effort = "normal",
    threads: int = 0,
    embed_model: bool | None = None,
    block: int = 0,
    store_sha256: bool = False,
    pixels: bool = False,
) -> Settings:
    """How to write an archive, in the words of :func:`compress`."""
    if effort not in EFFORTS:
        raise ValueError(f"effort is one of {', '.join(EFFORTS)}, not {effort!r}")
    if block < 0:
        raise ValueError(f"a block cannot have {block} samples")
    embed = embed_model is not False
    return Settings(effort, threads, False, embed, embed_model is True, block, store_sha256, pixels)


def store(
    items: Iterable[Item],
    out: Path_ | BinaryIO,
    *,
    library: Library,
    settings: Settings | None = None,
    sources: Sequence[gather.Source] = (),
    skipped: list[Skipped] | None = None,
    check: bool = True,
    force: bool = False,
    parity: float = 0.0,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Report:
    """What :func:`compress` does once it is known what to store; ``out`` appears whole or not at all.

    ``sources`` are the files that ``out`` must not be one of; ``skipped`` is the list that ``items`` may add to. With
    ``check``, the finished archive is opened and compared; what goes into a stream that cannot be read is decoded and
    compared block by block.
    """
    settings = settings or Settings()

    def write(stream: BinaryIO, readable: bool) -> Report:
        how = replace(settings, verify=check and not readable)
        listing = [source.entry for source in sources] or None
        report = write_archive(stream, items, library, how, progress=progress, skipped=skipped, listing=listing)
        if parity:
            if not readable:
                raise BitsBackError("parity is made of the finished archive, and this output cannot be read again")
            report.bytes_out += protect(stream, parity, limits)
        if check and readable:
            stream.flush()
            with Archive(stream, library=library, limits=limits) as archive:
                archive.workers = settings.workers
                compare(archive, report, threads=WAITING if settings.workers else settings.threads)
        return report

    if not isinstance(out, str | os.PathLike):
        report = write(out, isinstance(out, io.BytesIO))
    else:
        path = Path(out)
        _check_inputs(path, sources)
        with atomic.write(path, overwrite=force) as file:
            report = write(file, file.seekable() and file.readable())
    if settings.kept:
        settings.kept.clear()
    return report


@overload
def decompress(
    archive: Path_ | bytes | BinaryIO, out: None = None, *, models: Models = ..., threads: int = ...,
    limits: Limits = ...,
) -> NDArray[Any]: ...  # fmt: skip
@overload
def decompress(
    archive: Path_ | bytes | BinaryIO, out: Path_, *, members: Sequence[str] = ..., models: Models = ...,
    threads: int = ..., force: bool = ..., preserve: bool = ..., limits: Limits = ...,
) -> list[Path]: ...  # fmt: skip
def decompress(
    archive: Path_ | bytes | BinaryIO,
    out: Path_ | None = None,
    *,
    members: Sequence[str] = (),
    models: Models = (),
    threads: int = 0,
    force: bool = False,
    preserve: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> NDArray[Any] | list[Path]:
    """Take files out of an archive, or the array that it was made of.

    Args:
        archive: its path, its bytes, or a seekable binary file.
        out: the folder to put the files into. Without it, the archive must hold a single array, which is returned as
            it was: shape, type and values.
        members: names or patterns (``*.png``) of the files wanted, see :func:`~bitsback.archive.patterns.select`; none
            means all.
        models: models, or paths of their files, that the archive may need and that are not installed.
        threads: how many to use, 0 for all cores.
        force: overwrite files that are there. Otherwise one that is there is an error, and nothing is written.
        preserve: restore modes whole, without regard to the umask, and links that lead out of the folder.
        limits: what the archive may announce, and what decoding may take.

    Returns:
        The array; or the paths of what was written.

    Raises:
        FormatError: the archive is damaged.
        UnsafePathError: a name would leave the folder.
        OutputExistsError: a file is there already.
        ModelNotFoundError: a model that the archive needs is nowhere.
        LimitError: the archive announces too much.
        OSError: the disk is full, and the like.
    """
    with open(archive, models=models, limits=limits) as opened:
        if out is not None:
            chosen = select(opened.members, members)
            return extract(opened, Path(out), chosen, overwrite=force, preserve=preserve, threads=threads).written
        if len(opened.members) != 1 or not opened.members[0].name.endswith(".npy"):
            raise BitsBackError(f"the archive holds {len(opened.members)} files, not one array: say where to put them")
        data = opened.read(opened.members[0].name)
    try:
        array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError as error:
        raise BitsBackError(f"{opened.members[0].name}: {error}") from None
    return array


def open(
    archive: Path_ | bytes | BinaryIO,
    *,
    models: Models = (),
    limits: Limits = DEFAULT_LIMITS,
    damaged: bool = False,
) -> Archive:
    """An archive as a sequence of its images: ``len``, indexing, slices, iteration; ``names`` and ``members``.

    Nothing is decoded until it is asked for. ``models`` as for :func:`decompress`, the others as for
    :class:`bitsback.archive.Archive`.

    >>> import numpy as np, bitsback
    >>> archive = bitsback.open(bitsback.compress(np.arange(600, dtype=np.uint16).reshape(3, 20, 10)))
    >>> len(archive), archive[2].shape, archive.names
    (3, (20, 10), ['array.npy'])
    """
    return Archive(archive, library=Library(_loaded(models)), limits=limits, damaged=damaged)


def library_for(model: str | Path | Model) -> Library:
    """The models to choose from when the user asks for ``model``; see :func:`compress`."""
    if model == "auto":
        return Library()
    if model == "none":
        return Library(shipped=False)
    return Library(_loaded([model]), forced=True)


def _loaded(models: Models) -> list[Model]:
    """Models given as themselves, by name, or by the path of their file; one or several."""
    several = models if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    if not any(isinstance(model, str | Path) for model in several):
        return cast("list[Model]", several)
    from bitsback.models import Model

    return [Model.load(model) if isinstance(model, str | Path) else model for model in several]


def add(
    archive: Path_,
    data: Path_ | Iterable[Path_],
    *,
    model: str | Path | Model = "auto",
    effort: Effort = "normal",
    threads: int = 0,
    verify: bool = True,
    keep_old: bool = False,
    embed_model: bool | None = None,
    block: int = 0,
    store_sha256: bool = False,
    pixels: bool = False,
    exclude: Sequence[str] = (),
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Report:
    """Add files and folders to an archive, without writing anew what is in it.

    A name that is there already is superseded, or refused with ``keep_old``. Whatever happens meanwhile, the archive
    can be opened: it is the old one until the new one is complete. The other arguments are those of :func:`compress`.

    Raises:
        OutputExistsError: with ``keep_old``, for a name that is there; or the archive is one of the inputs.
        ImageError: there is nothing to store. FormatError: the archive is damaged. OSError.
    """
    sources, skipped = gather.gather(_paths(data), exclude=exclude)
    if not sources:
        raise ImageError(f"nothing to add{f': {skipped[0].name}: {skipped[0].reason}' if skipped else ''}")
    return append(
        archive,
        sources,
        skipped,
        library=library_for(model),
        settings=settings_for(effort, threads, embed_model, block, store_sha256, pixels),
        keep_old=keep_old,
        check=verify,
        limits=limits,
        progress=progress,
    )


def append(
    archive: Path_,
    sources: Sequence[gather.Source],
    skipped: list[Skipped],
    *,
    library: Library,
    settings: Settings,
    keep_old: bool = False,
    check: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Report:
    """What :func:`add` does once it is known what to add; ``skipped`` is the list that may grow."""
    _check_inputs(Path(archive), sources)
    with _named(archive):
        return edit.append(
            Path(archive),
            items_of(sources, skipped, limits, settings.threads, pixels=settings.pixels),
            library,
            settings,
            keep_old=keep_old,
            check=check,
            limits=limits,
            progress=progress,
            skipped=skipped,
            listing=[source.entry for source in sources],
        )


def remove(
    archive: Path_,
    members: Sequence[str],
    out: Path_ | None = None,
    *,
    models: Models = (),
    force: bool = False,
    verify: bool = True,
) -> Rebuilt:
    """Take members out of an archive: it is written anew without them, and nothing of them is left in it.

    Args:
        members: names or patterns, at least one.
        out: where the new archive goes; by default it takes the place of the old one.
        verify: open the new archive and compare every member with the old one, before it takes its name.

    Raises:
        BitsBackError: a pattern matches nothing; the archive is damaged. OutputExistsError: ``out`` is there.
    """
    path = Path(archive)
    with _named(archive), replacing(Path(out or path), [path]), open(path, models=models) as opened:
        gone = {member.ordinal for member in select(opened.members, members)} if members else set()
        stay = [member for member in opened.members if member.ordinal not in gone]
        with atomic.write(Path(out or path), overwrite=force or out is None) as file:
            return _rebuild([(opened, stay)], file, check=verify)


def merge(
    archives: Sequence[Path_], out: Path_, *, models: Models = (), force: bool = False, verify: bool = True
) -> Rebuilt:
    """Put several archives into one. Payloads are taken over as they are; of equal names the last one counts.

    ``verify``: open the new archive and compare every member with the old ones, before it takes its name.
    """
    with ExitStack() as stack:
        stack.enter_context(replacing(Path(out), archives))
        opened: list[Archive] = []
        for path in archives:
            with _named(path):
                opened.append(stack.enter_context(open(path, models=models)))
        with atomic.write(Path(out), overwrite=force) as file:
            return _rebuild([(archive, archive.members) for archive in opened], file, check=verify)


def recover(
    archive: Path_, out: Path_, *, models: Models = (), threads: int = 0, force: bool = False, verify: bool = True
) -> tuple[Rebuilt, list[str]]:
    """Make a sound archive of what is whole in a damaged one.

    Returns:
        What is in it and what was lost, and everything that was found damaged, in words.

    Raises:
        OutputExistsError: ``out`` is there. FormatError: nothing could be recovered.
    """
    with (
        replacing(Path(out), [archive]),
        Path(archive).open("rb") as file,
        mended(file) as (whole, _),
        open(whole, models=models, damaged=True) as opened,
    ):
        return rescue(opened, out, threads=threads, force=force, verify=verify), opened.problems


def rescue(broken: Archive, out: Path_, *, threads: int = 0, force: bool = False, verify: bool = True) -> Rebuilt:
    """What :func:`recover` does with an archive that is open already, with ``damaged=True``."""
    if not broken.members:
        raise BitsBackError(f"nothing is left of it: {'; '.join(broken.problems[:2])}")
    with atomic.write(Path(out), overwrite=force) as file:
        return _rebuild([(broken, broken.members)], file, threads, verify)


def _rebuild(
    parts: Sequence[tuple[Archive, Sequence[Member]]], file: BinaryIO, threads: int = 0, check: bool = True
) -> Rebuilt:
    """A new archive of members of others, with parity if one of these has some; with ``check``, one that reads back."""
    check = check and file.seekable() and file.readable()
    rebuilt = edit.rebuild(parts, file, threads=threads, check=check)
    if share := max((share_of(archive.structure) for archive, _ in parts), default=0.0):
        rebuilt.size += protect(file, share)
    if check:
        file.flush()
        archives = [archive for archive, _ in parts]
        given = (model for archive in archives[1:] for model in archive.library.given)
        library = archives[0].library.afresh(*given) if archives else Library()
        limits = max((archive.limits for archive in archives), key=lambda one: one.memory, default=DEFAULT_LIMITS)
        with Archive(file, library=library, limits=limits) as archive:
            compare(archive, rebuilt.report, threads=threads)
    return rebuilt


@contextmanager
def replacing(out: Path, inputs: Iterable[Path_]) -> Iterator[None]:
    """While an archive may be written in place of one of those that it is made of, nobody adds to that one."""
    if out.is_file() and any(Path(path).exists() and out.samefile(path) for path in inputs):
        with atomic.alone(out, writing=False):
            yield
    else:
        yield


@contextmanager
def _named(path: Path_) -> Iterator[None]:
    """What is wrong with an archive is told with its name in front."""
    try:
        yield
    except (FormatError, LimitError) as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


def _paths(data: Path_ | Iterable[Path_]) -> list[Path_]:
    paths = [data] if isinstance(data, str | os.PathLike) else list(data)
    if any(hasattr(path, "__array_interface__") for path in paths):
        raise TypeError("several arrays: stack those of one shape with np.stack, or give the paths of .npy files")
    return paths


def _check_inputs(path: Path, sources: Iterable[gather.Source]) -> None:
    """Refuse an output that is one of the inputs."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return
    for source in sources:
        if (source.stamp.device, source.stamp.inode) == (info.st_dev, info.st_ino):
            raise OutputExistsError(f"{path}: is both an input and the output")
