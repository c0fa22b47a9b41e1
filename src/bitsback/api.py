"""The library's face: compress, decompress, open.

The three work on arrays, files and folders. What the command line does, it does through this module.
"""

import io
import os
import stat
import warnings
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from bitsback import files
from bitsback.archive import Archive, Library, Limits, Member, Report, atomic, extract, write_archive
from bitsback.archive.choice import EFFORTS, Effort
from bitsback.archive.container import ContainerReader
from bitsback.archive.gather import Source, gather
from bitsback.archive.limits import DEFAULT_LIMITS
from bitsback.archive.plan import Item
from bitsback.archive.writer import Progress, items_of
from bitsback.errors import BitsBackError, ImageError, OutputExistsError

if TYPE_CHECKING:
    from bitsback.models import Model

Path_ = str | os.PathLike[str]
Input = NDArray[Any] | Path_ | Iterable[Path_]

Models: TypeAlias = "str | Path | Model | Sequence[str | Path | Model]"

ARRAY_NAME = "array.npy"
"""The name of the only file in an archive that was made of an array."""


@overload
def compress(
    data: Input, out: None = None, *, model: "str | Path | Model" = ..., effort: Effort = ..., threads: int = ...,
    verify: bool = ..., embed_model: bool = ..., limits: Limits = ...,
) -> bytes: ...  # fmt: skip
@overload
def compress(
    data: Input, out: Path_ | BinaryIO, *, model: "str | Path | Model" = ..., effort: Effort = ..., threads: int = ...,
    verify: bool = ..., force: bool = ..., embed_model: bool = ..., limits: Limits = ...,
    progress: Progress | None = ...,
) -> Report: ...  # fmt: skip
def compress(
    data: Input,
    out: Path_ | BinaryIO | None = None,
    *,
    model: "str | Path | Model" = "auto",
    effort: Effort = "normal",
    threads: int = 0,
    verify: bool = True,
    force: bool = False,
    embed_model: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> bytes | Report:
    """Put an array, a file, a folder, or several of them into an archive.

    Args:
        data: an array, best uint8 or uint16 with the axes (n, height, width) or (n, height, width, channels); or a
            path; or several paths. Folders are taken with all that is in them.
        out: the archive's path, or a binary stream to write to. Without it, the archive is returned as bytes.
        model: "auto" tries the installed models and takes the best for each kind of image; "none" does without; else
            a model, its name, or the path of its file, to be used wherever it fits, even where something else would
            be smaller.
        effort: "fast" tries few models, those made for speed, on a small sample; "max" tries all of them on a large
            one, and the close ones on everything.
        threads: how many to use, 0 for all cores. The archive does not depend on it.
        verify: decode everything that was coded, and compare.
        force: overwrite ``out``.
        embed_model: put the models that were used into the archive, so that nobody has to look for them.
        limits: what a reader of the archive will be able to cope with.
        progress: called with the number of input bytes newly done.

    Returns:
        The archive's bytes; or, with ``out``, a :class:`~bitsback.archive.Report` of what was stored how. Files that
        could not be stored are in ``report.skipped``; without ``out`` they cause a warning.

    Raises:
        OutputExistsError: ``out`` is there, or is one of the inputs.
        ImageError: there is nothing to store.
        ModelNotFoundError: there is no such model.
        OSError: the disk is full, and the like; then there is no ``out``.

    >>> import numpy as np, bitsback
    >>> stripes = np.tile(np.arange(16, dtype=np.uint8), (50, 16, 1))
    >>> archive = bitsback.compress(stripes)
    >>> len(archive) < 500
    True
    >>> bool((bitsback.decompress(archive) == stripes).all())
    True
    """
    skipped: list[files.Skipped] = []
    sources: list[Source] = []
    if isinstance(data, np.ndarray):
        items: Iterable[Item] = [array_item(data)]
    else:
        sources, skipped = gather(_paths(data))
        items = items_of(sources, skipped, limits)
        if not sources:
            raise ImageError(f"nothing to store{f': {skipped[0].name}: {skipped[0].reason}' if skipped else ''}")
    buffer = io.BytesIO()
    report = store(
        items,
        buffer if out is None else out,
        sources=sources,
        skipped=skipped,
        library=library_for(model),
        effort=effort,
        threads=threads,
        verify=verify,
        force=force,
        embed_model=embed_model,
        progress=progress,
    )
    if out is not None:
        return report
    if skipped:
        warnings.warn(f"{len(skipped)} files were not stored: {skipped[0].name}: {skipped[0].reason}", stacklevel=2)
    return buffer.getvalue()


def store(
    items: Iterable[Item],
    out: Path_ | BinaryIO,
    *,
    library: Library,
    sources: Sequence[Source] = (),
    skipped: list[files.Skipped] | None = None,
    effort: Effort = "normal",
    threads: int = 0,
    verify: bool = True,
    force: bool = False,
    embed_model: bool = False,
    progress: Progress | None = None,
) -> Report:
    """What :func:`compress` does once it is known what to store; ``out`` appears whole or not at all.

    ``sources`` are the files that ``out`` must not be one of; ``skipped`` is the list that ``items`` may add to.
    """

    def write(stream: BinaryIO) -> Report:
        return write_archive(
            stream, items, library, effort=effort, threads=threads, verify=verify, embed_models=embed_model,
            progress=progress, skipped=skipped,
        )  # fmt: skip

    if effort not in EFFORTS:
        raise ValueError(f"effort is one of {', '.join(EFFORTS)}, not {effort!r}")
    if not isinstance(out, str | os.PathLike):
        return write(out)
    path = Path(out)
    _check_output(path, sources)
    with atomic.write(path, overwrite=force) as file:
        report = write(file)
        if verify:
            file.flush()
            reader = ContainerReader(file)
            for block in reader.blocks:
                reader.payload(block)
    return report


@overload
def decompress(
    archive: Path_ | bytes | BinaryIO, out: None = None, *, models: Models = ..., threads: int = ...,
    limits: Limits = ...,
) -> NDArray[Any]: ...  # fmt: skip
@overload
def decompress(
    archive: Path_ | bytes | BinaryIO, out: Path_, *, members: Sequence[str] = ..., models: Models = ...,
    threads: int = ..., force: bool = ..., limits: Limits = ...,
) -> list[Path]: ...  # fmt: skip
def decompress(
    archive: Path_ | bytes | BinaryIO,
    out: Path_ | None = None,
    *,
    members: Sequence[str] = (),
    models: Models = (),
    threads: int = 0,
    force: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> NDArray[Any] | list[Path]:
    """Take files out of an archive, or the array that it was made of.

    Args:
        archive: its path, its bytes, or a seekable binary file.
        out: the folder to put the files into. Without it, the archive must hold a single array, which is returned as
            it was: shape, type and values.
        members: names or patterns (``*.png``) of the files wanted; none means all.
        models: models, or paths of their files, that the archive may need and that are not installed.
        threads: how many to use, 0 for all cores.
        force: overwrite files that are there. Otherwise one that is there is an error, and nothing is written.
        limits: what the archive may announce.

    Returns:
        The array; or the paths of the files written.

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
            return extract(opened, Path(out), chosen, overwrite=force, threads=threads).written
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


def library_for(model: "str | Path | Model") -> Library:
    """The models to choose from when the user asks for ``model``; see :func:`compress`."""
    if model == "auto":
        return Library()
    if model == "none":
        return Library(shipped=False)
    return Library(_loaded([model]), forced=True)


def _loaded(models: Models) -> "list[Model]":
    """Models given as themselves, by name, or by the path of their file; one or several."""
    several = models if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    if not any(isinstance(model, str | Path) for model in several):
        return cast("list[Model]", several)
    from bitsback.models import Model

    return [Model.load(model) if isinstance(model, str | Path) else model for model in several]


def select(members: Sequence[Member], patterns: Sequence[str]) -> list[Member]:
    """The members that match one of the patterns, in order; all of them if there are no patterns.

    A pattern is a name, a name with ``*``, ``?`` and ``[...]``, or a folder. Raises BitsBackError for one without a
    match.
    """
    if not patterns:
        return list(members)
    chosen: dict[int, Member] = {}
    for pattern in patterns:
        folder = pattern.rstrip("/") + "/"
        found = [m for m in members if m.name == pattern or fnmatchcase(m.name, pattern) or m.name.startswith(folder)]
        if not found:
            raise BitsBackError(f"{pattern!r}: no file of that name in the archive")
        chosen |= {member.ordinal: member for member in found}
    return [chosen[ordinal] for ordinal in sorted(chosen)]


def _paths(data: Path_ | Iterable[Path_]) -> list[Path_]:
    return [data] if isinstance(data, str | os.PathLike) else list(data)


def array_item(array: NDArray[Any], ordinal: int = 0, name: str = ARRAY_NAME) -> Item:
    """An array as a ``.npy`` file that never was on disk: without time and mode. ImageError for arrays of objects."""

    def file() -> bytes:
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=False)
        return buffer.getvalue()

    picture = files.from_array(array)
    size = len(picture.raw) if picture.raw is not None else len(picture.blob) + array.nbytes
    return Item(ordinal, name, size, None, None, picture, file)


def _check_output(path: Path, sources: Iterable[Source]) -> None:
    """Refuse to replace what is no plain file, or an input."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(info.st_mode):
        raise OutputExistsError(f"{path}: is a folder")
    if not stat.S_ISREG(info.st_mode):
        raise OutputExistsError(f"{path}: is not a regular file (-o - writes to standard output)")
    for source in sources:
        if os.path.samestat(info, Path(source.path).stat()):
            raise OutputExistsError(f"{path}: is both an input and the output")
