"""The container: members in, one checked `.bba` file out, and back.

Names are loaded when they are first used: whoever reads one file needs no writer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitsback.archive.edit import Rebuilt as Rebuilt
    from bitsback.archive.extract import Outcome as Outcome
    from bitsback.archive.library import Library as Library
    from bitsback.archive.limits import Limits as Limits
    from bitsback.archive.member import Entry as Entry
    from bitsback.archive.member import Type as Type
    from bitsback.archive.reader import Archive as Archive
    from bitsback.archive.reader import taken as taken
    from bitsback.archive.report import Report as Report
    from bitsback.archive.structure import Member as Member
    from bitsback.archive.writer import Settings as Settings
    from bitsback.archive.writer import write_archive as write_archive

_HOMES = {
    "Archive": "reader",
    "Entry": "member",
    "Library": "library",
    "Limits": "limits",
    "Member": "structure",
    "Outcome": "extract",
    "Rebuilt": "edit",
    "Report": "report",
    "Settings": "writer",
    "Type": "member",
    "taken": "reader",
    "write_archive": "writer",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bitsback.archive' has no attribute {name!r}")
    value = getattr(import_module(f"bitsback.archive.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
