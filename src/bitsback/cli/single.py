"""One file out of an archive, to a path or to standard output."""

from pathlib import Path
from typing import TYPE_CHECKING

from bitsback.archive import atomic
from bitsback.archive.member import Type
from bitsback.archive.metadata import Metadata
from bitsback.cli.output import standard_output
from bitsback.errors import BitsBackError

if TYPE_CHECKING:
    from bitsback.archive import Archive, Member


def write_member(archive: "Archive", member: "Member", output: str, *, force: bool, threads: int = 0) -> list[str]:
    """Write one file's content (a hard link's is that of its file) to ``output``, or standard output for ``-``.

    Returns:
        What could not be restored of its time and permissions, in words.

    Raises:
        BitsBackError: it has no content, or its content is lost; the output is there. OSError.
    """
    if member.content is None:
        what = {Type.FOLDER: "a folder", Type.SYMLINK: f"a symbolic link to {member.target!r}"}
        raise BitsBackError(f"{member.name!r}: is {what.get(member.type, 'empty')}, and no file (see decompress)")
    for _, content in archive.contents([member], threads=threads):
        if isinstance(content, BitsBackError):
            raise content
        with standard_output() if output == "-" else atomic.write(Path(output), overwrite=force) as file:
            for piece in content:
                file.write(piece)
    if output == "-":
        return []
    metadata = Metadata(preserve=False)
    if Path(output).is_file():
        metadata.set_mode(output, member.mode, member.name)
        metadata.set_time(output, member.mtime_ns, member.name)
    return metadata.warnings()
