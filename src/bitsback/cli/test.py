"""``bitsback test``."""

from dataclasses import dataclass, field
from typing import Any

import click

from bitsback.archive.limits import Limits
from bitsback.cli import options
from bitsback.cli.exits import FAILED, OK
from bitsback.cli.output import count_words, progress_bar, say, write_json
from bitsback.cli.source import archive_file, check_models, library_of
from bitsback.errors import BitsBackError, FormatError, UnsupportedVersionError


@dataclass
class _Result:
    """What came out for one archive."""

    images: int = 0
    files: int = 0
    problems: list[str] = field(default_factory=list)


@click.command("test")
@click.argument("archives", type=options.FILE, nargs=-1, required=True, metavar="ARCHIVE...")
@options.models
@options.decoding
@options.common
def test_command(
    archives: tuple[str, ...],
    models: tuple[str, ...],
    memory_limit: int,
    max_pixels: int,
    threads: int,
    verbose: int,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Decode everything and check everything, writing nothing.

    All that is damaged is named, with the files that suffer from it. The worst result decides the exit code.
    """
    code = OK
    library = library_of(models)
    for name in archives:
        try:
            result = _test(name, library, options.limits(memory_limit, max_pixels), threads, not no_progress)
        except BitsBackError as error:
            result = _Result(problems=[str(error)])
        except OSError as error:
            result = _Result(problems=[f"{name}: {(error.strerror or str(error)).lower()}"])
        for problem in result.problems:
            say(problem, error=True)
        facts: dict[str, Any] = {"archive": name, "ok": not result.problems}
        if result.problems:
            code = FAILED
            facts["problems"] = result.problems
        else:
            say(f"{name}: ok, {count_words(result.images, 'image')} in {count_words(result.files, 'file')}")
        if as_json:
            write_json(facts | {"images": result.images, "files": result.files})
    return code


def _test(name: str, library: Any, limits: Limits, threads: int, wanted: bool) -> _Result:
    from bitsback.archive.member import Type
    from bitsback.archive.reader import Archive

    with archive_file(name) as file:
        try:
            archive = Archive(file, library=library, limits=limits)
        except UnsupportedVersionError:
            raise
        except FormatError:  # there may be more to say than why it does not open
            archive = Archive(file, library=library, limits=limits, damaged=True)
            if not archive.problems or not archive.structure.all_chunks:
                raise
        if not archive.damaged:
            check_models(archive, archive.members)
        total = sum(member.size for member in archive.members)
        with progress_bar("testing", total, wanted=wanted) as bar:
            problems = archive.test(threads=threads, progress=bar)
    files = sum(member.type in (Type.FILE, Type.HARDLINK) for member in archive.members)
    return _Result(len(archive), files, [f"{name}: {problem}" for problem in problems])
